"""TFRecord files of tf.Example: item features and training pairs. Both CRCs are checked on reading.

Arrays are stored as little-endian bytes in single-valued bytes features, dtype and shape fixed here: 25 times faster
than float_list, and any TensorFlow reader gets them with `tf.io.decode_raw`.

File format: repeated {uint64 length, uint32 masked crc32c(length), bytes, uint32 masked crc32c(bytes)}.
"""

import math
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import google_crc32c
import numpy as np
from tfrecord import example_pb2

from schemas import storage
from schemas.errors import CorruptFileError
from schemas.quarantine import quote
from schemas.tables import NUM_TEXT_FIELDS

#: No record of ours is larger: 20 pictures x 8,192 float16 plus text. A damaged length never allocates more.
MAX_RECORD_BYTES = 64 << 20
SHA256_BYTES = 32

_ITEM_FEATURES = frozenset(("item_id", "token_ids", "token_offsets", "pictures", "picture_shape", "picture_sha256"))
#: Only in records that have one.
_TEXT_VECTOR, _QUERY_TEXT_VECTOR = "text_vector", "query_text_vector"
_QUERY_TABLE_VECTOR = "query_table_vector"
_PAIR_FEATURES = frozenset(("task", "query_id", "item_id", "query_token_ids", "query_picture", "counts"))
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ItemFeatures:
    """Features of one item.

    token_ids: int32 [T], the token ids of all text fields, field after field (order of TEXT_FIELDS).
    token_offsets: int32 [NUM_TEXT_FIELDS + 1]; field f owns token_ids[token_offsets[f]:token_offsets[f + 1]].
    pictures: float16 [num_pictures, picture_dim], not normalised, in catalogue order, broken pictures absent.
    picture_sha256: one digest of the encoded picture file (32 bytes) a picture.
    text_vector: float16 [text_dim] of norm 1, the item's sentence through a text encoder; [0] for an item without text
    and where there is no text encoder.
    """

    item_id: str
    token_ids: np.ndarray
    token_offsets: np.ndarray
    pictures: np.ndarray
    picture_sha256: tuple[bytes, ...] = ()
    text_vector: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float16))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """One (query, engaged item) of a task, with the counts that logQ needs.

    query_id: signed 64-bit stable hash of surface and query. query_picture (float16 [picture_dim]) is non-empty for a
    picture query, query_token_ids (int32 [T]) for a text query, unless its table vector is all that is known of it.
    query_text_vector: float16 [text_dim] of norm 1, the text query through a text encoder; [0] where there is none.
    query_table_vector: float16 [query_table_dim] of norm 1, what the shop's own table has for it; [0] where it has
    nothing. count: how often the pair occurs in this task and split. query_item_count, query_count: C(q, p) and C(q)
    over the training part, exact or by sketch.
    """

    task: str
    query_id: int
    item_id: str
    query_token_ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    query_picture: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float16))
    query_text_vector: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float16))
    query_table_vector: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float16))
    count: int = 1
    query_item_count: float = 1.0
    query_count: float = 1.0


def encode_features(item: ItemFeatures) -> bytes:
    """Serialised tf.Example of an item."""
    num_pictures, picture_dim = item.pictures.shape
    return _example(
        item_id=item.item_id.encode(),
        token_ids=np.ascontiguousarray(item.token_ids, "<i4").tobytes(),
        token_offsets=np.ascontiguousarray(item.token_offsets, "<i4").tobytes(),
        pictures=np.ascontiguousarray(item.pictures, "<f2").tobytes(),
        picture_shape=np.array([num_pictures, picture_dim], "<i4").tobytes(),
        picture_sha256=b"".join(item.picture_sha256),
        **_optional(_TEXT_VECTOR, item.text_vector),
    )


def decode_features(payload: bytes) -> ItemFeatures:
    """Inverse of encode_features. The arrays are read-only views of `payload`'s parsed copy.

    Raises CorruptFileError unless ids, offsets, pictures and digests fit each other as ItemFeatures says.
    """
    feature = _parse(payload, _ITEM_FEATURES, frozenset((_TEXT_VECTOR,)))
    token_ids = _numbers(feature, "token_ids", "<i4")
    offsets = _numbers(feature, "token_offsets", "<i4", NUM_TEXT_FIELDS + 1)
    ends = offsets.tolist()
    if ends[0] != 0 or ends[-1] != len(token_ids) or ends != sorted(ends):
        raise CorruptFileError(f"expected token offsets that rise from 0 to {len(token_ids)}, got {ends}")
    pictures = _numbers(feature, "pictures", "<f2")
    num_pictures, picture_dim = _numbers(feature, "picture_shape", "<i4", 2).tolist()
    if num_pictures < 0 or picture_dim < 0 or num_pictures * picture_dim != len(pictures):
        got = f"{len(pictures)} numbers"
        raise CorruptFileError(f"expected pictures of shape [{num_pictures}, {picture_dim}], got {got}")
    digests = feature["picture_sha256"]
    if len(digests) not in (0, num_pictures * SHA256_BYTES):
        raise CorruptFileError(f"expected {num_pictures} digests of {SHA256_BYTES} bytes, got {len(digests)} bytes")
    return ItemFeatures(
        item_id=_text(feature, "item_id"),
        token_ids=token_ids,
        token_offsets=offsets,
        pictures=pictures.reshape(num_pictures, picture_dim),
        picture_sha256=tuple(digests[i : i + SHA256_BYTES] for i in range(0, len(digests), SHA256_BYTES)),
        text_vector=_numbers(feature, _TEXT_VECTOR, "<f2"),
    )


def encode_pair(pair: Pair) -> bytes:
    """Serialised tf.Example of a training pair."""
    return _example(
        task=pair.task.encode(),
        query_id=np.array([pair.query_id], "<i8").tobytes(),
        item_id=pair.item_id.encode(),
        query_token_ids=np.ascontiguousarray(pair.query_token_ids, "<i4").tobytes(),
        query_picture=np.ascontiguousarray(pair.query_picture, "<f2").tobytes(),
        **_optional(_QUERY_TEXT_VECTOR, pair.query_text_vector),
        **_optional(_QUERY_TABLE_VECTOR, pair.query_table_vector),
        counts=np.array([pair.count, pair.query_item_count, pair.query_count], "<f8").tobytes(),
    )


def decode_pair(payload: bytes) -> Pair:
    """Inverse of encode_pair. Raises CorruptFileError unless the values are of Pair's types."""
    feature = _parse(payload, _PAIR_FEATURES, frozenset((_QUERY_TEXT_VECTOR, _QUERY_TABLE_VECTOR)))
    counts = _numbers(feature, "counts", "<f8", 3).tolist()
    if not all(map(math.isfinite, counts)) or counts[0] < 0:
        raise CorruptFileError(f"expected finite counts of at least 0, got {counts}")
    return Pair(
        task=_text(feature, "task"),
        query_id=int(_numbers(feature, "query_id", "<i8", 1)[0]),
        item_id=_text(feature, "item_id"),
        query_token_ids=_numbers(feature, "query_token_ids", "<i4"),
        query_picture=_numbers(feature, "query_picture", "<f2"),
        query_text_vector=_numbers(feature, _QUERY_TEXT_VECTOR, "<f2"),
        query_table_vector=_numbers(feature, _QUERY_TABLE_VECTOR, "<f2"),
        count=int(counts[0]),
        query_item_count=counts[1],
        query_count=counts[2],
    )


def write_records(path: str | os.PathLike[str], payloads: Iterable[bytes]) -> int:
    """Writes payloads as a TFRecord file and returns how many. Not atomic: give it a temporary name."""
    count = 0
    with storage.open_file(path, "wb", buffering=1 << 20) as file:
        for payload in payloads:
            header = struct.pack("<Q", len(payload))
            file.write(_HEADER.pack(len(payload), _masked_crc(header)))
            file.write(payload)
            file.write(_FOOTER.pack(_masked_crc(payload)))
            count += 1
    return count


def read_records(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Yields the payloads of a TFRecord file in order.

    Raises CorruptFileError, with path and byte offset, if a length or payload fails its CRC or the file ends early.
    """
    with storage.open_file(path, "rb", buffering=1 << 20) as file:
        while header := file.read(_HEADER.size):
            where = f"{path} at byte {file.tell() - len(header)}"
            if len(header) < _HEADER.size:
                raise CorruptFileError(f"expected a {_HEADER.size}-byte record header, got {len(header)} in {where}")
            length, length_crc = _HEADER.unpack(header)
            if _masked_crc(header[:8]) != length_crc or length > MAX_RECORD_BYTES:
                raise CorruptFileError(f"expected a record length that matches its CRC, got {length} in {where}")
            payload = file.read(length)
            footer = file.read(_FOOTER.size)
            if len(payload) < length or len(footer) < _FOOTER.size:
                raise CorruptFileError(f"expected {length} bytes and a CRC, got the end of the file in {where}")
            if _masked_crc(payload) != _FOOTER.unpack(footer)[0]:
                raise CorruptFileError(f"expected a payload that matches its CRC, got other bytes in {where}")
            yield payload


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _example(**values: bytes) -> bytes:
    example = example_pb2.Example()
    for name, value in values.items():
        example.features.feature[name].bytes_list.value.append(value)
    return example.SerializeToString(deterministic=True)


def _parse(payload: bytes, names: frozenset[str], optional: frozenset[str] = frozenset()) -> dict[str, bytes]:
    """The single bytes value of each of `names`, and of each of `optional`, no bytes where that is not there."""
    example = example_pb2.Example()
    try:
        example.ParseFromString(payload)
    except Exception as error:  # protobuf's DecodeError has no stable import path
        raise CorruptFileError(f"expected a tf.Example, got {len(payload)} bytes that do not parse") from error
    values = {name: feature.bytes_list.value for name, feature in example.features.feature.items()}
    present = names | (optional & values.keys())
    if not names <= values.keys() or any(len(values[name]) != 1 for name in present):
        raise CorruptFileError(f"expected one bytes value for each of {sorted(names)}, got {quote(sorted(values))}")
    return {name: values[name][0] if name in present else b"" for name in names | optional}


def _optional(name: str, vector_D: np.ndarray) -> dict[str, bytes]:
    """The feature of a vector that not every record has; nothing for one without numbers."""
    return {name: np.ascontiguousarray(vector_D, "<f2").tobytes()} if len(vector_D) else {}


def _numbers(feature: dict[str, bytes], name: str, dtype: str, count: int | None = None) -> np.ndarray:
    """The feature as a vector, of `count` numbers if given."""
    data = feature[name]
    size = np.dtype(dtype).itemsize
    if len(data) % size or (count is not None and len(data) != count * size):
        wanted = f"{count} numbers" if count is not None else "numbers"
        raise CorruptFileError(f"expected {wanted} of {size} bytes each in {name}, got {len(data)} bytes")
    return np.frombuffer(data, dtype)


def _text(feature: dict[str, bytes], name: str) -> str:
    try:
        return feature[name].decode()
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"expected UTF-8 in {name}, got {quote(feature[name])}") from error
