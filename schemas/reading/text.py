"""Text line by line, and the rows of delimited text (see csv_parser). JSON: see json_rows."""

import contextlib
import csv
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import IO

from schemas.columns.raw_rows import Row
from schemas.errors import UsageError
from schemas.files import shown
from schemas.quarantine import quote
from schemas.reading.csv_parser import CsvParser, NumberedLine, text_of
from schemas.reading.forms import form_of
from schemas.reading.repeated_headers import repeats_of
from schemas.reading.text_streams import MAX_LINE_BYTES, open_utf8

#: Lines that a header may take, whose names are quoted.
_MAX_HEADER_LINES = 100
#: Cells that a message has.
_MOST_SHOWN = 30
_BOM = b"\xef\xbb\xbf"


def open_lines(path: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    """A text file's bytes as UTF-8, by its form (see forms). A damaged file raises CorruptFileError."""
    form = form_of(path)
    return open_utf8(path, form.compression, form.encoding, form.returns)


def csv_header(path: str) -> list[str]:
    """The column names of a delimited file, none of one without a byte. Raises UsageError if its first line is no
    header."""
    return [] if form_of(path).is_empty else _header(path)[0]


def csv_rows(path: str, source: Mapping[str, str]) -> Iterator[Row]:
    """Rows of a delimited file with a header, by its form (see forms); `source`: our name -> column. Labels below
    the header are no rows.

    An empty cell is null; where all cells of a row are blank, or a line has nothing but separators, the row has neither
    values nor an error; so has a line of dashes that is drawn below a header, and the header where it comes again (see
    Row). Lines without a character are no rows.
    Quoted cells may hold line ends. A row that is broken, or that opens a quote nobody closes, costs only itself.
    """
    form = form_of(path)
    if form.is_empty:
        return
    header, num_lines = _header(path)
    is_repeat = repeats_of(header)
    position = {ours: header.index(theirs) for ours, theirs in source.items()}
    lines = islice(lines_of(path), num_lines, None)
    parser = CsvParser(
        form.dialect, lines, len(header), is_closed=form.dialect.is_closed or not (header[-1] or form.header)
    )
    for number, size_bytes, cells, error, is_cut_off in islice(parser.rows(), form.dialect.num_label_rows, None):
        if form.dialect.is_padded and cells is not None:
            cells = [*map(str.strip, cells)]
        is_blank = cells is not None and not any(map(str.strip, cells))
        is_header = cells is not None and is_repeat(cells)
        is_none = cells is None or is_blank or is_header
        values = None if is_none or cells is None else {name: cells[i] or None for name, i in position.items()}
        yield Row(number, size_bytes, values, error, is_cut_off, is_header)


def _header(path: str) -> tuple[list[str], int]:
    """(the column names, how many lines of the file they end with). Raises UsageError for names of the config that are
    not as many as the file's columns."""
    form, num_lines = form_of(path), 0
    dialect = form.dialect

    def lines() -> Iterator[str]:
        nonlocal num_lines
        for number, line in islice(lines_of(path), _MAX_HEADER_LINES):
            num_lines = number
            if isinstance(line, bytes) and number >= dialect.header_line:
                yield text_of(line)

    with contextlib.suppress(csv.Error):
        names = [name.strip() for name in dialect.first_row(lines())]
        return _named_by_call(form.header, names, dialect.header_line, path) if form.header else (names, num_lines)
    raise UsageError(f"expected a header line of column names, got none in {shown(path)}")


def _named_by_call(header: Sequence[str], first_row: Sequence[str], line: int, path: str) -> tuple[list[str], int]:
    """What _header returns of names that the call gives. line: of the first row, from 1; it may be these names, as in
    one of several parts."""
    if len(header) != len(first_row):
        raise UsageError(
            f"expected {len(first_row):,} names in [format] header, one for each cell of the first row of "
            f"{shown(path)} ({', '.join(quote(cell) for cell in first_row[:_MOST_SHOWN])}), got {len(header):,}: "
            f'write "" for a column that is not read'
        )
    is_there = [name.casefold() for name in header] == [name.casefold() for name in first_row]
    return list(header), line if is_there else line - 1


def lines_of(path: str) -> Iterator[NumberedLine]:
    """(line number from 1, the line with its end) or, for a line above MAX_LINE_BYTES, (number, error)."""
    with open_lines(path) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            if number == 1:
                line = line.removeprefix(_BOM)
            if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                while piece := file.readline(MAX_LINE_BYTES):
                    if piece.endswith(b"\n"):
                        break
                yield number, f"expected a line of less than {MAX_LINE_BYTES:,} bytes"
                continue
            yield number, line
