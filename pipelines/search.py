"""Search the published run by text, picture or item.

    itemsage search --store STORE --text "red summer dress" --top 5
    itemsage search --store STORE --queries queries.jsonl > results.jsonl

--queries: JSON lines {"query_id": ..., "text" | "image" | "item": ...}, answered in order as JSON lines
{"query_id": ..., "results": [{"item_id": ..., "score": cosine, "title": ...}, ...]}, or {"query_id": ..., "error": ...}
for a line that cannot be answered (exit code 2 if none can). `-` reads standard input.
"""

import io
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.console.jobs import flag, main_of_alone
from pipelines.console.json_lines import bounded_lines, is_text, line_error, object_in, open_lines, print_answers
from pipelines.console.terminal import aligned, shown_title
from pipelines.serving.searcher import MAX_TOP, QUERY_KINDS, Query, Result, Searcher
from schemas.errors import UsageError

_LINES_A_BATCH = 1024
#: Results that are held at a time, where they are many: some hundred bytes each.
_RESULTS_A_BATCH = 1_000_000
_EXPECTED = 'one JSON object {"query_id": ..., "text" or "image" or "item": a string that is not empty}'
_MAX_SHOWN_TITLE = 80
_SCORE_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Searches the published run of a store; give exactly one of --text, --image, --item and --queries."""

    store: str = flag(path=True, help="store folder")
    text: str | None = flag(default=None, help="a text query")
    image: str | None = flag(path=True, default=None, help="a picture file as the query")
    item: str | None = flag(default=None, help="an item id: the items nearest to it, itself left out")
    queries: str | None = flag(
        path=True, default=None, help="JSON lines with query_id and text, image or item; - is stdin"
    )
    top: int = flag(default=10, help="results a query")
    exact: bool = flag(default=False, help="compare with every item instead of using the index")
    json: bool = flag(default=False, help="print JSON")

    def __post_init__(self) -> None:
        given = [name for name in (*QUERY_KINDS, "queries") if getattr(self, name) is not None]
        if len(given) != 1:
            got = " and ".join(f"--{name}" for name in given) or "none"
            raise UsageError(f"expected exactly one of --text, --image, --item and --queries, got {got}")
        if not 1 <= self.top <= MAX_TOP:
            raise UsageError(f"expected --top from 1 to {MAX_TOP:,}, got {self.top:,}")


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
    value = object_in(line)
    found = value.get("query_id")
    query_id = found if isinstance(found, str | int) else None
    query = _query_of(value)
    if query is None or query_id is None:
        return QueryLine(query_id, line_error(line, line_number, _EXPECTED))
    return QueryLine(query_id, query)


def _query_of(value: dict[str, Any]) -> Query | None:
    given = [Query(kind, value[kind]) for kind in QUERY_KINDS if value.get(kind) is not None]
    return given[0] if len(given) == 1 and given[0].value and is_text(given[0].value) else None


def answer_lines(searcher: Searcher, lines: Iterable[bytes], top: int) -> Iterator[dict[str, Any]]:
    """The answer to each line that is not blank, in order, batch by batch: a bad line spoils no other."""
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    size = max(1, min(_LINES_A_BATCH, _RESULTS_A_BATCH // min(top, searcher.index.num_items)))
    while batch := [parse_query(line, number) for number, line in itertools.islice(numbered, size)]:
        answers = iter(searcher.search([line.query for line in batch if isinstance(line.query, Query)], top))
        for line in batch:
            answer = next(answers) if isinstance(line.query, Query) else line.query
            if isinstance(answer, UsageError):
                yield {"query_id": line.query_id, "error": str(answer)}
            else:
                yield {"query_id": line.query_id, "results": _as_json(answer)}


def format_results(results: Sequence[Result]) -> str:
    """Rank, score, id and title in aligned columns; whatever could act on a terminal is escaped."""
    if not results:
        return "no items"
    rows = [
        (str(rank), f"{result.score:.3f}", result.item_id, shown_title(result.title, _MAX_SHOWN_TITLE))
        for rank, result in enumerate(results, 1)
    ]
    return "\n".join(aligned([("rank", "score", "id", "title"), *rows], to_the_right={0, 1}))


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
            print_answers("search", answer_lines(searcher, bounded_lines(file), config.top))
        return
    kind = next(kind for kind in QUERY_KINDS if getattr(config, kind) is not None)
    query = Query(kind, getattr(config, kind))
    (found,) = Searcher(config.store, exact=config.exact).search([query], config.top)
    if isinstance(found, UsageError):
        raise found
    print(json.dumps({kind: query.value, "results": _as_json(found)}) if config.json else format_results(found))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # titles are the shop's: the terminal may not have them all
    example = 'itemsage search --store store --text "red summer dress" --top 5'
    return main_of_alone(SearchConfig, run, argv, "itemsage search", example)


if __name__ == "__main__":
    sys.exit(main())
