"""JSON lines and CSV, line by line: a line that cannot be parsed costs only itself, and memory stays bounded."""

import contextlib
import csv
import gzip
import zlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any, cast

from schemas.bounded_json import load_json
from schemas.errors import CorruptFileError, UsageError
from schemas.files import shown
from schemas.quarantine import quote

#: A longer line is broken: no catalogue row is that large, and a file without line ends must not fill the memory.
MAX_LINE_BYTES = 16 << 20
#: A quoted CSV field may hold line ends; a row that does not end within these bounds has a stray quote.
MAX_CSV_ROW_BYTES = 1 << 20
MAX_CSV_ROW_LINES = 1_000
#: Lines of a JSON file that are looked at to learn its keys.
_NUM_PEEKED_LINES = 1_000
#: Bytes that a JSON value takes in memory for each byte of its text, as a rule: an empty list has 2 and takes 60.
_JSON_UNFOLDS = 8
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Row:
    """A parsed line: `values` (our column name -> value) or `error`. Bytes that are not UTF-8 are lone surrogates.
    size_bytes: about what it takes in memory."""

    number: int
    size_bytes: int
    values: dict[str, Any] | None = None
    error: str | None = None


@contextlib.contextmanager
def open_lines(path: str) -> Iterator[IO[bytes]]:
    """A text file's bytes, unzipped if its name ends in .gz. A damaged file raises CorruptFileError."""
    try:
        with gzip.open(path, "rb") if path.lower().endswith(".gz") else open(path, "rb") as file:
            yield cast(IO[bytes], file)
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptFileError(
            f"expected a readable file, got {quote(str(error))} in {shown(path)}: write it again"
        ) from error


def json_rows(path: str, source: Mapping[str, str]) -> Iterator[Row]:
    """Rows of a file of one JSON object a line; `source`: our name -> key. Blank lines are no rows."""
    for number, line in _lines(path):
        if isinstance(line, str):
            yield Row(number, 0, error=line)
        elif line.strip():
            value, error = _parse_json(line)
            values = {ours: value.get(theirs) for ours, theirs in source.items()} if error is None else None
            yield Row(number, len(line) * _JSON_UNFOLDS, values, error)


def json_keys(path: str) -> set[str]:
    """The keys of the first lines of a JSON lines file. Raises UsageError for a file that is one JSON array."""
    keys: set[str] = set()
    for number, line in islice(_lines(path), _NUM_PEEKED_LINES):
        if isinstance(line, bytes):
            if number == 1 and line.lstrip().startswith(b"["):
                raise UsageError(
                    f"expected one JSON object a line, got an array in {shown(path)}: jq -c '.[]' turns it into lines"
                )
            value, error = _parse_json(line)
            if error is None:
                keys |= value.keys()
    return keys


def csv_header(path: str) -> list[str]:
    """The column names of a CSV file. Raises UsageError if it is empty or the first line is no header."""
    for _, line in _lines(path):
        if isinstance(line, bytes):
            with contextlib.suppress(csv.Error):
                return [name.strip() for name in _parse_csv([line], path)]
        break
    raise UsageError(f"expected a header line of column names, got none in {shown(path)}")


def csv_rows(path: str, source: Mapping[str, str], list_names: Collection[str]) -> Iterator[Row]:
    """Rows of a CSV file with a header (tab separated if named .tsv); `source`: our name -> column.

    An empty cell is null. A cell of a list column is a JSON array or items separated by `|`. Quoted cells may hold
    line ends. A line that is broken, or that opens a quote nobody closes, costs only itself.
    """
    header = csv_header(path)
    position = {ours: header.index(theirs) for ours, theirs in source.items()}
    lines = _LookAhead(islice(_lines(path), 1, None))
    while lines:
        number, line = lines.take(1)[0]
        if isinstance(line, str):
            yield Row(number, 0, error=line)
            continue
        if not line.strip():
            continue
        cells, error, extra = _csv_cells(line, lines, len(header), path)
        lines.take(extra)
        values: dict[str, Any] | None = None
        if cells is not None:
            try:
                values = {name: _cell(cells[i], name in list_names) for name, i in position.items()}
            except ValueError as fault:
                error = f"expected a JSON array or items separated by |, got {fault}"
        yield Row(number, sum(map(len, cells)) if cells else len(line), values, error)


def _csv_cells(
    line: bytes, following: "_LookAhead", num_columns: int, path: str
) -> tuple[list[str] | None, str | None, int]:
    """(cells or None, error or None, how many of the following lines belong to the row).

    The parser asks for the next line when it needs it, so a row that never ends is parsed once, not once a line.
    """
    taken = 0

    def lines() -> Iterator[bytes]:
        nonlocal taken
        yield line
        size = len(line)
        while isinstance(text := following.peek(taken), bytes):
            size += len(text)
            taken += 1
            if size > MAX_CSV_ROW_BYTES or taken >= MAX_CSV_ROW_LINES:
                return
            yield text

    try:
        cells = _parse_csv(lines(), path)
    except csv.Error as fault:
        return None, str(fault), 0
    if len(cells) != num_columns:
        return None, f"expected {num_columns} cells, got {len(cells)}", 0
    return cells, None, taken


def _parse_csv(lines: Iterable[bytes], path: str) -> list[str]:
    """The first row of the lines. csv.Error if they hold none that ends."""
    texts = (line.decode("utf-8", "surrogateescape") for line in lines)
    separator = "\t" if path.lower().removesuffix(".gz").endswith(".tsv") else ","
    csv.field_size_limit(MAX_LINE_BYTES)
    try:
        return next(csv.reader(texts, delimiter=separator, strict=True))
    except StopIteration:
        raise csv.Error("expected a row, got none") from None


def _cell(text: str, is_list: bool) -> Any:
    if text == "":
        return None
    if not is_list:
        return text
    return load_json(text) if text.lstrip().startswith("[") else text.split("|")


def _parse_json(line: bytes) -> tuple[Any, str | None]:
    try:
        value = load_json(line.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        return None, str(error)
    return (value, None) if isinstance(value, dict) else (None, f"expected an object, got {type(value).__name__}")


def _lines(path: str) -> Iterator[tuple[int, bytes | str]]:
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

    def _fill(self, count: int) -> bool:
        self._seen.extend(islice(self._lines, max(count - len(self._seen), 0)))
        return len(self._seen) >= count
