"""Recall among items that are new to a user: seen items are left out of the lists, and of what is looked for.

    nearest items of a query   s a s b c      without the seen ones, s   a b c      depths   a: 0   b: 1   c: 2

Every query gives its floor(top / queries) nearest items that the user has not seen, as a recommendation that leaves
seen items out does; they are taken from the `top` nearest, so that a query near more seen items than that leaves room
for gives fewer.

Legend: N items, F items of the day, W of them new, S seen items, T methods, Q queries of all of them, R their distinct
rows.
"""

from collections.abc import Sequence

import numpy as np

from model.nearest.distinct_search import DistinctVectors
from model.users.baselines import Queries
from model.users.lists import Listing


class RecallOfNew:
    """Recall of new items for all methods of a user-day at once: every item that is asked with is looked at once."""

    def __init__(self, vectors: DistinctVectors, top: int):
        self.vectors, self.top = vectors, top
        self._is_unseen_N = np.ones(len(vectors.id_N), bool)
        self._place_N = np.full(len(vectors.id_N), -1)

    def recalls(self, items_F: np.ndarray, seen_S: np.ndarray, queries: Sequence[Queries | Listing]) -> np.ndarray:
        """float64 [T]; nan where no item is new. The queries are items, and their lists prepared for `top`."""
        new_W = np.setdiff1d(items_F, seen_S)
        if not len(new_W):
            return np.full(len(queries), np.nan)
        rows_Q = np.concatenate([_rows(q) for q in queries])
        rows_R, place_Q = np.unique(rows_Q, return_inverse=True)
        depths_RW = self._depths(rows_R, seen_S, new_W)
        counts_T = np.array([len(_rows(q)) for q in queries])
        is_found_QW = depths_RW[place_Q.ravel()] < np.repeat(self.top // counts_T, counts_T)[:, None]
        starts_T = np.cumsum(counts_T) - counts_T
        return np.logical_or.reduceat(is_found_QW, starts_T, axis=0).mean(axis=1)

    def _depths(self, rows_R: np.ndarray, seen_S: np.ndarray, new_W: np.ndarray) -> np.ndarray:
        """int64 [R, W]: how many unseen items come before each new one in the list of each row; `top`: not there."""
        depths_RW = np.full((len(rows_R), len(new_W)), self.top)
        self._is_unseen_N[seen_S], self._place_N[new_W] = False, np.arange(len(new_W))
        for place, row in enumerate(rows_R.tolist()):
            unseen = self.vectors.nearest_to_item(row, self.top)
            unseen = unseen[self._is_unseen_N[unseen]]
            found = self._place_N[unseen]
            depths = np.flatnonzero(found >= 0)
            depths_RW[place, found[depths]] = depths
        self._is_unseen_N[seen_S], self._place_N[new_W] = True, -1
        return depths_RW


def _rows(queries: Queries | Listing) -> np.ndarray:
    if isinstance(queries, Listing) or queries.rows_Q is None:
        raise ValueError("expected queries that are items, got vectors of none")
    return queries.rows_Q
