"""The unified model: all that makes one vector of an item's vectors of many sources, in one folder.

    manifest.json                      its id, that of the item model, the sources, sha256 of every file; written last
    fusion/                            model.sources.fusion: weights, projections
    <source>/embeddings/, evidence/    of a source that learnt from clickstream: the items that it knows
    <source>/model/                    of dae and siamese: they know an item by its attributes, its pictures

An item's own vector (`itemsage`) is that of the item model. The id is a hash of the whole content. No pickles.

Legend: N items, D dimension of a source, E dimension of the unified vector.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.sources.autoencoder import TrainedAutoencoder, load_autoencoder
from model.sources.fusion import Fusion, fuse, load_fusion
from model.sources.siamese import TrainedSiamese, load_siamese
from model.sources.unified_manifest import (
    DAE,
    ENCODING,
    EVIDENCE_FOLDER,
    FUSION_FOLDER,
    MODEL_FOLDER,
    SIAMESE,
    VECTORS_FOLDER,
    Folder,
    UnifiedManifest,
)
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.parquet.files import PARQUET_ERRORS
from schemas.quarantine import quote
from schemas.records.clickstream import EVIDENCE
from schemas.records.embeddings import read_embeddings, read_embeddings_metadata, validate_embeddings


@dataclass(frozen=True, eq=False)
class SourceVectors:
    """What a source knows: ids (string [N], ascending), their vectors, float32 [N, D], and evidence, int64 [N]; [0] if
    it has none."""

    item_ids: pa.Array
    matrix_ND: np.ndarray
    evidence_N: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def of(self, item_ids: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """(float32 [M, D], int64 [M]) of these items: zeros where the source does not know one.

        >>> known = SourceVectors(pa.array(["a", "c"]), np.eye(2, dtype=np.float32), np.array([5, 9]))
        >>> [found.tolist() for found in known.of(pa.array(["b", "c"]))]
        [[[0.0, 0.0], [0.0, 1.0]], [0, 9]]
        """
        place_M = pc.fill_null(pc.index_in(item_ids, value_set=self.item_ids), -1).to_numpy().astype(np.int64)
        known_M = place_M >= 0
        matrix_MD = np.zeros((len(place_M), self.matrix_ND.shape[1]), np.float32)
        matrix_MD[known_M] = self.matrix_ND[place_M[known_M]]
        evidence_M = np.zeros(len(place_M), np.int64)
        if len(self.evidence_N):
            evidence_M[known_M] = self.evidence_N[place_M[known_M]]
        return matrix_MD, evidence_M


@dataclass(frozen=True, eq=False)
class Unified:
    """A unified model, opened. known: the sources of clickstream; dae, siamese: None where they are no source of it."""

    manifest: UnifiedManifest
    fusion: Fusion
    known: Mapping[str, SourceVectors]
    dae: TrainedAutoencoder | None = None
    siamese: TrainedSiamese | None = None

    def fused(self, item_ids: pa.Array, encoded: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """float32 [N, E] of norm 1, zeros for an item that no source knows. encoded: of each source of ENCODING that
        counts, (vectors [N, D], evidence [N])."""
        return fuse(self.fusion, *self.counted(item_ids, encoded))

    def counted(
        self, item_ids: pa.Array, encoded: Mapping[str, tuple[np.ndarray, np.ndarray]]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """(vectors [N, D], evidence [N]) of these items by source that counts, as the fusion takes them."""
        found = {**encoded, **{name: vectors.of(item_ids) for name, vectors in self.known.items()}}
        names = self.fusion.config.names
        return {name: found[name][0] for name in names}, {name: found[name][1] for name in names}


def load_unified(folder: Folder) -> Unified:
    """All of it. Raises CorruptFileError for what is not as it was written."""
    manifest = UnifiedManifest.read(folder)
    manifest.check_files(folder)
    fusion = load_fusion(Path(folder, FUSION_FOLDER))
    if dict(fusion.dims) != dict(manifest.dims):
        raise CorruptFileError(f"expected the dimensions {dict(manifest.dims)}, got {dict(fusion.dims)} in {folder}")
    names = set(manifest.source_ids)
    return Unified(
        manifest=manifest,
        fusion=fusion,
        known={name: read_source(Path(folder, name)) for name in sorted(names.difference(ENCODING))},
        dae=load_autoencoder(Path(folder, DAE, MODEL_FOLDER)) if DAE in names else None,
        siamese=load_siamese(Path(folder, SIAMESE, MODEL_FOLDER)) if SIAMESE in names else None,
    )


def read_source(folder: Path) -> SourceVectors:
    """The vectors and the evidence of a source, of the same items. Raises CorruptFileError for what is not so."""
    item_ids, matrix_ND = read_embeddings(folder / VECTORS_FOLDER)
    validate_embeddings(item_ids, matrix_ND, str(folder / VECTORS_FOLDER))
    return SourceVectors(item_ids, matrix_ND, _evidence(folder / EVIDENCE_FOLDER, item_ids))


def source_id_of(folder: Path) -> str:
    """The id that the files of a source's vectors carry."""
    return read_embeddings_metadata(folder / VECTORS_FOLDER)["model_id"]


def _evidence(folder: Path, item_ids: pa.Array) -> np.ndarray:
    parts = []
    for path in storage.paths_in(folder, "*.parquet"):
        try:
            parts.append(pq.read_table(path, columns=EVIDENCE.names, partitioning=None).cast(EVIDENCE))
        except (*PARQUET_ERRORS, ValueError) as error:
            raise CorruptFileError(f"expected the evidence of items in {path}, got {quote(str(error))}") from error
    table = pa.concat_tables([EVIDENCE.empty_table(), *parts])
    if not table["item_id"].combine_chunks().equals(item_ids):
        raise CorruptFileError(
            f"expected evidence of the {len(item_ids)} items that have vectors, got others in {folder}"
        )
    counts_N: np.ndarray = table["count"].to_numpy()
    return counts_N
