"""What an earlier run knows of today's items: their vectors, and from which features those were made.

A vector of the earlier run holds today if model and code are the same and its item's features record has the same hash
in both runs. Three rules keep that sound:

- The earlier run must be as its manifests say. Its parts are planned again from its features manifest; a file whose
  fingerprint differs was made from other features or by other code, and none of its vectors is taken.
- A file that has not the sha256 of the manifest, or cannot be read, or holds something else than unit vectors of that
  model, is no source of anything: its items count as if they had had no vector (one line on stderr says so).
- An item belongs to the part that holds its bucket, by the hash of its id and today's number of buckets. So every
  earlier id is counted in exactly one part, however buckets were grouped, and however many there were.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.embed.parts import IN_HALVED_BATCHES, STAGE, Part, plan_parts
from pipelines.run.earlier_faults import UNREADABLE, say
from pipelines.run.opened import Run
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.hashing import bucket_of
from schemas.quarantine import quote
from schemas.records.embeddings import read_embeddings, read_embeddings_metadata, validate_embeddings
from schemas.records.fingerprints import FINGERPRINTS_FOLDER
from schemas.tables import EMBEDDINGS


@dataclass(frozen=True, eq=False)
class EarlierVectors:
    """The earlier run's items that belong to one of today's parts.

    ids: all of them. row_of: those whose vector may be taken -> row of matrix_ND, float32.
    """

    ids: frozenset[str]
    row_of: Mapping[str, int]
    matrix_ND: np.ndarray


NOTHING = EarlierVectors(frozenset(), {}, np.zeros((0, 0), np.float32))


@dataclass
class EarlierRun:
    """An earlier run's embeddings. parts: the planned part of every file that was made from the run's features by this
    code. has_vectors: whether they are of today's model and fingerprints."""

    opened: Run
    parts: dict[str, Part]
    has_vectors: bool
    _damaged: set[str] = field(default_factory=set)

    @property
    def run(self) -> str:
        """Its folder."""
        return str(self.opened.folder)

    def has_part(self, part: Part) -> bool:
        """Whether the earlier run has the very same part, made from the same buckets."""
        earlier = self.parts.get(part.path)
        return earlier is not None and (earlier.files, earlier.fingerprint) == (part.files, part.fingerprint)

    def load(self, part: Part) -> EarlierVectors:
        """Ids and vectors of the items that belong to `part`; reads the files that share buckets with it."""
        buckets, num_buckets = part.buckets, _num_buckets(part)
        ids: list[str] = []
        row_of: dict[str, int] = {}
        blocks: list[np.ndarray] = []
        for path in sorted(self.opened.listed(STAGE)):
            earlier = self.parts.get(path)
            if earlier is not None and _num_buckets(earlier) == num_buckets and not earlier.buckets & buckets:
                continue
            names, matrix_ND = self._read(path, with_vectors=earlier is not None and self.has_vectors)
            rows = [row for row, name in enumerate(names) if (bucket_of(name, num_buckets), num_buckets) in buckets]
            ids += (names[row] for row in rows)
            if matrix_ND is not None:
                start = sum(map(len, blocks))
                blocks.append(matrix_ND if len(rows) == len(names) else matrix_ND[rows])
                row_of.update((names[row], start + number) for number, row in enumerate(rows))
        return EarlierVectors(frozenset(ids), row_of, _joined(blocks))

    def hashes(self, bucket: str) -> dict[str, bytes]:
        """item id -> hash of its features record; empty if none of the bucket's vectors can be taken."""
        if not self.has_vectors:
            return {}
        try:
            return dict(read_features_hashes(self.run, bucket) or ())
        except CorruptFileError as error:
            say(STAGE, f"what follows is computed, not taken over: {error}")
            return {}

    def _read(self, path: str, with_vectors: bool) -> tuple[list[str], np.ndarray | None]:
        """Ids, and vectors if asked for; nothing if the file is not sound, which is said once."""
        if path in self._damaged:
            return [], None
        try:
            source = self.opened.checked(path)
            ids, matrix_ND = self._checked(source) if with_vectors else (_ids(source), None)
        except UNREADABLE as error:
            say(STAGE, f"its items count as new, for an earlier file is damaged: {error}")
            self._damaged.add(path)
            return [], None
        return ids.to_pylist(), matrix_ND

    def _checked(self, source: str) -> tuple[pa.Array, np.ndarray]:
        ids, matrix_ND = read_embeddings(source)
        validate_embeddings(ids, matrix_ND, source)
        made_by = read_embeddings_metadata(source)["model_id"]
        model_id, dimension = self.opened.model_id, self.opened.manifest(STAGE).whole("dimension")
        if (made_by, matrix_ND.shape[1]) != (model_id, dimension):
            got = f"{matrix_ND.shape[1]} of {quote(made_by)} in {source}"
            raise CorruptFileError(f"expected vectors of {dimension} numbers of {model_id}, got {got}")
        return ids, matrix_ND


def open_earlier(folder: str | None, run: str, model_id: str, today: list[Part]) -> EarlierRun | None:
    """The run to take vectors from, described by its manifests; None, with a line on stderr, if they cannot be used:
    then there is no yesterday. Where rows can be counted but no vector taken, a line says why."""
    if folder is None or storage.is_same_place(folder, run):
        return None
    try:
        opened = Run(folder)
        opened.manifest(STAGE).whole("dimension")
        parts = _parts_as_planned(opened)
        why_not = _why_no_vectors(folder, run, opened.model_id, model_id, parts, today)
    except UNREADABLE as error:
        say(STAGE, f"nothing is taken over from {folder}, all items count as new: {error}")
        return None
    if why_not is not None:
        say(STAGE, f"every vector is computed, none taken over from {folder}: {why_not}")
    return EarlierRun(opened, parts, has_vectors=why_not is None)


def _parts_as_planned(opened: Run) -> dict[str, Part]:
    """Embeddings file -> its part, for files made by this code, in whole batches, from the features that are in the
    folder."""
    try:
        planned = plan_parts(opened.manifest("features").to_json(), opened.model_id)
        units = opened.manifest(STAGE).units.items()
        fingerprints = {name: unit.fingerprint for name, unit in units if not unit.counts.get(IN_HALVED_BATCHES)}
        return {part.path: part for part in planned if fingerprints.get(part.name) == part.fingerprint and part.buckets}
    except UNREADABLE:
        return {}


def _why_no_vectors(
    folder: str, run: str, made_by: str, model_id: str, parts: Mapping[str, Part], today: list[Part]
) -> str | None:
    if made_by != model_id:
        return f"its model is {quote(made_by)}, this run's {model_id}"
    if not parts:
        return (
            "it was made by other code, another version of torch, from other features than it holds, or without memory "
            "for whole batches"
        )
    if (there := _num_buckets(next(iter(parts.values())))) != (here := _num_buckets(today[0])):
        return f"it has {there} buckets, this run {here}"
    lacking = [name for name in (folder, run) if not storage.is_folder(Path(name, FINGERPRINTS_FOLDER))]
    return f"no {FINGERPRINTS_FOLDER}/ in {lacking[0]}" if lacking else None


def read_features_hashes(run: str, bucket: str) -> list[tuple[str, bytes]] | None:
    """(item id, hash) of every features record of a bucket, in record order; None if the run has no such file.

    Raises CorruptFileError if the file is not a table of schemas.tables.FINGERPRINTS.
    """
    path = Path(run, FINGERPRINTS_FOLDER, f"{bucket}.parquet")
    if not storage.has_file(path):
        return None
    try:
        table = pq.read_table(path, columns=["item_id", "features_hash"])
        table = table.filter(table["features_hash"].is_valid())
        return list(zip(table["item_id"].to_pylist(), table["features_hash"].to_pylist(), strict=True))
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise CorruptFileError(f"expected fingerprints of features, got {error} in {path}") from error


def _num_buckets(part: Part) -> int:
    return next(iter(part.buckets))[1]


def _ids(source: str) -> pa.Array:
    ids = pq.read_table(source, columns=["item_id"])["item_id"].combine_chunks()
    if ids.type != EMBEDDINGS.field("item_id").type or ids.null_count:
        raise CorruptFileError(f"expected ids without nulls, got {ids.type} with {ids.null_count} in {source}")
    return ids


def _joined(blocks: list[np.ndarray]) -> np.ndarray:
    if not blocks:
        return NOTHING.matrix_ND
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
