"""Different vectors in an HNSW graph (the library voyager): several times Annoy's queries at equal recall.

It was chosen for what a published file must be: one thread and one seed give equal bytes, and its file, one graph with
the vectors in it, is read whole into memory. The library is an optional extra; nothing here imports it before a file
is built or opened.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from model.nearest.index import ExactIndex, QueryKind, check_queries, no_results
from model.nearest.recall import KindFacts, RecallQueries, truths_of
from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.hashing import seed_of

#: Neighbours a vector keeps in the graph, and candidates that are looked at to find them.
M, EF_CONSTRUCTION = 16, 200
#: Candidates a query for 10 results, in the order of their cost.
SEARCH_STEPS = (10, 15, 20, 30, 40, 60, 80, 120, 160, 240, 320, 640, 1280, 2560, 5120, 10_240)


@dataclass(frozen=True, kw_only=True)
class VoyagerFacts:
    """What was built and how good it is; all but `times` depends on vectors, queries and settings alone."""

    n_items: int
    kinds: dict[QueryKind, KindFacts]
    times: dict[str, float] = field(compare=False)


class VoyagerIndex:
    """NearVectors on a graph of voyager; `index`: a voyager.Index whose ids are rows."""

    def __init__(self, index: Any, num_threads: int | None = None):
        self._index = index
        self.num_items, self.dim = index.num_elements, index.num_dimensions
        self.num_threads = num_threads or min(8, os.cpu_count() or 1)

    def search(self, queries_QD: np.ndarray, top: int, *, search_k: int) -> tuple[np.ndarray, np.ndarray]:
        """As NearVectors.search. Where the graph does not lead to as many as are wanted, every vector is compared."""
        check_queries(queries_QD, self.dim, top)
        rows_QK, scores_QK = no_results(len(queries_QD), top)
        wanted = min(top, self.num_items)
        if not len(queries_QD):
            return rows_QK, scores_QK
        writable_QD = np.require(queries_QD, np.float32, ["C", "W"])
        threads = self.num_threads if len(queries_QD) > 1 else 1
        try:
            found = self._index.query(writable_QD, wanted, num_threads=threads, query_ef=max(search_k, wanted))
        except require_voyager().RecallError:
            return ExactIndex(self.vectors(np.arange(self.num_items))).search(queries_QD, top)
        rows, scores = found[0].astype(np.int64), (1 - found[1]).astype(np.float32)
        order = np.lexsort((rows, -scores), axis=1)
        rows_QK[:, :wanted] = np.take_along_axis(rows, order, axis=1)
        scores_QK[:, :wanted] = np.take_along_axis(scores, order, axis=1)
        return rows_QK, scores_QK

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """float32 [R, dim], as they were given."""
        return self._index.get_vectors(np.asarray(rows)).astype(np.float32)


def build_voyager(
    matrix_ND: np.ndarray,
    path: str | os.PathLike[str] | None,
    queries: Mapping[QueryKind, RecallQueries] | None = None,
    *,
    target_recall: float = 0.95,
    max_search_k: int = 20_000,
    seed: int = 0,
) -> VoyagerFacts:
    """Builds the graph of different float32 unit rows [N, D] and saves it to `path` (None: only measures); what each
    kind of query inspects is the least of SEARCH_STEPS that reaches the target. Equal arguments, equal bytes.

    Raises UsageError if the library is not installed.
    """
    voyager = require_voyager()
    started_s = time.perf_counter()
    index = voyager.Index(
        voyager.Space.InnerProduct,
        matrix_ND.shape[1],
        M=M,
        ef_construction=EF_CONSTRUCTION,
        random_seed=seed_of("voyager", seed) % 2**31,
        max_elements=len(matrix_ND),
    )
    # more threads would give other bytes every time; voyager takes no array that it could not write to
    index.add_items(np.require(matrix_ND, np.float32, ["C", "W"]), num_threads=1)
    build_s = time.perf_counter() - started_s
    if path is not None:
        index.save(os.fspath(path))
    near = VoyagerIndex(index, num_threads=1)
    steps = [step for step in SEARCH_STEPS if step <= max_search_k] or [max_search_k]
    kinds: dict[QueryKind, KindFacts] = {}
    for kind, truth in truths_of(matrix_ND, queries or {}, seed).items():
        kinds[kind] = truth.facts(near, truth.cheapest(near, steps, target_recall)[1], target_recall)
    return VoyagerFacts(n_items=len(matrix_ND), kinds=kinds, times={"build_s": build_s})


def load_voyager(path: Path, dimension: int, n_items: int, num_threads: int | None = None) -> VoyagerIndex:
    """A file whose checksum is right. Raises CorruptFileError unless it has n_items vectors of the dimension,
    UsageError if the library is not installed."""
    voyager = require_voyager()
    try:
        index = voyager.Index.load(storage.local_path(path))
    except (ValueError, RuntimeError, OSError) as error:
        raise CorruptFileError(f"expected an index of voyager at {path}, got {error}") from error
    if (index.num_dimensions, index.num_elements) != (dimension, n_items) or index.space != voyager.Space.InnerProduct:
        got = f"{index.num_elements} of {index.num_dimensions} in {index.space}"
        raise CorruptFileError(f"expected {n_items} vectors of {dimension} by inner product, got {got} in {path}")
    return VoyagerIndex(index, num_threads)


def is_installed() -> bool:
    """Whether the library can be used here."""
    try:
        require_voyager()
    except UsageError:
        return False
    return True


def require_voyager() -> ModuleType:
    """The library. Raises UsageError if it is not installed."""
    try:
        import voyager
    except ImportError as error:
        raise UsageError(
            "expected the library voyager, which an index made with --index-backend voyager needs, got none: "
            "pip install 'itemsage[voyager]'"
        ) from error
    return voyager
