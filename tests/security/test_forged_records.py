"""Records with sound checksums around forged content: refused as corrupt, whichever value lies."""

import struct

import numpy as np
import pytest
from tfrecord import example_pb2

from schemas.errors import CorruptFileError
from schemas.records.tfrecords import ItemFeatures, Pair, decode_features, decode_pair, encode_features, encode_pair
from schemas.tables import NUM_TEXT_FIELDS

ITEM = ItemFeatures(
    item_id="a",
    token_ids=np.arange(NUM_TEXT_FIELDS, dtype=np.int32),
    token_offsets=np.arange(NUM_TEXT_FIELDS + 1, dtype=np.int32),
    pictures=np.ones((2, 4), np.float16),
    picture_sha256=(b"x" * 32, b"y" * 32),
)
PAIR = Pair(task="search/click", query_id=7, item_id="a", query_token_ids=np.array([1, 2], np.int32))


def forged(payload: bytes, name: str, value: bytes) -> bytes:
    example = example_pb2.Example()
    example.ParseFromString(payload)
    values = example.features.feature[name].bytes_list.value
    del values[:]
    values.append(value)
    return example.SerializeToString()


def integers(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}i", *numbers)


def test_the_records_themselves_decode():
    assert decode_features(encode_features(ITEM)).item_id == "a"
    assert decode_pair(encode_pair(PAIR)).query_id == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("item_id", b"\xff\xfe"),
        ("token_ids", b"abc"),
        ("token_ids", b""),
        ("token_offsets", b""),
        ("token_offsets", integers(*range(NUM_TEXT_FIELDS))),
        ("token_offsets", integers(*range(1, NUM_TEXT_FIELDS + 2))),
        ("token_offsets", integers(*[0, 9, 3], *range(3, NUM_TEXT_FIELDS + 1))),
        ("token_offsets", integers(*[0, -1], *range(2, NUM_TEXT_FIELDS + 1))),
        ("token_offsets", integers(*[0] * NUM_TEXT_FIELDS, 2**31 - 1)),
        ("pictures", b"\0"),
        ("pictures", b"\0" * 14),
        ("pictures", b""),
        ("picture_shape", b""),
        ("picture_shape", integers(2)),
        ("picture_shape", integers(2, 5)),
        ("picture_shape", integers(-1, 4)),
        ("picture_shape", integers(-2, -4)),
        ("picture_shape", integers(4, 2)),
        ("picture_shape", integers(2**31 - 1, 2**31 - 1)),
        ("picture_sha256", b"x" * 33),
        ("picture_sha256", b"x" * 32),
        ("picture_sha256", b"x" * 96),
    ],
)
def test_forged_features_are_refused(name, value):
    with pytest.raises(CorruptFileError):
        decode_features(forged(encode_features(ITEM), name, value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("item_id", b"\xff"),
        ("task", b"\xff"),
        ("query_id", b""),
        ("query_id", b"\0" * 7),
        ("query_id", b"\0" * 16),
        ("query_token_ids", b"\0" * 3),
        ("query_picture", b"\0"),
        ("counts", b""),
        ("counts", struct.pack("<2d", 1, 1)),
        ("counts", struct.pack("<3d", float("nan"), 1, 1)),
        ("counts", struct.pack("<3d", float("inf"), 1, 1)),
        ("counts", struct.pack("<3d", 1, float("nan"), 1)),
        ("counts", struct.pack("<3d", -1, 1, 1)),
    ],
)
def test_forged_pairs_are_refused(name, value):
    with pytest.raises(CorruptFileError):
        decode_pair(forged(encode_pair(PAIR), name, value))
