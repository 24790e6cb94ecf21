"""One bucket of items to one file of features: pictures through the image encoder, text through the vocabulary and, if
there is one, the text encoder.

What an earlier run has already made is taken over: the whole bucket, an item's record, its tokens, a picture's vector.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from model.pictures.faults import PictureError, PictureLimits
from model.pictures.image_encoder import ImageEncoder
from model.pictures.image_encoder_spec import ImageEncoderSpec
from model.pictures.root import PictureRoot
from model.text.text_encoder import TextEncoder
from model.text.text_encoder_spec import TextEncoderSpec
from model.text.vocabulary import Vocabulary
from pipelines.console.progress import Progress
from pipelines.features.changed_units import open_set_aside
from pipelines.features.earlier import STAGE, has_tokens, open_earlier
from pipelines.features.known_features import KnownFeatures
from pipelines.features.picture_vectors import VectorFile, shared_cache, shared_text_cache
from pipelines.features.resolve_pictures import BucketPictures, all_unchanged
from pipelines.features.resolve_texts import BucketTexts
from pipelines.run.opened_models import open_encoder, open_text_encoder, open_vocabulary
from pipelines.run.process_units import UnitStage
from pipelines.run.units import Unit, UnitWriter, finished_sidecar
from schemas.errors import CorruptFileError, UsageError, printable
from schemas.hashing import content_hash
from schemas.quarantine import Rejection
from schemas.records.fingerprints import (
    FINGERPRINTS_FOLDER,
    FingerprintsFile,
    FingerprintsWriter,
    ItemFingerprint,
    MadeWith,
    PictureFingerprint,
    text_hash,
)
from schemas.records.tfrecords import ItemFeatures, encode_features, write_records
from schemas.tables import ITEMS, TEXT_FIELDS

_ROWS_A_READ = 256
_COUNTS = (
    "items_read", "items_written", "items_reused", "items_with_text", "items_with_picture", "rows_quarantined",
    "pictures_listed", "pictures_computed", "pictures_reused", "pictures_quarantined", "pictures_read",
)  # fmt: skip


def check_number_format(encoder: ImageEncoder | TextEncoder, spec: ImageEncoderSpec | TextEncoderSpec) -> None:
    """Raises UsageError if the encoder is not what was planned."""
    if encoder.spec != spec:
        flag = "--text-dtype" if isinstance(spec, TextEncoderSpec) else "--image-dtype"
        raise UsageError(
            f"expected {spec.dtype} vectors of {spec.name} close to float32, got cosine {encoder.parity_cosine:.5f} "
            f"on this machine: give {flag} float32"
        )


@dataclass(frozen=True, kw_only=True)
class FeaturesSource:
    """What the features of every bucket are made from. encoder None: a shop without pictures. text_encoder None: no
    text vectors. reuse_from: an earlier run of the same image encoder and number of buckets."""

    run: str
    image_root: str
    vocabulary: str
    encoder: ImageEncoderSpec | None
    text_encoder: TextEncoderSpec | None
    limits: PictureLimits
    made_with: MadeWith
    reuse_from: str | None
    verify_images: bool

    @property
    def pictures(self) -> PictureRoot:
        """Where the pictures are that items list."""
        return PictureRoot.of(self.image_root, self.run)

    @property
    def picture_dim(self) -> int:
        """Width of a picture's vector."""
        return self.encoder.dim if self.encoder else 0

    @property
    def text_dim(self) -> int:
        """Width of a text's vector."""
        return self.text_encoder.dim if self.text_encoder else 0


class FeaturesStage(UnitStage):
    """Passes over a bucket: its pictures, then its texts become vectors in scratch files, then its records are written
    in order.

    Memory holds some batches of pictures, some rows, and of the bucket some hundred bytes an item and a picture.
    """

    stage = STAGE

    def __init__(self, source: FeaturesSource, progress_unit: str, total: int):
        self.source, self.progress_unit, self.total = source, progress_unit, total

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """Loaded at the first text that must be tokenised."""
        return open_vocabulary(self.source.vocabulary)

    def take_over(self, unit: Unit, writer: UnitWriter) -> bool:
        """Copies the earlier run's unit if it was made from the same items and no picture's file has changed since."""
        earlier_run = self.source.reuse_from
        if earlier_run is None or self.source.verify_images or finished_sidecar(earlier_run, unit) is None:
            return False
        try:
            fingerprints = FingerprintsFile(Path(earlier_run, FINGERPRINTS_FOLDER, f"{unit.name}.parquet"))
            pictures = (picture for item in fingerprints for picture in item.pictures)
            if not all_unchanged(pictures, self.source.pictures, self.source.limits):
                return False
        except CorruptFileError:  # told when the unit is computed
            return False
        counts = writer.take_over(earlier_run)
        if counts is None:
            return False
        writer.counts.update(counts)
        writer.counts["pictures_reused"] += counts.get("pictures_computed", 0)
        writer.counts["items_reused"] = counts.get("items_written", 0)
        writer.counts["pictures_computed"] = writer.counts["pictures_read"] = 0
        if self.source.text_encoder:
            writer.counts["texts_computed"] = 0
        writer.counts.pop("pictures_mended", None)  # of those read
        return True

    def compute(self, unit: Unit, writer: UnitWriter, progress: Progress) -> None:
        writer.counts.update(dict.fromkeys(_COUNTS, 0))
        source = self.source
        earlier = open_earlier(
            source.reuse_from, unit.name, source.made_with, source.picture_dim, trust_places=not source.verify_images
        )
        known = KnownFeatures(earlier, open_set_aside(source.run, unit, source.made_with))
        try:
            with (
                writer.file(f"{STAGE}/{unit.name}.tfrecord") as records,
                writer.file(f"{FINGERPRINTS_FOLDER}/{unit.name}.parquet") as fingerprints,
                VectorFile(Path(records).parent, source.picture_dim) as vectors,
                VectorFile(Path(records).parent, source.text_dim) as text_vectors,
                FingerprintsWriter(fingerprints, source.made_with) as fingerprints_writer,
            ):
                bucket = _Bucket(self, unit.name, writer, progress, known, vectors, text_vectors)
                written = write_records(records, bucket.payloads(fingerprints_writer))
        finally:
            known.close()
        writer.counts["items_written"] = written
        writer.quarantine(bucket.rejections)


class _Bucket:
    """The second pass over one bucket: from settled pictures and text to records, fingerprints and rejections."""

    def __init__(
        self,
        stage: FeaturesStage,
        name: str,
        writer: UnitWriter,
        progress: Progress,
        known: KnownFeatures,
        vectors: VectorFile,
        text_vectors: VectorFile,
    ):
        self.stage, self.source, self.name, self.known = stage, stage.source, name, known
        self.counts, self.progress = writer.counts, progress
        self.rejections: list[Rejection] = []
        advance = progress.advance if stage.progress_unit == "pictures" else lambda count: None
        cache = shared_cache((self.source.encoder, self.source.limits))
        self.pictures = BucketPictures(known, vectors, cache, self._open_encoder, writer.counts, advance)
        self.texts: BucketTexts | None = None
        if self.source.text_encoder is not None:
            cache = shared_text_cache(self.source.text_encoder)
            self.texts = BucketTexts(known, text_vectors, cache, self._open_text_encoder, writer.counts)

    def payloads(self, fingerprints: FingerprintsWriter) -> Iterator[bytes]:
        """Serialised records, in item order; writes the fingerprints of all items beside them."""
        uris = (uri for row in self._rows(["images"]) for uri in row["images"] or ())
        self.pictures.resolve(uris, self.source.pictures, self.source.limits)
        if self.texts is not None:
            self.texts.resolve(self._rows(["item_id", *TEXT_FIELDS]))
        for row in self._rows(ITEMS.names):
            pictures = tuple(self.pictures.take(len(row["images"] or ())))
            item = ItemFingerprint(row["item_id"], text_hash(row), None, pictures)
            payload = self._record(row, item)
            if payload is not None:
                item = replace(item, features_hash=content_hash(payload))
                yield payload
            fingerprints.add(item)

    def _rows(self, columns: list[str]) -> Iterator[dict[str, Any]]:
        with pq.ParquetFile(Path(self.source.run, "items", f"{self.name}.parquet")) as file:
            for batch in file.iter_batches(_ROWS_A_READ, columns=columns):
                yield from batch.to_pylist()

    def _open_encoder(self) -> ImageEncoder:
        spec = self.source.encoder
        if spec is None:
            raise UsageError(f"expected items without pictures for image encoder none, got pictures in {self.name}")
        encoder = open_encoder(spec)
        check_number_format(encoder, spec)
        return encoder

    def _open_text_encoder(self) -> TextEncoder:
        spec = self.source.text_encoder
        assert spec is not None, "texts are resolved for one only"
        encoder = open_text_encoder(spec)
        check_number_format(encoder, spec)
        return encoder

    def _record(self, row: dict[str, Any], item: ItemFingerprint) -> bytes | None:
        """The item's record, or None if nothing of it is left; its rejections and counts."""
        self.counts["items_read"] += 1
        if self.stage.progress_unit == "items":
            self.progress.advance()
        rejected = [picture for picture in item.pictures if picture.reason is not None]
        for picture in rejected:
            self._reject_picture(item.item_id, picture)
        digests = item.usable_pictures()
        payload, is_reused = self.known.record(item.item_id, item.text_hash, digests)
        if payload is not None:
            self.counts["items_reused"] += is_reused
            self.counts["items_with_text"] += has_tokens(payload)
        else:
            tokens = self.known.tokens(item.item_id, item.text_hash) or self.stage.vocabulary.encode_item(row)
            if not len(tokens[0]) and not digests:
                self._reject_row(item.item_id, len(rejected))
                return None
            payload = self._encoded(row, item, *tokens)
            self.counts["items_with_text"] += len(tokens[0]) > 0
        self.counts["items_with_picture"] += len(digests) > 0
        return payload

    def _encoded(
        self, row: dict[str, Any], item: ItemFingerprint, token_ids_T: np.ndarray, offsets_F: np.ndarray
    ) -> bytes:
        digests = item.usable_pictures()
        vectors = [self.pictures.vector(digest) for digest in digests]
        return encode_features(
            ItemFeatures(
                item_id=item.item_id,
                token_ids=token_ids_T,
                token_offsets=offsets_F,
                pictures=np.stack(vectors) if vectors else np.zeros((0, self.source.picture_dim), np.float16),
                picture_sha256=digests,
                text_vector=self.texts.vector(row, item.text_hash) if self.texts else np.zeros(0, np.float16),
            )
        )

    def _reject_picture(self, item_id: str, picture: PictureFingerprint) -> None:
        fault = PictureError(str(picture.reason), str(picture.expected), str(picture.got))
        self._reject("picture", item_id, fault.reason, fault.expected, fault.got, picture.uri, fault.remedy)

    def _reject_row(self, item_id: str, num_rejected: int) -> None:
        got = f"no text token and {num_rejected} pictures, none of them usable"
        where = f"items/{self.name}.parquet"
        self._reject("row", item_id, "no_content", "text or a picture", got, where, "give it a title or a picture")

    def _reject(self, level: str, item_id: str, reason: str, expected: str, got: str, where: str, remedy: str) -> None:
        self.rejections.append(
            Rejection(
                level=level,
                stage=STAGE,
                item_id=item_id,
                reason=reason,
                expected=expected,
                got=got,
                where=printable(where),
                remedy=remedy,
            )
        )
