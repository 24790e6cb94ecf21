"""One bucket of items to one file of features: pictures through the image encoder, text through the vocabulary."""

import functools
import hashlib
import itertools
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from model.image_encoder import ImageEncoder
from model.image_encoder_spec import ImageEncoderSpec
from model.ordered_map import ordered_map
from model.pictures import PictureError, PictureLimits, read_picture
from model.vocabulary import Vocabulary
from pipelines.picture_vectors import VectorCache, VectorFile
from pipelines.progress import Progress
from pipelines.transforms.process_units import UnitStage
from pipelines.units import Unit, UnitWriter
from schemas.errors import CorruptFileError, UsageError
from schemas.quarantine import Rejection
from schemas.records import ItemFeatures, decode_features, encode_features, read_records, write_records
from schemas.tables import ITEMS

STAGE = "features"
_ROWS_A_READ = 256
#: Files read ahead of the encoder: each may be as large as --max-picture-bytes.
_READ_THREADS = 4
_FILES_WAITING = 8
_CACHE_BYTES = 256 << 20


@functools.lru_cache(maxsize=1)
def open_encoder(spec: ImageEncoderSpec) -> ImageEncoder:
    """The loaded encoder, one a process. Its spec is another (float32) if the number format fails the parity check."""
    return ImageEncoder(spec, may_fall_back=True)


def check_number_format(encoder: ImageEncoder, spec: ImageEncoderSpec) -> None:
    """Raises UsageError if the encoder is not what was planned."""
    if encoder.spec != spec:
        raise UsageError(
            f"expected {spec.dtype} vectors of {spec.name} close to float32, got cosine {encoder.parity_cosine:.5f} "
            "on this machine: give --image-dtype float32"
        )


@dataclass(frozen=True, kw_only=True)
class FeaturesSource:
    """What the features of every bucket are made from. `encoder` None: a shop without pictures."""

    run: str
    image_root: str
    vocabulary: str
    encoder: ImageEncoderSpec | None
    limits: PictureLimits
    reuse_from: str | None


@dataclass(frozen=True)
class _Slot:
    """A place in the stream of a bucket: one picture (uri; digest if it could be read), or the end of an item (row)."""

    uri: str = ""
    digest: bytes | None = None
    row: dict[str, Any] | None = None


@dataclass
class _Item:
    """What is known of the item whose pictures pass by."""

    pictures: list[np.ndarray] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    rejected: list[tuple[str, PictureError]] = field(default_factory=list)


class FeaturesStage(UnitStage):
    """Streams a bucket: files are read ahead, hashed, equal ones encoded once, records written in item order.

    Memory holds some batches of pictures and, of the bucket, 32 bytes a picture: its vectors lie in a scratch file.
    """

    stage = STAGE

    def __init__(self, source: FeaturesSource, progress_unit: str):
        self.source, self.progress_unit = source, progress_unit
        self.picture_dim = source.encoder.dim if source.encoder else 0

    def setup(self) -> None:
        self.vocabulary = Vocabulary.load(self.source.vocabulary)
        self.cache = VectorCache(_CACHE_BYTES)

    def compute(self, unit: Unit, writer: UnitWriter, progress: Progress) -> None:
        names = "items_read items_written rows_quarantined pictures_listed pictures_computed pictures_reused"
        writer.counts.update(dict.fromkeys(f"{names} pictures_quarantined".split(), 0))
        rejections: list[Rejection] = []
        with writer.file(f"{STAGE}/{unit.name}.tfrecord") as temporary:
            bucket = _Bucket(self, unit.name, writer, progress, rejections)
            writer.counts["items_written"] = write_records(temporary, bucket.payloads(Path(temporary).parent))
        writer.quarantine(rejections)


class _Bucket:
    """One pass over one bucket."""

    def __init__(
        self, stage: FeaturesStage, name: str, writer: UnitWriter, progress: Progress, rejections: list[Rejection]
    ):
        self.stage, self.source, self.name = stage, stage.source, name
        self.counts, self.progress, self.rejections = writer.counts, progress, rejections
        self.failed: dict[bytes, PictureError] = {}

    def payloads(self, scratch_folder: Path) -> Iterator[bytes]:
        """Serialised records, in item order."""
        with (
            VectorFile(scratch_folder, self.stage.picture_dim) as self.vectors,
            ThreadPoolExecutor(_READ_THREADS, thread_name_prefix="read-pictures") as pool,
        ):
            self._take_over_vectors()
            item = _Item()
            for slot, value in self._encoded(self._pictures(pool)):
                if slot.row is None:
                    self._add_picture(item, slot, value)
                    continue
                payload = self._finish(slot.row, item)
                item = _Item()
                if payload is not None:
                    yield payload

    def _take_over_vectors(self) -> None:
        """Puts the vectors of the earlier run's bucket into the scratch file: they count as known."""
        if self.source.reuse_from is None:
            return
        path = Path(self.source.reuse_from, STAGE, f"{self.name}.tfrecord")
        try:
            for payload in read_records(path):
                features = decode_features(payload)
                for digest, vector_D in zip(features.picture_sha256, features.pictures, strict=True):
                    self.vectors.add(digest, vector_D)
        except (CorruptFileError, OSError, ValueError) as error:
            print(f"{STAGE}: what follows is computed, not reused, in {self.name}: {error}", file=sys.stderr)

    def _slots(self) -> Iterator[_Slot]:
        path = Path(self.source.run, "items", f"{self.name}.parquet")
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_A_READ, columns=ITEMS.names):
                for row in batch.to_pylist():
                    yield from map(_Slot, row["images"] or ())
                    yield _Slot(row=row)

    def _read(self, slot: _Slot) -> tuple[_Slot, bytes | PictureError | None]:
        if slot.row is not None:
            return slot, None
        try:
            data = read_picture(self.source.image_root, slot.uri, self.source.limits)
        except PictureError as error:
            return slot, error.with_traceback(None)
        return _Slot(slot.uri, hashlib.sha256(data).digest()), data

    def _pictures(self, pool: ThreadPoolExecutor) -> Iterator[tuple[_Slot, bytes | PictureError | None]]:
        """What to encode (bytes), why not (PictureError), or nothing (an item's end, or a vector known by then)."""
        seen: set[bytes] = set()
        for slot, value in ordered_map(pool, self._read, self._slots(), max_waiting=_FILES_WAITING):
            if slot.digest is None or slot.digest in seen:
                yield slot, value if slot.digest is None else None
                continue
            seen.add(slot.digest)
            if slot.digest not in self.vectors and (cached_D := self.stage.cache.get(slot.digest)) is not None:
                self.vectors.add(slot.digest, cached_D)
            yield slot, None if slot.digest in self.vectors else value

    def _encoded(self, pictures: Iterator[tuple[_Slot, Any]]) -> Iterator[tuple[_Slot, Any]]:
        """The stream with vectors for bytes; the encoder is loaded at the first picture that needs it."""
        for slot, value in pictures:
            if isinstance(value, bytes):
                spec = self._encoder_spec()
                encoder = open_encoder(spec)
                check_number_format(encoder, spec)
                rest = itertools.chain([(slot, value)], pictures)
                yield from encoder.encode_stream(rest, self.source.limits)
                return
            yield slot, value

    def _encoder_spec(self) -> ImageEncoderSpec:
        if self.source.encoder is None:
            raise UsageError(f"expected items without pictures for image encoder none, got pictures in {self.name}")
        return self.source.encoder

    def _add_picture(self, item: _Item, slot: _Slot, value: Any) -> None:
        self.counts["pictures_listed"] += 1
        if self.stage.progress_unit == "pictures":
            self.progress.advance()
        if isinstance(value, np.ndarray):
            self.counts["pictures_computed"] += 1
            self.vectors.add(slot.digest, value)
            self.stage.cache.add(slot.digest, value)
        elif isinstance(value, PictureError):
            if slot.digest is not None:
                self.failed[slot.digest] = value
        elif slot.digest in self.failed:
            value = self.failed[slot.digest]
        else:
            self.counts["pictures_reused"] += 1
            value = self.vectors.get(slot.digest)
        if isinstance(value, PictureError):
            item.rejected.append((slot.uri, value))
        else:
            item.pictures.append(value)
            item.digests.append(slot.digest)

    def _finish(self, row: dict[str, Any], item: _Item) -> bytes | None:
        """The item's record, or None if nothing of it is left; its rejections."""
        self.counts["items_read"] += 1
        if self.stage.progress_unit == "items":
            self.progress.advance()
        for uri, error in item.rejected:
            self._reject("picture", row, error.reason, error.expected, error.got, uri, error.remedy)
        token_ids_T, offsets_F = self.stage.vocabulary.encode_item(row)
        if not len(token_ids_T) and not item.pictures:
            got = f"no text token and {len(item.rejected)} pictures, none of them usable"
            where = f"items/{self.name}.parquet"
            self._reject("row", row, "no_content", "text or a picture", got, where, "give it a title or a picture")
            return None
        blank_ND = np.zeros((0, self.stage.picture_dim), np.float16)
        return encode_features(
            ItemFeatures(
                item_id=row["item_id"],
                token_ids=token_ids_T,
                token_offsets=offsets_F,
                pictures=np.stack(item.pictures) if item.pictures else blank_ND,
                picture_sha256=tuple(item.digests),
            )
        )

    def _reject(
        self, level: str, row: dict[str, Any], reason: str, expected: str, got: str, where: str, remedy: str
    ) -> None:
        self.rejections.append(
            Rejection(
                level=level,
                stage=STAGE,
                item_id=row["item_id"],
                reason=reason,
                expected=expected,
                got=got,
                where=where,
                remedy=remedy,
            )
        )
