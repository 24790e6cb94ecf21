"""Exact nearest items where many share one vector: different vectors are searched, then written out as items.

Legend: N items, U distinct vectors, D dimension, Q queries, K items a query.
"""

from collections.abc import Iterable

import numpy as np

from model.machine.equal_rows import EqualRows

#: Scores held at once: 64 MiB.
_SCORES_PER_BLOCK = 1 << 24
#: 160 MB of 400 rows each.
MAX_LISTS = 100_000


def top_rows(scores_N: np.ndarray, k: int) -> np.ndarray:
    """The places of the k best scores (all, if there are fewer), best first, ties by place.

    >>> top_rows(np.array([0.5, 0.9, 0.5, 0.1]), 2).tolist()
    [1, 0]
    """
    places = np.arange(len(scores_N))
    if k < len(scores_N):
        places = np.flatnonzero(scores_N >= np.partition(scores_N, len(scores_N) - k)[len(scores_N) - k])
    return places[np.argsort(-scores_N[places], kind="stable")][:k]


class DistinctVectors:
    """Float32 unit rows [N, D] and exact search among them.

    vectors_UD: the distinct rows, by their first item. id_N: int64, which of them is an item's. max_lists: neighbour
    lists of items that are kept for later calls.
    """

    def __init__(self, matrix_ND: np.ndarray, max_lists: int = MAX_LISTS):
        self.matrix_ND, self._equal = matrix_ND, EqualRows.of(matrix_ND)
        self.id_N, self.vectors_UD = self._equal.id_N, matrix_ND[self._equal.first_U]
        self._lists: dict[int, np.ndarray] = {}
        self._lists_k, self._max_lists = 0, max_lists

    def nearest(self, queries_QD: np.ndarray, k: int) -> list[np.ndarray]:
        """For each query the rows of its k nearest items (int32; all, if there are fewer): highest cosine first, items
        of one vector by row. Queries are unit vectors."""
        found = []
        block = max(1, _SCORES_PER_BLOCK // max(1, len(self.vectors_UD)))
        for start in range(0, len(queries_QD), block):
            for scores_U in queries_QD[start : start + block] @ self.vectors_UD.T:
                found.append(self._equal.members(top_rows(scores_U, k), k).astype(np.int32))
        return found

    def prepare(self, rows: Iterable[int], k: int) -> None:
        """Searches for the nearest items of these items together, so that `nearest_to_item` finds them done."""
        if k != self._lists_k or len(self._lists) >= self._max_lists:
            self._lists, self._lists_k = {}, k
        missing = np.array(sorted({int(self.id_N[row]) for row in rows} - self._lists.keys()), np.int64)
        self._lists.update(zip(missing.tolist(), self.nearest(self.vectors_UD[missing], k), strict=True))

    def nearest_to_item(self, row: int, k: int) -> np.ndarray:
        """The k items nearest to an item that was prepared for at least that many, int32: itself first, then as
        `nearest` has them."""
        near = self._lists[int(self.id_N[row])][:k]
        return np.concatenate([[row], near[near != row]])[:k]
