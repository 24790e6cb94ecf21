"""Ranking held-out pairs, and the report: the model beside its baselines, task by task.

A method scores a block of queries against all N items. The rank of a pair (query, item) is 1 + the number of
distractors that score at least as high (ties, within TIE_TOLERANCE, count against the method). Ranks are filtered
(Bordes et al. 2013): distractors are all items of the catalogue but those that the query is known to have engaged, in
the same task, in another one or in training, so that a method is not punished for ranking what it knows to be right.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from model.metrics import TIE_TOLERANCE, hits_at_k, reciprocal_ranks

#: float32 scores [Q, N] for the given rows of a task's distinct queries.
ScoreBlock = Callable[[np.ndarray], np.ndarray]
BLOCK_QUERIES = 64


@dataclass(frozen=True, eq=False)
class HeldOutTask:
    """Distinct (query, item) pairs of one task: rows of its queries and of the catalogue's items, int64 [P].

    known_K2: int64 [K, 2], (query, item) of what the queries are known to have engaged, whether it is one of these
    pairs or not; empty if nothing else is known.
    """

    name: str
    queries: tuple[str, ...]
    query_rows_P: np.ndarray
    item_rows_P: np.ndarray
    known_K2: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))

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


def summarize_ranks(task: HeldOutTask, ranks_P: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Of a method's ranks Recall@1 and Recall@10, shares of the pairs, with a 95 % interval (bootstrap over queries),
    and the means of `by_query`."""
    hits_P = (ranks_P <= 10).astype(np.float64)
    sums_Q = np.bincount(task.query_rows_P, weights=hits_P, minlength=len(task.queries))
    sizes_Q = np.bincount(task.query_rows_P, minlength=len(task.queries)).astype(np.float64)
    low, high = bootstrap_ratio(sums_Q, sizes_Q, seed)
    return {
        "recall@1": float((ranks_P <= 1).mean()),
        "recall@10": float(hits_P.mean()),
        "recall@10_low": low,
        "recall@10_high": high,
        **{name: float(values_Q.mean()) for name, values_Q in by_query(task, ranks_P).items()},
    }


def bootstrap_ratio(sums_Q: np.ndarray, sizes_Q: np.ndarray, seed: int, resamples: int = 1000) -> tuple[float, float]:
    """95 % percentile interval of sum(sums) / sum(sizes) over resampled queries."""
    generator = np.random.default_rng(seed)
    ratios = []
    for _ in range(resamples):
        rows = generator.integers(0, len(sums_Q), len(sums_Q))
        ratios.append(sums_Q[rows].sum() / sizes_Q[rows].sum())
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)
