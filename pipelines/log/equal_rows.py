"""Rows of a log that are equal in every column count once: an export that was appended twice is no zeal of users.

Rows travel by user or by item, and without the columns that nobody needs there; `event`, a hash of all columns but the
time, goes with them, and where all rows of a user or an item are together equal ones are left out. So it does not
matter in which files, pieces or order they came.
"""

import numpy as np
import pyarrow as pa

from schemas.hashing import mixed_hashes, stable_hash
from schemas.tables import ENGAGEMENTS

EVENT = "event"
EVENT_FIELD = pa.field(EVENT, pa.int64())
#: The count of rows that equal another one, which stays.
ROWS_EQUAL = "rows_equal"
_HASHED = [name for name in ENGAGEMENTS.names if name != "timestamp"]


def with_events(engagements: pa.Table) -> pa.Table:
    """Valid ENGAGEMENTS and a column EVENT, int64: equal for rows that are equal but for their time."""
    events_N = np.zeros(len(engagements), np.uint64)
    for name in _HASHED:
        coded = engagements[name].combine_chunks().dictionary_encode()
        hashes = [0 if value is None else stable_hash(value) for value in [*coded.dictionary.to_pylist(), None]]
        places_N = coded.indices.fill_null(len(hashes) - 1).to_numpy()
        events_N = mixed_hashes(events_N, np.array(hashes, np.uint64)[places_N])
    return engagements.append_column(EVENT_FIELD, pa.array(events_N.view(np.int64)))


def without_equal(rows: pa.Table, time: str) -> tuple[pa.Table, int]:
    """(the rows of which no equal one comes before, how many were left out), by the columns `time` and EVENT."""
    order = pa.array(np.arange(len(rows)))
    first = rows.select([time, EVENT]).append_column("row", order).group_by([time, EVENT]).aggregate([("row", "min")])
    num_equal = len(rows) - len(first)
    return (rows.take(first["row_min"].sort()) if num_equal else rows), num_equal
