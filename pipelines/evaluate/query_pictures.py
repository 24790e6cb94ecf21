"""Query pictures to vectors, remembered from day to day: one that is as it was is neither opened nor encoded again.

    <run>/query_pictures/vectors.parquet      internal; QUERY_PICTURES sorted by uri, the evaluation's own pictures

A vector is taken over, of the same image encoder only, where URI, size and modification time are the same (under the
same image root), or else where the content is: yesterday's query picture or a picture of the run's catalogue.
"""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.items.query_encoder import QueryEncoder
from model.pictures.faults import REMEDIES, PictureError, PictureLimits
from model.pictures.files import find_picture, read_picture_file
from pipelines.features.picture_limits import limits_of_run
from pipelines.run.opened import DAMAGE, Run
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.hashing import fingerprint
from schemas.quarantine import quote
from schemas.records.fingerprints import FINGERPRINTS_FOLDER
from schemas.storage import atomic_write

PATH = "query_pictures/vectors.parquet"
#: bytes, modified_ns: -1 if the file must be read again (see schemas.tables.FINGERPRINTS). sha256: null for a file that
#: could not be read. vector: float16, little endian; null for a broken picture, whose reason, expected, got are set.
QUERY_PICTURES = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("modified_ns", pa.int64(), nullable=False),
        pa.field("sha256", pa.binary(32)),
        pa.field("encoder_id", pa.string(), nullable=False),
        pa.field("vector", pa.binary()),
        pa.field("reason", pa.string()),
        pa.field("expected", pa.string()),
        pa.field("got", pa.string()),
    ]
)
#: Of the file's metadata: hashes of the folder that the URIs start from, and of what a verdict on a content depends on.
_ROOT_KEY, _JUDGED_WITH_KEY = b"image_root", b"judged_with"
#: Raised where a content that was broken may be good.
_DECODER_VERSION = 2
_UNKNOWN = (-1, -1)


@dataclass(frozen=True, slots=True)
class QueryPicture:
    """A row of QUERY_PICTURES, its fields in that order: a vector or the reason why there is none; neither while it is
    still to be encoded."""

    uri: str
    size_bytes: int
    modified_ns: int
    sha256: bytes | None
    encoder_id: str
    vector: bytes | None = None
    reason: str | None = None
    expected: str | None = None
    got: str | None = None

    @property
    def settled(self) -> bool:
        return self.vector is not None or self.reason is not None

    @property
    def state(self) -> str | None:
        """What a result depends on: the content, or why there is none."""
        return self.reason if self.sha256 is None else self.sha256.hex()

    def like(self, other: "QueryPicture") -> "QueryPicture":
        """This picture with the result of another one of equal content."""
        return replace(self, vector=other.vector, reason=other.reason, expected=other.expected, got=other.got)

    def result(self, value: np.ndarray | PictureError) -> "QueryPicture":
        """This picture with what an encoder made of it."""
        if isinstance(value, PictureError):
            return replace(self, reason=value.reason, expected=value.expected, got=value.got)
        return replace(self, vector=np.ascontiguousarray(value, "<f2").tobytes())


class QueryPictures:
    """The query pictures of an evaluation of `run`. verify: every file is read again, whatever its time, and what was
    broken is tried again."""

    def __init__(
        self, encoder: QueryEncoder, image_root: str, run: Path, previous: Path | None = None, verify: bool = False
    ):
        self.encoder, self.image_root, self.run, self.verify = encoder, image_root, run, verify
        self.limits = limits_of_run(run)
        self.encoder_id = encoder.image_encoder_spec.encoder_id
        self.dim: int = encoder.image_encoder_spec.dim
        self.pictures: dict[str, QueryPicture] = {}
        self._by_place: dict[tuple[str, int, int], QueryPicture] = {}
        self._by_content: dict[bytes, QueryPicture] = {}
        for folder in (run, previous):
            if folder is not None:
                self._remember(folder)

    def resolve(self, uris: Iterable[str]) -> None:
        """Settles a vector, or a reason, for each URI; the image encoder is loaded if one is not known."""
        found = {uri: self._look_up(uri) for uri in sorted(set(uris))}
        self._from_catalogue(found)
        self._encode(found)
        self.pictures |= found

    def vectors(self, uris: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """float32 CNN vectors [good, D] of resolved URIs, and which of them are good: bool [Q]."""
        found = [vector for uri in uris if (vector := self.pictures[uri].vector) is not None]
        good = np.array([self.pictures[uri].vector is not None for uri in uris], bool)
        matrix_QD = np.frombuffer(b"".join(found), "<f2").astype(np.float32).reshape(-1, self.dim)
        return matrix_QD, good

    def has_vector(self, uri: str) -> bool:
        """Whether the picture is resolved and good."""
        return uri in self.pictures and self.pictures[uri].vector is not None

    def content(self, uri: str) -> str:
        """Equal for pictures of equal content, where they are resolved and could be read; else the URI itself."""
        picture = self.pictures.get(uri)
        return uri if picture is None or picture.sha256 is None else picture.sha256.hex()

    @property
    def judged_with(self) -> str:
        """A hash of what the verdict on a content depends on."""
        return _judged_with(self.limits)

    def states(self) -> list[tuple[str, str | None]]:
        """(URI, sha256 or reason) of the resolved pictures, sorted: what results depend on beside the encoder."""
        return [(uri, self.pictures[uri].state) for uri in sorted(self.pictures)]

    def save(self) -> None:
        """Writes the resolved pictures into the run, unless it is published: a published run does not change."""
        if not self.pictures or storage.has(self.run / "COMPLETED"):
            return
        rows = [
            dict(zip(QUERY_PICTURES.names, astuple(self.pictures[uri]), strict=True)) for uri in sorted(self.pictures)
        ]
        metadata = {_ROOT_KEY: _root_id(self.image_root), _JUDGED_WITH_KEY: _judged_with(self.limits)}
        table = pa.Table.from_pylist(rows, schema=QUERY_PICTURES.with_metadata(metadata))
        with atomic_write(self.run / PATH) as temporary:
            pq.write_table(table, temporary, compression="zstd", use_dictionary=False, write_page_checksum=True)

    def _remember(self, folder: Path) -> None:
        same_root, pictures = read_query_pictures(folder / PATH, self.image_root, self.limits)
        for picture in pictures:
            if picture.encoder_id != self.encoder_id:
                continue
            if picture.vector is not None and len(picture.vector) != self.dim * 2:
                continue
            if same_root and picture.modified_ns >= 0:
                self._by_place.setdefault((picture.uri, picture.size_bytes, picture.modified_ns), picture)
            if picture.sha256 is not None and not (self.verify and picture.reason is not None):
                self._by_content.setdefault(picture.sha256, picture)

    def _look_up(self, uri: str) -> QueryPicture:
        """The picture as it is known, or read and hashed, not yet settled."""
        try:
            _, size_bytes, modified_ns = find_picture(self.image_root, uri, self.limits)
            if not self.verify and (known := self._by_place.get((uri, size_bytes, modified_ns))) is not None:
                return known
            file = read_picture_file(self.image_root, uri, self.limits)
        except PictureError as error:  # not remembered: the rights of a file change without its modification time
            return self._picture(uri, _UNKNOWN, None).result(error)
        picture = self._picture(uri, (file.size_bytes, file.modified_ns), hashlib.sha256(file.data).digest())
        known = self._by_content.get(picture.sha256 or b"")
        return picture if known is None else picture.like(known)

    def _picture(self, uri: str, place: tuple[int, int], sha256: bytes | None) -> QueryPicture:
        return QueryPicture(uri, *place, sha256, self.encoder_id)

    def _from_catalogue(self, found: dict[str, QueryPicture]) -> None:
        wanted = {p.sha256 for p in found.values() if not p.settled and p.sha256 is not None}
        vectors = _catalogue_vectors(self.run, self.encoder_id, wanted) if wanted else {}
        for uri, picture in found.items():
            if not picture.settled and picture.sha256 in vectors:
                found[uri] = picture.result(vectors[picture.sha256])

    def _encode(self, found: dict[str, QueryPicture]) -> None:
        """Encodes what is not settled, equal content once. Files are read again: memory holds some batches of them."""
        while first_of := {p.sha256: uri for uri, p in reversed(found.items()) if not p.settled}:
            files = self._read(sorted(first_of.values()), found)
            for uri, value in self.encoder.image_encoder.encode_stream(files, self.limits):
                # the id that the encoder settled on: another than planned if its number format failed the parity check
                found[uri] = replace(found[uri].result(value), encoder_id=self.encoder.image_encoder.encoder_id)
            for uri, picture in found.items():
                encoded = found[first_of.get(picture.sha256, uri)]
                if not picture.settled and encoded.sha256 == picture.sha256:
                    found[uri] = replace(picture.like(encoded), encoder_id=encoded.encoder_id)

    def _read(self, uris: Sequence[str], found: dict[str, QueryPicture]) -> Iterator[tuple[str, bytes | PictureError]]:
        """The files once more; `found` follows what has been replaced since it was hashed."""
        for uri in uris:
            try:
                data = read_picture_file(self.image_root, uri, self.limits).data
            except PictureError as error:
                found[uri] = self._picture(uri, _UNKNOWN, None)
                yield uri, error
                continue
            if (sha256 := hashlib.sha256(data).digest()) != found[uri].sha256:
                found[uri] = self._picture(uri, _UNKNOWN, sha256)
            yield uri, data


def read_query_pictures(path: Path, image_root: str, limits: PictureLimits) -> tuple[bool, list[QueryPicture]]:
    """Whether the file is of this image root, and its rows, the broken ones only if today they would be judged alike;
    none, with a warning, if it is damaged."""
    if not storage.has_file(path):
        return False, []
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        if not table.schema.equals(QUERY_PICTURES):
            raise CorruptFileError(f"expected the columns {QUERY_PICTURES.names}, got {table.schema.names}")
        metadata = table.schema.metadata or {}
        pictures = [_checked(row) for row in table.to_pylist()]
        if metadata.get(_JUDGED_WITH_KEY) != _judged_with(limits).encode():
            pictures = [picture for picture in pictures if picture.reason is None]
        return metadata.get(_ROOT_KEY) == _root_id(image_root).encode(), pictures
    except (CorruptFileError, pa.ArrowException, OSError, ValueError) as error:
        print(f"evaluate: query pictures are encoded again, not taken over from {path}: {error}", file=sys.stderr)
        return False, []


def _checked(row: dict[str, Any]) -> QueryPicture:
    picture = QueryPicture(*(row[name] for name in QUERY_PICTURES.names))
    broken = picture.reason in REMEDIES and picture.expected is not None and picture.got is not None
    if (picture.vector is not None) == broken or (picture.vector is not None and picture.sha256 is None):
        raise CorruptFileError(f"expected a vector or a known reason, got neither or both for {quote(picture.uri)}")
    return picture


def _judged_with(limits: PictureLimits) -> str:
    return fingerprint([_DECODER_VERSION, asdict(limits)])


def _root_id(image_root: str) -> str:
    return fingerprint(storage.real_path(image_root))


def _catalogue_vectors(run: Path, encoder_id: str, wanted: set[bytes]) -> dict[bytes, np.ndarray]:
    """sha256 -> float16 [picture_dim] of those of the wanted pictures that the run's features have a vector of, made by
    this very encoder. Only the buckets whose fingerprints list one are read; without fingerprints none is."""
    found: dict[bytes, np.ndarray] = {}
    try:
        opened = Run(run)
        if opened.manifest("features").text("encoder_id") != encoder_id or not opened.listed(FINGERPRINTS_FOLDER):
            return {}
        for bucket in range(opened.num_buckets):
            here = _listed_in(opened.fingerprints(bucket).path, wanted - found.keys())
            for item in opened.records(bucket) if here else ():
                found |= {
                    digest: vector_D.copy()
                    for digest, vector_D in zip(item.picture_sha256, item.pictures, strict=True)
                    if digest in here
                }
    except (*DAMAGE, KeyError, ValueError) as error:
        print(f"evaluate: catalogue pictures give no more vectors of query pictures: {error}", file=sys.stderr)
    return found


def _listed_in(fingerprints: str | os.PathLike[str], wanted: set[bytes]) -> set[bytes]:
    pictures = pq.read_table(fingerprints, columns=["pictures"])["pictures"]
    digests = pc.struct_field(pc.list_flatten(pictures), "sha256").unique().to_pylist()
    return wanted.intersection(digests)
