"""Search the published run by text, picture or item.

    itemsage search --store STORE --text "red summer dress" --top 5
    itemsage search --store STORE --queries queries.jsonl > results.jsonl

--queries: JSON lines {"query_id": ..., "text" | "image" | "item": ...}, answered in order as JSON lines
{"query_id": ..., "results": [{"item_id": ..., "score": cosine, "title": ...}, ...]}, or {"query_id": ..., "error": ...}
for a line that cannot be answered. `-` reads standard input.
"""

import contextlib
import io
import itertools
import json
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipelines.jobs import flag, main_of_alone
from pipelines.searcher import MAX_TOP, QUERY_KINDS, Query, Result, Searcher
from schemas.errors import UsageError, printable
from schemas.quarantine import quote

__all__ = [
    "Query",
    "Result",
    "SearchConfig",
    "Searcher",
    "answer_lines",
    "bounded_lines",
    "format_results",
    "main",
    "open_lines",
    "parse_query",
    "terminal_columns",
]

MAX_LINE_BYTES = 1 << 20
_LINES_A_BATCH = 1024
_MAX_SHOWN_TITLE = 80
_SCORE_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Searches the published run of a store; give exactly one of --text, --image, --item and --queries."""

    store: str = flag(help="store folder")
    text: str | None = flag(default=None, help="a text query")
    image: str | None = flag(default=None, help="a picture file as the query")
    item: str | None = flag(default=None, help="an item id: the items nearest to it, itself left out")
    queries: str | None = flag(default=None, help="JSON lines with query_id and text, image or item; - is stdin")
    top: int = flag(default=10, help="results a query")
    exact: bool = flag(default=False, help="compare with every item instead of using the index")
    json: bool = flag(default=False, help="print JSON")

    def __post_init__(self) -> None:
        given = [name for name in (*QUERY_KINDS, "queries") if getattr(self, name) is not None]
        if len(given) != 1:
            got = " and ".join(f"--{name}" for name in given) or "none"
            raise UsageError(f"expected exactly one of --text, --image, --item and --queries, got {got}")
        if not 1 <= self.top <= MAX_TOP:
            raise UsageError(f"expected --top from 1 to {MAX_TOP:,}, got {self.top}")


@dataclass(frozen=True)
class QueryLine:
    """One line of --queries: its id (a string or an integer) and the query, or why there is none."""

    query_id: str | int | None
    query: Query | UsageError


def parse_query(line: bytes, line_number: int) -> QueryLine:
    """
    >>> parse_query(b'{"query_id": 7, "text": "red dress"}', 1)
    QueryLine(query_id=7, query=Query(kind='text', value='red dress'))
    """
    expected = 'one JSON object {"query_id": ..., "text" or "image" or "item": a string that is not empty}'
    query_id, got = None, quote(line[:80].decode("utf-8", "backslashreplace"))
    if len(line) > MAX_LINE_BYTES:
        return QueryLine(None, UsageError(f"line {line_number}: expected at most {MAX_LINE_BYTES:,} bytes, got more"))
    with contextlib.suppress(ValueError, RecursionError):  # not UTF-8, not JSON, not an object: `got` says what it was
        value = json.loads(line.decode("utf-8-sig"))
        if isinstance(value, dict):
            found = value.get("query_id")
            query_id = found if isinstance(found, str | int) else None
            if (query := _query_of(value)) is not None and query_id is not None:
                return QueryLine(query_id, query)
    return QueryLine(query_id, UsageError(f"line {line_number}: expected {expected}, got {got}"))


def _query_of(value: dict[str, Any]) -> Query | None:
    given = [Query(kind, value[kind]) for kind in QUERY_KINDS if value.get(kind) is not None]
    if len(given) != 1 or not isinstance(given[0].value, str) or not given[0].value:
        return None
    given[0].value.encode("utf-8")  # ValueError for half a surrogate pair, which JSON can spell and text cannot hold
    return given[0]


def answer_lines(searcher: Searcher, lines: Iterable[bytes], top: int) -> Iterator[dict[str, Any]]:
    """The answer to each line that is not blank, in order, batch by batch: a bad line spoils no other."""
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    while batch := [parse_query(line, number) for number, line in itertools.islice(numbered, _LINES_A_BATCH)]:
        answers = iter(searcher.search([line.query for line in batch if isinstance(line.query, Query)], top))
        for line in batch:
            answer = next(answers) if isinstance(line.query, Query) else line.query
            if isinstance(answer, UsageError):
                yield {"query_id": line.query_id, "error": str(answer)}
            else:
                yield {"query_id": line.query_id, "results": _as_json(answer)}


def bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines of a file; of one longer than MAX_LINE_BYTES only so much that it is seen to be too long."""
    while line := file.readline(MAX_LINE_BYTES + 2):
        end = line
        while not end.endswith(b"\n") and (end := file.readline(MAX_LINE_BYTES)):
            pass
        yield line.rstrip(b"\r\n") if line.endswith(b"\n") else line


def format_results(results: Sequence[Result]) -> str:
    """Rank, score, id and title in aligned columns; whatever could act on a terminal is escaped."""
    if not results:
        return "no items"
    ids = [printable(result.item_id) for result in results]
    width = max(2, *map(terminal_columns, ids))
    lines = [f"rank   score  {'id':<{width}}  title"]
    for rank, (result, item_id) in enumerate(zip(results, ids, strict=True), 1):
        title = printable(result.title or "")
        title = title if len(title) <= _MAX_SHOWN_TITLE else title[: _MAX_SHOWN_TITLE - 1] + "…"
        padding = " " * (width - terminal_columns(item_id))
        lines.append(f"{rank:>4}  {result.score:6.3f}  {item_id}{padding}  {title}".rstrip())
    return "\n".join(lines)


def terminal_columns(text: str) -> int:
    """Columns that a printable text takes on a terminal: East Asian wide characters take two."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    return [
        {"item_id": result.item_id, "score": round(result.score, _SCORE_DIGITS), "title": result.title}
        for result in results
    ]


def run(config: SearchConfig) -> None:
    """Answers the query or queries of the config on standard output."""
    if config.queries is not None:
        with open_lines(config.queries, "--queries") as file:  # before the store: a wrong path should not wait for it
            searcher = Searcher(config.store, exact=config.exact)
            errors = 0
            for answer in answer_lines(searcher, bounded_lines(file), config.top):
                errors += "error" in answer
                print(json.dumps(answer))
        if errors:
            print(f'search: {errors:,} lines could not be answered: see their "error"', file=sys.stderr)
        return
    kind = next(kind for kind in QUERY_KINDS if getattr(config, kind) is not None)
    query = Query(kind, getattr(config, kind))
    (found,) = Searcher(config.store, exact=config.exact).search([query], config.top)
    if isinstance(found, UsageError):
        raise found
    print(json.dumps({kind: query.value, "results": _as_json(found)}) if config.json else format_results(found))


def open_lines(path: str, flag_name: str) -> contextlib.AbstractContextManager[BinaryIO]:
    """The file of JSON lines at `path`, `-` for standard input. UsageError, naming the flag, if there is none."""
    if path == "-":
        return contextlib.nullcontext(sys.stdin.buffer)
    try:
        return open(path, "rb")
    except OSError as error:
        raise UsageError(
            f"expected {flag_name} to name a file of JSON lines, got {path!r}: {error.strerror}"
        ) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # titles are the shop's: the terminal may not have them all
    example = 'itemsage search --store store --text "red summer dress" --top 5'
    return main_of_alone(SearchConfig, run, argv, "itemsage search", example)


if __name__ == "__main__":
    sys.exit(main())
