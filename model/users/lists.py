"""Lists of items in place of queries: what is popular, what a user bought most, both. No vector is looked at.

    own counts of the window + users of each item in it, scaled to below 1    the best of these, from the best on

Legend: N items, O own items, K recommended items, C candidates.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from model.nearest.distinct_search import top_rows
from model.users.baselines import UserDay

POPULAR, OWN, OWN_THEN_POPULAR = "most popular", "own most bought", "own most bought, then popular"


@dataclass(frozen=True, eq=False)
class Listing:
    """rows_O, counts_O: own items and how often the user acted on each, both int64; popular_N: float64, at least 0 and
    below 1, or None: own items alone are listed. Equal scores are ordered by item row."""

    rows_O: np.ndarray
    counts_O: np.ndarray
    popular_N: np.ndarray | None
    num_clusters: int = 1

    def scores(self, rows_C: np.ndarray) -> np.ndarray:
        """float64 [C]; 0 for an item that is not listed."""
        scores_C = np.zeros(len(rows_C)) if self.popular_N is None else self.popular_N[rows_C]
        if len(self.rows_O):
            places_C = np.minimum(np.searchsorted(self.rows_O, rows_C), len(self.rows_O) - 1)
            scores_C = scores_C + np.where(self.rows_O[places_C] == rows_C, self.counts_O[places_C], 0)
        return scores_C

    def best(self, top: int) -> np.ndarray:
        """int64 [K], best first: `top` of them, fewer if fewer are listed."""
        likely = self.rows_O
        if self.popular_N is not None:
            likely = np.union1d(likely, top_rows(self.popular_N, top))
        scores_C = self.scores(likely)
        best = top_rows(scores_C, top)
        return likely[best[scores_C[best] > 0]]


def most_popular(day: UserDay) -> Listing:
    """The same for everybody."""
    nothing = np.zeros(0, np.int64)
    return Listing(nothing, nothing, day.popular_N)


def own_most_bought(day: UserDay) -> Listing:
    """The user's own items of the window."""
    return Listing(*np.unique(day.rows_H, return_counts=True), None)


def own_then_popular(day: UserDay) -> Listing:
    """The own ones first, then what is popular."""
    return Listing(*np.unique(day.rows_H, return_counts=True), day.popular_N)


ListMethod = Callable[[UserDay], Listing]
#: By name, in the order of tables.
LISTS: Mapping[str, ListMethod] = MappingProxyType(
    {POPULAR: most_popular, OWN: own_most_bought, OWN_THEN_POPULAR: own_then_popular}
)
