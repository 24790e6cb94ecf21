"""Writes the folders of the index stage: index/, of every item, and refined_index/, without near-duplicates."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import annoy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.machine.equal_rows import EqualRows
from model.nearest.index import METRIC, AnnoyItemIndex, QueryKind
from model.nearest.index_folder import ANNOY_FILE, IDS_FILE, MANIFEST_FILE
from model.nearest.recall import RecallQueries, kinds_json
from model.nearest.refined import NEAR_DUPLICATES_FILE, REFINED_FOLDER, near_duplicates_table, refined_facts
from model.nearest.searched import DISTINCT_BELOW, DISTINCT_FILE, DISTINCT_FILES, SEARCHED
from model.nearest.tuned_build import IndexFacts, build_annoy
from model.nearest.voyager import build_voyager
from model.nearest.voyager import is_installed as voyager_is_installed
from model.split.near_duplicates import kept_rows, near_duplicates
from pipelines.run.units import UnitWriter
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import read_json, write_json
from schemas.tables import DISTINCT, IDS

TIMES_FILE = "times.json"
#: Vectors up to which the other backend is tried: half a minute.
MOST_TRIED = 100_000


def write_index_folder(
    writer: UnitWriter,
    folder: str,
    ids: pa.Array,
    matrix_ND: np.ndarray,
    *,
    settings: dict[str, Any],
    made_of: Mapping[str, str],
    queries: Mapping[QueryKind, RecallQueries],
    backend: str = "annoy",
) -> None:
    """Builds the index of unit rows [N, D] with their ids into a folder of the writer's run; `settings`: of
    build_annoy; `made_of`: the model_id and, if they are not the embeddings, which vectors; `queries`: those that it is
    chosen for and measured with, beside items; `backend`: of BACKENDS, what our own searches go through. Where Annoy
    misses the target, the other backend is tried and told of."""
    equal = EqualRows.of(matrix_ND)
    distinct = backend != "annoy" or len(equal) < DISTINCT_BELOW * len(matrix_ND)
    facts = _write_annoy(writer, folder, ids, matrix_ND, settings, {} if distinct else queries)
    times, vectors_UD = facts.times, matrix_ND[equal.first_U] if distinct else matrix_ND
    section: dict[str, Any] = {"backend": backend, "distinct": distinct, "n_vectors": len(vectors_UD)}
    kinds, n_trees = facts.kinds, facts.n_trees
    if distinct:
        queries = {kind: asked.of_distinct(equal.id_N) for kind, asked in queries.items()}
        with writer.file(f"{folder}/{DISTINCT_FILE}") as temporary:
            _write_table(pa.table([equal.id_N.astype(np.int32)], schema=DISTINCT), temporary)
        with writer.file(f"{folder}/{DISTINCT_FILES[backend]}") as temporary:
            if backend == "annoy":
                built = build_annoy(vectors_UD, temporary, queries, **settings)
                kinds, n_trees, more_times = built.kinds, built.n_trees, built.times
            else:
                graph = build_voyager(vectors_UD, temporary, queries, **_graph_settings(settings))
                kinds, more_times = graph.kinds, graph.times
        times = {**times, **{f"distinct_{name}": value for name, value in more_times.items()}}
    section |= {"kinds": kinds_json(kinds)} | ({"n_trees": n_trees} if backend == "annoy" else {})
    failing = [kind for kind, found in kinds.items() if not found.target_reached]
    if failing and backend == "annoy" and len(vectors_UD) <= MOST_TRIED and voyager_is_installed():
        tried = build_voyager(vectors_UD, None, queries, **_graph_settings(settings))
        section["voyager"] = kinds_json({kind: tried.kinds[kind] for kind in failing})
    _write_manifest(writer, folder, {**facts.to_json(), **made_of, SEARCHED: section})
    write_json(Path(writer.run, folder, TIMES_FILE), times)


def _graph_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Without trees."""
    return {name: value for name, value in settings.items() if name != "max_trees"}


def write_refined_folder(
    writer: UnitWriter,
    ids: pa.Array,
    matrix_ND: np.ndarray,
    *,
    cosine: float,
    settings: dict[str, Any],
    made_of: Mapping[str, str],
) -> None:
    """Builds refined_index/ of those of the rows that are kept, which ascend by id, and measures it."""
    started_s = time.perf_counter()
    representative_N = near_duplicates(matrix_ND, cosine)
    kept_K = kept_rows(representative_N)
    refine_s = time.perf_counter() - started_s
    with writer.file(f"{REFINED_FOLDER}/{NEAR_DUPLICATES_FILE}") as temporary:
        _write_table(near_duplicates_table(ids, matrix_ND, representative_N), temporary)
    facts = _write_annoy(writer, REFINED_FOLDER, ids.take(kept_K), matrix_ND[kept_K], settings, {})
    loaded = annoy.AnnoyIndex(matrix_ND.shape[1], METRIC)
    loaded.load(str(Path(writer.run, REFINED_FOLDER, ANNOY_FILE)))
    index = AnnoyItemIndex(loaded, facts.search_k)
    refined = refined_facts(matrix_ND, representative_N, index, cosine=cosine, seed=facts.seed)
    _write_manifest(writer, REFINED_FOLDER, {**facts.to_json(), **made_of, "refined": refined.to_json()})
    write_json(Path(writer.run, REFINED_FOLDER, TIMES_FILE), {**facts.times, "refine_s": refine_s})
    writer.counts.update(items_kept=refined.items_kept, near_duplicates=refined.items_removed)


def read_times(run_folder: str, folder: str) -> dict[str, float]:
    """Times of the build; empty if someone removed or damaged them: they are no part of the result."""
    try:
        times = read_json(Path(run_folder, folder, TIMES_FILE))
    except CorruptFileError:
        return {}
    return {k: v for k, v in times.items() if isinstance(v, int | float)} if isinstance(times, dict) else {}


def _write_annoy(
    writer: UnitWriter,
    folder: str,
    ids: pa.Array,
    matrix_ND: np.ndarray,
    settings: dict[str, Any],
    queries: Mapping[QueryKind, RecallQueries],
) -> IndexFacts:
    with writer.file(f"{folder}/{ANNOY_FILE}") as temporary:
        facts = build_annoy(matrix_ND, temporary, queries, **settings)
    with writer.file(f"{folder}/{IDS_FILE}") as temporary:
        _write_table(pa.table([ids], schema=IDS), temporary)
    return facts


def _write_manifest(writer: UnitWriter, folder: str, facts: dict[str, Any]) -> None:
    """manifest.json: the facts, and size and checksum of the files that the folder has by now."""
    files = {Path(entry.path).name: {"bytes": entry.bytes, "sha256": entry.sha256} for entry in writer.files}
    with writer.file(f"{folder}/{MANIFEST_FILE}") as temporary:
        text = json.dumps({**facts, "files": files}, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        storage.put_bytes(temporary, (text + "\n").encode())


def _write_table(table: pa.Table, path: str) -> None:
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
