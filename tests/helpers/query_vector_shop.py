"""A shop whose queries say nothing by their words, and whose own vectors of them say which item is meant."""

import datetime as dt
import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from query_vectors import write_vectors_of

from schemas.tables import ENGAGEMENTS

DATE = "2026-06-30"
_KINDS = (
    ("red", "green", "blue", "white", "black"),
    ("wool", "silk", "oak", "steel"),
    ("lamp", "chair", "scarf", "mug", "rug", "bag"),
)
#: What the items are: all of them differ.
TITLES = [" ".join(words) for words in itertools.product(*_KINDS)]
ITEM_IDS = [f"item-{number:03d}" for number in range(len(TITLES))]
#: Queries that are asked after training, and the items that they mean; no word or trigram of theirs is in a title.
LATER = {f"qj{number}zx": item_id for number, item_id in enumerate(ITEM_IDS)}
_QUERIES_AN_ITEM, _DIM, _NOISE = 8, 24, 0.1


def write_shop(folder: Path, seed: int = 0) -> dict[str, str]:
    """catalog.parquet; log.parquet, a click of each query on DATE; table.parquet, the vectors of these queries and of
    LATER. Returns query of the log -> the item that it means. A query is the title of an item drawn at random, and a
    number."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"item_id": ITEM_IDS, "title": TITLES}), folder / "catalog.parquet")
    meant = random.permutation(np.repeat(np.arange(len(TITLES)), _QUERIES_AN_ITEM))
    names = [f"{TITLES[random.integers(len(TITLES))]} {number}" for number in range(len(meant))]
    item_of = {name: ITEM_IDS[item] for name, item in zip(names, meant, strict=True)}
    last = dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC)
    rows = [
        {
            "timestamp": last - dt.timedelta(minutes=place),
            "user_id": None,
            "session_id": None,
            "surface": "search",
            "query": query,
            "item_id": item_id,
            "action": "click",
        }
        for place, (query, item_id) in enumerate(item_of.items())
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=ENGAGEMENTS), folder / "log.parquet")
    write_table(folder / "table.parquet", item_of | LATER, seed)
    return item_of


def write_table(path: Path, item_of: Mapping[str, str], seed: int = 0) -> Path:
    """A vector a query: the sum of what stands for each word of the meant item's title, and a little noise."""
    random = np.random.default_rng(seed)
    code_of = {word: random.standard_normal(_DIM) for words in _KINDS for word in words}
    title_of = dict(zip(ITEM_IDS, TITLES, strict=True))
    return write_vectors_of(
        path,
        {
            query: sum(code_of[word] for word in title_of[item_id].split()) + _NOISE * random.standard_normal(_DIM)
            for query, item_id in item_of.items()
        },
    )
