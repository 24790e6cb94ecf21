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

from model.equal_rows import EqualRows
from model.index import ANNOY_FILE, IDS_FILE, MANIFEST_FILE, METRIC, AnnoyItemIndex, QueryKind
from model.index_build import IndexFacts, build_annoy
from model.index_recall import RecallQueries, kinds_json
from model.near_duplicates import kept_rows, near_duplicates
from model.refined_index import NEAR_DUPLICATES_FILE, REFINED_FOLDER, near_duplicates_table, refined_facts
from model.searched_index import DISTINCT_BELOW, DISTINCT_FILE, DISTINCT_FILES, SEARCHED
from pipelines.console.terminal import few_digits
from pipelines.units import UnitWriter
from schemas.errors import CorruptFileError
from schemas.files import read_json, write_json
from schemas.tables import DISTINCT, IDS

TIMES_FILE = "times.json"


def write_index_folder(
    writer: UnitWriter,
    folder: str,
    ids: pa.Array,
    matrix_ND: np.ndarray,
    *,
    settings: dict[str, Any],
    model_id: str,
    queries: Mapping[QueryKind, RecallQueries],
) -> None:
    """Builds the index of unit rows [N, D] with their ids into a folder of the writer's run; `settings`: of
    build_annoy; `queries`: those that it is chosen for and measured with, beside items."""
    equal = EqualRows.of(matrix_ND)
    distinct = len(equal) < DISTINCT_BELOW * len(matrix_ND)
    facts = searched = _write_annoy(writer, folder, ids, matrix_ND, settings, {} if distinct else queries)
    times = facts.times
    if distinct:
        with writer.file(f"{folder}/{DISTINCT_FILE}") as temporary:
            _write_table(pa.table([equal.id_N.astype(np.int32)], schema=DISTINCT), temporary)
        with writer.file(f"{folder}/{DISTINCT_FILES['annoy']}") as temporary:
            searched = build_annoy(matrix_ND[equal.first_U], temporary, queries, **settings)
        times = {**times, **{f"distinct_{name}": value for name, value in searched.times.items()}}
    section = {
        "backend": "annoy",
        "distinct": distinct,
        "kinds": kinds_json(searched.kinds),
        "n_trees": searched.n_trees,
        "n_vectors": searched.n_items,
    }
    _write_manifest(writer, folder, {**facts.to_json(), "model_id": model_id, SEARCHED: section})
    write_json(Path(writer.run, folder, TIMES_FILE), times)


def write_refined_folder(
    writer: UnitWriter,
    ids: pa.Array,
    matrix_ND: np.ndarray,
    *,
    cosine: float,
    settings: dict[str, Any],
    model_id: str,
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
    _write_manifest(writer, REFINED_FOLDER, {**facts.to_json(), "model_id": model_id, "refined": refined.to_json()})
    write_json(Path(writer.run, REFINED_FOLDER, TIMES_FILE), {**facts.times, "refine_s": refine_s})
    writer.counts.update(items_kept=refined.items_kept, near_duplicates=refined.items_removed)


def read_times(run_folder: str, folder: str) -> dict[str, float]:
    """Times of the build; empty if someone removed or damaged them: they are no part of the result."""
    try:
        times = read_json(Path(run_folder, folder, TIMES_FILE))
    except CorruptFileError:
        return {}
    return {k: v for k, v in times.items() if isinstance(v, int | float)} if isinstance(times, dict) else {}


def describe_refined(manifest: dict[str, Any], times: dict[str, float]) -> str:
    """What a person wants to know of a refined index, from the stage's manifest: what it saves, and what it costs."""
    index = manifest["refined"]
    refined = index["refined"]
    sizes = {entry["path"]: entry["bytes"] for entry in manifest["files"]}
    before, after = (sizes[f"{folder}/{ANNOY_FILE}"] / 1e6 for folder in ("index", REFINED_FOLDER))
    recall = ", ".join(f"recall@{k} {index['recall'][k]:.3f}" for k in sorted(index["recall"], key=int))
    latency = times.get("latency_p50_ms")
    return (
        f"index: refined at cosine {refined['cosine']}: {refined['items_in']:,} -> {refined['items_kept']:,} items "
        f"({refined['items_removed']:,} near-duplicates, at most {refined['largest_group']:,} items as one), "
        f"{few_digits(before)} MB -> {few_digits(after)} MB, {index['n_trees']} trees, {recall}"
        + (f", {latency:.2f} ms a query" if latency is not None else "")
        + f"; of the exact nearest 10 of all items {refined['share_represented']:.1%} are represented in its 10 "
        f"results; they are {refined['different_of_full_top']:.1f} different ones"
    )


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
    files = {Path(entry["path"]).name: {k: entry[k] for k in ("bytes", "sha256")} for entry in writer.files}
    with writer.file(f"{folder}/{MANIFEST_FILE}") as temporary:
        text = json.dumps({**facts, "files": files}, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        Path(temporary).write_text(text + "\n", encoding="utf-8")


def _write_table(table: pa.Table, path: str) -> None:
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
