"""Ranking held-out pairs, and the report: the model beside its baselines, task by task.

A method scores a block of queries against all N items. The rank of a pair (query, item) is 1 + the number of
distractors that score at least as high (ties, within TIE_TOLERANCE, count against the method). Ranks are filtered
(Bordes et al. 2013): distractors are all items of the catalogue but those that the query is known to have engaged, in
the same task, in another one or in training, so that a method is not punished for ranking what it knows to be right.

Intervals are 95 % bootstraps over clusters of queries: groups of near-duplicates where they are known, else queries.

Legend: P pairs, Q queries, N items, K known pairs, C clusters, M metrics.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from model.machine.blas_threads import one_blas_thread
from model.measures.metrics import TIE_TOLERANCE, hits_at_k, reciprocal_ranks
from model.measures.resampling import drawn_figures

#: float32 scores [Q, N] for the given rows of a task's distinct queries.
ScoreBlock = Callable[[np.ndarray], np.ndarray]
BLOCK_QUERIES = 64
#: Shares of the pairs, and means over the queries: see by_query.
METRICS = ("recall@1", "recall@10", "hit@10", "mrr")


@dataclass(frozen=True, eq=False)
class HeldOutTask:
    """Distinct (query, item) pairs of one task: rows of its queries, each of which has one, and of the catalogue's
    items, int64 [P].

    known_K2: int64 [K, 2], (query, item) of what the queries are known to have engaged, whether it is one of these
    pairs or not; empty if nothing else is known. cluster_of_Q: equal for near-duplicates, None if nobody knows them.
    """

    name: str
    queries: tuple[str, ...]
    query_rows_P: np.ndarray
    item_rows_P: np.ndarray
    known_K2: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    cluster_of_Q: np.ndarray | None = None

    @cached_property
    def cluster_Q(self) -> np.ndarray:
        """int64 [Q]: the cluster of each query, from 0 on; each its own if nobody knows them."""
        if self.cluster_of_Q is None:
            return np.arange(len(self.queries))
        return np.unique(self.cluster_of_Q, return_inverse=True)[1].reshape(-1)

    def only(self, keep_P: np.ndarray) -> "HeldOutTask":
        """The kept pairs, bool [P], of one task and their queries, numbered anew."""
        kept_Q, query_rows_P = np.unique(self.query_rows_P[keep_P], return_inverse=True)
        place_Q = np.full(len(self.queries), -1)
        place_Q[kept_Q] = np.arange(len(kept_Q))
        known_K2 = self.known_K2[place_Q[self.known_K2[:, 0]] >= 0]
        return HeldOutTask(
            self.name,
            tuple(self.queries[row] for row in kept_Q),
            query_rows_P,
            self.item_rows_P[keep_P],
            np.stack([place_Q[known_K2[:, 0]], known_K2[:, 1]], axis=1),
            None if self.cluster_of_Q is None else self.cluster_of_Q[kept_Q],
        )

    @cached_property
    def not_distractors_L2(self) -> np.ndarray:
        """int64 [L, 2], sorted and distinct: (query, item) of the pairs and of what is known."""
        pairs_P2 = np.stack([self.query_rows_P, self.item_rows_P], axis=1)
        return np.unique(np.concatenate([pairs_P2, self.known_K2]), axis=0)


def rank_pairs(task: HeldOutTask, score_block: ScoreBlock) -> np.ndarray:
    """int64 [P]: the rank of every pair of the task, 1 is best."""
    ranks_P = np.zeros(len(task.query_rows_P), np.int64)
    order_P = np.argsort(task.query_rows_P, kind="stable")
    query_L, item_L = task.not_distractors_L2.T
    starts_Q, known_Q = (
        np.searchsorted(sorted_rows, np.arange(len(task.queries) + 1))
        for sorted_rows in (task.query_rows_P[order_P], query_L)
    )
    for start in range(0, len(task.queries), BLOCK_QUERIES):
        rows = np.arange(start, min(start + BLOCK_QUERIES, len(task.queries)))
        scores_QN = score_block(rows)
        for query, scores_N in zip(rows, scores_QN, strict=True):
            pairs = order_P[starts_Q[query] : starts_Q[query + 1]]
            known = np.sort(scores_N[item_L[known_Q[query] : known_Q[query + 1]]])
            for pair in pairs:
                score = scores_N[task.item_rows_P[pair]]
                score -= TIE_TOLERANCE * max(1.0, abs(score))
                not_distractors = len(known) - int(np.searchsorted(known, score, side="left"))
                ranks_P[pair] = 1 + int(np.count_nonzero(scores_N >= score)) - not_distractors
    return ranks_P


def by_query(task: HeldOutTask, ranks_P: np.ndarray) -> dict[str, np.ndarray]:
    """By name, float64 [Q] of a task whose queries all have a pair. hit@10: 1.0 for a query with any of its items among
    the first ten, else 0.0; mrr: 1 / rank of the first of them, both without what else is known of the query."""
    first_Q = np.full(len(task.queries), np.iinfo(np.int64).max)
    np.minimum.at(first_Q, task.query_rows_P, ranks_P)
    return {"hit@10": hits_at_k(first_Q, 10), "mrr": reciprocal_ranks(first_Q)}


def summarize_ranks(task: HeldOutTask, ranks_P: np.ndarray) -> dict[str, float]:
    """Of a method's ranks each of METRICS, with its interval."""
    return with_intervals(METRICS, sums_by_cluster(task, ranks_P), sizes_by_cluster(task))


def difference(task: HeldOutTask, ranks_P: np.ndarray, other_P: np.ndarray) -> dict[str, float]:
    """What one method has more of each of METRICS than another, with its interval: paired, as the same queries are
    drawn for both."""
    more_CM = sums_by_cluster(task, ranks_P) - sums_by_cluster(task, other_P)
    return with_intervals(METRICS, more_CM, sizes_by_cluster(task))


def sums_by_cluster(task: HeldOutTask, ranks_P: np.ndarray) -> np.ndarray:
    """float64 [C, M]: the sum of each of METRICS over the pairs, or the queries, of each cluster."""
    of_pairs = [hits_at_k(ranks_P, 1), hits_at_k(ranks_P, 10)]
    sums = [np.bincount(task.cluster_Q[task.query_rows_P], values_P) for values_P in of_pairs]
    sums += [np.bincount(task.cluster_Q, values_Q) for values_Q in by_query(task, ranks_P).values()]
    return np.stack(sums, axis=1)


def sizes_by_cluster(task: HeldOutTask) -> np.ndarray:
    """float64 [C, M]: how many pairs, or queries, each of these sums is over."""
    pairs_C, queries_C = np.bincount(task.cluster_Q[task.query_rows_P]), np.bincount(task.cluster_Q)
    return np.stack([pairs_C, pairs_C, queries_C, queries_C], axis=1).astype(np.float64)


def with_interval(name: str, values_Q: np.ndarray, cluster_Q: np.ndarray) -> dict[str, float]:
    """The mean of one value a query, with its interval; cluster_Q as HeldOutTask has it."""
    sums_C, sizes_C = np.bincount(cluster_Q, values_Q), np.bincount(cluster_Q).astype(np.float64)
    return with_intervals([name], sums_C[:, None], sizes_C[:, None])


def with_intervals(names: Sequence[str], sums_CM: np.ndarray, sizes_CM: np.ndarray) -> dict[str, float]:
    """name -> sum / size of each column, and name_low, name_high: see bootstrap_ratios."""
    figures_M = sums_CM.sum(axis=0) / sizes_CM.sum(axis=0)
    found: dict[str, float] = {}
    for name, *values in zip(names, figures_M, *bootstrap_ratios(sums_CM, sizes_CM), strict=True):
        found |= dict(zip((name, f"{name}_low", f"{name}_high"), map(float, values), strict=True))
    return found


def bootstrap_ratios(
    sums_CM: np.ndarray, sizes_CM: np.ndarray, seed: int = 0, resamples: int = 1000
) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile intervals (low [M], high [M]) of sum(sums) / sum(sizes) over resampled clusters, which are drawn
    whole: near-duplicates rise and fall together, so a query more of a cluster says less than one of another."""
    with one_blas_thread():
        drawn_RM = drawn_figures(
            lambda count_RC: (count_RC @ sums_CM) / (count_RC @ sizes_CM), len(sums_CM), seed, resamples
        )
    low_M, high_M = np.percentile(drawn_RM, [2.5, 97.5], axis=0)
    return low_M, high_M
