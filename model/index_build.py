"""Builds an Annoy index whose recall is chosen and measured, not hoped for.

Candidates are tried in the order of their cost: trees first (they cost time to build and bytes on disk), then nodes
inspected a query. The first that reaches the target recall@10 wins, so the choice depends on the vectors alone, never
on timing. If none does within the caps, the best one is taken and the facts say so.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import annoy
import numpy as np

from model.index import METRIC, NO_ROW, TUNED_AT, AnnoyItemIndex, ExactIndex, search_k_for
from schemas.errors import ThresholdError
from schemas.hashing import row_hashes, seed_of

TREE_STEPS = (10, 20, 50, 100, 200, 400, 800)
#: search_k = trees * step (Annoy's own default: trees * results). Twice the trees beat twice the nodes: on 92,331
#: clustered vectors recall@10 .96 took 2,000 nodes of 20 trees (1,104 queries/s) or 1,000 of 50 (3,213 queries/s); so
#: more than SEARCH_STEPS is spent on a query only when there are no more trees to have.
SEARCH_STEPS = (10, 20)
LAST_SEARCH_STEPS = (10, 20, 50, 100, 200)
MAX_QUERIES = 1000
#: A neighbour counts as found if its cosine is at least the exact k-th minus this: equal vectors are common.
RECALL_TOLERANCE = 1e-5
REPORTED_AT = (10, 100)


@dataclass(frozen=True, kw_only=True)
class IndexFacts:
    """What was built and how good it is. Everything but `times` depends on the vectors and the settings alone.

    recall: "10" and "100" -> share of the exact nearest items that are found by item queries, itself left out;
    search_k_at: the nodes that such a query inspects;
    share_with_twin: share of items whose vector equals another item's bit for bit.
    """

    n_items: int
    dimension: int
    metric: str
    n_trees: int
    search_k: int
    seed: int
    target_recall: float
    target_reached: bool
    max_trees: int
    max_search_k: int
    num_queries: int
    recall: dict[str, float]
    search_k_at: dict[str, int]
    share_with_twin: float
    times: dict[str, float] = field(compare=False)

    def to_json(self) -> dict[str, Any]:
        """The facts without `times`: equal vectors and settings, equal JSON."""
        facts = asdict(self)
        del facts["times"]
        return facts


def build_annoy(
    matrix_ND: np.ndarray,
    path: str | os.PathLike[str],
    *,
    target_recall: float = 0.95,
    max_trees: int = 100,
    max_search_k: int = 20_000,
    seed: int = 0,
) -> IndexFacts:
    """Builds and saves the index of float32 unit rows [N, D] to `path` (not overwritten: give a new name).

    Equal arguments, equal bytes. Queries are up to MAX_QUERIES rows drawn with `seed`. Raises ThresholdError for no
    rows, ValueError for settings out of range, RuntimeError if the installed Annoy does not work.
    """
    if not 0 <= target_recall <= 1 or max_trees < 1 or max_search_k < 1:
        raise ValueError(
            "expected target_recall in [0, 1], max_trees >= 1 and max_search_k >= 1, got "
            f"{target_recall}, {max_trees}, {max_search_k}"
        )
    if len(matrix_ND) == 0:
        raise ThresholdError("expected at least one vector to index, got none: see the quarantine of the run")
    self_test()
    started_s = time.perf_counter()
    truth = _Truth.of(matrix_ND, seed)
    truth_s = time.perf_counter() - started_s
    index = _filled(matrix_ND, seed)
    n_trees, search_k, reached = _choose(index, truth, target_recall, max_trees, max_search_k)
    build_s = time.perf_counter() - started_s - truth_s
    index.save(os.fspath(path))
    chosen = AnnoyItemIndex(index, search_k)
    return IndexFacts(
        n_items=len(matrix_ND),
        dimension=matrix_ND.shape[1],
        metric=METRIC,
        n_trees=n_trees,
        search_k=search_k,
        seed=seed,
        target_recall=target_recall,
        target_reached=reached,
        max_trees=max_trees,
        max_search_k=max_search_k,
        num_queries=len(truth.rows_Q),
        recall={str(k): round(truth.recall(chosen, k), 6) for k in REPORTED_AT},
        search_k_at={str(k): search_k_for(k, search_k) for k in REPORTED_AT},
        share_with_twin=round(share_with_twin(matrix_ND), 6),
        times={"exact_s": truth_s, "build_s": build_s, **_latency_ms(chosen, truth.queries_QD)},
    )


def self_test() -> None:
    """Raises RuntimeError if the installed Annoy finds too few neighbours: some builds return a single one."""
    rows = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = _filled(rows, seed=1)
    index.build(10, n_jobs=1)
    expected = ExactIndex(rows).search(rows[:5], 10)[0]
    got = AnnoyItemIndex(index, search_k=10_000).search(rows[:5], 10)[0]
    if not np.array_equal(got, expected):
        found = int((got != NO_ROW).sum(axis=1).min())
        raise RuntimeError(
            f"expected the exact 10 neighbours among 200 vectors from annoy, got {found} of which some are wrong: this "
            "build of annoy does not work on this machine; reinstall it with ANNOY_COMPILER_ARGS='-O3 -std=c++14' and "
            "`pip install --force-reinstall --no-binary :all: --no-cache-dir annoy`"
        )


def recall_query_rows(num_items: int, seed: int) -> np.ndarray:
    """The rows whose vectors are the queries that measure an index, ascending: up to MAX_QUERIES."""
    generator = np.random.default_rng(seed_of("recall queries", seed))
    return np.sort(generator.choice(num_items, min(MAX_QUERIES, num_items), replace=False))


def share_with_twin(matrix_ND: np.ndarray) -> float:
    """Share of rows that equal another row bit for bit.

    >>> share_with_twin(np.array([[1, 0], [0, 1], [1, 0], [-1, 0]], np.float32))
    0.5
    """
    rows_ND = np.ascontiguousarray(matrix_ND)
    digests = row_hashes(rows_ND)
    _, inverse, counts = np.unique(digests, return_inverse=True, return_counts=True)
    return float(np.mean(counts[inverse] > 1)) if len(rows_ND) else 0.0


@dataclass(frozen=True)
class _Truth:
    """Query rows and the exact cosine of their k-th nearest other item."""

    matrix_ND: np.ndarray
    rows_Q: np.ndarray
    kth_scores: dict[int, np.ndarray]

    @classmethod
    def of(cls, matrix_ND: np.ndarray, seed: int) -> "_Truth":
        rows_Q = recall_query_rows(len(matrix_ND), seed)
        found = ExactIndex(matrix_ND).search(matrix_ND[rows_Q], max(REPORTED_AT) + 1)
        _, scores_QK = _without_self(*found, rows_Q)
        kth = {k: scores_QK[:, min(k, len(matrix_ND) - 1) - 1] for k in REPORTED_AT} if len(matrix_ND) > 1 else {}
        return cls(matrix_ND, rows_Q, kth)

    @property
    def queries_QD(self) -> np.ndarray:
        return self.matrix_ND[self.rows_Q]

    def recall(self, index: AnnoyItemIndex, k: int) -> float:
        """Share of each query's k nearest others (all others if there are fewer) that the index finds; 1.0 if none."""
        wanted = min(k, len(self.matrix_ND) - 1)
        if wanted == 0:
            return 1.0
        found = index.search(self.queries_QD, wanted + 1, search_k_for(k, index.search_k))
        rows_QK, _ = _without_self(*found, self.rows_Q)
        cosines_QK = np.einsum("qkd,qd->qk", self.matrix_ND[rows_QK], self.queries_QD)
        found_QK = (cosines_QK >= self.kth_scores[k][:, None] - RECALL_TOLERANCE) & (rows_QK != NO_ROW)
        return float(found_QK.mean())


def _without_self(rows_QK: np.ndarray, scores_QK: np.ndarray, own_rows_Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """K - 1 results a query: without its own row, or without the last result where twins have crowded that row out."""
    others_QK = rows_QK != own_rows_Q[:, None]
    others_QK[others_QK.all(axis=1), -1] = False
    shape = (len(rows_QK), rows_QK.shape[1] - 1)
    return rows_QK[others_QK].reshape(shape), scores_QK[others_QK].reshape(shape)


def _filled(matrix_ND: np.ndarray, seed: int) -> annoy.AnnoyIndex:
    index = annoy.AnnoyIndex(matrix_ND.shape[1], METRIC)
    index.set_seed(seed_of("annoy", seed) % 2**31)
    for row, vector in enumerate(matrix_ND):
        index.add_item(row, vector.tolist())
    return index


def _choose(
    index: annoy.AnnoyIndex, truth: _Truth, target_recall: float, max_trees: int, max_search_k: int
) -> tuple[int, int, bool]:
    """Leaves `index` built with the cheapest candidate that reaches the target, else with the best: (trees, search_k,
    reached)."""
    best = (-1.0, 0, 0)  # recall, -trees, -search_k: of equal recalls the cheapest
    built = 0
    for n_trees in _steps([*TREE_STEPS, max_trees], max_trees):
        built = _build(index, n_trees)
        steps = LAST_SEARCH_STEPS if n_trees == max_trees else SEARCH_STEPS
        for search_k in _steps([n_trees * step for step in steps], max_search_k):
            recall = truth.recall(AnnoyItemIndex(index, search_k), TUNED_AT)
            if recall >= target_recall:
                return n_trees, search_k, True
            best = max(best, (recall, -n_trees, -search_k))
    _, n_trees, search_k = best[0], -best[1], -best[2]
    if built != n_trees:
        _build(index, n_trees)
    return n_trees, search_k, False


def _build(index: annoy.AnnoyIndex, n_trees: int) -> int:
    if index.get_n_trees():
        index.unbuild()
    index.build(n_trees, n_jobs=1)  # more threads: other bytes every time
    return n_trees


def _steps(steps: Sequence[int], most: int) -> list[int]:
    """
    >>> _steps((10, 20, 50), 30)
    [10, 20, 30]
    """
    return sorted({min(step, most) for step in steps})


def _latency_ms(index: AnnoyItemIndex, queries_QD: np.ndarray) -> dict[str, float]:
    """Milliseconds of one query for 10 results, one at a time, through the interface that readers use."""
    seconds = []
    for query_D in queries_QD:
        started_s = time.perf_counter()
        index.search(query_D[None], TUNED_AT)
        seconds.append(time.perf_counter() - started_s)
    low, high = np.quantile(seconds, [0.5, 0.95]) * 1000
    return {"latency_p50_ms": float(low), "latency_p95_ms": float(high)}
