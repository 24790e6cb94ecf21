"""The table of a bucket's distinct pairs, what identifies their queries, and the rules that they are made by."""

from dataclasses import dataclass

import pyarrow as pa

from model.text.tokenizer import query_key
from schemas.hashing import stable_hash

#: Distinct pairs of a bucket, sorted by (part, task, query_id, item_id). part: of the split, or DISTILLATION. count:
#: engagement rows; of a pseudo-query its spellings.
PAIRS = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("query_id", pa.int64(), nullable=False),
        pa.field("query", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
    ]
)
SORTED = [(name, "ascending") for name in ("part", "task", "query_id", "item_id")]


@dataclass(frozen=True, kw_only=True)
class DistillationRules:
    """How many queries an item has at most that a model learns from before the log, and the share of the items that
    have them."""

    queries: int = 0
    item_share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class PairRules:
    """What the pairs of a bucket depend on beside its rows. has_pictures: whether the model sees pictures, so that
    closeup queries can be encoded. query_table_folder: of the shop's own query vectors, None without them.
    max_pairs_per_item: 0 is no cap."""

    run: str
    num_buckets: int
    vocabulary_folder: str
    query_table_folder: str | None
    has_pictures: bool
    pseudo_queries: int
    typo_share: float
    distillation: DistillationRules
    max_pairs_per_item: int
    seed: int


def query_id(surface: str, query: str) -> int:
    """Signed 64-bit stable hash of surface and query: equal for equal queries of any item, action, part and run. Text
    queries that differ by case, blanks or Unicode form alone are equal."""
    unsigned = stable_hash(query_key(surface, query))
    return unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned


def surface_of(task: str) -> str:
    """
    >>> surface_of("closeup/add_to_cart")
    'closeup'
    """
    return task.partition("/")[0]


def with_query_ids(pairs: pa.Table) -> pa.Table:
    """PAIRS from the same columns without query_id, sorted; of the spellings of a query the first by code point."""
    keys = pairs.select(["task", "query"]).group_by(["task", "query"]).aggregate([])
    ids = [
        query_id(surface_of(task), query)
        for task, query in zip(keys.column("task").to_pylist(), keys.column("query").to_pylist(), strict=True)
    ]
    keys = keys.append_column("query_id", pa.array(ids, pa.int64()))
    joined = pairs.join(keys, ["task", "query"], join_type="inner")
    merged = joined.group_by([name for name in PAIRS.names if name not in ("query", "count")]).aggregate(
        [("query", "min"), ("count", "sum")]
    )
    merged = merged.rename_columns({"query_min": "query", "count_sum": "count"})
    return merged.select(PAIRS.names).cast(PAIRS).sort_by(SORTED)
