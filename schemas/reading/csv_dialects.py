"""How a delimited text is written: what separates its cells, what quotes them, what stands before a quote in a cell.

csv.Sniffer guesses from the letters of the text, and takes any letter for a separator. Here the header decides which
of a few marks may be the separator, and the first lines which dialect is meant: the one in which most of them are rows
as wide as the header. What is rarer (other marks, single quotes, blanks before quotes, a separator behind each row) is
taken only where all of them are rows by it. Which line is the header: schemas.reading.csv_headers.
"""

import contextlib
import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from schemas.errors import UsageError
from schemas.quarantine import quote as quoted
from schemas.reading.escaped_letters import LETTERS

#: What may separate cells, the likelier first.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
#: What separates cells where none of these does: Hive's mark, and two that texts hardly have.
_RARE_SEPARATORS = "\x01^~"
#: A longer cell is broken.
_MAX_CELL_CHARACTERS = 16 << 20
#: Of files whose text may have the mark in no cell, so that quotes are often data (Google's feeds, database dumps).
_OFTEN_UNQUOTED = ("\t", "|")
#: How many times as many rows a separator ends where it is taken for the rule.
_MANY_MORE = 20
#: Stands for a carriage return within a line while the csv module reads it, which takes one for a line end outside of
#: quotes. No text of a file has it: bytes that are not UTF-8 are surrogates of another range.
_RETURN = "\ud800"


@dataclass(frozen=True)
class CsvDialect:
    """separator: one character. quote: one, or "" where quotes are data. escape: what stands before a quote (or itself)
    in a cell, "" where a quote is doubled; before anything else it is data. header_line: the header's, from 1.
    blanks: those behind a separator are no data. is_closed: a separator ends each row but the header. has_title: lines
    above the header are none of the table. num_label_rows: rows below it that are none, either."""

    separator: str = ","
    quote: str = '"'
    escape: str = ""
    header_line: int = 1
    blanks: bool = False
    is_closed: bool = False
    has_title: bool = False
    num_label_rows: int = 0
    letters: bool = False
    is_padded: bool = False

    def first_row(self, lines: Iterable[str]) -> list[str]:
        """The cells of the first row of the lines, of which no more are taken. csv.Error if none ends."""
        for cells in self.rows(lines):
            return cells
        raise csv.Error("expected a row, got none")

    def rows(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """The cells of each row, for which no more lines are taken than it has; nothing behind csv.Error."""
        for cells in self._reader(lines):
            yield [cell.replace(_RETURN, "\r") for cell in cells]

    def first_rows(self, lines: Iterable[str], count: int) -> list[list[str]]:
        """The cells of the first rows of the lines, but for blank ones; fewer where there are no more, or one is
        broken."""
        rows: list[list[str]] = []
        with contextlib.suppress(csv.Error):
            for cells in self._reader(lines):
                if cells:
                    rows.append(cells)
                if len(rows) == count:
                    break
        return rows

    def num_lines_of_row(self, lines: Iterable[str]) -> int:
        """How many of the lines the first row takes; 1 where it is broken."""
        reader = self._reader(lines)
        try:
            next(reader, None)
        except csv.Error:
            return 1
        return max(int(reader.line_num), 1)

    def is_row(self, cells: list[str], width: int) -> bool:
        """Whether these are the cells of a row below a header of that width."""
        return len(cells) == width + self.is_closed and not (self.is_closed and cells[-1])

    def fits(self, lines: Iterable[str], width: int) -> bool:
        """Whether the lines, but for blank ones, are rows below a header of that width, one at least."""
        try:
            found = [self.is_row(cells, width) for cells in self._reader(lines) if cells]
        except csv.Error:
            return False
        return bool(found) and all(found)

    def num_lines_as_wide(self, lines: list[str], width: int) -> int:
        """How many of the lines are rows, or lie in rows, of that many cells."""
        reader, good = self._reader(lines), 0
        while True:
            before = reader.line_num
            try:
                row = next(reader)
            except StopIteration:
                return good
            except csv.Error:
                continue
            if self.is_row(row, width):
                good += reader.line_num - before

    def num_lines_of_open_row(self, lines: list[str]) -> int:
        """How many of the lines lie in a last row that goes on behind them, within quotes; 0 where none does."""
        is_asked_for_more = False

        def given() -> Iterator[str]:
            nonlocal is_asked_for_more
            yield from lines
            is_asked_for_more = True

        reader = self._reader(given())
        while True:
            before = reader.line_num
            try:
                next(reader)
            except StopIteration:
                return 0
            except csv.Error:
                if is_asked_for_more:
                    return len(lines) - int(before)

    def lines_before_row(self, lines: Iterable[str], width: int) -> int | None:
        """How many of the lines come before the first row of that many cells; None if there is none."""
        reader = self._reader(lines)
        while True:
            before = reader.line_num
            try:
                row = next(reader)
            except StopIteration:
                return None
            except csv.Error:
                continue
            if self.is_row(row, width):
                return int(before)

    def _reader(self, lines: Iterable[str]) -> Any:
        if self.escape:
            lines = self._protected(lines)
        lines = (_with_returns_within(line) if "\r" in line else line for line in lines)
        csv.field_size_limit(_MAX_CELL_CHARACTERS)
        return csv.reader(
            lines,
            delimiter=self.separator,
            quotechar=self.quote or None,
            escapechar=self.escape or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            skipinitialspace=self.blanks,
            strict=True,
        )

    def _protected(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines with each escape that is data doubled: the csv module would drop it."""
        return (self._escapes.sub(self._doubled, line) if self.escape in line else line for line in lines)

    def _doubled(self, found: re.Match[str]) -> str:
        if self.letters and found[1] in LETTERS:
            return self.escape + LETTERS[found[1]]
        return found[0] if found[1] else self.escape * 2

    @cached_property
    def _escapes(self) -> re.Pattern[str]:
        escaped = self.escape + (self.quote or f"{self.separator}\r\n") + ("".join(LETTERS) if self.letters else "")
        return re.compile(f"{re.escape(self.escape)}([{re.escape(escaped)}]?)")


def _with_returns_within(line: str) -> str:
    body = line.rstrip("\r\n")
    return body.replace("\r", _RETURN) + line[len(body) :]


#: That of RFC 4180.
USUAL_DIALECT = CsvDialect()


def best_dialect(
    lines: list[str], usual: str, given: Mapping[str, str], *, is_cut: bool = False
) -> tuple[CsvDialect, int]:
    """(the dialect in which most of the lines are rows as wide as the first, the header; that width). Of equals the one
    in which most lines lie in a row that is cut off behind them: in others it is broken. usual, given, is_cut: as of
    schemas.reading.csv_headers.recognised_dialect."""
    candidates = [(dialect, width) for dialect, width in _candidates(lines, usual, given) if width > 1]
    if not candidates and lines and "separator" not in given:
        rare = [(_dialect({**given, "separator": mark}), lines[0].count(mark) + 1) for mark in _RARE_SEPARATORS]
        candidates = [(dialect, width) for dialect, width in rare if width > 1 and dialect.fits(lines, width)]
    if not candidates:
        return _dialect({"separator": usual, **given}), 1
    scores = [(dialect.num_lines_as_wide(lines[1:], width), width) for dialect, width in candidates]
    equals = [one for one, score in zip(candidates, scores, strict=True) if score == max(scores)]
    if is_cut and len(equals) > 1:
        equals.sort(key=lambda one: -one[0].num_lines_of_open_row(lines[1:]))
    best, width = equals[0]
    rarer = _written_with_care(best, lines, given) if best.quote else iter(())
    found = next((dialect for dialect in rarer if dialect.fits(lines[1:], width)), best)
    return _closed_if_most_are(found, lines[1:], width), width


def _closed_if_most_are(dialect: CsvDialect, lines: list[str], width: int) -> CsvDialect:
    """The dialect, in which a separator ends each row if it ends very much more of the lines than it does not end."""
    closed = replace(dialect, is_closed=True)
    num_as_is = dialect.num_lines_as_wide(lines, width)
    return closed if closed.num_lines_as_wide(lines, width) > _MANY_MORE * max(num_as_is, 1) else dialect


def _written_with_care(dialect: CsvDialect, lines: list[str], given: Mapping[str, str]) -> Iterator[CsvDialect]:
    """Rarer forms that the lines may have, each of which is meant only if all of them are rows by it."""
    mark = re.escape(dialect.separator)
    if "quote" not in given and not dialect.escape:
        if any(re.search(f'{mark} +"', line) for line in lines) and _has_blank_before_quote(lines, dialect):
            yield replace(dialect, blanks=True)
        if not any('"' in line for line in lines) and _all_quoted_by(mark, lines, dialect):
            yield replace(dialect, quote="'")
    yield replace(dialect, is_closed=True)


def _has_blank_before_quote(lines: list[str], dialect: CsvDialect) -> bool:
    """Whether a cell begins with blanks and a quote: within a quoted cell, such as of a list, they are data."""
    reader = dialect._reader(lines)
    while True:
        try:
            if any(cell.startswith(" ") and cell.lstrip(" ").startswith('"') for cell in next(reader)):
                return True
        except StopIteration:
            return False
        except csv.Error:
            continue


def _all_quoted_by(mark: str, lines: list[str], dialect: CsvDialect) -> bool:
    """Whether single quotes are around cells of the header, or of every line, or hide what else would be separators."""
    is_quoted = re.compile(f"(?:^|{mark})'(?:[^']|'')*+'(?={mark}|\r?\n?$)")
    if is_quoted.search(lines[0]) or all(is_quoted.search(line) for line in lines[1:] if line.strip()):
        return True
    return any(is_quoted.search(line) for line in lines) and not dialect.fits(lines, len(dialect.first_row(lines)))


def check_dialect(given: Mapping[str, str], where: str) -> None:
    """Raises UsageError for parts of a dialect that cannot be."""
    for name, text in given.items():
        if len(text) > 1 or text in ("\r", "\n", "\0") or (name == "separator" and not text):
            raise UsageError(f"expected one character for {name} in {where}, got {quoted(text)}")
    used = [text for text in {"quote": USUAL_DIALECT.quote, **given}.values() if text]
    if len(set(used)) < len(used):
        raise UsageError(f"expected different characters in {where}, got {quoted(given)}")


def _dialect(parts: Mapping[str, str]) -> CsvDialect:
    return CsvDialect(parts.get("separator", ","), parts.get("quote", '"'), parts.get("escape", ""))


def _candidates(lines: list[str], usual: str, given: Mapping[str, str]) -> Iterator[tuple[CsvDialect, int]]:
    """(dialect, cells of the header), the likelier first."""
    escaped, any_quote = any('\\"' in line for line in lines), any('"' in line for line in lines)
    for separator in [given["separator"]] if "separator" in given else dict.fromkeys([usual, *SEPARATORS]):
        kinds: list[dict[str, str]] = [{}]
        if escaped:
            kinds.append({"escape": "\\"})
        if any_quote and separator in _OFTEN_UNQUOTED:
            kinds.append({"quote": ""})
        for kind in kinds:
            if kind.keys() & given.keys():
                continue
            dialect = _dialect({**kind, **given, "separator": separator})
            try:
                yield dialect, len(dialect.first_row(lines))
            except csv.Error:
                continue
