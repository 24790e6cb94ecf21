"""TFRecord files that nobody should have written: damaged frames, and sound frames around damaged content."""

import random
import struct

import google_crc32c
import numpy as np
from fuzz_bytes import damaged
from fuzz_values import TEXTS
from tfrecord import example_pb2

from schemas.records.tfrecords import ItemFeatures, Pair, encode_features, encode_pair
from schemas.tables import MAX_PICTURES, NUM_TEXT_FIELDS, TASKS

_LENGTHS = (0, 1, 2**16, (64 << 20) - 1, (64 << 20) + 1, 2**31, 2**63, 2**64 - 1)


def make_payload(rng: random.Random, kind: str) -> bytes:
    """A good record."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    picture_dim = rng.choice((4, 16))
    item_id = rng.choice([text for text in TEXTS if text.strip() and len(text) < 300])
    if kind == "pairs":
        is_text = rng.random() < 0.5
        return encode_pair(
            Pair(
                task=rng.choice(TASKS),
                query_id=rng.randrange(-(2**63), 2**63),
                item_id=item_id,
                query_token_ids=numbers.integers(1, 99, 3, np.int32) if is_text else np.zeros(0, np.int32),
                query_picture=np.zeros(0, np.float16)
                if is_text
                else numbers.normal(size=picture_dim).astype(np.float16),
                count=rng.choice((1, 7)),
                query_item_count=rng.choice((1.0, 2.5)),
                query_count=9.0,
            )
        )
    lengths = numbers.integers(0, 4, NUM_TEXT_FIELDS)
    num_pictures = rng.choice((0, 1, MAX_PICTURES))
    return encode_features(
        ItemFeatures(
            item_id=item_id,
            token_ids=numbers.integers(1, 99, lengths.sum(), np.int32),
            token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
            pictures=numbers.normal(size=(num_pictures, picture_dim if num_pictures else 0)).astype(np.float16),
            picture_sha256=tuple(numbers.bytes(32) for _ in range(num_pictures)),
        )
    )


def frame(payload: bytes, length: int | None = None) -> bytes:
    """A TFRecord of the payload, its checksums right whatever it claims."""
    header = struct.pack("<Q", len(payload) if length is None else length)
    return header + _masked(header) + payload + _masked(payload)


def _masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def make_file(rng: random.Random, payloads: list[bytes]) -> bytes:
    """The payloads' file, damaged: as bytes, or with a length that lies and a checksum that does not."""
    if rng.random() < 0.3:
        liar = rng.randrange(len(payloads))
        return b"".join(frame(p, rng.choice(_LENGTHS) if n == liar else None) for n, p in enumerate(payloads))
    return damaged(b"".join(map(frame, payloads)), rng)


def spoilt(payload: bytes, rng: random.Random) -> bytes:
    """A payload that is whole on disk and wrong inside."""
    if rng.random() < 0.25:
        return damaged(payload, rng)
    example = example_pb2.Example()
    example.ParseFromString(payload)
    features = example.features.feature
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(sorted(features))
        values = features[name].bytes_list.value
        value = values[0] if values else b""
        draw = rng.randrange(8)
        if draw == 0:
            del features[name]
        elif draw == 1:
            features[name].int64_list.value.append(7)
        elif draw == 2:
            values.append(value)
        elif draw == 3:
            features[name].ClearField("bytes_list")
        elif draw == 4:
            _put(values, damaged(value, rng))
        elif draw == 5:
            _put(values, rng.choice((b"", b"\xff", b"\xff" * 8, b"\xff" * 52, struct.pack("<ii", -1, -1), b"\0" * 24)))
        elif draw == 6:
            numbers = [rng.choice((0, 1, -1, 2**31 - 1, -(2**31))) for _ in range(rng.choice((2, 13)))]
            _put(values, struct.pack(f"<{len(numbers)}i", *numbers))
        else:
            specials = [rng.choice((0.0, -1.0, float("nan"), float("inf"), 1e300)) for _ in range(3)]
            _put(values, struct.pack("<3d", *specials))
    return example.SerializeToString()


def _put(values: list[bytes], value: bytes) -> None:
    del values[:]
    values.append(value)
