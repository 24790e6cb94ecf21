"""Which item vectors users are made of, and those vectors, loaded once a process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.users.clusters import ItemVectors
from pipelines.run.shared import Shared
from pipelines.run.units import read_stage_manifest
from schemas.embeddings import embedding_files, read_embeddings, read_embeddings_metadata, validate_embeddings
from schemas.errors import CorruptFileError
from schemas.files import check_sha256
from schemas.quarantine import quote
from schemas.reading import input_identity


@dataclass(frozen=True, kw_only=True)
class VectorsSource:
    """Embeddings on disk. where: folder or file. files: (path, sha256), sorted. Small: it travels to the workers."""

    where: str
    model_id: str
    dimension: int
    files: tuple[tuple[str, str], ...]

    @property
    def identity(self) -> dict[str, Any]:
        """What users depend on: the content, not its place."""
        return {"model_id": self.model_id, "sha256": [sha256 for _, sha256 in self.files]}


def vectors_source(run: str, embeddings: str | None = None) -> VectorsSource:
    """The vectors at `embeddings`, any embeddings Parquet; None: those of the run, as its stage left them.

    Reads manifests and footers; contents are checked by load_vectors. Raises UsageError if there is nothing,
    CorruptFileError if the stage is not finished, or its folder holds other files or another model's.
    """
    where = embeddings or str(Path(run, "embeddings"))
    if embeddings is not None:
        paths = embedding_files(where)
        metadata = read_embeddings_metadata(where)
        files = tuple((path, entry["sha256"]) for path, entry in zip(paths, input_identity(paths), strict=True))
        return VectorsSource(where=where, files=files, **_facts(metadata))
    manifest = read_stage_manifest(run, "embeddings")
    listed = sorted((e["path"], e["sha256"]) for e in manifest["files"] if e["path"].startswith("embeddings/"))
    files = tuple((str(Path(run, path)), sha256) for path, sha256 in listed)
    if (found := embedding_files(where)) != [path for path, _ in files]:
        raise CorruptFileError(
            f"expected the files of the embed stage, {len(files)}, got {len(found)} in {where}: run the stage again"
        )
    source = VectorsSource(where=where, files=files, **_facts(read_embeddings_metadata(where)))
    if source.model_id != manifest["model_id"]:
        raise CorruptFileError(
            f"expected embeddings of model {quote(manifest['model_id'])}, got {quote(source.model_id)} in {where}: run "
            "the embed stage again"
        )
    return source


def load_vectors(source: VectorsSource) -> ItemVectors:
    """The vectors, checked: sha256, unique ascending ids, unit norms. CorruptFileError if anything is not as it was."""
    return _VECTORS.get(source)


def _load(source: VectorsSource) -> ItemVectors:
    for path, sha256 in source.files:
        check_sha256(path, sha256)
    ids, matrix_ND = read_embeddings(source.where)
    validate_embeddings(ids, matrix_ND, source.where)
    vectors = ItemVectors(ids, matrix_ND)
    _ = vectors.hashes_N  # here, where nobody else computes them too
    return vectors


_VECTORS: Shared[VectorsSource, ItemVectors] = Shared(_load)


def _facts(metadata: dict[str, str]) -> dict[str, Any]:
    return {"model_id": metadata["model_id"], "dimension": int(metadata["dimension"])}
