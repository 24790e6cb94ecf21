"""Alpha by retrieval: PinnerSage with e = 3 walks forward over validation days at every alpha of a grid.

A user's tree is made once for all alphas. Sampling is averaged over several draws, which cuts its noise, not that of
the days.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.distinct_search import DistinctVectors
from model.user_actions import Actions
from model.user_baselines import pinnersage
from model.user_evaluation import METRICS, Protocol, walk_forward
from model.user_intervals import standard_errors

#: 0.1 to 64, 14 values, each 1.64 times the one before.
FIRST_ALPHA, LAST_ALPHA, NUM_ALPHAS = 0.1, 64.0, 14
NUM_DRAWS = 3
#: Recalls this close are equal.
_TIE = 1e-9
_DIGITS = 4
#: The grid is extended so many times at most, by as many values each.
MAX_EXTENSIONS, _EXTENSION = 4, 3


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """recall and relevance at 400 items: means over user-days; *_se: standard errors, users drawn whole; clusters_*:
    percentiles over user-days."""

    alpha: float
    recall: float
    recall_se: float
    relevance: float
    relevance_se: float
    clusters_median: float
    clusters_p90: float


def alpha_grid(first: int = 0, last: int = NUM_ALPHAS - 1) -> list[float]:
    """The geometric grid from place `first` to `last`, both included; places outside 0 .. 13 extend it.

    >>> alpha_grid()[0], alpha_grid()[-1], alpha_grid(14, 14)
    (0.1, 64.0, [105.2])
    """
    ratio = (LAST_ALPHA / FIRST_ALPHA) ** (1 / (NUM_ALPHAS - 1))
    return [float(f"{FIRST_ALPHA * ratio**place:.{_DIGITS}g}") for place in range(first, last + 1)]


def best_point(curve: Sequence[CurvePoint]) -> CurvePoint:
    """The highest recall; of equal ones the largest alpha, which has the fewest vectors."""
    best = max(point.recall for point in curve)
    return max((point for point in curve if point.recall >= best - _TIE), key=lambda point: point.alpha)


def alpha_curve(
    actions: Actions,
    vectors: DistinctVectors,
    days: Sequence[int],
    protocol: Protocol,
    decay_per_day: float,
    advance: Callable[[int], None] = lambda count: None,
) -> list[CurvePoint]:
    """The curve by rising alpha. While the best value is at an end of the grid, the grid is extended there, up to
    MAX_EXTENSIONS times. There must be a user-day."""

    def measure(alphas: list[float]) -> list[CurvePoint]:
        return _measure(actions, vectors, days, protocol, decay_per_day, alphas, advance)

    first, last = 0, NUM_ALPHAS - 1
    curve = measure(alpha_grid())
    for _ in range(MAX_EXTENSIONS):
        best = best_point(curve).alpha
        if best == curve[-1].alpha and curve[-1].clusters_p90 > 1:
            curve = curve + measure(alpha_grid(last + 1, last + _EXTENSION))
            last += _EXTENSION
        elif best == curve[0].alpha:
            curve = measure(alpha_grid(first - _EXTENSION, first - 1)) + curve
            first -= _EXTENSION
        else:
            break
    return curve


def _measure(
    actions: Actions,
    vectors: DistinctVectors,
    days: Sequence[int],
    protocol: Protocol,
    decay_per_day: float,
    alphas: list[float],
    advance: Callable[[int], None],
) -> list[CurvePoint]:
    methods = {
        f"{alpha}/{draw}": pinnersage(decay_per_day=decay_per_day, alpha=alpha, replicate=draw)
        for alpha in alphas
        for draw in range(NUM_DRAWS)
    }
    asked = replace(protocol, with_ranking=False, seed_name="calibrate-users")
    found = walk_forward(actions, vectors, days, methods, asked, None, advance)
    by_alpha = found.values_UTM.reshape(len(found.users_U), len(alphas), NUM_DRAWS, len(METRICS)).mean(axis=2)
    relevance_UA, recall_UA = by_alpha[..., METRICS.index("relevance")], by_alpha[..., METRICS.index("recall")]
    recall_se, relevance_se = standard_errors(found.users_U, recall_UA), standard_errors(found.users_U, relevance_UA)
    clusters_UA = found.clusters_UT[:, ::NUM_DRAWS]
    return [
        CurvePoint(
            alpha=alpha,
            recall=float(recall_UA[:, place].mean()),
            recall_se=float(recall_se[place]),
            relevance=float(relevance_UA[:, place].mean()),
            relevance_se=float(relevance_se[place]),
            clusters_median=float(np.median(clusters_UA[:, place])),
            clusters_p90=float(np.quantile(clusters_UA[:, place], 0.9)),
        )
        for place, alpha in enumerate(alphas)
    ]
