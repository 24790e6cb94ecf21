"""Recommend items of the published run to a user.

    itemsage recommend --store STORE --user user-7 --recent item-3,item-9 --top 400
    itemsage recommend --store STORE --requests requests.jsonl > candidates.jsonl

--recent: item ids that the user acted on after the run's day, newest last; an id with a comma needs --requests.
--requests: JSON lines {"user_id": ..., "recent": [...]}, `recent` optional, answered in order as JSON lines {"user_id":
..., "samples": 20, "clusters": [...], "candidates": [{"item_id", "score", "cosine", "cluster", "title"}],
"unknown_recent": [...]}, or {"user_id": ..., "error": ...} for a line that cannot be answered; samples: the interests
that were sampled, and whose neighbours the candidates are. `-` reads standard input.

A user without actions gets candidates from --recent alone; with a popularity weight even without, from popularity. A
damaged store ends the command: the answers before it are printed, and the error names the first line without one.
"""

import contextlib
import datetime
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.jobs import flag, main_of_alone, narrow
from pipelines.recommendation_types import Candidate, Recommendation, Settings, UserCluster
from pipelines.recommender import Recommender
from pipelines.search import MAX_LINE_BYTES, bounded_lines, open_lines, terminal_columns
from schemas.errors import CorruptFileError, UsageError, printable
from schemas.quarantine import quote

#: Candidates, and clusters, that a person is shown; --json has all.
_SHOWN = 20
_MAX_SHOWN_TITLE = 60
_SCORE_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class RecommendConfig:
    """Recommends items of the published run; give exactly one of --user and --requests."""

    store: str = flag(help="store folder")
    user: str | None = flag(default=None, help="a user id")
    requests: str | None = flag(default=None, help="JSON lines with user_id and recent; - is stdin")
    recent: str | None = flag(default=None, help="today's items of --user, newest last, separated by commas")
    top: int = flag(default=400, help="candidates a user, at most")
    samples: int | None = flag(default=None, help="interests sampled a request; default: as calibrated")
    popularity_weight: float = flag(default=0.0, help="weight of log popularity beside the cosine")
    blend_popularity: bool = flag(default=False, help="the popularity weight that was calibrated with the users")
    keep_seen: bool = flag(default=False, help="items that the user acted on may come")
    keep_near_duplicates: bool = flag(default=False, help="near-duplicates of seen and of better items may come")
    near_duplicate_cosine: float = flag(default=0.999, help="cosine from which two items are near-duplicates")
    seed: int = flag(default=0, help="another seed samples other interests")
    exact: bool = flag(default=False, help="compare with every item instead of using the index")
    json: bool = flag(default=False, help="print JSON")

    def __post_init__(self) -> None:
        given = [f"--{name}" for name in ("user", "requests") if getattr(self, name) is not None]
        if len(given) != 1:
            raise UsageError(f"expected exactly one of --user and --requests, got {' and '.join(given) or 'none'}")
        if self.requests is not None and self.recent is not None:
            raise UsageError("expected --recent with --user, got it with --requests, whose lines have their own")
        self.settings()

    def settings(self) -> Settings:
        """The part that the recommender wants."""
        cosine = None if self.keep_near_duplicates else self.near_duplicate_cosine
        return narrow(Settings, self, near_duplicate_cosine=cosine)


@dataclass(frozen=True)
class UserLine:
    """One line of --requests: its number, whom it is about, and why it is no request, if it is none."""

    number: int
    user_id: str | None
    recent: tuple[str, ...] = ()
    error: UsageError | None = None


def parse_line(line: bytes, line_number: int) -> UserLine:
    """
    >>> parse_line(b'{"user_id": "u", "recent": ["i"]}', 1)
    UserLine(number=1, user_id='u', recent=('i',), error=None)
    """
    expected = 'one JSON object {"user_id": a string that is not empty, "recent": a list of item ids, or none}'
    user_id, got = None, quote(line[:80].decode("utf-8", "backslashreplace"))
    if len(line) > MAX_LINE_BYTES:
        error = UsageError(f"line {line_number}: expected at most {MAX_LINE_BYTES:,} bytes, got more")
        return UserLine(line_number, None, error=error)
    with contextlib.suppress(ValueError, RecursionError):  # not UTF-8, not JSON, not an object: `got` says what it was
        value = json.loads(line.decode("utf-8-sig"))
        if isinstance(value, dict):
            found, recent = value.get("user_id"), value.get("recent")
            user_id = found if isinstance(found, str) and found else None
            recent = [] if recent is None else recent
            if user_id is not None and isinstance(recent, list) and all(isinstance(item, str) for item in recent):
                "".join((user_id, *recent)).encode("utf-8")  # ValueError for half a surrogate pair: text cannot hold it
                return UserLine(line_number, user_id, tuple(recent))
    return UserLine(line_number, user_id, error=UsageError(f"line {line_number}: expected {expected}, got {got}"))


def answer_lines(recommender: Recommender, lines: Iterable[bytes], settings: Settings) -> Iterator[dict[str, Any]]:
    """The answer to each line that is not blank, in order: a bad line spoils no other. Raises CorruptFileError, naming
    the line, at the first one for which the store is damaged."""
    for line in (parse_line(line, number) for number, line in enumerate(lines, 1) if line.strip()):
        try:
            if line.error is not None or line.user_id is None:
                raise line.error or UsageError("expected a user_id, got none")
            yield as_json(recommender.recommend(line.user_id, line.recent, settings))
        except UsageError as error:
            yield {"user_id": line.user_id, "error": str(error)}
        except CorruptFileError as error:
            raise CorruptFileError(f"{error} (for line {line.number}: from it on no line has an answer)") from error


def as_json(answer: Recommendation) -> dict[str, Any]:
    """Times as ISO 8601, numbers rounded to six digits; samples: interests that were sampled."""
    return {
        "user_id": answer.user_id,
        "samples": sum(cluster.is_sampled for cluster in answer.clusters),
        "clusters": [
            {
                "medoid_item_id": cluster.medoid_item_id,
                "title": cluster.title,
                "importance": round(cluster.importance, _SCORE_DIGITS),
                "size": cluster.size,
                "last_action": _time(cluster.last_us),
                "sampled": cluster.is_sampled,
            }
            for cluster in answer.clusters
        ],
        "candidates": [
            {
                "item_id": candidate.item_id,
                "score": round(candidate.score, _SCORE_DIGITS),
                "cosine": round(candidate.cosine, _SCORE_DIGITS),
                "cluster": candidate.cluster,
                "title": candidate.title,
            }
            for candidate in answer.candidates
        ],
        "unknown_recent": answer.unknown_recent,
    }


def format_answer(answer: Recommendation) -> str:
    """The user's clusters, then the first candidates, in aligned columns; what could act on a terminal is escaped."""
    lines = []
    if answer.unknown_recent:
        lines += ["recent items that the run has not: " + ", ".join(map(printable, answer.unknown_recent)), ""]
    if answer.clusters:
        names = ("medoid", "importance", "size", "last action", "sampled", "title")
        clusters = [cluster for n, cluster in enumerate(answer.clusters) if n < _SHOWN or cluster.is_sampled]
        lines += [*_table(names, clusters, _cluster), *_more(len(answer.clusters) - len(clusters))]
    else:
        lines.append("no actions: popular items only")
    shown = [(rank, candidate) for rank, candidate in enumerate(answer.candidates[:_SHOWN], 1)]
    lines += ["", *_table(("rank", "score", "id", "from cluster", "title"), shown, _candidate)]
    if not shown:
        lines[-1] = "no items"
    return "\n".join([*lines, *_more(len(answer.candidates) - len(shown))])


def _more(count: int) -> list[str]:
    return [f"and {count:,} more: --json shows them all"] if count else []


def _cluster(cluster: UserCluster) -> tuple[str, ...]:
    size, last, sampled = f"{cluster.size:,}", _time(cluster.last_us), "yes" if cluster.is_sampled else ""
    return cluster.medoid_item_id, f"{cluster.importance:.3f}", size, last, sampled, _title(cluster.title)


def _candidate(ranked: tuple[int, Candidate]) -> tuple[str, ...]:
    rank, candidate = ranked
    return str(rank), f"{candidate.score:.3f}", candidate.item_id, candidate.cluster, _title(candidate.title)


def _table(names: Sequence[str], rows: Iterable[Any], cells_of: Any) -> list[str]:
    """Lines of aligned columns, numbers to the right."""
    table = [names, *([printable(cell) for cell in cells_of(row)] for row in rows)]
    widths = [max(map(terminal_columns, column)) for column in zip(*table, strict=True)]
    to_the_right = {"rank", "score", "importance", "size"}
    lines = []
    for row in table:
        cells = []
        for name, cell, width in zip(names, row, widths, strict=True):
            padding = " " * (width - terminal_columns(cell))
            cells.append(padding + cell if name in to_the_right else cell + padding)
        lines.append("  ".join(cells).rstrip())
    return lines


def _title(title: str | None) -> str:
    text = printable(title or "")
    return text if len(text) <= _MAX_SHOWN_TITLE else text[: _MAX_SHOWN_TITLE - 1] + "…"


def _time(time_us: int) -> str:
    """ISO 8601 in UTC, whole seconds.

    >>> _time(1_500_000)
    '1970-01-01T00:00:01Z'
    """
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=time_us // 1_000_000)
    return moment.isoformat() + "Z"


def run(config: RecommendConfig) -> None:
    """Answers the user or users of the config on standard output."""
    if config.requests is not None:
        with open_lines(config.requests, "--requests") as file:  # before the store: a wrong path should not wait for it
            recommender = Recommender(config.store, exact=config.exact)
            recommender.popularity_weight(config.settings())  # of all lines: its error is not one of each line
            errors = 0
            for answer in answer_lines(recommender, bounded_lines(file), config.settings()):
                errors += "error" in answer
                print(json.dumps(answer, allow_nan=False))
        if errors:
            print(f'recommend: {errors:,} lines could not be answered: see their "error"', file=sys.stderr)
        return
    recent = [item_id for item_id in (config.recent or "").split(",") if item_id]
    found = Recommender(config.store, exact=config.exact).recommend(str(config.user), recent, config.settings())
    print(json.dumps(as_json(found), allow_nan=False) if config.json else format_answer(found))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # titles are the shop's: the terminal may not have them all
    example = "itemsage recommend --store store --user user-7 --recent item-3,item-9 --top 400"
    return main_of_alone(RecommendConfig, run, argv, "itemsage recommend", example)


if __name__ == "__main__":
    sys.exit(main())
