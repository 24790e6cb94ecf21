"""Delimited text row by row: a row that cannot be parsed, or that takes others in, costs only itself, and memory stays
bounded."""

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from schemas.reading.csv_dialects import CsvDialect

#: A quoted CSV field may hold line ends; a row that does not end within these bounds has a stray quote.
MAX_CSV_ROW_BYTES = 16 << 20
MAX_CSV_ROW_LINES = 1_000_000
#: The bounds of one reader for many rows, and for rows that begin in lines that were looked at before, in vain: else a
#: file in which each line has a stray quote would be parsed once a line.
_MAX_RETRIED_BYTES = 1 << 20
_MAX_RETRIED_LINES = 1_000
#: Of so many columns, and lines below the first of a row, each as wide as the header, even ids that are words show that
#: a stray quote took rows in: sentences are not as wide by chance.
_MANY_COLUMNS, _MANY_LINES = 4, 3
#: Lines of a row that are looked at for it.
_LOOKED_AT = 200
_BLANKS = b" \t\r\n\v\f"
#: What lines are drawn with.
_DRAWN = b"-=+:|"

#: (number from 1, a line with its end) or (number, why it is none).
NumberedLine = tuple[int, bytes | str]


class CsvParser:
    """The rows of the lines behind a header. is_closed: a separator ends each row, or, where one has all other cells,
    may.

    One reader goes on from row to row as long as they leave no doubt. Another row is parsed by itself: it may leave
    lines that were looked at to the rows below it."""

    def __init__(self, dialect: CsvDialect, lines: Iterator[NumberedLine], num_columns: int, *, is_closed: bool):
        self._dialect, self._num_columns, self._is_closed = dialect, num_columns, is_closed
        self._blanks = dialect.separator.encode() + _BLANKS
        self._lines = _LookAhead(lines)
        self._last_retried = 0  # the number of the last line that was looked at in vain
        self._row: list[bytes] = []  # the lines that the reader has taken for its present row
        self._reader = dialect.rows(self._lines_to_read())

    def rows(self) -> Iterator[tuple[int, int, list[str] | None, str | None, bool]]:
        """(number of its first line, bytes, its cells, None, False) or, for what is broken, (number, bytes, None,
        error, whether the file ends within it); for a line of separators and blanks, however many, and for one that
        is drawn, no cells."""
        while (first := self._lines.take()) is not None:
            number, line = first
            if isinstance(line, str):
                yield number, 0, None, line, False
            elif not (rest := line.strip(self._blanks)) or (rest[:1] in _DRAWN and self._is_drawn(rest)):
                if line.strip(b"\r\n"):
                    yield number, 0, [], None, False
            elif (cells := self._without_doubt(number, line)) is not None:
                yield number, sum(map(len, cells)), cells, None, False
            else:
                yield self._parsed_alone(number, line)

    def _is_drawn(self, text: bytes) -> bool:
        """Whether a line is drawn below a header, or around a table: nothing but dashes or the like, and separators."""
        return not text.strip(self._blanks + _DRAWN) and (b"--" in text or b"==" in text)

    def _without_doubt(self, number: int, line: bytes) -> list[str] | None:
        """The cells of the row that begins with the line, whose further lines are taken. None, and none taken, where it
        is no row as wide as the header, or longer than rows are, or takes others in."""
        self._row = [line]
        try:
            cells = next(self._reader, None)
        except csv.Error:
            cells = None
        below = self._row[1:]
        row = None if cells is None else self._as_wide_as_the_header(cells)
        if row is not None and not self._takes_rows_in(row, below):
            return row
        self._lines.put_back([(number + place, text) for place, text in enumerate(below, 1)])
        self._reader = self._dialect.rows(self._lines_to_read())
        return None

    def _lines_to_read(self) -> Iterator[str]:
        """The line that begins a row, and those below it for which the reader asks; then the same of the next one."""
        most_lines = min(_MAX_RETRIED_LINES, MAX_CSV_ROW_LINES)
        most_bytes = min(_MAX_RETRIED_BYTES, MAX_CSV_ROW_BYTES)
        while True:
            row, num_bytes = self._row, len(self._row[0])
            yield text_of(row[0])
            while row is self._row:  # else the reader asks for the first line of another one
                if len(row) >= most_lines or (taken := self._lines.take()) is None:
                    return
                _, following = taken
                num_bytes += len(following)
                if isinstance(following, str) or num_bytes > most_bytes:
                    return self._lines.put_back([taken])
                row.append(following)
                yield text_of(following)

    def _parsed_alone(self, number: int, line: bytes) -> tuple[int, int, list[str] | None, str | None, bool]:
        """What `rows` yields of the row that begins with the line; its further lines are taken."""
        cells, error, num_more, lacks_end = self._parse(number, line)
        last_line = ([line, *(text for _, text in self._lines.take_many(num_more))])[-1]
        is_cut_off = lacks_end and isinstance(last_line, bytes) and not last_line.endswith(b"\n")
        return number, sum(map(len, cells)) if cells else len(line), cells, error, is_cut_off

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
            if self._takes_rows_in(cells, list(self._lines.next_ones(looked_at))):
                below = f"{looked_at:,} lines below, and rows in between" if looked_at > 1 else "in the next row"
                got = f"a quote that ends {below}"
                return None, f"expected a quoted cell that holds no rows, got {got}: a stray quote", 0, False
            if (row := self._as_wide_as_the_header(cells)) is not None:
                return row, None, looked_at, False
            in_lines = f" in {looked_at + 1:,} lines" if looked_at else ""
            error = other_width(self._num_columns, len(cells)) + in_lines
            return None, error, looked_at, len(cells) < self._num_columns
        following = (text_of(line) for line in self._lines.next_ones(num_more) if isinstance(line, bytes))
        own_lines = self._dialect.lines_before_row(following, self._num_columns)
        if own_lines is not None:  # a stray quote took the row in
            self._last_retried = max(self._last_retried, number + num_more)
            num_more = own_lines
        return None, error, num_more, is_last and own_lines is None

    def _as_wide_as_the_header(self, cells: list[str]) -> list[str] | None:
        """The cells of a row, without what a separator at its end adds, or None if they are more or fewer."""
        if self._is_closed and cells[-1] and len(cells) == self._num_columns - (not self._dialect.is_closed):
            cells = [*cells, ""]
        return cells[: self._num_columns] if self._dialect.is_row(cells, self._num_columns) else None

    def _takes_rows_in(self, cells: Sequence[str], below: Sequence[bytes | str]) -> bool:
        """Whether a row with these lines below its first is several: one quote stands at the beginning of some cell,
        another at the end of one further down. Its first line is a row by itself, where that quote is data, and most
        of the lines below are rows that begin as it does."""
        broken_off = next((place for place, cell in enumerate(cells) if "\n" in cell), None) if below else None
        if broken_off is None:
            return False
        is_sure = self._num_columns >= _MANY_COLUMNS and len(below) >= _MANY_LINES
        if not (is_sure or _is_surely_an_id(cells[0], self._num_columns, len(below))):
            return False
        start = cells[broken_off].partition("\n")[0].removesuffix("\r")
        if not self._dialect.is_row([*cells[:broken_off], *start.split(self._dialect.separator)], self._num_columns):
            return False
        some = below[:_LOOKED_AT]
        rows = [line for line in some if isinstance(line, bytes) and self._begins_like(cells[0], text_of(line))]
        return 2 * len(rows) > len(some)

    def _begins_like(self, first_cell: str, line: str) -> bool:
        if line.count(self._dialect.separator) < self._num_columns - 1:
            return False  # what the parser would find, at a tenth of its cost: most lines of long cells are sentences
        rows = self._dialect.first_rows([line], 1)
        if not rows or not self._dialect.is_row(rows[0], self._num_columns):
            return False
        may_be_a_number = rows[0][0].strip().isdigit() and "".join(rows[0][1:2])[:1].isdigit()  # 2,5 kg
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


def other_width(expected: int, got: int) -> str:
    """What is said of a row that has more cells than the header, or fewer."""
    return f"expected {expected} cells, got {got}"


def text_of(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


class _LookAhead:
    """An iterator of lines that can be looked into before they are taken."""

    def __init__(self, lines: Iterator[NumberedLine]):
        self._lines = lines
        self._seen: deque[NumberedLine] = deque()

    def take(self) -> NumberedLine | None:
        """The next line; None behind the last."""
        return self._seen.popleft() if self._seen else next(self._lines, None)

    def take_many(self, count: int) -> list[NumberedLine]:
        self._fill(count)
        return [self._seen.popleft() for _ in range(count)]

    def put_back(self, lines: Sequence[NumberedLine]) -> None:
        self._seen.extendleft(reversed(lines))

    def peek(self, index: int) -> bytes | str | None:
        """The text of the line `index` places ahead, None behind the last."""
        return self._seen[index][1] if len(self._seen) > index or self._fill(index + 1) else None

    def next_ones(self, count: int) -> Iterator[bytes | str]:
        """The texts of the next lines. None may be taken meanwhile."""
        self._fill(count)
        return (line for _, line in islice(self._seen, count))

    def _fill(self, count: int) -> bool:
        self._seen.extend(islice(self._lines, max(count - len(self._seen), 0)))
        return len(self._seen) >= count
