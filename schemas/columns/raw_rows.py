"""Rows of a shop's file as they are, before anything is judged: a piece of a file, and a bounded batch of its rows."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.columns.spec import Columns
from schemas.files import shown

#: Count of the rows of a delimited text that are none: all of their cells are blank.
BLANK_ROWS = "rows_blank"
#: Count of those that are the header once more, as files have that were joined.
REPEATED_HEADERS = "rows_repeated_header"
#: All of these counts.
NONE_OF_TEXT = (BLANK_ROWS, REPEATED_HEADERS)


@dataclass(frozen=True, order=True)
class FileSlice:
    """A piece of one input file: a row group of a Parquet file, or a whole text file (part 0).

    file_number: position in the sorted list of input files; first_row: row number of the slice's first row.
    name: what messages call the file, relative to the common folder of all inputs.
    """

    file_number: int
    path: str
    part: int = 0
    first_row: int = 1
    name: str = ""

    @property
    def called(self) -> str:
        """The file, in messages."""
        return shown(self.name or os.path.basename(self.path))

    def where(self, row_number: int) -> str:
        """
        >>> FileSlice(0, "/data/items.csv").where(7)
        'items.csv:7'
        """
        return f"{self.called}:{row_number}"


def _is_not(_part: str) -> bool:
    return False


@dataclass(frozen=True, eq=False)
class RawRows:
    """A batch of unjudged rows.

    table: one column for each field of the wanted schema, in any Arrow type (`null` if the file has no such column),
    and one for each further source that the mapping names for a field (see schemas.columns.mapping.part_name).
    row_numbers: int64 [table.num_rows], ascending. broken: (row number, error) of lines that could not be parsed.
    mixed: columns whose values have no common Arrow type (JSON only), as Python values; in `table` they are null.
    oversized: (row number, why) of rows that are left out for a cell above MAX_CELL_BYTES (Parquet only).
    without_pictures: (row number, why) of rows whose pictures are left out for a cell that is too large.
    columns: how the shop writes what is in the table. null_words: words that stand for null in the whole file.
    is_whole: tells of our column of ids (see part_name) whether its texts `100.0` are 100 in the whole table; that may
    read all of it (see schemas.reading.whole_ids).
    cut_off: of the broken, the row number of one within which the file ends.
    no_rows: counts of what is no row: NONE_OF_TEXT, and events of a log (see schemas.events.paths).
    count_actions: of a log whose events have items, counts how many of each action have any (see
    schemas.events.actions); not done unless asked, see events_by_action.
    apart: our columns that are in another list of an event than its items, so that nothing says which is whose.
    file_columns: names of all columns of the file, also of those that are not read; of JSON and feeds, those of its
    first rows.
    """

    first_row: int
    table: pa.Table
    broken: list[tuple[int, str]]
    row_numbers: np.ndarray
    mixed: dict[str, list[Any]] = field(default_factory=dict)
    oversized: list[tuple[int, str]] = field(default_factory=list)
    without_pictures: list[tuple[int, str]] = field(default_factory=list)
    columns: Columns = field(default_factory=dict)
    null_words: Sequence[str] = ()
    is_whole: Callable[[str], bool] = _is_not
    cut_off: frozenset[int] = frozenset()
    no_rows: Mapping[str, int] = field(default_factory=dict)
    count_actions: Callable[[], Mapping[str, int]] | None = None
    apart: frozenset[str] = frozenset()
    file_columns: Sequence[str] = ()

    @property
    def num_rows(self) -> int:
        """Rows of all kinds."""
        return self.table.num_rows + len(self.broken) + len(self.oversized)

    @property
    def events_by_action(self) -> Mapping[str, int]:
        """What count_actions counts, anew each time; nothing where there is nothing to count."""
        return {} if self.count_actions is None else self.count_actions()


class Row(NamedTuple):
    """A parsed row: `values` (our column name -> value) or `error`; neither where all its cells are blank, or where it
    is the header once more (is_header). Bytes that are not UTF-8 are lone surrogates. number: the line it begins on, or
    its place in a JSON array or a feed. size_bytes: about what it takes in memory. is_cut_off: the file ends within
    this row, which has an error."""

    number: int
    size_bytes: int
    values: dict[str, Any] | None = None
    error: str | None = None
    is_cut_off: bool = False
    is_header: bool = False


def batches_of_rows(
    rows: Iterator[Row], schema: pa.Schema, constants: Mapping[str, str | None], max_rows: int, max_bytes: int
) -> Iterator[RawRows]:
    """Groups parsed rows into batches that end at either bound. constants: our columns -> their value where a row has
    none. Blank rows and repeated headers are counted."""
    good: list[Row] = []
    broken: list[Row] = []
    size_bytes, no_rows = 0, Counter[str]()
    for row in rows:
        size_bytes += row.size_bytes
        if row.error is not None:
            broken.append(row)
        elif row.values is not None:
            good.append(row)
        else:
            no_rows[REPEATED_HEADERS if row.is_header else BLANK_ROWS] += 1
        if len(good) + len(broken) >= max_rows or size_bytes >= max_bytes:
            yield _assemble(good, broken, no_rows, schema, constants)
            good, broken, size_bytes, no_rows = [], [], 0, Counter()
    if good or broken or no_rows:
        yield _assemble(good, broken, no_rows, schema, constants)


def _assemble(
    good: list[Row],
    broken: list[Row],
    no_rows: Mapping[str, int],
    schema: pa.Schema,
    constants: Mapping[str, str | None],
) -> RawRows:
    arrays, mixed = [], {}
    names = list(dict.fromkeys([*schema.names, *constants, *(name for row in good[:1] for name in row.values or {})]))
    for name in names:
        values = [(row.values or {}).get(name) for row in good]
        if constants.get(name) is not None:  # a key that some rows of JSON lines have
            values = [constants[name] if value is None else value for value in values]
        array = array_or_none(values)
        if array is None:
            mixed[name] = values
        arrays.append(pa.nulls(len(values)) if array is None else array)
    numbers = np.array([row.number for row in good], np.int64)
    first_row = min([row.number for row in (*good[:1], *broken[:1])], default=1)
    return RawRows(
        first_row,
        pa.Table.from_arrays(arrays, names),
        [(row.number, row.error or "") for row in broken],
        numbers,
        mixed,
        cut_off=frozenset(row.number for row in broken if row.is_cut_off),
        no_rows=no_rows,
    )


def array_or_none(values: list[Any]) -> pa.Array | None:
    """Python values as an Arrow array of strings or of lists of strings, None if they are neither."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        pass
    if any(value is not None and not isinstance(value, list) for value in values):  # Arrow takes a str for a list
        return None
    try:
        return pa.array(values, pa.list_(pa.string()))
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return None
