"""The first rows of a shop's files, read as the jobs read them."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipelines.init.table.cells import seen_value, text_or_none
from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.keyed_cells import with_objects
from pipelines.init.table.seen import SeenTable
from schemas import storage
from schemas.coercion.cells import BatchFindings, Blame, cells_of_sources, coerced_values
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import ColumnsOfTable
from schemas.columns.wrapped_lists import plain_lists_of
from schemas.reading.input_files import count_rows, known_columns
from schemas.reading.rows import plan_slices, read_slice

#: Rows of a table that are looked at, at most by a batch more.
MAX_ROWS = 8_192


def look_at(files: Sequence[str]) -> SeenTable:
    """The columns and first rows of files of one table. Raises UsageError, CorruptFileError for what cannot be read."""
    path = next((path for path in sorted(files) if storage.size_of(path)), sorted(files)[0])
    names = known_columns(path)
    # a lone surrogate, which JSON can escape, is in no name that a config can say
    once = [name for name in names if names.count(name) == 1 and text_or_none(name) is not None]
    schema = pa.schema([pa.field(name, pa.string()) for name in once])
    values: dict[str, list[Any]] = {name: [] for name in once}
    num_rows = 0
    for file_slice in plan_slices(files) if once else []:
        if file_slice.path != path or num_rows >= MAX_ROWS:
            continue
        for raw in read_slice(file_slice, ColumnsOfTable({}, [path]), schema):
            num_rows += raw.table.num_rows
            for name in once:
                values[name] += _values_of(raw, name)
            if num_rows >= MAX_ROWS:
                break
    columns = {name: SeenColumn(name, with_objects(plain_lists_of(given))) for name, given in values.items()}
    twice = tuple(dict.fromkeys(name for name in names if names.count(name) > 1))
    return SeenTable(files, columns, num_rows, num_rows >= count_rows(files), twice)


def _values_of(raw: RawRows, name: str) -> list[Any]:
    """The column's values as the jobs read them; None of a cell that they cannot read, which validation counts."""
    unread = Blame(name, BatchFindings())
    (cells,) = cells_of_sources(raw, name)
    return coerced_values(cells, seen_value, unread)
