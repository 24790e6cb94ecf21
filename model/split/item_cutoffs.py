"""Where the parts of an item_time split begin, item by item: the last rows of each item test, those before validate."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import TIMESTAMP

#: First row of the validation and the test part of an item, in the order (timestamp, query); null: no such part.
ITEM_CUTOFFS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("validation_start", TIMESTAMP),
        pa.field("validation_query", pa.string()),
        pa.field("test_start", TIMESTAMP),
        pa.field("test_query", pa.string()),
    ]
)


def part_sizes(num_rows: int, test_fraction: float, validation_fraction: float) -> tuple[int, int]:
    """(validation, test) rows of an item with `num_rows` rows: test rounds up, validation to the nearest, and at least
    one row trains.

    >>> [part_sizes(n, 0.2, 0.1) for n in (1, 2, 5, 6, 24)]
    [(0, 0), (0, 1), (1, 1), (1, 2), (2, 5)]
    """
    num_test = min(math.ceil(num_rows * test_fraction - 1e-9), num_rows - 1)
    num_validation = min(math.floor(num_rows * validation_fraction + 0.5 + 1e-9), num_rows - 1 - num_test)
    return num_validation, num_test


def fit_item_cutoffs(table: pa.Table, test_fraction: float, validation_fraction: float) -> pa.Table:
    """ITEM_CUTOFFS of all items of `table` (columns item_id, timestamp, query), which must hold all rows of its items.

    An item's rows are ordered by (timestamp, query); sizes as in part_sizes. Rows that are equal in both never part:
    a cut that falls among them moves behind them, so the later part gets smaller, or empty.
    """
    rows = table.select(["item_id", "timestamp", "query"]).combine_chunks()
    rows = rows.set_column(2, "query", pc.fill_null(rows.column("query"), ""))
    rows = rows.sort_by([("item_id", "ascending"), ("timestamp", "ascending"), ("query", "ascending")])
    times, queries = pc.cast(rows.column("timestamp"), pa.int64()).to_numpy(), rows.column("query")
    values, starts = _runs(rows.column("item_id"))
    ends = np.append(starts[1:], rows.num_rows)

    def cut(at: int, end: int) -> int | None:
        while 0 < at < end and times[at] == times[at - 1] and queries[at].as_py() == queries[at - 1].as_py():
            at += 1
        return at if at < end else None

    validation_at: list[int | None] = []
    test_at: list[int | None] = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        num_validation, num_test = part_sizes(end - start, test_fraction, validation_fraction)
        test_at.append(cut(end - num_test, end))
        validation_at.append(cut(end - num_test - num_validation, end) if num_validation else None)
    columns = [values]
    for positions in (validation_at, test_at):
        indices = pa.array(positions, pa.int64())
        columns += [rows.column("timestamp").take(indices), queries.take(indices)]
    return pa.table(columns, schema=ITEM_CUTOFFS)


def reached_cutoffs(cutoffs: pa.Table, table: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(item has cutoffs, row lies at or behind its item's first validation row, its first test row), bool [rows] each.

    cutoffs: ITEM_CUTOFFS. table: columns item_id, timestamp, query.
    """
    if cutoffs.num_rows == 0:
        none = np.zeros(table.num_rows, bool)
        return none, none, none
    item = pc.index_in(table.column("item_id"), value_set=cutoffs.column("item_id").combine_chunks())
    at = pc.fill_null(item, 0)
    query = pc.fill_null(table.column("query"), "")

    def reached(start: str, start_query: str) -> np.ndarray:
        times, queries = cutoffs.column(start).take(at), cutoffs.column(start_query).take(at)
        later = pc.greater(table.column("timestamp"), times)
        same = pc.and_(pc.equal(table.column("timestamp"), times), pc.greater_equal(query, queries))
        return pc.fill_null(pc.or_(later, same), False).to_numpy()

    known = pc.is_valid(item).to_numpy()
    return known, reached("validation_start", "validation_query"), reached("test_start", "test_query")


def _runs(sorted_values: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Distinct values of a sorted column and where each begins."""
    encoded = pc.run_end_encode(sorted_values.combine_chunks())
    ends = encoded.run_ends.to_numpy()
    return encoded.values, np.concatenate([[0], ends[:-1]]).astype(np.int64)
