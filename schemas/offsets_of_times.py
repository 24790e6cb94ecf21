"""Whether the times of a log say of which zone they are: those that lose their offset overnight are hours away."""

from collections import Counter
from functools import partial

import pyarrow as pa

from schemas.cell_times import has_offset
from schemas.column_cells import Blame, Found, cells_of_sources, coerced_values
from schemas.raw_rows import RawRows


def offsets_of_times(raw: RawRows) -> Counter[bool]:
    """The times of a batch of a log by whether they have an offset (see schemas.cell_times.has_offset)."""
    found: Counter[bool] = Counter()
    for cells in cells_of_sources(raw, "timestamp"):
        if cells.array is not None and pa.types.is_timestamp(cells.array.type):
            found[cells.array.type.tz is not None] += len(cells.array) - cells.array.null_count
            continue
        has_one = partial(has_offset, told=cells.spec.time)
        unread = Blame("timestamp", Found(), False, "a timestamp")  # the row's rejection tells of it
        found.update(told for told in coerced_values(cells, has_one, unread) if told is not None)
    return found
