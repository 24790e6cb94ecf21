"""The weight of popularity beside the cosine, by retrieval on validation days: what `recommend` blends with.

    a user's queries --largest cosine--> every item --+ weight x log popularity--> the 400 best --> recall
    users of each item in the window before the day --+

Weight 0 is not measured here: without popularity each query gives its own share of the list (see walk_forward).
Equal scores are ordered by item row.

Legend: N items, F items of the day, S seen items, W weights.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.nearest.distinct_search import DistinctVectors, top_rows
from model.users.actions import Actions, users_of_items
from model.users.baselines import Method, Queries
from model.users.calibration import ALL, SEED_NAME, CurvePoint, deciding
from model.users.evaluation import Case, Protocol, blocks
from model.users.month_ahead import WEIGHTS
from model.users.recommendation import blend

#: Of a cosine. More are rounding of float32.
_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class BlendPoint:
    """recall and recall_new: means over user-days, as those of a CurvePoint."""

    popularity_weight: float
    recall: float
    recall_new: float | None

    @property
    def measures(self) -> tuple[float | None, ...]:
        """As those of a CurvePoint; R-precision is not measured with popularity."""
        return self.recall, self.recall_new


def best_weight(points: Sequence[BlendPoint], decided_by: str = ALL) -> BlendPoint:
    """The highest recall; of equal ones the smallest weight."""
    return max(points, key=lambda point: (deciding(point, decided_by), -point.popularity_weight))


def blend_curve(
    actions: Actions,
    asked: Actions,
    vectors: DistinctVectors,
    days: Sequence[int],
    protocol: Protocol,
    method: Method,
    without: CurvePoint,
    weights: Iterable[float] = WEIGHTS,
    advance: Callable[[int], None] = lambda count: None,
) -> list[BlendPoint]:
    """A point for each weight, by rising weight. actions: of everybody, whom popularity is counted by; asked: those of
    the users that recall is measured for. method: asks with items or vectors; a day's popularity is of the window
    before it. without: the point of weight 0."""
    rising = [weight for weight in sorted(set(weights)) if weight > 0]
    of_day = replace(protocol, with_ranking=False, seed_name=SEED_NAME)
    recalls: list[np.ndarray] = []
    for day in days:
        shop = _Shop(actions, vectors, day, of_day)
        for block in blocks(asked, vectors, day, {"": method}, of_day):
            recalls.extend(shop.recalls(case, rising) for case in block)
            advance(len(block))
    points = [BlendPoint(popularity_weight=0.0, recall=without.recall, recall_new=without.recall_new)]
    for weight, recalls_U2 in zip(rising, np.array(recalls).swapaxes(0, 1) if recalls else [], strict=bool(recalls)):
        recall_new_U = recalls_U2[~np.isnan(recalls_U2[:, 1]), 1]
        points.append(
            BlendPoint(
                popularity_weight=weight,
                recall=float(recalls_U2[:, 0].mean()),
                recall_new=float(recall_new_U.mean()) if len(recall_new_U) else None,
            )
        )
    return points


class _Shop:
    """All items as of the morning of a day."""

    def __init__(self, actions: Actions, vectors: DistinctVectors, day: int, protocol: Protocol):
        self.vectors, self.top = vectors, protocol.top
        from_us, start_us, _ = protocol.bounds_us(day)
        self.users_N = users_of_items(actions, from_us, start_us, len(vectors.id_N))
        self.popular = np.argsort(-self.users_N, kind="stable")

    def recalls(self, case: Case, weights: Sequence[float]) -> np.ndarray:
        """float64 [W, 2]: of all items and of new ones, nan without any."""
        (queries,) = case.queries
        assert isinstance(queries, Queries)
        scores_U = (queries.vectors_QD @ self.vectors.vectors_UD.T).max(axis=0)
        cosines_N = np.round(scores_U, _DIGITS)[self.vectors.id_N]
        most, needed = int(self.users_N[self.popular[0]]), self.top + len(case.seen_S)
        near = np.argpartition(-cosines_N, min(needed, len(cosines_N) - 1))[:needed]
        likely = np.union1d(near, self.popular[:needed])
        new_F = np.setdiff1d(case.items_F, case.seen_S)
        recalls_W2 = []
        for weight in weights:
            best = _best(blend(cosines_N, self.users_N, most, weight), likely, needed)
            unseen = best[~np.isin(best, case.seen_S)][: self.top]
            is_new_found = np.isin(new_F, unseen)
            recalls_W2.append(
                [np.isin(case.items_F, best[: self.top]).mean(), is_new_found.mean() if len(new_F) else np.nan]
            )
        return np.array(recalls_W2)


def _best(scores_N: np.ndarray, likely: np.ndarray, k: int) -> np.ndarray:
    """The places of the k best scores, best first, ties by place, as `top_rows` has them. likely: places that most of
    them are among, at least k if there are as many: what is below the k-th best of these is no candidate."""
    if k >= len(scores_N):
        return top_rows(scores_N, k)
    bound = np.partition(scores_N[likely], len(likely) - k)[len(likely) - k]
    places = np.flatnonzero(scores_N >= bound)
    return places[top_rows(scores_N[places], k)]
