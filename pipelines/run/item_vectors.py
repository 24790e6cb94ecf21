"""Which item vectors users are made of, and those vectors, loaded once a process."""

from dataclasses import dataclass
from typing import Any

from model.users.bucket_users import ItemVectors
from pipelines.run.opened import EMBEDDINGS, Run, vectors_facts
from pipelines.run.shared import Shared
from schemas.files import check_sha256
from schemas.reading.input_files import input_identity
from schemas.records.embeddings import embedding_files, read_embeddings, read_embeddings_metadata, validate_embeddings


@dataclass(frozen=True, kw_only=True)
class VectorsSource:
    """Embeddings on disk. where: folder or file. files: (path, sha256), sorted. model_id: of the run's item model, or
    what made the vectors, if they are of no run; vectors_id: what made them, to which a calibration belongs. facts: of
    them, for manifests. Small: it travels to the workers."""

    where: str
    model_id: str
    dimension: int
    files: tuple[tuple[str, str], ...]
    vectors_id: str
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """What users depend on: the content, not its place."""
        return {"model_id": self.model_id, "sha256": [sha256 for _, sha256 in self.files]}


def vectors_source(run: str, embeddings: str | None = None, vectors: str = EMBEDDINGS) -> VectorsSource:
    """The vectors at `embeddings`, any embeddings Parquet; None: those of the run, its embeddings or unified vectors,
    as their stage left them.

    Reads manifests and footers; contents are checked by load_vectors. Raises UsageError if there is nothing,
    CorruptFileError if the stage is not finished, or its folder holds other files or another model's.
    """
    if embeddings is not None:
        paths, metadata = embedding_files(embeddings), read_embeddings_metadata(embeddings)
        files = tuple((path, entry["sha256"]) for path, entry in zip(paths, input_identity(paths), strict=True))
        model_id, dimension = metadata["model_id"], int(metadata["dimension"])
        return VectorsSource(where=embeddings, files=files, model_id=model_id, dimension=dimension, vectors_id=model_id)
    opened = Run(run)
    return VectorsSource(
        where=str(opened.folder / vectors),
        files=tuple((str(opened.folder / name), sha256) for name, sha256 in sorted(opened.listed(vectors).items())),
        model_id=opened.model_id,
        dimension=opened.dimension_of(vectors),
        vectors_id=opened.vectors_id(vectors),
        facts=tuple(vectors_facts(opened, vectors).items()),
    )


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
