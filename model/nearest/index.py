"""Nearest items by cosine: an exact index and its fast twin on Annoy, behind one interface.

Rows 0..n-1 of an index are the items in the order of its list of ids. On disk: model.nearest.index_folder.
"""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, Protocol

import annoy
import numpy as np

METRIC: Final = "angular"
NO_ROW = -1
#: What a query's vector was made of: an item of the index, a text, a picture. Each kind lies elsewhere among items.
QueryKind = Literal["item", "text", "picture"]
KINDS: tuple[QueryKind, ...] = ("item", "text", "picture")
#: The number of results that search_k and the recall target are for.
TUNED_AT = 10
_SCORES_PER_BLOCK = 1 << 24
#: Candidates this close below the k-th score are scored again in float64: float32 sums of one vector differ by less.
_SCORE_MARGIN = 1e-5
_QUERIES_A_THREAD = 64
#: Numbers of an index are C integers.
MAX_NUMBER = 2**31 - 1


class ItemIndex(Protocol):
    """What a nearest-item index does; rows are positions in the list of item ids."""

    num_items: int
    dim: int

    def search(self, queries_QD: np.ndarray, top: int, kind: QueryKind = "item") -> tuple[np.ndarray, np.ndarray]:
        """The `top` rows of highest cosine for each float32 unit query, best first, equal scores by ascending row:
        (rows int64 [Q, top], padded with NO_ROW; cosines float32 [Q, top], padded with -inf). kind: what the queries
        are made of, which decides how much of an approximate index they inspect.

        Raises ValueError for queries that are not finite [Q, dim] vectors or top < 1.
        """
        ...

    def vectors(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """The items' own vectors, float32 [R, dim]."""
        ...


class NearVectors(Protocol):
    """Approximate search that is told how much to inspect: what an index is built on."""

    num_items: int
    dim: int

    def search(self, queries_QD: np.ndarray, top: int, *, search_k: int) -> tuple[np.ndarray, np.ndarray]:
        """As ItemIndex.search, inspecting search_k (of Annoy nodes, of HNSW candidates) for each query."""
        ...


class ExactIndex:
    """Compares with every item, in blocks of at most 64 MiB of scores: the reference for recall."""

    def __init__(self, matrix_ND: np.ndarray):
        self.matrix_ND = matrix_ND
        self.num_items, self.dim = matrix_ND.shape

    def search(self, queries_QD: np.ndarray, top: int, kind: QueryKind = "item") -> tuple[np.ndarray, np.ndarray]:
        check_queries(queries_QD, self.dim, top)
        rows_QK, scores_QK = no_results(len(queries_QD), top)
        found = min(top, self.num_items)
        block = max(1, _SCORES_PER_BLOCK // max(1, self.num_items))
        for start in range(0, len(queries_QD) if found else 0, block):
            scores_BN = queries_QD[start : start + block] @ self.matrix_ND.T
            smallest_B = np.partition(scores_BN, self.num_items - found, axis=1)[:, self.num_items - found]
            for offset, (scores_N, smallest) in enumerate(zip(scores_BN, smallest_B, strict=True)):
                query = start + offset
                near = np.flatnonzero(scores_N >= smallest - _SCORE_MARGIN)
                scores = (self.matrix_ND[near].astype(np.float64) * queries_QD[query]).sum(axis=1)
                best = np.argsort(-scores, kind="stable")[:found]  # `near` ascends: equal scores by row
                rows_QK[query, :found] = near[best]
                scores_QK[query, :found] = scores[best]
        return rows_QK, scores_QK

    def vectors(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        return self.matrix_ND[np.asarray(rows, np.int64)]


class AnnoyItemIndex:
    """An Annoy index of unit vectors, mapped from its file. Approximate; results do not depend on the threads.

    `vectors_ND`: the items' vectors as they lie in the file (see `open_index`), which `vectors` gathers from; without
    it, for an index that is not in a file yet, Annoy is asked for each as a list of numbers, 70 times slower.
    """

    def __init__(
        self,
        index: annoy.AnnoyIndex,
        search_k: int,
        num_threads: int | None = None,
        vectors_ND: np.ndarray | None = None,
    ):
        self._index, self._vectors_ND = index, vectors_ND
        self.num_items, self.dim = index.get_n_items(), index.f
        self.search_k = search_k
        self.num_threads = num_threads or min(8, os.cpu_count() or 1)

    def search(
        self, queries_QD: np.ndarray, top: int, kind: QueryKind = "item", *, search_k: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As ItemIndex.search, all kinds alike; `search_k`: nodes to inspect a query, default as `search_k_for` says,
        and every node where all items are wanted."""
        check_queries(queries_QD, self.dim, top)
        rows_QK, scores_QK = no_results(len(queries_QD), top)
        nodes = search_k or (search_k_for(top, self.search_k) if top < self.num_items else MAX_NUMBER)

        def search_some(start: int) -> None:
            for query in range(start, min(start + _QUERIES_A_THREAD, len(queries_QD))):
                vector = queries_QD[query].tolist()  # 3 times faster for Annoy to read than an array
                rows, distances = self._index.get_nns_by_vector(vector, top, nodes, include_distances=True)
                rows_QK[query, : len(rows)] = rows
                scores_QK[query, : len(rows)] = 1 - np.square(np.array(distances)) / 2

        starts = range(0, len(queries_QD), _QUERIES_A_THREAD)
        if len(starts) > 1 and self.num_threads > 1:
            with ThreadPoolExecutor(self.num_threads) as threads:  # Annoy searches without the interpreter's lock
                list(threads.map(search_some, starts))
        else:
            for start in starts:
                search_some(start)
        return rows_QK, scores_QK

    def vectors(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """As ItemIndex.vectors. Raises IndexError for a row that is not 0 to num_items - 1, NO_ROW among them."""
        rows_R = np.asarray(rows, np.int64).reshape(-1)
        outside_R = (rows_R < 0) | (rows_R >= self.num_items)
        if outside_R.any():
            raise IndexError(f"expected rows from 0 to {self.num_items - 1}, got {rows_R[outside_R][0]}")
        if self._vectors_ND is not None:
            return self._vectors_ND[rows_R]
        vectors = [self._index.get_item_vector(row) for row in rows_R.tolist()]
        return np.array(vectors, np.float32).reshape(len(vectors), self.dim)


def search_k_for(top: int, search_k: int) -> int:
    """Nodes to inspect for `top` results: search_k is chosen for TUNED_AT; more results take as many more nodes, as in
    Annoy's own default.

    >>> search_k_for(5, 1000), search_k_for(10, 1000), search_k_for(100, 1000)
    (1000, 1000, 10000)
    """
    return min(max(search_k, math.ceil(search_k * top / TUNED_AT)), MAX_NUMBER)


def check_queries(queries_QD: np.ndarray, dim: int, top: int) -> None:
    """Raises ValueError for queries that are not finite [Q, dim] vectors or top < 1."""
    if top < 1:
        raise ValueError(f"expected top >= 1, got {top}")
    if queries_QD.ndim != 2 or queries_QD.shape[1] != dim or not np.isfinite(queries_QD).all():
        raise ValueError(
            f"expected finite queries [Q, {dim}], got shape {queries_QD.shape} or values that are not finite"
        )


def no_results(num_queries: int, top: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, cosines) of nothing found: all padding."""
    return np.full((num_queries, top), NO_ROW, np.int64), np.full((num_queries, top), -np.inf, np.float32)
