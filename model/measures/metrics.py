"""Retrieval metrics, as pure numpy.

Legend: Q queries, N distractors, D dimension, K results a query, M rows left out, J judged items. All vectors have
norm 1, so scores are cosines. A metric comes as one value a query where an interval is wanted (`hits_at_k`,
`reciprocal_ranks`), and the mean of those is the figure that papers print.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

#: A distractor this close below the positive counts as tied: two dot products of equal vectors differ by rounding.
TIE_TOLERANCE = 1e-6
_SCORES_PER_BLOCK = 1 << 24


def ranks_from_scores(positive_scores_Q: np.ndarray, distractor_scores_QN: np.ndarray) -> np.ndarray:
    """Ranks int64 [Q]: 1 + number of distractors whose score is >= the positive's. Ties count against the positive.
    The positive is not among the distractors (a column to leave out is set to -inf).

    >>> ranks_from_scores(np.array([0.5, 0.9]), np.array([[0.7, 0.5, 0.1], [0.8, 0.2, -np.inf]])).tolist()
    [3, 1]
    """
    return 1 + (distractor_scores_QN >= positive_scores_Q[:, None]).sum(axis=1, dtype=np.int64)


def ranks(
    queries_QD: np.ndarray,
    positives_QD: np.ndarray,
    distractors_ND: np.ndarray,
    left_out_Q: Sequence[np.ndarray] | None = None,
) -> np.ndarray:
    """Ranks int64 [Q] of each query's positive among the distractors by cosine, in blocks of at most 64 MiB of scores.

    left_out_Q: int rows [M] of `distractors_ND` that are not this query's distractors (the positive itself, its other
    positives), for each query; queries may share an array. Ties within TIE_TOLERANCE count against the positive.
    """
    positive_scores_Q = np.einsum("qd,qd->q", queries_QD, positives_QD)
    result = np.empty(len(queries_QD), np.int64)
    block = max(1, _SCORES_PER_BLOCK // max(1, len(distractors_ND)))
    for start in range(0, len(queries_QD), block):
        rows = slice(start, start + block)
        scores_QN = queries_QD[rows] @ distractors_ND.T
        if left_out_Q is not None:
            for scores_N, left_out_M in zip(scores_QN, left_out_Q[rows], strict=True):
                scores_N[left_out_M] = -np.inf
        result[rows] = ranks_from_scores(positive_scores_Q[rows] - TIE_TOLERANCE, scores_QN)
    return result


def hits_at_k(ranks_Q: np.ndarray, k: int) -> np.ndarray:
    """1.0 for each query whose positive ranks among the first k, else 0.0."""
    return (np.asarray(ranks_Q) <= k).astype(np.float64)


def recall_at_k(ranks_Q: np.ndarray, k: int) -> float:
    """Share of queries whose positive ranks among the first k. ValueError without queries.

    >>> recall_at_k(np.array([1, 10, 11, 500]), 10)
    0.5
    """
    return _mean(hits_at_k(ranks_Q, k))


def reciprocal_ranks(ranks_Q: np.ndarray) -> np.ndarray:
    """1 / rank of each query."""
    return 1.0 / np.asarray(ranks_Q, np.float64)


def mean_reciprocal_rank(ranks_Q: np.ndarray) -> float:
    """
    >>> mean_reciprocal_rank(np.array([1, 2, 4]))
    0.5833333333333334
    """
    return _mean(reciprocal_ranks(ranks_Q))


def ndcg_at_k(scores: Sequence[float] | np.ndarray, grades: Sequence[float] | np.ndarray, k: int) -> float | None:
    """nDCG@k of one query over its judged items alone (items without a judgement are not ranked), grades >= 0.

    DCG = sum over the first k of (2^grade - 1) / log2(1 + position), position from 1; divided by the DCG of the best
    order. Equal scores are ordered worst grade first. None if no judged item has a grade above 0: no order is better
    than another, so the query says nothing.

    >>> round(ndcg_at_k([0.9, 0.8, 0.1], [0, 3, 1], 10), 4)      # (7/log2(3) + 1/log2(4)) / (7 + 1/log2(3))
    0.6443
    """
    scores_J, grades_J = np.asarray(scores, np.float64), np.asarray(grades, np.float64)
    if scores_J.shape != grades_J.shape or np.isnan(scores_J).any() or not (grades_J >= 0).all():
        raise ValueError(f"expected as many scores as grades, grades >= 0, no NaN; got {scores_J}, {grades_J}")
    best = _dcg(-np.sort(-grades_J), k)
    if best == 0:
        return None
    return _dcg(grades_J[np.lexsort((grades_J, -scores_J))], k) / best


def r_precision(ranked_ids: Sequence[str], relevant_ids: Collection[str]) -> float:
    """Share of relevant items among the first R results, R = number of relevant items. ValueError if R is 0.

    >>> r_precision(["a", "x", "b", "c"], {"a", "b", "c"})
    0.6666666666666666
    """
    if not relevant_ids:
        raise ValueError("expected at least one relevant item, got none")
    relevant = set(relevant_ids)
    return len(relevant.intersection(ranked_ids[: len(relevant)])) / len(relevant)


@dataclass(frozen=True)
class RetrievalFrequency:
    """How often items are retrieved: the higher, the more a few popular items crowd out the rest.

    p90, p100: percentiles over all items of the share of queries that retrieve an item; share_of_items: the share of
    items that any query retrieves.
    """

    p90: float
    p100: float
    share_of_items: float


def retrieval_frequency(result_rows_QK: np.ndarray, num_items: int) -> RetrievalFrequency:
    """Popularity collapse of the first K results of Q queries: int item rows, once a query at most, padded with -1.

    >>> retrieval_frequency(np.array([[0, 1], [0, 2], [0, -1], [0, 1]]), num_items=4)
    RetrievalFrequency(p90=0.8500000000000001, p100=1.0, share_of_items=0.75)
    """
    rows = result_rows_QK[result_rows_QK >= 0]
    if num_items < 1 or len(result_rows_QK) == 0:
        raise ValueError(f"expected items and queries, got {num_items} items and {len(result_rows_QK)} queries")
    shares = np.bincount(rows.ravel(), minlength=num_items) / len(result_rows_QK)
    return RetrievalFrequency(float(np.quantile(shares, 0.9)), float(shares.max()), float(np.mean(shares > 0)))


def _dcg(grades: np.ndarray, k: int) -> float:
    first = grades[:k]
    return float(np.sum((2.0**first - 1) / np.log2(np.arange(2, len(first) + 2))))


def _mean(values_Q: np.ndarray) -> float:
    if len(values_Q) == 0:
        raise ValueError("expected at least one query, got none")
    return float(values_Q.mean())
