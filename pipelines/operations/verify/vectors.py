"""Checks of what readers read: embeddings, the changes against the run before, the indexes."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.nearest.index import ExactIndex, ItemIndex
from model.nearest.index_folder import MANIFEST_FILE
from model.nearest.recall import RECALL_TOLERANCE
from model.nearest.refined import REFINED_FOLDER
from model.nearest.searched import recall_by_kind
from pipelines.embed.job import Embed
from pipelines.index.job import Index
from pipelines.operations.findings import Finding
from pipelines.operations.inspected_run import InspectedRun, sample_by_hash
from pipelines.run.changes import CHANGES_FOLDERS, compare_embeddings, opened_with
from pipelines.run.index_problems import refined_problems
from pipelines.run.listed_files import EMBEDDINGS
from pipelines.run.opened import DAMAGE, Embeddings, checked_vectors
from pipelines.store.yesterday import previous_of
from schemas import storage
from schemas.files import read_json
from schemas.quarantine import quote
from schemas.tables import CHANGES

MOST_SEARCHES = 100
_TOP = 10
#: Of the recall of 100 sampled queries below that of the 1,000 which the index was tuned on: four standard errors of
#: queries that find between none and all of their neighbours.
_RECALL_SLACK = 0.1
_COSINE_TOLERANCE = 1e-5


def check_embeddings(run: InspectedRun, record_ids: Sequence[str]) -> tuple[Finding, Embeddings | None]:
    """All that opening them checks; the items are those that have feature records. (finding, the embeddings)"""
    finding = Finding("embeddings")
    if not run.usable("embeddings", finding):
        return finding, None
    with finding.guard("embeddings/"):
        finding.problems += Embed.problems(run.opened)
        found = run.opened.embeddings
        finding.looked_at = f"{len(found.ids):,} unit vectors of {found.matrix_ND.shape[1]}"
        if not run.sound.issuperset(run.listed("features")):
            return finding, found  # told where the records are looked into
        names = set(found.ids.to_pylist())
        if strangers := sorted(names.difference(record_ids)):
            finding.fail(f"expected items with a feature record, got {len(strangers)} others, {quote(strangers[0])}")
        missing = len(set(record_ids) - names)
        rejected = run.opened.counts("embeddings").get("rows_quarantined", 0)
        finding.expect("records without a vector", rejected, missing, "run embed again")
        return finding, found
    return finding, None


def check_changes(run: InspectedRun, vectors: str, found: Embeddings | None) -> Finding:
    """changes/, or unified_changes/, is what the vectors of this run and of the one before say, in the bytes that are
    written for it. found: the vectors of this run, None if they cannot be read."""
    finding = Finding(CHANGES_FOLDERS[vectors])
    if not run.was_published:
        finding.looked_at = "not written yet: publishing writes them"
        return finding
    with finding.guard(f"{finding.check}/ and changes.json"):
        path = run.run / finding.check / "part-00000.parquet"
        table, facts = pq.read_table(path), read_json(run.run / "changes.json")
        finding.looked_at = f"{len(table):,} rows against {facts['against'] or 'nothing'}"
        if not table.schema.equals(CHANGES):
            finding.fail(f"expected the columns {CHANGES.names}, got {table.schema} in {path}")
            return finding
        if found is None:
            finding.fail(f"not looked into: the vectors of {vectors}/ cannot be read")
            return finding
        previous = previous_of(str(run.store), run.run)
        if facts["against"] is not None and previous is None:
            finding.warn(f"the run before, {quote(facts['against'])}, is gone: compared with the ids alone")
            _check_ids_of_changes(table, found.ids, vectors, finding)
        else:
            counts = facts["counts"] if vectors == EMBEDDINGS else facts[vectors]
            _compare_changes(table, counts, previous, vectors, found, finding)
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        if sink.getvalue() != storage.bytes_of(path):
            finding.warn(f"other bytes than this version of pyarrow writes in {finding.check}/part-00000.parquet")
    return finding


def _compare_changes(
    table: pa.Table, stated: object, previous: Path | None, vectors: str, found: Embeddings, finding: Finding
) -> None:
    before = opened_with(previous, vectors)
    old = Embeddings(found.ids[:0], found.matrix_ND[:0]) if before is None else before.vectors(vectors)
    expected, counts = compare_embeddings(*old, *found)
    finding.expect("counts in changes.json", counts, stated, "publish the run again")
    if not expected.equals(table):
        finding.fail(
            f"expected {len(expected)} rows of {counts}, got others in {finding.check}/: a reader that upserts is wrong"
        )


def _check_ids_of_changes(table: pa.Table, ids: pa.Array, vectors: str, finding: Finding) -> None:
    names = set(ids.to_pylist())
    for row in table.to_pylist():
        if (row["item_id"] in names) == (row["change"] == "deleted"):
            finding.fail(
                f"expected new and changed items in {vectors}/, deleted ones not, got {quote(row)} in {finding.check}/"
            )


def vectors_of(run: InspectedRun, stage: str, embeddings: Embeddings | None) -> Embeddings | None:
    """What the stage says that it is made of: the embeddings, or the unified vectors; None if they cannot be read,
    which a check of their own says."""
    return vectors_named(run, run.stages.get(stage, {}).get("vectors", EMBEDDINGS), embeddings)


def vectors_named(run: InspectedRun, vectors: str, embeddings: Embeddings | None) -> Embeddings | None:
    """The embeddings, as they are given, or the unified vectors; None as of vectors_of."""
    if vectors == EMBEDDINGS:
        return embeddings
    try:
        return run.opened.vectors(checked_vectors(vectors, run.run))
    except DAMAGE:
        return None


def check_index(run: InspectedRun, embeddings: Embeddings | None) -> Finding:
    """The index is of these embeddings: ids, vectors bit for bit, and answers beside exact search."""
    finding = Finding("index")
    if not run.usable("index", finding):
        return finding
    with finding.guard("index/"):
        index, ids, manifest = run.opened.index
        if embeddings is None:
            finding.fail(
                "not compared with the embeddings, which cannot be read: ids and vectors are not known to be right"
            )
            return finding
        finding.problems += Index.problems(run.opened)
        if not ids.equals(embeddings.ids):
            return finding
        names, matrix_ND = ids.to_pylist(), embeddings.matrix_ND
        queries = sample_by_hash(names, MOST_SEARCHES, "verify searches")
        recall = _check_searches(index, matrix_ND, queries, recall_by_kind(manifest)["item"], finding)
        finding.looked_at = f"{Index.soundness(run.opened)}, {len(queries)} searches (recall@{_TOP} {recall:.3f})"
    return finding


def _check_searches(
    index: ItemIndex, matrix_ND: np.ndarray, queries: list[int], promised: dict[str, float], finding: Finding
) -> float:
    """Recall@10 of item queries (the item itself counts too) against exact search, ties found as in the build."""
    top = min(_TOP, len(matrix_ND))
    rows_QK, cosines_QK = index.search(matrix_ND[queries], top)
    _, exact_QK = ExactIndex(matrix_ND).search(matrix_ND[queries], top)
    true_QK = np.einsum("qkd,qd->qk", matrix_ND[rows_QK], matrix_ND[queries])
    worst = float(np.abs(true_QK - cosines_QK)[rows_QK >= 0].max(initial=0))
    if worst > _COSINE_TOLERANCE:
        finding.fail(f"expected cosines of the vectors within {_COSINE_TOLERANCE}, got {worst:.1e} off: build it again")
    recall = float(((true_QK >= exact_QK[:, -1:] - RECALL_TOLERANCE) & (rows_QK >= 0)).mean())
    if recall < promised[str(_TOP)] - _RECALL_SLACK:
        got = f"{recall:.3f} in {len(queries)} searches"
        finding.fail(f"expected recall@{_TOP} of about {promised[str(_TOP)]:.3f}, got {got}: build the index again")
    return recall


def check_refined_index(run: InspectedRun, embeddings: Embeddings | None) -> Finding:
    """It is what `refined_problems` asks for, of the run's model, and the stage's manifest says the same."""
    finding = Finding("refined_index")
    if not run.usable(REFINED_FOLDER, finding):
        return finding
    with finding.guard(f"{REFINED_FOLDER}/"):
        refined = run.opened.refined
        finding.looked_at = f"{len(refined.kept_ids):,} items, {len(refined.removed):,} near-duplicates of them"
        facts = {k: v for k, v in read_json(run.run / REFINED_FOLDER / MANIFEST_FILE).items() if k != "files"}
        if facts != run.stages["index"].get("refined"):
            finding.fail(f"expected the facts of {REFINED_FOLDER}/{MANIFEST_FILE} in manifests/index.json, got others")
        if embeddings is None:
            finding.fail("not compared with the embeddings, which cannot be read")
            return finding
        for problem in refined_problems(refined, *embeddings):
            finding.fail(problem)
    return finding
