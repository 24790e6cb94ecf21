"""Checks of the refined index against the embeddings: who is kept, who stands for whom, and vectors bit for bit."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.index import MANIFEST_FILE, open_index
from model.near_duplicates import cosines
from model.refined_index import REFINED_FOLDER, read_near_duplicates
from pipelines.operations.findings import Finding
from pipelines.operations.inspected_run import InspectedRun
from pipelines.operations.verify_vectors import Embeddings
from schemas.files import read_json
from schemas.quarantine import quote

_WHERE, _REMEDY = f"{REFINED_FOLDER}/", "build it again"
_COSINE_TOLERANCE = 1e-6


def check_refined_index(run: InspectedRun, embeddings: Embeddings | None) -> Finding:
    """Every item is kept or has a kept one that stands for it, of the cosine that is written; all vectors of the kept
    are those of the embeddings; the counts add up; the stage's manifest says the same."""
    finding = Finding("refined_index")
    if not run.usable(REFINED_FOLDER, finding):
        return finding
    with finding.guard(_WHERE):
        index, kept_ids, manifest = open_index(run.run / REFINED_FOLDER)
        removed = read_near_duplicates(run.run / REFINED_FOLDER)
        finding.looked_at = f"{len(kept_ids):,} items, {len(removed):,} near-duplicates of them"
        finding.expect(f"model_id of {_WHERE}", quote(run.model_id), quote(manifest["model_id"]), _REMEDY)
        _check_facts(run, finding)
        if embeddings is None:
            finding.fail("not compared with the embeddings, which cannot be read")
            return finding
        ids, matrix_ND = embeddings
        facts = manifest["refined"]
        finding.expect(f"items that {_WHERE} was made from", len(ids), facts["items_in"], _REMEDY)
        finding.expect(f"items kept in {_WHERE}", facts["items_kept"], len(kept_ids), _REMEDY)
        all_ids = pa.concat_arrays([kept_ids, removed["item_id"].combine_chunks()])
        if not all_ids.take(pc.sort_indices(all_ids)).equals(ids):
            finding.fail(
                f"expected each of the {len(ids)} ids of embeddings/ once, kept or left out, got others in {_WHERE}"
            )
            return finding
        rows = pc.index_in(kept_ids, ids).to_numpy(zero_copy_only=False)
        _check_vectors(index.vectors(np.arange(index.num_items)), matrix_ND[rows], kept_ids, finding)
        _check_representatives(removed, kept_ids, embeddings, finding)
    return finding


def _check_facts(run: InspectedRun, finding: Finding) -> None:
    facts = {k: v for k, v in read_json(run.run / REFINED_FOLDER / MANIFEST_FILE).items() if k != "files"}
    if facts != run.stages["index"].get("refined"):
        finding.fail(f"expected the facts of {_WHERE}{MANIFEST_FILE} in manifests/index.json, got others")


def _check_vectors(vectors_KD: np.ndarray, expected_KD: np.ndarray, ids: pa.Array, finding: Finding) -> None:
    for row in np.flatnonzero((vectors_KD != expected_KD).any(axis=1))[:5].tolist():
        finding.fail(f"expected the vector of embeddings/, got another for item {quote(ids[row].as_py())}: {_REMEDY}")


def _check_representatives(removed: pa.Table, kept_ids: pa.Array, embeddings: Embeddings, finding: Finding) -> None:
    ids, matrix_ND = embeddings
    others = removed["representative_item_id"].combine_chunks()
    if strangers := others.filter(pc.invert(pc.is_in(others, kept_ids))).to_pylist():
        finding.fail(f"expected representatives that are kept, got {len(strangers)} others, {quote(strangers[0])}")
        return
    sides = (removed["item_id"].combine_chunks(), others)
    rows_R, others_R = (pc.index_in(side, ids).to_numpy(zero_copy_only=False) for side in sides)
    true_R = cosines(matrix_ND, matrix_ND, rows_R, others_R)
    wrong_R = np.abs(true_R - removed["cosine"].to_numpy()) > _COSINE_TOLERANCE
    for row in np.flatnonzero(wrong_R)[:5].tolist():
        got = f"{removed['cosine'][row].as_py():.6f} for item {quote(removed['item_id'][row].as_py())}"
        finding.fail(f"expected cosine {true_R[row]:.6f} to its representative, got {got}: {_REMEDY}")
