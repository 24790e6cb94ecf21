"""How much of exact search an approximate index finds, for queries of one kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model.nearest.index import NO_ROW, TUNED_AT, ExactIndex, NearVectors, QueryKind, search_k_for
from schemas.hashing import seed_of

MAX_QUERIES = 1000
#: A neighbour counts as found if its cosine is at least the exact k-th minus this: equal vectors are common.
RECALL_TOLERANCE = 1e-5
REPORTED_AT = (10, 100)


@dataclass(frozen=True, kw_only=True)
class RecallQueries:
    """Float32 unit queries [Q, D] that an index is measured with; source: what they are, in words; own_rows_Q: the row
    that is left out of each query's results."""

    vectors_QD: np.ndarray
    source: str
    own_rows_Q: np.ndarray | None = None

    def of_distinct(self, id_N: np.ndarray) -> "RecallQueries":
        """The same for an index of the different vectors, of which id_N tells each row's (EqualRows): what is left out
        of a query's results is its own vector, whoever else has it."""
        return self if self.own_rows_Q is None else replace(self, own_rows_Q=id_N[self.own_rows_Q])


@dataclass(frozen=True, kw_only=True)
class KindFacts:
    """What queries of one kind inspect and find. recall: "10" and "100" -> share of the exact nearest vectors that are
    found; search_k: nodes (Annoy) or candidates (HNSW) for 10 results; search_k_at: for as many as recall is of."""

    search_k: int
    target_reached: bool
    num_queries: int
    queries: str
    recall: dict[str, float]
    search_k_at: dict[str, int]


def recall_query_rows(num_items: int, seed: int) -> np.ndarray:
    """The rows whose vectors are the queries that measure an index, ascending: up to MAX_QUERIES."""
    generator = np.random.default_rng(seed_of("recall queries", seed))
    return np.sort(generator.choice(num_items, min(MAX_QUERIES, num_items), replace=False))


def item_queries(matrix_ND: np.ndarray, seed: int) -> RecallQueries:
    """Rows of the index itself, each left out of its own results."""
    rows_Q = recall_query_rows(len(matrix_ND), seed)
    return RecallQueries(vectors_QD=matrix_ND[rows_Q], source="items of the index", own_rows_Q=rows_Q)


def share_found(matrix_ND: np.ndarray, queries_QD: np.ndarray, rows_QK: np.ndarray, kth_cosines_Q: np.ndarray) -> float:
    """Of the k rows asked for a query the share that came back and is as near as the exact k-th; NO_ROW is none."""
    cosines_QK = np.einsum("qkd,qd->qk", matrix_ND[rows_QK], queries_QD)
    found_QK = (cosines_QK >= kth_cosines_Q[:, None] - RECALL_TOLERANCE) & (rows_QK != NO_ROW)
    return float(found_QK.mean())


class Truth:
    """Queries and the exact cosine of the k-th nearest row of each, for the k of REPORTED_AT."""

    def __init__(self, matrix_ND: np.ndarray, queries: RecallQueries):
        self.matrix_ND, self.queries = matrix_ND, queries
        self._extra = 0 if queries.own_rows_Q is None else 1
        self._most = len(matrix_ND) - self._extra
        _, scores_QK = self._others(*ExactIndex(matrix_ND).search(queries.vectors_QD, max(REPORTED_AT) + self._extra))
        self._kth = {k: scores_QK[:, min(k, self._most) - 1] for k in REPORTED_AT} if self._most else {}

    def recall(self, index: NearVectors, k: int, search_k: int) -> float:
        """Share of each query's k nearest rows (all, if there are fewer) that the index finds with `search_k` for
        TUNED_AT results; 1.0 if there are none."""
        wanted, queries_QD = min(k, self._most), self.queries.vectors_QD
        if wanted == 0 or not len(queries_QD):
            return 1.0
        found = index.search(queries_QD, wanted + self._extra, search_k=search_k_for(k, search_k))
        rows_QK, _ = self._others(*found)
        return share_found(self.matrix_ND, queries_QD, rows_QK, self._kth[k])

    def facts(self, index: NearVectors, search_k: int, target_recall: float) -> KindFacts:
        """What the index finds with `search_k`."""
        recall = {k: self.recall(index, k, search_k) for k in REPORTED_AT}
        return KindFacts(
            search_k=search_k,
            target_reached=recall[TUNED_AT] >= target_recall,
            num_queries=len(self.queries.vectors_QD),
            queries=self.queries.source,
            recall={str(k): round(share, 6) for k, share in recall.items()},
            search_k_at={str(k): search_k_for(k, search_k) for k in REPORTED_AT},
        )

    def cheapest(self, index: NearVectors, search_ks: Sequence[int], target_recall: float) -> tuple[float, int]:
        """(recall@10, search_k) of the first of the ascending search_ks that reaches the target, else of the best."""
        best = (-1.0, 0)
        for search_k in search_ks:
            recall = self.recall(index, TUNED_AT, search_k)
            if recall >= target_recall:
                return recall, search_k
            best = max(best, (recall, -search_k))
        return best[0], -best[1]

    def _others(self, rows_QK: np.ndarray, scores_QK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Results without the query's own row, or without the last one where twins have crowded that row out."""
        if self.queries.own_rows_Q is None:
            return rows_QK, scores_QK
        others_QK = rows_QK != self.queries.own_rows_Q[:, None]
        others_QK[others_QK.all(axis=1), -1] = False
        shape = (len(rows_QK), rows_QK.shape[1] - 1)
        return rows_QK[others_QK].reshape(shape), scores_QK[others_QK].reshape(shape)


def truths_of(matrix_ND: np.ndarray, queries: Mapping[QueryKind, RecallQueries], seed: int) -> dict[QueryKind, Truth]:
    """Of the rows as item queries, and of the queries of other kinds."""
    every: dict[QueryKind, RecallQueries] = {"item": item_queries(matrix_ND, seed), **queries}
    return {kind: Truth(matrix_ND, asked) for kind, asked in every.items()}


def kinds_json(kinds: Mapping[QueryKind, KindFacts]) -> dict[str, Any]:
    """For a manifest."""
    return {kind: vars(facts) for kind, facts in kinds.items()}
