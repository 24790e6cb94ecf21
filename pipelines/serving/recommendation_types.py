"""What a recommendation is asked for with, and what it answers."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

from pipelines.serving.searcher import MAX_TOP
from pipelines.users.alpha import MAX_SAMPLES, are_samples
from schemas.errors import UsageError

#: `cluster` of a candidate that popularity brought.
POPULAR_CLUSTER = "popular"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to recommend. samples: interests asked with; None: as many as the run's alpha was calibrated for.
    blend_popularity: the popularity weight that was calibrated with it, in place of popularity_weight.
    near_duplicate_cosine: None keeps near-duplicates. Raises UsageError, naming the flag, for a value out of range."""

    top: int = 400
    samples: int | None = None
    popularity_weight: float = 0.0
    blend_popularity: bool = False
    keep_seen: bool = False
    near_duplicate_cosine: float | None = 0.999
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.top <= MAX_TOP:
            raise UsageError(f"expected --top from 1 to {MAX_TOP:,}, got {self.top:,}")
        if self.samples is not None and not are_samples(self.samples):
            raise UsageError(f"expected --samples from 1 to {MAX_SAMPLES}, got {self.samples}")
        if not 0 <= self.popularity_weight < math.inf:
            raise UsageError(f"expected --popularity-weight of at least 0, got {self.popularity_weight}")
        if self.blend_popularity and self.popularity_weight:
            raise UsageError(
                f"expected --blend-popularity or --popularity-weight, got both (weight {self.popularity_weight})"
            )
        if self.near_duplicate_cosine is not None and not 0 < self.near_duplicate_cosine <= 1:
            raise UsageError(
                f"expected --near-duplicate-cosine above 0 and at most 1, got {self.near_duplicate_cosine}: "
                "--keep-near-duplicates keeps them all"
            )


class UserCluster(NamedTuple):
    """One interest of a user. importance: decayed number of actions; size: number; last_us: the latest (microseconds
    since 1970); is_sampled: its neighbours were looked up for this answer."""

    medoid_item_id: str
    title: str | None
    importance: float
    size: int
    last_us: int
    is_sampled: bool


class Candidate(NamedTuple):
    """score: cosine + the share of popularity; cosine: to the medoid `cluster` (an item id), or for POPULAR_CLUSTER to
    the nearest sampled medoid, 0 if there is none."""

    item_id: str
    score: float
    cosine: float
    cluster: str
    title: str | None


class Clusters(Sequence[UserCluster]):
    """A user's clusters, described when they are asked for: a user may have hundreds, most of them shown to nobody.
    Equal to a sequence of equal clusters."""

    def __init__(self, count: int, described: Callable[[Sequence[int]], list[UserCluster]]):
        self._count, self._described = count, described

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> UserCluster: ...
    @overload
    def __getitem__(self, place: slice) -> list[UserCluster]: ...
    def __getitem__(self, place: int | slice) -> UserCluster | list[UserCluster]:
        places = range(self._count)[place]
        return self._described([places])[0] if isinstance(places, int) else self._described(places)

    def __iter__(self) -> Iterator[UserCluster]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))

    __hash__ = None  # type: ignore[assignment]


class Recommendation(NamedTuple):
    """clusters by falling importance; candidates best first; unknown_recent: recent items that the run has not."""

    user_id: str
    clusters: Sequence[UserCluster]
    candidates: list[Candidate]
    unknown_recent: list[str]
