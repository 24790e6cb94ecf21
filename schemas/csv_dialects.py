"""How a delimited text is written: what separates its cells, what quotes them, what stands before a quote in a cell.

csv.Sniffer guesses from the letters of the text, and takes any letter for a separator. Here the header decides which
of four marks may be the separator, and the first lines which dialect is meant: the one in which most of them are rows
as wide as the header.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from schemas.errors import UsageError
from schemas.quarantine import quote as quoted

#: What may separate cells, the likelier first.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
#: A longer cell is broken.
_MAX_CELL_CHARACTERS = 16 << 20
#: Of files whose text may have the mark in no cell, so that quotes are often data (Google's feeds, database dumps).
_OFTEN_UNQUOTED = ("\t", "|")
#: Stands for a carriage return within a line while the csv module reads it, which takes one for a line end outside of
#: quotes. No text of a file has it: bytes that are not UTF-8 are surrogates of another range.
_RETURN = "\ud800"
#: The line before the header by which a sheet tells its separator.
_SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?\r?\n?', re.IGNORECASE)


@dataclass(frozen=True)
class CsvDialect:
    """separator: one character. quote: one, or "" where quotes are data. escape: what stands before a quote (or itself)
    in a cell, "" where a quote is doubled; before anything else it is data. header_line: the header's, from 1."""

    separator: str = ","
    quote: str = '"'
    escape: str = ""
    header_line: int = 1

    def first_row(self, lines: Iterable[str]) -> list[str]:
        """The cells of the first row of the lines, of which no more are taken. csv.Error if none ends."""
        try:
            return [cell.replace(_RETURN, "\r") for cell in next(self._reader(lines))]
        except StopIteration:
            raise csv.Error("expected a row, got none") from None

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
            if len(row) == width:
                good += reader.line_num - before

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
            if len(row) == width:
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
            strict=True,
        )

    def _protected(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines with each escape that is data doubled: the csv module would drop it."""
        return (self._escapes.sub(self._doubled, line) if self.escape in line else line for line in lines)

    def _doubled(self, found: re.Match[str]) -> str:
        return found[0] if found[1] else self.escape * 2

    @cached_property
    def _escapes(self) -> re.Pattern[str]:
        escaped = self.escape + (self.quote or f"{self.separator}\r\n")
        return re.compile(f"{re.escape(self.escape)}([{re.escape(escaped)}]?)")


def _with_returns_within(line: str) -> str:
    body = line.rstrip("\r\n")
    return body.replace("\r", _RETURN) + line[len(body) :]


#: That of RFC 4180.
USUAL_DIALECT = CsvDialect()


def recognised_dialect(sample: str, usual: str = ",", given: Mapping[str, str] = MappingProxyType({})) -> CsvDialect:
    """The dialect of a file that begins with `sample` (whole lines that end in a newline). usual: the separator that
    the file's name speaks for. given: separator, quote or escape, where they need not be recognised."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", sample)
    header_line = next((number for number, line in enumerate(lines, 1) if line.strip()), 1)
    if told := _SEPARATOR_LINE.fullmatch(lines[header_line - 1]) if lines else None:
        given, header_line = {"separator": told[1], **given}, header_line + 1
    lines = lines[header_line - 1 :]
    candidates = [(dialect, width) for dialect, width in _candidates(lines, usual, given) if width > 1]
    if not candidates:
        candidates = [(_dialect({"separator": usual, **given}), 1)]
    best = candidates[0][0]
    if len(candidates) > 1:
        scores = [(dialect.num_lines_as_wide(lines[1:], width), width) for dialect, width in candidates]
        best = candidates[scores.index(max(scores))][0]
    return replace(best, header_line=header_line)


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
