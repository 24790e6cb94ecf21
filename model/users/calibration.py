"""Alpha and e by retrieval: PinnerSage walks forward over validation days at every alpha of a grid, with every number
of medoids asked for, sampled or the most important ones.

They are chosen together: few queries need few, large clusters, many queries small ones. A user-day's tree is made once
for all of them. Sampling is averaged over several draws, which cuts its noise, not that of the days.

Three measures: recall of all items of a day; recall of those that are new to the user, which is what a list without
seen items can show (model/users/new_items.py); R-precision, the order of the day's items among others. One of the
recalls may decide, or the geometric mean of all three, which no measure can win alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol as Having

import numpy as np

from model.nearest.distinct_search import DistinctVectors
from model.users.actions import Actions
from model.users.baselines import pinnersage
from model.users.evaluation import METRICS, Protocol, UserDays, walk_forward
from model.users.intervals import standard_errors
from model.users.pinnersage import DEFAULT_ALPHA
from schemas.hashing import seed_of

#: 0.1 to 64, 14 values, each 1.64 times the one before.
FIRST_ALPHA, LAST_ALPHA, NUM_ALPHAS = 0.1, 64.0, 14
NUM_DRAWS = 3
#: Sets the draws apart from those of an evaluation.
SEED_NAME = "calibrate-users"
#: What decides: a recall, or all measures.
ALL, NEW, BALANCED = "all", "new", "balanced"
#: Recalls this close are equal.
_TIE = 1e-9
_DIGITS = 4
#: The grid is extended so many times at most, by as many values each.
MAX_EXTENSIONS, _EXTENSION = 4, 3


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """samples: e, how many medoids; sampled: or else the most important ones. recall and relevance at the list's
    length, r_precision: means over user-days; recall_new: over those with an item that is new to the user, None without
    any; *_se: standard errors, users drawn whole; clusters_*: percentiles over user-days."""

    samples: int
    sampled: bool = True
    alpha: float
    recall: float
    recall_se: float
    recall_new: float | None
    recall_new_se: float | None
    relevance: float
    relevance_se: float
    r_precision: float
    clusters_median: float
    clusters_p90: float

    @property
    def measures(self) -> tuple[float | None, ...]:
        """Those of a balanced choice; None: not known."""
        return self.recall, self.recall_new, self.r_precision


def alpha_grid(first: int = 0, last: int = NUM_ALPHAS - 1) -> list[float]:
    """The geometric grid from place `first` to `last`, both included; places outside 0 .. 13 extend it.

    >>> alpha_grid()[0], alpha_grid()[-1], alpha_grid(14, 14)
    (0.1, 64.0, [105.2])
    """
    ratio = (LAST_ALPHA / FIRST_ALPHA) ** (1 / (NUM_ALPHAS - 1))
    return [float(f"{FIRST_ALPHA * ratio**place:.{_DIGITS}g}") for place in range(first, last + 1)]


class _Recalls(Having):
    @property
    def recall(self) -> float: ...
    @property
    def recall_new(self) -> float | None: ...
    @property
    def measures(self) -> tuple[float | None, ...]: ...


def deciding(point: _Recalls, decided_by: str) -> float:
    """What decides: the recall ALL or NEW, 0 where it is not known; BALANCED: the geometric mean of what is known."""
    if decided_by == BALANCED:
        known = [measure for measure in point.measures if measure is not None]
        return float(np.prod(known) ** (1 / len(known)))
    return point.recall if decided_by == ALL else point.recall_new or 0.0


def best_point(curve: Sequence[CurvePoint], decided_by: str = ALL) -> CurvePoint:
    """The highest value of what decides; of equal ones the fewest medoids, which are the cheapest, then sampled ones,
    which differ from request to request, then the alpha nearest to DEFAULT_ALPHA: what a curve cannot tell, as in a
    small shop whose lists hold nearly everything, stays as it was."""
    least = max(deciding(point, decided_by) for point in curve) - _TIE
    equal = (point for point in curve if deciding(point, decided_by) >= least)
    return min(equal, key=lambda point: (point.samples, not point.sampled, abs(math.log(point.alpha / DEFAULT_ALPHA))))


def best_by_samples(curve: Sequence[CurvePoint], decided_by: str = ALL) -> list[CurvePoint]:
    """The best point of each number of medoids and way to choose them, by rising number, sampled ones first."""
    kinds = sorted({(point.samples, not point.sampled) for point in curve})
    return [best_point([p for p in curve if (p.samples, not p.sampled) == kind], decided_by) for kind in kinds]


def sample_users(user_ids: Sequence[str], users: np.ndarray, most: int) -> np.ndarray:
    """int64, ascending: `most` of `users` (numbers into `user_ids`), by a hash of their ids, so that another day has
    mostly the same ones; all, if there are not more.

    >>> ids = [f"user-{number}" for number in range(9)]
    >>> few, more = (set(sample_users(ids, np.arange(9), most).tolist()) for most in (3, 5))
    >>> len(few), few < more
    (3, True)
    """
    by_hash = sorted(users.tolist(), key=lambda user: (seed_of(SEED_NAME, "sample", user_ids[user]), user_ids[user]))
    return np.array(sorted(by_hash[:most]), np.int64)


def calibration_curve(
    actions: Actions,
    vectors: DistinctVectors,
    days: Sequence[int],
    protocol: Protocol,
    decay_per_day: float,
    nums: Sequence[int],
    advance: Callable[[int], None] = lambda count: None,
    decided_by: str = ALL,
) -> list[CurvePoint]:
    """A point for each number of medoids in `nums`, sampled and the most important ones, and each alpha, by (samples,
    sampled first, alpha). While the best alpha of any of these kinds is at an end of the grid, the grid is extended
    there, up to MAX_EXTENSIONS times. There must be a user-day. decided_by: what is best, ALL, NEW or BALANCED.
    """

    def measure(alphas: list[float]) -> list[CurvePoint]:
        return _measure(actions, vectors, days, protocol, decay_per_day, alphas, nums, advance)

    first, last = 0, NUM_ALPHAS - 1
    curve = measure(alpha_grid())
    for _ in range(MAX_EXTENSIONS):
        lowest, highest = (end(point.alpha for point in curve) for end in (min, max))
        best = best_by_samples(curve, decided_by)
        if any(point.alpha == highest and point.clusters_p90 > 1 for point in best):
            curve += measure(alpha_grid(last + 1, last + _EXTENSION))
            last += _EXTENSION
        elif any(point.alpha == lowest for point in best):
            curve += measure(alpha_grid(first - _EXTENSION, first - 1))
            first -= _EXTENSION
        else:
            break
    return sorted(curve, key=lambda point: (point.samples, not point.sampled, point.alpha))


def _measure(
    actions: Actions,
    vectors: DistinctVectors,
    days: Sequence[int],
    protocol: Protocol,
    decay_per_day: float,
    alphas: list[float],
    nums: Sequence[int],
    advance: Callable[[int], None],
) -> list[CurvePoint]:
    points = [(num, sampled, alpha) for num in nums for sampled in (True, False) for alpha in alphas]
    methods = {
        f"{num}/{sampled}/{alpha}/{draw}": pinnersage(num, decay_per_day, alpha=alpha, sampled=sampled, replicate=draw)
        for num, sampled, alpha in points
        for draw in range(NUM_DRAWS)
    }
    asked = replace(protocol, with_ranking=True, with_new=True, draws=NUM_DRAWS, seed_name=SEED_NAME)
    return _points(points, walk_forward(actions, vectors, days, methods, asked, None, advance))


def _points(points: Sequence[tuple[int, bool, float]], found: UserDays) -> list[CurvePoint]:
    relevance_UP, recall_UP, r_precision_UP = (
        found.values_UTM[..., METRICS.index(name)] for name in ("relevance", "recall", "r_precision")
    )
    recall_se, relevance_se = standard_errors(found.users_U, recall_UP), standard_errors(found.users_U, relevance_UP)
    has_new_U = ~np.isnan(found.recall_new_UT).any(axis=1)
    recall_new_UP = found.recall_new_UT[has_new_U]
    recall_new_se = standard_errors(found.users_U[has_new_U], recall_new_UP) if has_new_U.any() else None
    clusters_UP = found.clusters_UT
    return [
        CurvePoint(
            samples=num,
            sampled=sampled,
            alpha=alpha,
            recall=float(recall_UP[:, place].mean()),
            recall_se=float(recall_se[place]),
            recall_new=None if recall_new_se is None else float(recall_new_UP[:, place].mean()),
            recall_new_se=None if recall_new_se is None else float(recall_new_se[place]),
            relevance=float(relevance_UP[:, place].mean()),
            relevance_se=float(relevance_se[place]),
            r_precision=float(r_precision_UP[:, place].mean()),
            clusters_median=float(np.median(clusters_UP[:, place])),
            clusters_p90=float(np.quantile(clusters_UP[:, place], 0.9)),
        )
        for place, (num, sampled, alpha) in enumerate(points)
    ]
