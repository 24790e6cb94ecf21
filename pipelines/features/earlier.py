"""What an earlier run knows of a bucket: records, tokens, picture contents and vectors that hold today.

Three rules keep that sound:

- Nothing is believed that the earlier run's checksums do not cover: the sidecar has the sha256 of the fingerprints, the
  fingerprints have the hash of every record. What is damaged counts as unknown, and a line on stderr says so.
- A record is an item's id, its text through the vocabulary and the text encoder, and the vectors of its pictures'
  contents. So it holds if text, vocabulary, text encoder and the contents of its usable pictures are the same, whatever
  has become of their files.
- A picture's content is known unread if its URI, size and modification time are unchanged, under the same image root
  and limits. A vector holds wherever its content turns up again, for the same image encoder.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from model.pictures.faults import CONTENT_REASONS, PictureError
from pipelines.run.earlier_faults import say
from pipelines.run.record_file import RecordFile
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import check_sha256
from schemas.records.fingerprints import FINGERPRINTS_FOLDER, FingerprintsFile, MadeWith, PictureFingerprint
from schemas.records.manifests import Sidecar
from schemas.records.tfrecords import ItemFeatures, decode_features
from schemas.tables import NUM_TEXT_FIELDS

STAGE = "features"
#: How a record ends: token_offsets, the last key of a tf.Example whose keys are sorted, with its tag and length.
_OFFSETS_BYTES = 4 * (NUM_TEXT_FIELDS + 1)
_OFFSETS_TAG = bytes((0x0A, _OFFSETS_BYTES))


@dataclass(frozen=True, slots=True)
class _Item:
    """An item of the earlier run. record: its number in the file, None if it had none. digests: of usable pictures."""

    text_hash: bytes
    record: int | None
    digests: tuple[bytes, ...]


@dataclass
class EarlierBucket:
    """A bucket of an earlier run; without a file it knows nothing. Memory: some hundred bytes an item and a picture."""

    records: RecordFile | None = None
    same_vocabulary: bool = False
    same_text_encoder: bool = False
    items: dict[str, _Item] = field(default_factory=dict)
    places: dict[tuple[str, int, int], PictureFingerprint] = field(default_factory=dict)
    rejected: dict[bytes, PictureError] = field(default_factory=dict)
    vectors: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    _decoded: tuple[int, ItemFeatures] | None = None

    def close(self) -> None:
        """Ends the reading of records."""
        if self.records is not None:
            self.records.close()

    def picture_at(self, uri: str, size_bytes: int, modified_ns: int) -> PictureFingerprint | None:
        """A picture whose file is as it was, if what became of it is known."""
        picture = self.places.get((uri, size_bytes, modified_ns))
        if picture is None or (picture.reason is None and picture.sha256 not in self.vectors):
            return None
        return picture

    def vector(self, digest: bytes) -> np.ndarray:
        """float16 [picture_dim] of a content. Raises KeyError for one that `vectors` lacks."""
        number, position = self.vectors[digest]
        features = self._decode(number)
        assert features.picture_sha256[position] == digest, "fingerprints and records are of one run"
        return features.pictures[position]

    def record(self, item_id: str, text_hash: bytes, digests: tuple[bytes, ...]) -> bytes | None:
        """The serialised record of an item with this text and these usable pictures, if it is known."""
        item = self.items.get(item_id)
        if item is None or item.record is None or self.records is None:
            return None
        if not self.same_vocabulary or not self.same_text_encoder:
            return None
        return self.records.payload(item.record) if (item.text_hash, item.digests) == (text_hash, digests) else None

    def tokens(self, item_id: str, text_hash: bytes) -> tuple[np.ndarray, np.ndarray] | None:
        """(token_ids, token_offsets) of an item with this text, as in ItemFeatures, if they are known."""
        item = self.items.get(item_id)
        if item is None or item.text_hash != text_hash or not self.same_vocabulary:
            return None
        if item.record is None:  # without a record it had neither tokens nor pictures
            return np.zeros(0, np.int32), np.zeros(NUM_TEXT_FIELDS + 1, np.int32)
        features = self._decode(item.record)
        return features.token_ids, features.token_offsets

    def has_text_vector(self, item_id: str, text_hash: bytes) -> bool:
        """Whether `text_vector` knows that of an item with this text."""
        item = self.items.get(item_id)
        return item is not None and item.record is not None and item.text_hash == text_hash and self.same_text_encoder

    def text_vector(self, item_id: str) -> np.ndarray:
        """That of an item that has_text_vector, as in ItemFeatures."""
        number = self.items[item_id].record
        assert number is not None, "asked before"
        return self._decode(number).text_vector

    def _decode(self, number: int) -> ItemFeatures:
        if self._decoded is None or self._decoded[0] != number:
            assert self.records is not None
            self._decoded = number, decode_features(self.records.payload(number))
        return self._decoded[1]


def open_earlier(run: str | None, name: str, today: MadeWith, picture_dim: int, trust_places: bool) -> EarlierBucket:
    """What the bucket `name` of an earlier run with the same image encoder and number of buckets knows.

    trust_places False: no picture is known unread, and none is known to be bad. Reads the records once, to find those
    that are sound.
    """
    if run is None:
        return EarlierBucket()
    records = RecordFile(Path(run, STAGE, f"{name}.tfrecord"))
    try:
        fingerprints = _sound_fingerprints(run, name)
        if fingerprints is None or fingerprints.made_with.code_version != today.code_version:
            return _scan_vectors(EarlierBucket(records), name, picture_dim)
        return _scan(EarlierBucket(records), fingerprints, name, today, trust_places)
    except (CorruptFileError, OSError) as error:
        say(STAGE, f"{name} is computed, nothing is reused: {error}")
        return EarlierBucket()


def open_sealed(run: str, name: str, sidecar: Sidecar, today: MadeWith) -> EarlierBucket:
    """What a bucket knows whose files are exactly those that the sidecar lists, made as today; nothing if they are not.
    Raises CorruptFileError if the sidecar lists no fingerprints."""
    relative_path = f"{FINGERPRINTS_FOLDER}/{name}.parquet"
    try:
        check_sha256(Path(run, relative_path), sidecar.sha256_of(relative_path))
        fingerprints = FingerprintsFile(Path(run, relative_path))
        bucket = EarlierBucket(RecordFile(Path(run, STAGE, f"{name}.tfrecord")))
        return _scan(bucket, fingerprints, name, today, trust_places=True)
    except OSError as error:
        raise CorruptFileError(f"expected what the sidecar of {name} lists, got {error}") from error


def has_tokens(payload: bytes) -> bool:
    """Whether a record has a text token. Looks at its end only: parsing it takes ten times as long."""
    end = payload[-_OFFSETS_BYTES - len(_OFFSETS_TAG) :]
    if end.startswith(_OFFSETS_TAG) and b"token_offsets" in payload[-_OFFSETS_BYTES - 32 : -_OFFSETS_BYTES]:
        return end[-4:] != b"\0\0\0\0"
    return len(decode_features(payload).token_ids) > 0


def _sound_fingerprints(run: str, name: str) -> FingerprintsFile | None:
    """The earlier fingerprints; None if there are none, or not as they were written."""
    relative_path = f"{FINGERPRINTS_FOLDER}/{name}.parquet"
    path = Path(run, relative_path)
    if not storage.is_folder(path.parent):  # told once, when the stage is planned
        return None
    try:
        check_sha256(path, Sidecar.read(run, STAGE, name).sha256_of(relative_path))
        return FingerprintsFile(path)
    except (CorruptFileError, OSError) as error:
        say(STAGE, f"every picture of {name} is read, only vectors are reused: {error}")
        return None


def _scan(
    bucket: EarlierBucket, fingerprints: FingerprintsFile, name: str, today: MadeWith, trust_places: bool
) -> EarlierBucket:
    """Files what the fingerprints say, then the vectors of sound records. The n-th record is that of the n-th item that
    has a hash of one."""
    made_with = fingerprints.made_with
    if made_with.encoder_id != today.encoder_id or made_with.max_picture_pixels > today.max_picture_pixels:
        raise CorruptFileError(f"expected what was made with {today}, got {made_with} in {fingerprints.path}")
    same_limits, trust_verdicts = made_with.limits == today.limits, trust_places
    trust_places &= same_limits and made_with.image_root == today.image_root
    bucket.same_vocabulary = made_with.vocabulary_id == today.vocabulary_id
    bucket.same_text_encoder = made_with.text_vectors_id == today.text_vectors_id
    hashes: list[bytes] = []
    for item in fingerprints:
        number = None if item.features_hash is None else len(hashes)
        bucket.items[item.item_id] = _Item(item.text_hash, number, item.usable_pictures())
        if item.features_hash is not None:
            hashes.append(item.features_hash)
        for picture in item.pictures:
            if picture.sha256 is not None and (picture.reason is None or picture.reason in CONTENT_REASONS):
                _file_picture(bucket, picture, same_limits and trust_verdicts, trust_places)
    num_sound = _num_sound(bucket, hashes, name)
    for item_id, known in list(bucket.items.items()):
        if known.record is not None and known.record >= num_sound:
            del bucket.items[item_id]
        elif known.record is not None:
            for position, digest in enumerate(known.digests):
                bucket.vectors.setdefault(digest, (known.record, position))
    return bucket


def _file_picture(bucket: EarlierBucket, picture: PictureFingerprint, trust_verdict: bool, trust_place: bool) -> None:
    if trust_place and picture.modified_ns >= 0:
        bucket.places.setdefault((picture.uri, picture.size_bytes, picture.modified_ns), picture)
    if trust_verdict and picture.sha256 is not None and picture.reason is not None:
        error = PictureError(picture.reason, str(picture.expected), str(picture.got))
        bucket.rejected.setdefault(picture.sha256, error)


def _num_sound(bucket: EarlierBucket, hashes: list[bytes], name: str) -> int:
    """How many records, from the first on, have the hashes that they were fingerprinted with."""
    assert bucket.records is not None
    number = 0
    try:
        for _, digest in bucket.records.scan():
            if number == len(hashes) or digest != hashes[number]:
                raise CorruptFileError(f"expected record {number} as in its fingerprint, got another")
            number += 1
        if number < len(hashes):
            raise CorruptFileError(f"expected {len(hashes)} records, got {number}")
    except (CorruptFileError, OSError) as error:
        say(
            STAGE,
            f"{len(hashes) - number} records of {name} are computed, not reused: {error} in {bucket.records.path}",
        )
    return number


def _scan_vectors(bucket: EarlierBucket, name: str, picture_dim: int) -> EarlierBucket:
    """Files the vectors of a run without fingerprints; its records' own checksums are all there is."""
    assert bucket.records is not None
    try:
        for number, (payload, _) in enumerate(bucket.records.scan()):
            features = decode_features(payload)
            if len(features.pictures) and features.pictures.shape[1] != picture_dim:
                got = f"{features.pictures.shape[1]} in {bucket.records.path}"
                raise CorruptFileError(f"expected pictures of {picture_dim} numbers, got {got}")
            for position, digest in enumerate(features.picture_sha256[: len(features.pictures)]):
                bucket.vectors.setdefault(digest, (number, position))
    except (CorruptFileError, OSError, ValueError) as error:
        say(STAGE, f"what follows is computed, not reused, in {name}: {error}")
    return bucket
