"""One group of embeddings to one file of unified vectors: what is equal to an earlier run's is copied, else all rows of
the group are computed anew, which costs less than to tell them apart."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from model.sources.unified import SourceVectors, Unified, load_unified
from model.sources.unified_manifest import DAE, ITEMSAGE, SIAMESE
from model.sources.unit_rows import has_vector
from pipelines.console.progress import Progress
from pipelines.embed.parts import Part, bucket_of_file
from pipelines.run.listed_files import UNIFIED
from pipelines.run.opened import Run
from pipelines.run.process_units import UnitStage
from pipelines.run.shared import Shared
from pipelines.run.units import Unit, UnitWriter
from pipelines.sources.content import ATTRIBUTES, encode_attributes, encode_pictures_of, pictures_of
from schemas import storage
from schemas.quarantine import Rejection
from schemas.records.embeddings import embeddings_metadata, read_embeddings, write_embeddings_file

#: Why an item has no row: none of its sources knows it.
NO_SOURCE = "no_source"

#: (folder, id) -> the unified model there.
_MODELS: Shared[tuple[str, str], Unified] = Shared(lambda key: load_unified(key[0]))


@dataclass(frozen=True)
class UnifyPart(UnitStage):
    """parts: by the name of their unit; unified: folder of the unified model; reuse_from: of an earlier run."""

    run: str
    parts: Mapping[str, Part]
    unified: str
    unified_id: str
    reuse_from: str | None
    total: int
    stage = UNIFIED
    progress_unit = "items"

    def take_over(self, unit: Unit, writer: UnitWriter) -> bool:
        if self.reuse_from is None or storage.is_same_place(self.reuse_from, self.run):
            return False
        counts = writer.take_over(self.reuse_from)
        if counts is None:
            return False
        written = counts.get("rows_written", 0)
        writer.counts.update({**counts, "rows_reused": written, "rows_computed": 0})
        return True

    def compute(self, unit: Unit, writer: UnitWriter, progress: Progress) -> None:
        part, run = self.parts[unit.name], Run(self.run)
        unified = _MODELS.get((self.unified, self.unified_id))
        item_ids, items_ND = read_embeddings(run.checked(part.path))
        unified_NE = unified.fused(item_ids, encoded_by(unified, run, part, item_ids, items_ND))
        has_N = has_vector(unified_NE)
        with writer.file(f"{UNIFIED}/{unit.name}.parquet") as temporary:
            metadata = embeddings_metadata(self.unified_id, unified_NE.shape[1])
            write_embeddings_file(temporary, item_ids.filter(pa.array(has_N)), unified_NE[has_N], metadata)
        written = int(has_N.sum())
        writer.counts.update(
            rows_read=len(item_ids), rows_quarantined=0, rows_reused=0, rows_computed=written, rows_written=written
        )
        without = item_ids.filter(pa.array(~has_N)).to_pylist()
        writer.quarantine(_rejection(name, unified, part) for name in without)
        progress.advance(len(item_ids))


def encoded_by(
    unified: Unified, run: Run, part: Part, item_ids: pa.Array, items_ND: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(vectors, evidence) of these items, a part's, by each source that encodes items: their embeddings, attributes and
    pictures; bucket by bucket, so that memory holds the pictures of one."""
    found = {ITEMSAGE: (items_ND, np.zeros(len(item_ids), np.int64))}
    buckets = sorted(bucket for bucket, _ in part.buckets)
    if unified.dae is not None:
        dae = unified.dae
        tables = (run.items(bucket, ATTRIBUTES.names) for bucket in buckets)
        found[DAE] = _joined(
            [(table["item_id"].to_pylist(), *encode_attributes(dae, table)) for table in tables], item_ids
        )
    if unified.siamese is not None:
        siamese, wanted = unified.siamese, set(item_ids.to_pylist())
        blocks = []
        for path in sorted(part.files, key=bucket_of_file):
            items = {name: pictures for name, pictures in pictures_of([run.checked(path)]) if name in wanted}
            blocks.append((list(items), *encode_pictures_of(siamese, items)))
        found[SIAMESE] = _joined(blocks, item_ids)
    return found


def _joined(
    blocks: list[tuple[list[str], np.ndarray, np.ndarray]], item_ids: pa.Array
) -> tuple[np.ndarray, np.ndarray]:
    """(vectors, evidence) of the items, of blocks of (ids, vectors, evidence)."""
    ids = pa.array([name for names, _, _ in blocks for name in names], pa.string())
    matrix_ND, evidence_N = (np.concatenate([block[place] for block in blocks]) for place in (1, 2))
    return SourceVectors(ids, matrix_ND, evidence_N).of(item_ids)


def _rejection(item_id: str, unified: Unified, part: Part) -> Rejection:
    names = ", ".join(unified.fusion.config.names)
    return Rejection(
        level="row",
        stage=UNIFIED,
        item_id=item_id,
        reason=NO_SOURCE,
        expected=f"a vector by one of {names} at least",
        got="none",
        where=part.path,
        remedy="give the item attributes or pictures, or use a unified model with the source itemsage",
    )
