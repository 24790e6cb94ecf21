"""TFRecord: round trips, damage is always found, the framing is what other readers read."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tfrecord import example_pb2
from tfrecord.reader import tfrecord_iterator, tfrecord_loader

from schemas.errors import CorruptFileError
from schemas.records.tfrecords import (
    ItemFeatures,
    Pair,
    decode_features,
    decode_pair,
    encode_features,
    encode_pair,
    read_records,
    write_records,
)
from schemas.tables import NUM_TEXT_FIELDS


def features(item_id: str = "a", num_pictures: int = 2) -> ItemFeatures:
    return ItemFeatures(
        item_id=item_id,
        token_ids=np.array([5, 0, 7, 2**31 - 1], np.int32),
        token_offsets=np.array([0, 3, *[4] * (NUM_TEXT_FIELDS - 1)], np.int32),
        pictures=np.arange(num_pictures * 3, dtype=np.float16).reshape(num_pictures, 3),
        picture_sha256=tuple(bytes([number]) * 31 + b"\0" for number in range(num_pictures)),
    )


@pytest.mark.parametrize("num_pictures", [0, 2])
def test_features_round_trip(num_pictures: int) -> None:
    item = features("ü\0", num_pictures)
    again = decode_features(encode_features(item))
    for name in ("token_ids", "token_offsets", "pictures"):
        np.testing.assert_array_equal(getattr(again, name), getattr(item, name), strict=True)
    assert (again.item_id, again.picture_sha256) == (item.item_id, item.picture_sha256)
    assert encode_features(again) == encode_features(item)


def test_text_vectors_are_in_records_that_have_one_and_change_no_others() -> None:
    plain = features()
    item = replace(plain, text_vector=np.array([0.6, -0.8], np.float16))
    payload = encode_features(item)
    np.testing.assert_array_equal(decode_features(payload).text_vector, item.text_vector, strict=True)
    assert encode_features(decode_features(payload)) == payload
    assert decode_features(encode_features(plain)).text_vector.shape == (0,)
    assert b"text_vector" not in encode_features(plain)
    example = example_pb2.Example.FromString(payload)
    for values in ([b"x"], [b"xy", b"xy"]):
        example.features.feature["text_vector"].bytes_list.value[:] = values
        with pytest.raises(CorruptFileError, match="text_vector"):
            decode_features(example.SerializeToString())


def test_table_vectors_are_in_pairs_that_have_one_and_change_no_others() -> None:
    plain = Pair(task="search/click", query_id=7, item_id="a", query_token_ids=np.array([3], np.int32))
    pair = replace(plain, query_table_vector=np.array([0.6, -0.8], np.float16))
    payload = encode_pair(pair)
    again = decode_pair(payload)
    np.testing.assert_array_equal(again.query_table_vector, pair.query_table_vector, strict=True)
    assert again.query_text_vector.shape == decode_pair(encode_pair(plain)).query_table_vector.shape == (0,)
    assert encode_pair(again) == payload
    assert b"table_vector" not in encode_pair(plain)


@settings(max_examples=50, deadline=None)
@given(
    st.text(max_size=5),
    st.integers(-(2**63), 2**63 - 1),
    hnp.arrays(np.int32, st.integers(0, 4)),
    hnp.arrays(np.float16, st.integers(0, 4)),
    st.integers(0, 2**53),
)
def test_pair_round_trip(item_id: str, query_id: int, token_ids: np.ndarray, picture: np.ndarray, count: int) -> None:
    pair = Pair(
        task="search/click",
        query_id=query_id,
        item_id=item_id,
        query_token_ids=token_ids,
        query_picture=picture,
        count=count,
        query_item_count=0.5,
    )
    again = decode_pair(encode_pair(pair))
    assert (again.task, again.query_id, again.item_id) == (pair.task, query_id, item_id)
    assert (again.count, again.query_item_count, again.query_count) == (count, 0.5, 1.0)
    np.testing.assert_array_equal(again.query_token_ids, token_ids, strict=True)
    assert again.query_picture.tobytes() == picture.tobytes()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=4))
def test_file_round_trip(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("records") / "r.tfrecord"
    assert write_records(path, payloads) == len(payloads)
    assert list(read_records(path)) == payloads


def test_every_flipped_byte_and_every_truncation_is_found(tmp_path: Path) -> None:
    payloads = [encode_features(features("a", 0)), b"", b"x"]
    path = tmp_path / "r.tfrecord"
    write_records(path, payloads)
    data = path.read_bytes()
    ends = {0}
    for payload in payloads:
        ends.add(max(ends) + len(payload) + 16)
    for position in range(len(data)):
        mask = 1 << position % 8
        path.write_bytes(data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :])
        with pytest.raises(CorruptFileError, match=r"r\.tfrecord at byte"):
            list(read_records(path))
        path.write_bytes(data[:position])
        if position in ends:  # a whole number of records: only a manifest can tell
            assert list(read_records(path)) == payloads[: sorted(ends).index(position)]
        else:
            with pytest.raises(CorruptFileError, match=r"r\.tfrecord at byte"):
                list(read_records(path))


def test_records_before_the_damage_are_read(tmp_path: Path) -> None:
    path = tmp_path / "r.tfrecord"
    write_records(path, [b"first", b"second"])
    path.write_bytes(path.read_bytes()[:-1])
    records = read_records(path)
    assert next(records) == b"first"
    with pytest.raises(CorruptFileError, match="at byte 21"):
        next(records)


def test_another_reader_reads_our_framing_and_examples(tmp_path: Path) -> None:
    items = [features("a"), features("bb", 0)]
    path = tmp_path / "r.tfrecord"
    write_records(path, map(encode_features, items))
    assert [bytes(record) for record in tfrecord_iterator(str(path))] == [encode_features(item) for item in items]
    for item, example in zip(items, tfrecord_loader(str(path), None), strict=True):
        assert bytes(example["item_id"]) == item.item_id.encode()
        np.testing.assert_array_equal(np.frombuffer(bytes(example["token_ids"]), "<i4"), item.token_ids)


def bitwise_masked_crc(data: bytes) -> bytes:
    """CRC-32C bit by bit (RFC 3720, appendix B.4), masked as TensorFlow's record_writer does."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def test_file_bytes_are_the_published_format(tmp_path: Path) -> None:
    path = tmp_path / "r.tfrecord"
    write_records(path, [b"", b"123456789"])
    expected = b""
    for payload in (b"", b"123456789"):
        length = struct.pack("<Q", len(payload))
        expected += length + bitwise_masked_crc(length) + payload + bitwise_masked_crc(payload)
    assert path.read_bytes() == expected


def test_payloads_that_are_no_example_of_ours() -> None:
    with pytest.raises(CorruptFileError, match=r"tf\.Example"):
        decode_features(b"\xff\xff")
