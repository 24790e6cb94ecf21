"""Hostile TFRecords: what is read is what was written, up to a CorruptFileError; what decodes keeps the contract."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
from fuzz_records import frame, make_file, make_payload, spoilt
from fuzz_run import Outcome, fuzz

from schemas.errors import CorruptFileError
from schemas.records.tfrecords import ItemFeatures, Pair, decode_features, decode_pair, read_records
from schemas.tables import NUM_TEXT_FIELDS


def refused(error: CorruptFileError) -> Outcome:
    assert str(error).isprintable(), repr(str(error))
    assert len(str(error)) < 2_000
    return Outcome(type(error).__name__)


def check_features(item: ItemFeatures) -> None:
    assert isinstance(item.item_id, str)
    assert item.token_ids.dtype == item.token_offsets.dtype == np.int32
    assert len(item.token_offsets) == NUM_TEXT_FIELDS + 1
    assert item.token_offsets[0] == 0
    assert item.token_offsets[-1] == len(item.token_ids)
    assert (np.diff(item.token_offsets) >= 0).all()
    assert item.pictures.dtype == np.float16
    assert item.pictures.ndim == 2
    assert len(item.picture_sha256) in (0, len(item.pictures))
    assert all(len(digest) == 32 for digest in item.picture_sha256)


def check_pair(pair: Pair) -> None:
    assert isinstance(pair.item_id, str)
    assert -(2**63) <= pair.query_id < 2**63
    assert pair.query_token_ids.dtype == np.int32
    assert pair.query_picture.dtype == np.float16
    assert pair.count >= 0
    assert np.isfinite([pair.query_item_count, pair.query_count]).all()


def check_records(rng: random.Random, folder: Path) -> Outcome:
    kind = rng.choice(("features", "pairs"))
    payloads = [make_payload(rng, kind) for _ in range(rng.choice((1, 2, 4)))]
    path = folder / "records.tfrecord"
    if rng.random() < 0.5:
        path.write_bytes(make_file(rng, payloads))
        read: list[bytes] = []
        try:
            for payload in read_records(path):
                read.append(payload)
        except CorruptFileError as error:
            assert all(payload in payloads for payload in read), "other bytes were read than were written"
            return refused(error)
        assert all(payload in payloads for payload in read), "other bytes were read than were written"
        return Outcome(counts=Counter(records=len(read)))
    path.write_bytes(b"".join(frame(spoilt(p, rng) if rng.random() < 0.5 else p) for p in payloads))
    num_decoded = 0
    try:
        for payload in read_records(path):
            if kind == "features":
                check_features(decode_features(payload))
            else:
                check_pair(decode_pair(payload))
            num_decoded += 1
    except CorruptFileError as error:
        return refused(error)
    return Outcome(counts=Counter(records=num_decoded))


def test_records(tmp_path: Path) -> None:
    tally = fuzz("records", check_records, tmp_path)
    assert tally.inputs == sum(tally.verdicts.values())
