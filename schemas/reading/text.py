"""Text line by line, and delimited text row by row: a row that cannot be parsed costs only itself, and memory stays
bounded. JSON: see json_rows."""

import contextlib
import csv
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import IO

from schemas.columns.raw_rows import Row
from schemas.errors import UsageError
from schemas.files import shown
from schemas.quarantine import quote
from schemas.reading.csv_dialects import CsvDialect
from schemas.reading.forms import form_of
from schemas.reading.repeated_headers import repeats_of
from schemas.reading.text_streams import MAX_LINE_BYTES, open_utf8

#: A quoted CSV field may hold line ends; a row that does not end within these bounds has a stray quote.
MAX_CSV_ROW_BYTES = 16 << 20
MAX_CSV_ROW_LINES = 1_000_000
#: The bounds for rows that begin in lines that were looked at before, in vain: else a file in which each line has a
#: stray quote would be parsed once a line.
_MAX_RETRIED_BYTES = 1 << 20
_MAX_RETRIED_LINES = 1_000
#: Of so many columns, and lines below the first of a row, each as wide as the header, even ids that are words show that
#: a stray quote took rows in: sentences are not as wide by chance.
_MANY_COLUMNS, _MANY_LINES = 4, 3
#: Lines of a row that are looked at for it.
_LOOKED_AT = 200
#: Lines that a header may take, whose names are quoted.
_MAX_HEADER_LINES = 100
#: Cells that a message has.
_MOST_SHOWN = 30
_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n\v\f"
#: What lines are drawn with.
_DRAWN = b"-=+:|"


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
    parser = _CsvParser(
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


class _CsvParser:
    """The rows of the lines behind a header. is_closed: a separator ends each row, or, where one has all other cells,
    may."""

    def __init__(
        self, dialect: CsvDialect, lines: Iterator[tuple[int, bytes | str]], num_columns: int, *, is_closed: bool
    ):
        self._dialect, self._num_columns, self._is_closed = dialect, num_columns, is_closed
        self._blanks = dialect.separator.encode() + _BLANKS
        self._lines = _LookAhead(lines)
        self._last_retried = 0  # the number of the last line that was looked at in vain

    def rows(self) -> Iterator[tuple[int, int, list[str] | None, str | None, bool]]:
        """(number of its first line, bytes, its cells, None, False) or, for what is broken, (number, bytes, None,
        error, whether the file ends within it); for a line of separators and blanks, however many, and for one that
        is drawn, no cells."""
        while self._lines:
            number, line = self._lines.take(1)[0]
            if isinstance(line, str):
                yield number, 0, None, line, False
            elif not (rest := line.strip(self._blanks)) or (rest[:1] in _DRAWN and self._is_drawn(rest)):
                if line.strip(b"\r\n"):
                    yield number, 0, [], None, False
            else:
                cells, error, num_more, lacks_end = self._parse(number, line)
                last_line = ([line, *(text for _, text in self._lines.take(num_more))])[-1]
                is_cut_off = lacks_end and isinstance(last_line, bytes) and not last_line.endswith(b"\n")
                yield number, sum(map(len, cells)) if cells else len(line), cells, error, is_cut_off

    def _is_drawn(self, text: bytes) -> bool:
        """Whether a line is drawn below a header, or around a table: nothing but dashes or the like, and separators."""
        return not text.strip(self._blanks + _DRAWN) and (b"--" in text or b"==" in text)

    def _parse(self, number: int, line: bytes) -> tuple[list[str] | None, str | None, int, bool]:
        """(cells or None, error or None, how many of the following lines belong to the row, whether the row is one that
        could go on: it has too few cells, or a quote that nobody closes).

        The parser asks for the next line when it needs it, so a row that never ends is parsed once, not once a line.
        A row of another width has all its lines: its quotes are closed. One that is broken, or never ends, takes along
        those up to the next that is a row by itself: they are the rest of a long cell.
        """
        looked_at, is_last = 0, False
        is_retried = number <= self._last_retried
        max_bytes = min(_MAX_RETRIED_BYTES if is_retried else MAX_CSV_ROW_BYTES, MAX_CSV_ROW_BYTES)
        max_lines = min(_MAX_RETRIED_LINES if is_retried else MAX_CSV_ROW_LINES, MAX_CSV_ROW_LINES)

        def lines() -> Iterator[str]:
            nonlocal looked_at, is_last
            yield text_of(line)
            size_bytes = len(line)
            while isinstance(following := self._lines.peek(looked_at), bytes):
                size_bytes += len(following)
                looked_at += 1
                if size_bytes > max_bytes or looked_at >= max_lines:
                    return
                yield text_of(following)
            is_last = True

        try:
            cells = self._dialect.first_row(lines())
        except csv.Error as fault:
            error, num_more = str(fault), looked_at if is_last else max(looked_at - 1, 0)
        else:
            if self._takes_rows_in(cells, looked_at):
                below = f"{looked_at:,} lines below, and rows in between" if looked_at > 1 else "in the next row"
                got = f"a quote that ends {below}"
                return None, f"expected a quoted cell that holds no rows, got {got}: a stray quote", 0, False
            if self._is_closed and cells[-1] and len(cells) == self._num_columns - (not self._dialect.is_closed):
                cells.append("")
            if self._dialect.is_row(cells, self._num_columns):
                return cells[: self._num_columns], None, looked_at, False
            in_lines = f" in {looked_at + 1:,} lines" if looked_at else ""
            error = f"expected {self._num_columns} cells, got {len(cells)}{in_lines}"
            return None, error, looked_at, len(cells) < self._num_columns
        following = (text_of(line) for line in self._lines.next_ones(num_more) if isinstance(line, bytes))
        own_lines = self._dialect.lines_before_row(following, self._num_columns)
        if own_lines is not None:  # a stray quote took the row in
            self._last_retried = max(self._last_retried, number + num_more)
            num_more = own_lines
        return None, error, num_more, is_last and own_lines is None

    def _takes_rows_in(self, cells: Sequence[str], num_more: int) -> bool:
        """Whether a row of `num_more` further lines is several: one quote stands at the beginning of some cell, another
        at the end of one further down. Its first line is a row by itself, where that quote is data, and most of the
        lines below are rows that begin as it does."""
        broken_off = next((place for place, cell in enumerate(cells) if "\n" in cell), None)
        if not num_more or broken_off is None:
            return False
        start = cells[broken_off].partition("\n")[0].removesuffix("\r")
        first_row = [*cells[:broken_off], *start.split(self._dialect.separator)]
        is_sure = self._num_columns >= _MANY_COLUMNS and num_more >= _MANY_LINES
        if not (is_sure or _is_surely_an_id(cells[0], self._num_columns, num_more)):
            return False
        if not self._dialect.is_row(first_row, self._num_columns):
            return False
        below = list(islice(self._lines.next_ones(num_more), _LOOKED_AT))
        rows = [line for line in below if isinstance(line, bytes) and self._begins_like(cells[0], text_of(line))]
        return 2 * len(rows) > len(below)

    def _begins_like(self, first_cell: str, line: str) -> bool:
        rows = self._dialect.first_rows([line], 1)
        if not rows or not self._dialect.is_row(rows[0], self._num_columns):
            return False
        may_be_a_number = rows[0][0].strip().isdigit() and rows[0][1][:1].isdigit()  # 2,5 kg
        return _are_alike(rows[0][0], first_cell) and (self._num_columns >= _MANY_COLUMNS or not may_be_a_number)


def _is_surely_an_id(cell: str, num_columns: int, num_more: int) -> bool:
    """Whether another cell that looks like this one is an id, as no sentence begins: with a digit, or one word with a
    sign, and, where only two columns tell a row from a line with a comma, with a letter, too, or in several lines."""
    is_code = any(map(str.isdigit, cell)) or (" " not in cell.strip() and ("-" in cell or "_" in cell))
    return is_code and (num_columns > 2 or any(map(str.isalpha, cell)) or num_more >= _MANY_LINES)


def _are_alike(one: str, other: str) -> bool:
    """Whether two cells look like ids of one kind, as two sentences do not.

    >>> _are_alike("SKU-0999", "SKU-10000"), _are_alike("000020", "1"), _are_alike("SKU-1", "Durable")
    (True, False, False)
    """
    one, other = one.strip(), other.strip()
    shapes = {re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", cell)) for cell in (one, other)}
    return abs(len(one) - len(other)) <= 1 and len(shapes) == 1


def text_of(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def lines_of(path: str) -> Iterator[tuple[int, bytes | str]]:
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


class _LookAhead:
    """An iterator of lines that can be looked into before they are taken."""

    def __init__(self, lines: Iterator[tuple[int, bytes | str]]):
        self._lines = lines
        self._seen: deque[tuple[int, bytes | str]] = deque()

    def __bool__(self) -> bool:
        return self._fill(1)

    def take(self, count: int) -> list[tuple[int, bytes | str]]:
        self._fill(count)
        return [self._seen.popleft() for _ in range(count)]

    def peek(self, index: int) -> bytes | str | None:
        """The text of the line `index` places ahead, None behind the last."""
        return self._seen[index][1] if self._fill(index + 1) else None

    def next_ones(self, count: int) -> Iterator[bytes | str]:
        """The texts of the next lines. None may be taken meanwhile."""
        self._fill(count)
        return (line for _, line in islice(self._seen, count))

    def _fill(self, count: int) -> bool:
        self._seen.extend(islice(self._lines, max(count - len(self._seen), 0)))
        return len(self._seen) >= count
