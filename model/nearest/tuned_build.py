"""Builds an Annoy index whose recall is chosen and measured, not hoped for.

Candidates are tried in the order of their cost: trees first (they cost time to build and bytes on disk), then nodes
inspected a query, for each kind of query apart. The first trees with which every kind reaches the target recall@10 win,
so the choice depends on vectors and queries alone, never on timing. If none do within the caps, the best for the kind
that is worst are taken and the facts say so.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import annoy
import numpy as np

from model.machine.equal_rows import EqualRows
from model.nearest.index import METRIC, NO_ROW, TUNED_AT, AnnoyItemIndex, ExactIndex, QueryKind
from model.nearest.recall import KindFacts, RecallQueries, Truth, truths_of
from schemas.errors import ThresholdError
from schemas.hashing import seed_of

TREE_STEPS = (10, 20, 50, 100, 200, 400, 800)
#: search_k = trees * step (Annoy's own default: trees * results). Twice the trees beat twice the nodes: on 92,331
#: clustered vectors recall@10 .96 took 2,000 nodes of 20 trees (1,104 queries/s) or 1,000 of 50 (3,213 queries/s); so
#: more than SEARCH_STEPS is spent on a query only when there are no more trees to have.
SEARCH_STEPS = (10, 20)
LAST_SEARCH_STEPS = (10, 20, 50, 100, 200)


@dataclass(frozen=True, kw_only=True)
class IndexFacts:
    """What was built and how good it is. Everything but `times` depends on the vectors, queries and settings alone.

    recall: "10" and "100" -> share of the exact nearest items that are found by item queries, itself left out;
    search_k, search_k_at: the nodes that such a query inspects; target_reached: by such queries;
    share_with_twin: share of items whose vector equals another item's bit for bit;
    kinds: the same of every kind of query, items among them.
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
    kinds: dict[QueryKind, KindFacts]
    times: dict[str, float] = field(compare=False)

    def to_json(self) -> dict[str, Any]:
        """The facts without `kinds` and `times`: equal vectors and settings, equal JSON."""
        facts = asdict(self)
        del facts["times"], facts["kinds"]
        return facts


def build_annoy(
    matrix_ND: np.ndarray,
    path: str | os.PathLike[str],
    queries: Mapping[QueryKind, RecallQueries] | None = None,
    *,
    target_recall: float = 0.95,
    max_trees: int = 100,
    max_search_k: int = 20_000,
    seed: int = 0,
) -> IndexFacts:
    """Builds and saves the index of float32 unit rows [N, D] to `path` (not overwritten: give a new name).

    Equal arguments, equal bytes. Item queries are up to MAX_QUERIES rows drawn with `seed`; `queries`: of other kinds,
    that the trees are chosen for too. Raises ThresholdError for no rows, ValueError for settings out of range,
    RuntimeError if the installed Annoy does not work.
    """
    check_settings(target_recall, max_trees, max_search_k)
    if len(matrix_ND) == 0:
        raise ThresholdError("expected at least one vector to index, got none: see the quarantine of the run")
    self_test()
    started_s = time.perf_counter()
    truths = truths_of(matrix_ND, queries or {}, seed)
    truth_s = time.perf_counter() - started_s
    index = _filled(matrix_ND, seed)
    n_trees, search_k = _choose(index, truths, target_recall, max_trees, max_search_k)
    build_s = time.perf_counter() - started_s - truth_s
    index.save(os.fspath(path))
    chosen = AnnoyItemIndex(index, search_k["item"])
    kinds = {kind: truth.facts(chosen, search_k[kind], target_recall) for kind, truth in truths.items()}
    item = kinds["item"]
    return IndexFacts(
        n_items=len(matrix_ND),
        dimension=matrix_ND.shape[1],
        metric=METRIC,
        n_trees=n_trees,
        search_k=item.search_k,
        seed=seed,
        target_recall=target_recall,
        target_reached=item.target_reached,
        max_trees=max_trees,
        max_search_k=max_search_k,
        num_queries=item.num_queries,
        recall=item.recall,
        search_k_at=item.search_k_at,
        share_with_twin=round(share_with_twin(matrix_ND), 6),
        kinds=kinds,
        times={"exact_s": truth_s, "build_s": build_s, **_latency_ms(chosen, truths["item"].queries.vectors_QD)},
    )


def check_settings(target_recall: float, max_trees: int, max_search_k: int) -> None:
    """Raises ValueError for settings out of range."""
    if not 0 <= target_recall <= 1 or max_trees < 1 or max_search_k < 1:
        raise ValueError(
            "expected target_recall in [0, 1], max_trees >= 1 and max_search_k >= 1, got "
            f"{target_recall}, {max_trees}, {max_search_k}"
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


def share_with_twin(matrix_ND: np.ndarray) -> float:
    """Share of rows that equal another row bit for bit.

    >>> share_with_twin(np.array([[1, 0], [0, 1], [1, 0], [-1, 0]], np.float32))
    0.5
    """
    equal = EqualRows.of(matrix_ND)
    return float(np.mean(equal.counts_U[equal.id_N] > 1)) if len(matrix_ND) else 0.0


def _filled(matrix_ND: np.ndarray, seed: int) -> annoy.AnnoyIndex:
    index = annoy.AnnoyIndex(matrix_ND.shape[1], METRIC)
    index.set_seed(seed_of("annoy", seed) % 2**31)
    for row, vector in enumerate(matrix_ND):
        index.add_item(row, vector.tolist())
    return index


def _choose(
    index: annoy.AnnoyIndex,
    truths: Mapping[QueryKind, Truth],
    target_recall: float,
    max_trees: int,
    max_search_k: int,
) -> tuple[int, dict[QueryKind, int]]:
    """Leaves `index` built with the fewest trees with which every kind reaches the target, else with the best for the
    worst kind: (trees, search_k of each kind)."""
    best: tuple[tuple[float, int], dict[QueryKind, int]] = ((-1.0, 0), {})
    for n_trees in _steps([*TREE_STEPS, max_trees], max_trees):
        _build(index, n_trees)
        steps = LAST_SEARCH_STEPS if n_trees == max_trees else SEARCH_STEPS
        search_ks = _steps([n_trees * step for step in steps], max_search_k)
        near = AnnoyItemIndex(index, search_ks[0])
        found = {kind: truth.cheapest(near, search_ks, target_recall) for kind, truth in truths.items()}
        recall, chosen = min(recall for recall, _ in found.values()), {kind: k for kind, (_, k) in found.items()}
        if recall >= target_recall:
            return n_trees, chosen
        best = max(best, ((recall, -n_trees), chosen), key=lambda candidate: candidate[0])
    n_trees = -best[0][1]
    if max_trees != n_trees:
        _build(index, n_trees)
    return n_trees, best[1]


def _build(index: annoy.AnnoyIndex, n_trees: int) -> None:
    if index.get_n_trees():
        index.unbuild()
    index.build(n_trees, n_jobs=1)  # more threads: other bytes every time


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
