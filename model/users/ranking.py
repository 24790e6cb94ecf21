"""The ranking of PinnerSage (arXiv 2007.03634, section 6.2): a user's items of a day against what the user was shown.

As model.users.evaluation says; the legend is there.
"""

from collections.abc import Sequence

import numpy as np

from model.users.actions import Actions
from model.users.baselines import Queries
from model.users.lists import Listing

IMPRESSIONS_AN_ITEM = 20
#: Cosines this close are equal: float32 products of equal vectors differ by rounding.
COSINE_TOLERANCE = 1e-6


def ranking(
    matrix_ND: np.ndarray, items_F: np.ndarray, shown_I: np.ndarray, methods: Sequence[Queries | Listing]
) -> np.ndarray:
    """float64 [T, 2]: R-precision and reciprocal rank of `items_F` against the impressions `shown_I`, all item rows."""
    candidates = np.concatenate([items_F, shown_I])
    best = np.empty((len(methods), len(candidates)))
    queries = {place: one for place, one in enumerate(methods) if isinstance(one, Queries)}
    if queries:
        scores = _cosines(matrix_ND, candidates, list(queries.values()))
        starts = np.cumsum([0, *(len(q.vectors_QD) for q in queries.values())])
        best[list(queries)] = np.maximum.reduceat(scores, starts[:-1], axis=1).T
    for place, one in enumerate(methods):
        if isinstance(one, Listing):
            best[place] = one.scores(candidates)
    return rank_metrics(best[:, : len(items_F)], best[:, len(items_F) :])


def _cosines(matrix_ND: np.ndarray, candidates: np.ndarray, queries: Sequence[Queries]) -> np.ndarray:
    """float32 [candidates, Q]. An item that many methods ask with is compared once."""
    rows = [q.rows_Q for q in queries if q.rows_Q is not None]
    if len(rows) < len(queries):
        return matrix_ND[candidates] @ np.concatenate([q.vectors_QD for q in queries]).T
    distinct, place_Q = np.unique(np.concatenate(rows), return_inverse=True)
    return (matrix_ND[candidates] @ matrix_ND[distinct].T)[:, place_Q.ravel()]


def rank_metrics(positive_TF: np.ndarray, negative_TI: np.ndarray) -> np.ndarray:
    """float64 [T, 2]: R-precision and reciprocal rank of positives among positives and negatives; equal scores put
    negatives first.

    Ranks of .9 .5 .2 among negatives .7 .2: 1, 3 and 5; two of the first three are positive.
    >>> rank_metrics(np.array([[0.5, 0.9, 0.2]]), np.array([[0.7, 0.2]])).round(4).tolist()
    [[0.6667, 0.5111]]
    """
    ordered_TF = -np.sort(-positive_TF, axis=1)
    worse_TI = np.sort(negative_TI, axis=1)
    num_negative, places_F = worse_TI.shape[1], np.arange(1, positive_TF.shape[1] + 1)
    ahead = [num_negative - np.searchsorted(w, o - COSINE_TOLERANCE) for w, o in zip(worse_TI, ordered_TF, strict=True)]
    ranks_TF = np.stack(ahead) + places_F
    return np.stack([(ranks_TF <= len(places_F)).mean(axis=1), (1 / ranks_TF).mean(axis=1)], axis=1)


class Shown:
    """What users were shown on a day, or might have been. day_us: its start and end."""

    def __init__(self, actions: Actions, impressions: Actions | None, day_us: tuple[int, int]):
        self.impressions, self.day_us = impressions, day_us
        self.acted_on = actions.rows_M[actions.within(*day_us)]

    def to(self, user: int, items_F: np.ndarray, seed: int) -> np.ndarray:
        """20 item rows for each of the user's items of the day, none of which is among them: the user's impressions,
        each item once; where these are too few, draws from the actions of others (repeated if those are too few)."""
        generator, wanted = np.random.default_rng((seed, 1 << 20)), IMPRESSIONS_AN_ITEM * len(items_F)
        own = np.zeros(0, np.int64)
        if self.impressions is not None:
            own = self.impressions.items(user, *self.day_us)
            own = generator.permutation(own[~np.isin(own, items_F)])[:wanted]
        others = self.acted_on[~np.isin(self.acted_on, items_F)]
        missing = wanted - len(own)
        if not missing or not len(others):
            return own
        return np.concatenate([own, generator.choice(others, missing, replace=len(others) < missing)])
