"""A run, opened: what its stages have left, each artefact checked once against their manifests, and remembered.

    run = Run("store/runs/2026-06-30/0123456789abcdef")
    ids, matrix_ND = run.embeddings

Run is for whoever goes by the stages' manifests: the run may be published, at work, or of an earlier day. PublishedRun
goes by manifest.json, which vouches for what readers read. Nothing is read before it is asked for. Whatever is missing
or not as promised raises one of DAMAGE.
"""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.nearest.index import ItemIndex
from model.nearest.index_folder import ANNOY_FILE, IDS_FILE, MANIFEST_FILE, read_index_manifest
from model.nearest.refined import NEAR_DUPLICATES_FILE, REFINED_FOLDER
from model.nearest.searched import DISTINCT_FILE, DISTINCT_FILES, open_searched
from pipelines.run.index_problems import Refined, open_refined
from pipelines.run.listed_files import EMBEDDINGS, INDEX, UNIFIED, VECTORS, ListedFiles
from pipelines.run.units import bucket_name
from pipelines.run.user_files import check_user_actions, check_users_file
from pipelines.stages import published_folders
from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import sha256_of_file
from schemas.hashing import bucket_of
from schemas.parquet.files import PARQUET_ERRORS
from schemas.quarantine import quote
from schemas.records.embeddings import read_embeddings, read_embeddings_metadata, validate_embeddings
from schemas.records.fingerprints import FINGERPRINTS_FOLDER, FingerprintsFile
from schemas.records.manifests import Manifest
from schemas.records.user_rows import (
    USER_ACTIONS_FOLDER,
    USERS_FOLDER,
    USERS_STAGE,
    UserActionRows,
    UserRows,
)
from schemas.records.users import read_user_actions

if TYPE_CHECKING:
    from schemas.records.tfrecords import ItemFeatures

#: What reading a damaged run raises.
DAMAGE = (CorruptFileError, UsageError, OSError, pa.ArrowException)
#: Of an index, and of the users stage, that are of other vectors than the embeddings.
_VECTORS_FACT = "vectors"
#: Folder of vectors -> what makes it, for messages.
_MAKER = {EMBEDDINGS: "embed", UNIFIED: "unified"}
#: Files of an index folder whose checksums are compared when it is opened.
_CHECKED_WHEN_OPENED = {
    MANIFEST_FILE,
    ANNOY_FILE,
    IDS_FILE,
    NEAR_DUPLICATES_FILE,
    DISTINCT_FILE,
    *DISTINCT_FILES.values(),
}


class Embeddings(NamedTuple):
    """Ids (string [N], ascending) and their float32 unit rows [N, D]."""

    ids: pa.Array
    matrix_ND: np.ndarray


class OpenedIndex(NamedTuple):
    """near: what searches go through; ids: string [N], row number = number in the index; manifest: the folder's."""

    near: ItemIndex
    ids: pa.Array
    manifest: dict[str, Any]


class Run(ListedFiles):
    """A run folder as its stages' manifests describe it.

    `twin`: another run whose embeddings stand for this one's, which are then not decoded, if both have files of equal
    sha256.
    """

    def __init__(self, folder: str | os.PathLike[str], twin: "Run | None" = None):
        super().__init__(folder)
        self.twin = twin
        self._titles: dict[int, dict[str, str | None]] = {}

    @staticmethod
    def open(folder: str | os.PathLike[str], twin: "Run | None" = None) -> "Run":
        """The run as its readers see it; one that is not published, as its stages have left it."""
        return (PublishedRun if storage.has_file(Path(folder, "COMPLETED")) else Run)(folder, twin)

    @cached_property
    def dimension(self) -> int:
        """Of the embeddings, whose files are those that are listed and of the run's model, by their footers alone."""
        return self.dimension_of(EMBEDDINGS)

    def dimension_of(self, vectors: str) -> int:
        """As `dimension`, of the embeddings or the unified vectors."""
        self._check_names(vectors)
        metadata, made_by = read_embeddings_metadata(self.folder / vectors), self.vectors_id(vectors)
        if metadata["model_id"] != made_by:
            raise CorruptFileError(
                f"expected {vectors} of model {quote(made_by)}, got {quote(metadata['model_id'])} in "
                f"{self.folder / vectors}: run the {_MAKER[vectors]} stage again"
            )
        return int(metadata["dimension"])

    def vectors_id(self, vectors: str) -> str:
        """The model that made them."""
        return self.model_id if vectors == EMBEDDINGS else self.manifest(UNIFIED).text("unified_id")

    def vectors(self, vectors: str) -> "Embeddings":
        """The embeddings or the unified vectors, by the name of their folder."""
        return self.embeddings if vectors == EMBEDDINGS else self.unified

    @cached_property
    def embeddings(self) -> Embeddings:
        """All of them, of files that are as listed: in ascending order, in each file too, as many as were counted."""
        return self._read_vectors(EMBEDDINGS)

    @cached_property
    def unified(self) -> Embeddings:
        """The same of the vectors that the sources together make. Raises CorruptFileError if the run has none."""
        return self._read_vectors(UNIFIED)

    @cached_property
    def searched(self) -> str:
        """Which vectors the index is of, as its folder says: the one place that tells readers where scores come
        from."""
        return checked_vectors(read_index_manifest(self.folder / INDEX).get(_VECTORS_FACT, EMBEDDINGS), self.folder)

    @property
    def searched_vectors(self) -> Embeddings:
        """The vectors that the index is of."""
        return self.vectors(self.searched)

    @cached_property
    def users_vectors(self) -> Embeddings:
        """The vectors that users are made of."""
        made_of = self.manifest(USERS_STAGE).facts.get(_VECTORS_FACT, EMBEDDINGS)
        return self.vectors(checked_vectors(made_of, self.folder))

    def _read_vectors(self, vectors: str) -> Embeddings:
        listed = self.checked_folder(vectors)
        if self.twin is not None and self.twin.has(vectors) and self.listed(vectors) == self.twin.listed(vectors):
            return self.twin.vectors(vectors)  # only now: of a damaged file the manifest alone has the twin's checksum
        folder, dimension = self.folder / vectors, self.dimension_of(vectors)
        for name in listed:
            _check_order(self.path(name))
        ids, matrix_ND = read_embeddings(folder)
        validate_embeddings(ids, matrix_ND, str(folder))
        counted, described = self._counted(vectors)
        if (len(ids), dimension) != (counted, described or dimension):
            expected = f"{counted} vectors of {described or dimension}"
            raise CorruptFileError(
                f"expected {expected}, got {len(ids)} of {dimension} in {folder}: {_MAKER[vectors]} again"
            )
        return Embeddings(ids, matrix_ND)

    def _counted(self, vectors: str) -> tuple[int, int]:
        """How many vectors there must be, and of which dimension, 0 if that is not said."""
        manifest = self.manifest(vectors)
        return manifest.count("rows_written"), manifest.facts.get("dimension", 0)

    @cached_property
    def item_ids(self) -> list[str]:
        """Those of the embeddings, ascending; no vector is read for them, nor any file hashed."""
        if "embeddings" in self.__dict__:
            return self.embeddings.ids.to_pylist()
        parts = [_ids_of(self.path(name)) for name in self.listed(EMBEDDINGS)]
        return sorted(name for part in parts for name in part.to_pylist())

    @cached_property
    def index(self) -> OpenedIndex:
        """index/, as listed."""
        self._check_index_folder(INDEX)
        return OpenedIndex(*open_searched(self.folder / INDEX))

    @property
    def has_refined(self) -> bool:
        """Whether files of a refined index are listed."""
        return bool(self.listed(REFINED_FOLDER))

    @cached_property
    def refined(self) -> Refined:
        """refined_index/, as listed."""
        self._check_index_folder(REFINED_FOLDER)
        return open_refined(self.folder / REFINED_FOLDER)

    def _check_index_folder(self, folder: str) -> None:
        """Raises unless the folder's own manifest lists the very files that are listed. Whoever opens it compares the
        large ones with that manifest: they are hashed once, before anything is given to Annoy."""
        listed = self.listed(folder)
        for name in listed:
            self.path(name)
        manifest = read_index_manifest(self.folder / folder)
        if manifest["model_id"] != self.model_id:
            made_by = f"{quote(manifest['model_id'])} in {self.folder / folder}"
            raise CorruptFileError(f"expected an index of model {quote(self.model_id)}, got one of {made_by}")
        found = {f"{folder}/{name}": entry["sha256"] for name, entry in manifest["files"].items()}
        found[f"{folder}/{MANIFEST_FILE}"] = sha256_of_file(self.folder / folder / MANIFEST_FILE)
        if found != listed:
            wrong = sorted(name for name, _ in found.items() ^ listed.items())
            raise CorruptFileError(
                f"expected the {self._whose} files {quote({name: listed.get(name) for name in wrong})}, got "
                f"{quote({name: found.get(name) for name in wrong})} by {self.folder / folder / MANIFEST_FILE}: "
                f"{self._remedy}"
            )
        for name in listed:
            if name.rpartition("/")[2] not in _CHECKED_WHEN_OPENED:
                self.checked(name)

    @cached_property
    def num_buckets(self) -> int:
        """Of items, features and fingerprints."""
        return self.manifest("items").whole("num_buckets", least=1)

    def items(self, bucket: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of schemas.tables.ITEMS, or some of their columns."""
        name = f"items/{bucket_name(bucket, self.num_buckets)}.parquet"
        try:
            return pq.read_table(self.checked(name), columns=columns, partitioning=None)
        except PARQUET_ERRORS as error:
            raise CorruptFileError(f"expected the run's items at {self.folder / name}, got {error}") from error

    def titles(self, item_ids: Sequence[str]) -> list[str | None]:
        """The title of each item, None where it has none. Whole buckets are read and remembered: one query touches few
        of them, many queries each once."""
        buckets = [bucket_of(item_id, self.num_buckets) for item_id in item_ids]
        for bucket in sorted({*buckets}.difference(self._titles)):
            columns = self.items(bucket, ["item_id", "title"]).to_pydict()
            self._titles[bucket] = dict(zip(*columns.values(), strict=True))
        return [self._titles[bucket].get(item_id) for bucket, item_id in zip(buckets, item_ids, strict=True)]

    def records(self, bucket: int) -> "Iterator[ItemFeatures]":
        """The features of a bucket's items, in ascending order of ids; those without text and pictures have none."""
        from schemas.records.tfrecords import (  # which takes seconds, and most readers need none
            decode_features,
            read_records,
        )

        return map(
            decode_features,
            read_records(self.checked(f"features/{bucket_name(bucket, self.num_buckets)}.tfrecord")),
        )

    def fingerprints(self, bucket: int) -> FingerprintsFile:
        """What a bucket's features were made from, item by item."""
        name = f"{FINGERPRINTS_FOLDER}/{bucket_name(bucket, self.num_buckets)}.parquet"
        return FingerprintsFile(Path(self.checked(name)))

    @cached_property
    def num_user_buckets(self) -> int:
        """Of users/ and user_actions/."""
        return self.manifest(USERS_STAGE).whole("num_user_buckets", least=1)

    def users(self, bucket: int) -> UserRows:
        """A bucket's users, whose medoids are items with exactly the vectors that users are made of."""
        num_buckets = self.num_user_buckets
        path = self.checked(f"{USERS_FOLDER}/{bucket_name(bucket, num_buckets)}.parquet")
        return check_users_file(Path(path), *self.users_vectors, self.model_id, bucket, num_buckets)

    def user_actions(self, bucket: int) -> UserActionRows:
        """The actions that a bucket's users were made of."""
        path = self.checked(f"{USER_ACTIONS_FOLDER}/{bucket_name(bucket, self.num_user_buckets)}.parquet")
        rows = read_user_actions(path)
        check_user_actions(rows, path)
        return rows


class PublishedRun(Run):
    """A published run as its readers see it: manifest.json lists the files of its published folders."""

    _whose, _remedy = "published", "publish the run again"

    def _listing(self, folder: str) -> Manifest:
        return self.run_manifest if folder in published_folders() else super()._listing(folder)

    @property
    def model_id(self) -> str:
        return self.run_manifest.model_id

    def _counted(self, vectors: str) -> tuple[int, int]:
        return self.run_manifest.count("rows_published" if vectors == EMBEDDINGS else "unified"), 0

    def _checked(self, name: str, sha256: str) -> str:
        try:
            return super()._checked(name, sha256)
        except CorruptFileError as error:
            raise CorruptFileError(
                f"{error}. `itemsage daily` of that date with --attempt 1 makes the run anew, `itemsage rollback` "
                "takes readers back to the one before"
            ) from error


def checked_vectors(value: Any, where: Path) -> str:
    """The name of a folder of vectors, as a manifest has it. Raises CorruptFileError for anything else."""
    if value not in VECTORS:
        raise CorruptFileError(f"expected vectors of {' or '.join(VECTORS)}, got {quote(value)} in {where}")
    return str(value)


def vectors_facts(run: "Run", vectors: str) -> dict[str, str]:
    """What the manifest of an index, or of users, says of the vectors that it is of; nothing of the embeddings."""
    return {} if vectors == EMBEDDINGS else {_VECTORS_FACT: vectors, "unified_id": run.vectors_id(vectors)}


def _ids_of(path: str) -> pa.ChunkedArray:
    try:
        return pq.read_table(path, columns=["item_id"], partitioning=None)["item_id"]
    except PARQUET_ERRORS as error:
        raise CorruptFileError(f"expected ids of embeddings in {path}, got {error}") from error


def _check_order(path: str) -> None:
    """Raises CorruptFileError unless the file's own rows ascend by id (readers merge files by it)."""
    ids = _ids_of(path).combine_chunks()
    if len(ids) > 1 and not pc.all(pc.less(ids[:-1], ids[1:])).as_py():
        raise CorruptFileError(f"expected unique ids in ascending order in {path}, got another order: embed again")
