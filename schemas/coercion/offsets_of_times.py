"""Whether the times of a log say of which zone they are: those that lose their offset overnight are hours away. Numbers
since 1970 have no zone to lose."""

from collections import Counter
from functools import partial

import pyarrow as pa

from schemas.cells.times import OFFSETS, WITH_OFFSET, WITHOUT_OFFSET, offset_of
from schemas.coercion.cells import BatchFindings, Blame, cells_of_sources, coerced_values
from schemas.columns.raw_rows import RawRows


def offsets_of_times(raw: RawRows) -> Counter[str]:
    """The times of a batch of a log by which of schemas.cells.times.OFFSETS they are; 0 of those that it has none
    of."""
    found = Counter(dict.fromkeys(OFFSETS, 0))
    for cells in cells_of_sources(raw, "timestamp"):
        if cells.array is not None and pa.types.is_timestamp(cells.array.type):
            of_column = WITHOUT_OFFSET if cells.array.type.tz is None else WITH_OFFSET
            found[of_column] += len(cells.array) - cells.array.null_count
            continue
        offset = partial(offset_of, told=cells.spec.time)
        unread = Blame("timestamp", BatchFindings())  # the row's rejection tells of it
        found.update(told for told in coerced_values(cells, offset, unread) if told is not None)
    return found
