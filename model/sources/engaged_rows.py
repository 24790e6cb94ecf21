"""The rows of an engagement log that a source learns from, and users with their items.

Legend: M rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import UsageError
from schemas.records.clickstream import INTERACTIONS
from schemas.tables import ENGAGEMENTS

#: Whole numbers, so that sums of them are equal in any order.
ACTION_WEIGHTS = (("click", 1), ("save", 2), ("add_to_cart", 3), ("checkout", 4))


@dataclass(frozen=True, kw_only=True)
class RowsConfig:
    """before_us: rows at or after it (microseconds since 1970) are not used; None: all are. action_weights: how much
    an action counts, whole numbers of at least 1; rows of other actions are not used.

    Raises UsageError for a weight below 1 or an action named twice.
    """

    before_us: int | None = None
    action_weights: Sequence[tuple[str, int]] = ACTION_WEIGHTS

    def __post_init__(self) -> None:
        names = [name for name, _ in self.action_weights]
        if not names or len(set(names)) < len(names) or any(weight < 1 for _, weight in self.action_weights):
            raise UsageError(f"expected different actions with weights of at least 1, got {self.action_weights}")


def usable_rows(log: pa.Table, config: RowsConfig) -> tuple[pa.Table, dict[str, int]]:
    """(the rows of ENGAGEMENTS that count, with a column `weight` int64; how many were left out for what).

    Raises ValueError if a column is missing, or an item_id or timestamp is null.
    """
    needed = [name for name in ENGAGEMENTS.names if name not in ("surface", "query")]
    missing = [name for name in needed if name not in log.column_names]
    if missing:
        raise ValueError(f"expected the columns {', '.join(needed)}, got none called {', '.join(missing)}")
    for name in ("item_id", "timestamp"):
        if log.column(name).null_count:
            raise ValueError(f"expected {name} in every row, got {log.column(name).null_count} nulls: ingest the log")
    rows = log.select(needed)
    if config.before_us is not None:
        rows = rows.filter(pc.less(pc.cast(rows.column("timestamp"), pa.int64()), config.before_us))
    names, weights = zip(*config.action_weights, strict=True)
    place = pc.index_in(rows.column("action"), value_set=pa.array(names))
    counted = rows.append_column("weight", pa.array(weights, pa.int64()).take(place.combine_chunks()))
    counted = counted.filter(pc.is_valid(counted.column("weight")))
    return counted, {
        "rows": log.num_rows,
        "rows_after_the_cut": log.num_rows - rows.num_rows,
        "rows_of_other_actions": rows.num_rows - counted.num_rows,
    }


def interactions_of(log: pa.Table, config: RowsConfig) -> pa.Table:
    """INTERACTIONS of the rows that count and have a user: what BPR learns from. Of any part of the log that has its
    users whole; tables of parts with other users are put together by concatenation and a sort."""
    rows, _ = usable_rows(log, config)
    rows = rows.filter(pc.is_valid(rows.column("user_id")))
    summed = rows.group_by(["user_id", "item_id"], use_threads=False).aggregate([("weight", "sum")])
    table = pa.table([summed.column(name) for name in ("user_id", "item_id", "weight_sum")], schema=INTERACTIONS)
    return table.sort_by([("user_id", "ascending"), ("item_id", "ascending")])


def ranks_of(values: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, pa.Array]:
    """(int64 [M]: the place of each value among the different ones, those, ascending). Values are strings, not null.

    >>> ranks, names = ranks_of(pa.array(["b", "a", "b"]))
    >>> ranks.tolist(), names.to_pylist()
    ([1, 0, 1], ['a', 'b'])
    """
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    encoded = whole.dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks[encoded.indices.to_numpy()], encoded.dictionary.take(pa.array(order))
