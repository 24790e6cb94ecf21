"""Checks of unified vectors: the model that made them, and a sample of them fused again."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from model.sources.unified import load_unified
from model.sources.unified_manifest import MANIFEST_FILE, SOURCE_IDS, UnifiedManifest
from pipelines.operations.findings import Finding
from pipelines.operations.inspected_run import InspectedRun, sample_by_hash
from pipelines.run.listed_files import UNIFIED
from pipelines.store.models import UNIFIED_MODELS
from pipelines.unify.compute import encoded_by
from pipelines.unify.stage import Unified, UnifiedConfig
from schemas import storage
from schemas.quarantine import quote
from schemas.records.embeddings import read_embeddings


def check_unified_model(run: InspectedRun) -> Finding:
    """The folder of the unified model: id, item model, sources as the run's vectors say, sha256 of every file, nothing
    else."""
    finding = Finding("unified_model")
    with finding.guard("the unified model's folder"):
        made = run.stages[UNIFIED]
        folder = UNIFIED_MODELS.folder(str(run.store), str(made["unified_id"]))
        manifest = UnifiedManifest.read(folder)
        finding.looked_at = f"{manifest.unified_id}, {len(manifest.files)} files"
        remedy = "run `itemsage unify` as it was run for it"
        finding.expect("unified_id of the folder", folder.name, manifest.unified_id, remedy)
        finding.expect("a unified model of", run.model_id, manifest.item_model_id, remedy)
        if SOURCE_IDS in made:
            finding.expect("sources", dict(made[SOURCE_IDS]), dict(manifest.source_ids), remedy)
        for name in sorted(manifest.files):
            with finding.guard(f"the unified model's {quote(name)}"):
                manifest.check_files(folder, [name])
        for path in sorted(storage.files_below(folder)):
            if (name := path.relative_to(folder).as_posix()) not in (*manifest.files, MANIFEST_FILE):
                finding.warn(f"{quote(name)} is not part of the unified model in {folder}")
    return finding


def check_rebuilt_unified(run: InspectedRun, ids: Sequence[str], count: int) -> Finding:
    """Fuses the `count` items of smallest hash again, of their stored embeddings, attributes and picture vectors, and
    compares bytes."""
    finding = Finding("rebuild_unified")
    with finding.guard("what the sample was fused from"):
        names = sorted(ids)
        wanted = {names[position] for position in sample_by_hash(names, count, "rebuild")}
        stored = dict(_rows(*run.opened.unified, wanted))
        num_fused = 0
        for item_id, vector_E in _fused_again(run, wanted):
            num_fused += 1
            _compare(item_id, stored.pop(item_id, None), vector_E, finding)
        for item_id in sorted(stored):
            finding.fail(f"expected no unified vector of item {quote(item_id)}, which has no embedding, got one")
        finding.looked_at = f"{num_fused} items fused again"
    return finding


def _fused_again(run: InspectedRun, wanted: set[str]) -> Iterator[tuple[str, np.ndarray]]:
    """(item, float32 [E]) of the wanted items that have embeddings, a part at a time; zeros if no source knows it."""
    folder = UNIFIED_MODELS.folder(str(run.store), str(run.stages[UNIFIED]["unified_id"]))
    unified = load_unified(folder)
    for part in Unified(UnifiedConfig(run=str(run.run), unified=str(folder))).parts.values():
        own = dict(_rows(*read_embeddings(run.opened.checked(part.path)), wanted))
        if own:
            ids, own_ND = pa.array(own, pa.string()), np.stack(list(own.values()))
            yield from zip(own, unified.fused(ids, encoded_by(unified, run.opened, part, ids, own_ND)), strict=True)


def _rows(ids: pa.Array, matrix_ND: np.ndarray, wanted: set[str]) -> Iterator[tuple[str, np.ndarray]]:
    return ((name, row_D) for name, row_D in zip(ids.to_pylist(), matrix_ND, strict=True) if name in wanted)


def _compare(item_id: str, stored_E: np.ndarray | None, vector_E: np.ndarray, finding: Finding) -> None:
    name = quote(item_id)
    if stored_E is None:
        if vector_E.any():
            finding.fail(f"expected a stored unified vector, got none for item {name}: run the stage unified again")
    elif stored_E.tobytes() != vector_E.tobytes():
        apart = float(np.abs(stored_E - vector_E).max()) if stored_E.shape == vector_E.shape else float("nan")
        finding.fail(
            f"expected the stored unified vector, got one {apart:.1e} apart for item {name}: about 1e-7 is another "
            "kind of CPU, more is another unified model"
        )
