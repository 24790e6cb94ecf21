"""A sample of a run computed again, from picture files and text to vectors, and compared byte for byte.

A picture whose file is another now than when the run read it is reported as changed since, not as a fault.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from model.items.folded import encoder_for_inference
from model.items.inference import embed_batches
from model.items.store import load_item_encoder
from model.machine.number_formats import DTYPES
from model.pictures.faults import DEFAULT_LIMITS, PictureError, PictureLimits
from model.pictures.files import read_picture
from model.pictures.image_encoder import ImageEncoder
from model.pictures.image_encoder_spec import ImageEncoderSpec, saved_image_encoder_spec
from model.pictures.root import PictureRoot
from model.text.text_encoder import TextEncoder
from model.text.text_encoder_spec import item_sentences, saved_text_encoder_spec
from model.text.vocabulary import Vocabulary
from pipelines.operations.findings import Finding
from pipelines.operations.inspected_run import InspectedRun, sample_by_hash
from pipelines.run.units import bucket_name
from pipelines.store.models import ITEM_MODELS
from schemas import storage
from schemas.errors import UsageError
from schemas.hashing import bucket_of
from schemas.quarantine import quote
from schemas.records.tfrecords import ItemFeatures, decode_features, encode_features, read_records
from schemas.tables import ITEMS


@dataclass
class _Sampled:
    """One item of the sample as stored: catalogue row, record, vector (None: not found), and its pictures as they are
    now: (URI, digest or None, vector or PictureError). text_vector_D: computed again, None if it was not."""

    row: dict[str, Any]
    payload: bytes
    record: ItemFeatures
    vector_D: np.ndarray | None
    pictures: list[tuple[str, bytes | None, Any]] = field(default_factory=list)
    text_vector_D: np.ndarray | None = None


def check_rebuild(run: InspectedRun, ids: Sequence[str], count: int, image_root: str | None) -> Finding:
    """Computes the `count` items of smallest hash again: pictures, tokens, record, vector."""
    finding = Finding("rebuild")
    with finding.guard("what the sample was made from"):
        names = sorted(ids)
        wanted = [names[position] for position in sample_by_hash(names, count, "rebuild")]
        model = ITEM_MODELS.folder(str(run.store), str(run.model_id))
        config = run.manifest.get("config", {})
        root = image_root if image_root is not None else str(config.get("image_root", "."))
        if not storage.is_folder(root):
            raise UsageError(f"expected the pictures' folder at {root!r}, got none: give --image-root")
        sampled = list(_stored(run, wanted))
        limits = _limits(config)
        spec = _encoder_of_run(run, model, finding)
        num_pictures = _compute_pictures(sampled, PictureRoot.of(root, run.run), limits, spec)
        _compute_text_vectors(sampled, run, model, finding)
        vocabulary = Vocabulary.load(model / "vocabulary")
        for item in sampled:
            _compare_record(item, vocabulary, spec is not None, finding)
        _compare_vectors(sampled, model, run.stages["features"], finding)
        finding.looked_at = f"{len(sampled)} items, {num_pictures} pictures computed again"
    return finding


def _limits(config: dict[str, Any]) -> PictureLimits:
    """The limits of the run's config; the defaults for a run without."""
    return PictureLimits(
        max_bytes=config.get("max_picture_bytes", DEFAULT_LIMITS.max_bytes),
        max_pixels=config.get("max_picture_pixels", DEFAULT_LIMITS.max_pixels),
    )


def _stored(run: InspectedRun, wanted: Sequence[str]) -> Iterator[_Sampled]:
    """The sampled items, a bucket at a time."""
    num_buckets = run.stages["items"]["num_buckets"]
    by_bucket: dict[int, set[str]] = {}
    for item_id in wanted:
        by_bucket.setdefault(bucket_of(item_id, num_buckets), set()).add(item_id)
    table = pq.read_table(run.run / "embeddings", filters=[("item_id", "in", list(wanted))])
    vectors = dict(zip(table["item_id"].to_pylist(), table["embedding"].to_pylist(), strict=True))
    for bucket, names in sorted(by_bucket.items()):
        name = bucket_name(bucket, num_buckets)
        rows = pq.read_table(run.run / "items" / f"{name}.parquet", columns=ITEMS.names).to_pylist()
        by_id = {row["item_id"]: row for row in rows if row["item_id"] in names}
        for payload in read_records(run.run / "features" / f"{name}.tfrecord"):
            record = decode_features(payload)
            if record.item_id in names:
                vector = vectors.get(record.item_id)
                yield _Sampled(
                    by_id[record.item_id], payload, record, None if vector is None else np.array(vector, np.float32)
                )


def _encoder_of_run(run: InspectedRun, model: Path, finding: Finding) -> ImageEncoderSpec | None:
    """The model's image encoder in the number format and on the device of the run; None, with a warning unless the run
    has no pictures, if this machine has none such."""
    wanted = run.stages["features"]["encoder_id"]
    if not run.stages["features"]["picture_dim"]:
        return None
    for device in ("auto", "cpu"):
        for dtype in ("auto", *DTYPES):
            spec = saved_image_encoder_spec(model / "image_encoder", device, dtype)
            if spec.encoder_id == wanted:
                return spec
    finding.warn(f"pictures are not computed again: the run used encoder {quote(wanted)}, which this machine has not")
    return None


def _compute_pictures(
    sampled: Sequence[_Sampled], root: PictureRoot, limits: PictureLimits, spec: ImageEncoderSpec | None
) -> int:
    """Reads and encodes the pictures of the sample as they are now; returns how many have a vector."""
    if spec is None:
        return 0

    def files() -> Iterator[tuple[tuple[int, str, bytes | None], bytes | PictureError]]:
        for number, item in enumerate(sampled):
            for uri in item.row["images"] or ():
                try:
                    data = read_picture(root, uri, limits)
                    yield (number, uri, hashlib.sha256(data).digest()), data
                except PictureError as error:
                    yield (number, uri, None), error.with_traceback(None)

    for (number, uri, digest), value in ImageEncoder(spec).encode_stream(files(), limits):
        sampled[number].pictures.append((uri, digest, value))
    return sum(isinstance(value, np.ndarray) for item in sampled for _, _, value in item.pictures)


def _compute_text_vectors(sampled: Sequence[_Sampled], run: InspectedRun, model: Path, finding: Finding) -> None:
    """Encodes the sentences of the sample if the run has text vectors; warns if this machine has no such encoder."""
    wanted = run.stages["features"].get("text_vectors_id")
    if wanted is None:
        return
    for device in ("auto", "cpu"):
        for dtype in ("auto", *DTYPES):
            spec = saved_text_encoder_spec(model / "text_encoder", device, dtype)
            if spec.encoder_id == wanted:
                vectors_ND = TextEncoder(spec).encode_means([item_sentences(item.row) for item in sampled])
                for item, vector_D in zip(sampled, vectors_ND.astype(np.float16), strict=True):
                    item.text_vector_D = vector_D if vector_D.any() else vector_D[:0]
                return
    finding.warn(f"texts are not encoded again: the run used encoder {quote(wanted)}, which this machine has not")


def _compare_record(item: _Sampled, vocabulary: Vocabulary, with_pictures: bool, finding: Finding) -> None:
    """The record of an item, made again of its row and its pictures, against the stored one: first what it is made of,
    then its bytes. Not the bytes of one whose pictures were not computed again, or have changed."""
    name = quote(item.row["item_id"])
    token_ids_T, offsets_F = vocabulary.encode_item(item.row)
    stored = item.record
    if not np.array_equal(token_ids_T, stored.token_ids) or not np.array_equal(offsets_F, stored.token_offsets):
        finding.fail(
            f"expected the stored {len(stored.token_ids)} tokens, got {len(token_ids_T)} others for item {name}"
        )
    text_vector_D = stored.text_vector if item.text_vector_D is None else item.text_vector_D
    if not np.array_equal(text_vector_D, stored.text_vector):
        finding.fail(f"expected the stored text vector, got another for item {name}")
    if not with_pictures:
        return
    pictures = _compare_pictures(item, finding)
    if pictures is None:
        return
    again = encode_features(
        ItemFeatures(
            item_id=item.row["item_id"],
            token_ids=token_ids_T,
            token_offsets=offsets_F,
            pictures=pictures,
            picture_sha256=stored.picture_sha256,
            text_vector=text_vector_D,
        )
    )
    if again != item.payload:
        finding.fail(f"expected the stored record of {len(item.payload)} bytes, got another for item {name}")


def _compare_pictures(item: _Sampled, finding: Finding) -> np.ndarray | None:
    """An item's pictures, computed again, against the stored ones of the same content. The vectors [pictures, D]; None,
    with a warning, where the files are others than when the run read them."""
    name, stored = quote(item.row["item_id"]), item.record
    known = dict(zip(stored.picture_sha256, stored.pictures, strict=True))
    good = [(digest, value) for _, digest, value in item.pictures if isinstance(value, np.ndarray)]
    for uri, digest, value in item.pictures:
        if digest not in known:
            continue
        if isinstance(value, PictureError):
            finding.fail(f"expected the stored vector, got {value} for {quote(uri)} of item {name}")
        elif not np.array_equal(value, known[digest]):
            apart = float(np.abs(value.astype(np.float32) - known[digest].astype(np.float32)).max())
            finding.fail(f"expected the stored vector, got one {apart:.2g} apart for {quote(uri)} of item {name}")
    digests = tuple(digest for digest, _ in good)
    if digests != stored.picture_sha256:
        gone, new = len(set(known).difference(digests)), len(set(digests).difference(known))
        finding.warn(
            f"pictures of item {name} changed since the run: {gone} are gone, {new} are new, or their order is"
        )
        return None
    return np.stack([value for _, value in good]) if good else stored.pictures


def _compare_vectors(sampled: Sequence[_Sampled], model: Path, features: dict[str, Any], finding: Finding) -> None:
    """Embeds the stored records: what a picture has become since does not matter here."""
    encoder = encoder_for_inference(load_item_encoder(model))
    stored = {item.row["item_id"]: item.vector_D for item in sampled}
    records = [item.record for item in sampled]
    for batch in embed_batches(encoder, records, features["picture_dim"], text_dim=features.get("text_dim", 0)):
        for failure in batch.failures:
            if stored[failure.item_id] is not None:
                got = f"{failure.reason}, {failure.got}"
                finding.fail(f"expected the stored vector, got {got} for item {quote(failure.item_id)}")
        for item_id, vector_D in zip(batch.item_ids, batch.vectors_BD, strict=True):
            _compare_vector(item_id, stored[item_id], vector_D, finding)


def _compare_vector(item_id: str, stored_D: np.ndarray | None, vector_D: np.ndarray, finding: Finding) -> None:
    if stored_D is None:
        finding.fail(f"expected a stored vector, got none for item {quote(item_id)}: see the quarantine")
    elif stored_D.tobytes() != vector_D.tobytes():
        apart = float(np.abs(stored_D - vector_D).max())
        finding.fail(
            f"expected the stored vector, got one {apart:.1e} apart for item {quote(item_id)}: about 1e-7 is another "
            "kind of CPU, more is another model"
        )
