"""Recommend items of the published run to a user.

    itemsage recommend --store STORE --user user-7 --recent item-3,item-9 --top 400
    itemsage recommend --store STORE --requests requests.jsonl > candidates.jsonl

--recent: item ids that the user acted on after the run's day, newest last; an id with a comma needs --requests.
--requests: JSON lines {"user_id": ..., "recent": [...]}, `recent` optional, answered in order as JSON lines {"user_id":
..., "samples": 20, "clusters": [...], "candidates": [{"item_id", "score", "cosine", "cluster", "title"}],
"unknown_recent": [...]}, or {"user_id": ..., "error": ...} for a line that cannot be answered (exit code 2 if none
can); samples: the interests that were sampled, and whose neighbours the candidates are. `-` reads standard input.

A user without actions gets candidates from --recent alone; with a popularity weight even without, from popularity. A
damaged store ends the command: the answers before it are printed, and the error names the first line without one.
"""

import datetime
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.console.jobs import flag, main_of_alone, narrow
from pipelines.console.json_lines import bounded_lines, is_text, line_error, object_in, open_lines, print_answers
from pipelines.console.terminal import aligned, shown_title
from pipelines.serving.recommendation_types import Candidate, Recommendation, Settings, UserCluster
from pipelines.serving.recommender import Recommender
from schemas.errors import CorruptFileError, UsageError, printable

#: Candidates, and clusters, that a person is shown; --json has all.
_SHOWN = 20
_MAX_SHOWN_TITLE = 60
_SCORE_DIGITS = 6
_EXPECTED = 'one JSON object {"user_id": a string that is not empty, "recent": a list of item ids, or none}'


@dataclass(frozen=True, kw_only=True)
class RecommendConfig:
    """Recommends items of the published run; give exactly one of --user and --requests."""

    store: str = flag(path=True, help="store folder")
    user: str | None = flag(default=None, help="a user id")
    requests: str | None = flag(path=True, default=None, help="JSON lines with user_id and recent; - is stdin")
    recent: str | None = flag(
        default=None, help="today's items of --user, newest last, separated by commas", by_commas=True
    )
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
    value = object_in(line)
    found, recent = value.get("user_id"), value.get("recent")
    user_id = found if isinstance(found, str) and found else None
    recent = [] if recent is None else recent
    if user_id is None or not is_text(user_id) or not isinstance(recent, list) or not all(map(is_text, recent)):
        return UserLine(line_number, user_id, error=line_error(line, line_number, _EXPECTED))
    return UserLine(line_number, user_id, tuple(recent))


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
        lines += aligned([names, *map(_cluster, clusters)], to_the_right={1, 2})
        lines += _more(len(answer.clusters) - len(clusters))
    else:
        lines.append("no actions: popular items only")
    shown = [_candidate(rank, candidate) for rank, candidate in enumerate(answer.candidates[:_SHOWN], 1)]
    table = aligned([("rank", "score", "id", "from cluster", "title"), *shown], to_the_right={0, 1})
    return "\n".join([*lines, "", *(table if shown else ["no items"]), *_more(len(answer.candidates) - len(shown))])


def _more(count: int) -> list[str]:
    return [f"and {count:,} more: --json shows them all"] if count else []


def _cluster(cluster: UserCluster) -> tuple[str, ...]:
    size, last, sampled = f"{cluster.size:,}", _time(cluster.last_us), "yes" if cluster.is_sampled else ""
    title = shown_title(cluster.title, _MAX_SHOWN_TITLE)
    return cluster.medoid_item_id, f"{cluster.importance:.3f}", size, last, sampled, title


def _candidate(rank: int, candidate: Candidate) -> tuple[str, ...]:
    title = shown_title(candidate.title, _MAX_SHOWN_TITLE)
    return str(rank), f"{candidate.score:.3f}", candidate.item_id, candidate.cluster, title


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
            print_answers("recommend", answer_lines(recommender, bounded_lines(file), config.settings()))
        return
    recent = [item_id.strip() for item_id in (config.recent or "").split(",") if item_id.strip()]
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
