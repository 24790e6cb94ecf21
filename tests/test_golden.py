"""Files of the formats as version 1 wrote them: today's code must read them, and write them again.

Regenerate (a decision: old stores hold such files): PYTHONPATH=. python tests/test_golden.py records|embeddings|index

Records and embeddings are compared byte for byte. items.ann is not: Annoy is compiled for the CPU of its machine, and
sums in another order put other splits into its trees; there the answers to queries are compared.
"""

import json
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_builder import RunBuilder

from model.nearest.index import ExactIndex
from model.nearest.index_folder import ANNOY_FILE, IDS_FILE, MANIFEST_FILE, open_index
from pipelines.console.jobs import beam_options
from pipelines.index import job as index
from schemas.files import read_json
from schemas.records.embeddings import (
    embeddings_metadata,
    read_embeddings,
    read_embeddings_metadata,
    validate_embeddings,
    write_embeddings_file,
)
from schemas.records.tfrecords import ItemFeatures, decode_features, encode_features, read_records, write_records
from schemas.tables import NUM_TEXT_FIELDS

GOLDEN = Path(__file__).parent / "golden"
RECORDS = GOLDEN / "records" / "v1"
EMBEDDINGS = GOLDEN / "embeddings" / "v1"
INDEX = GOLDEN / "index" / "v1"
PART = "part-00000-of-00001.parquet"
MODEL_ID = "itemsage-000000000000"
NUM_INDEXED, INDEX_DIM = 20, 16


def golden_items() -> list[dict]:
    """features.json: text and pictures; no text, an id outside ASCII; text without pictures. Exact in float16."""
    offsets = [0, 3, 3, 4, *[4] * (NUM_TEXT_FIELDS - 3)]
    return [
        {
            "item_id": "a",
            "token_ids": [5, 70_000, 5, 2**31 - 1],
            "token_offsets": offsets,
            "pictures": [[0.5, -2.0, 65504.0], [0.0, 2**-24, 1.0]],
            "picture_sha256": ["00" * 32, "0123456789abcdef" * 4],
        },
        {
            "item_id": "b-\u00e9\u96ea",
            "token_ids": [],
            "token_offsets": [0] * (NUM_TEXT_FIELDS + 1),
            "pictures": [[1.0, 2.0, 3.0]],
            "picture_sha256": ["ff" * 32],
        },
        {"item_id": "c", "token_ids": [1] * 4, "token_offsets": offsets, "pictures": [], "picture_sha256": []},
    ]


def to_features(item: dict) -> ItemFeatures:
    return ItemFeatures(
        item_id=item["item_id"],
        token_ids=np.array(item["token_ids"], np.int32),
        token_offsets=np.array(item["token_offsets"], np.int32),
        pictures=np.array(item["pictures"], np.float16).reshape(-1, 3),
        picture_sha256=tuple(map(bytes.fromhex, item["picture_sha256"])),
    )


def to_json(features: ItemFeatures) -> dict:
    return {
        "item_id": features.item_id,
        "token_ids": features.token_ids.tolist(),
        "token_offsets": features.token_offsets.tolist(),
        "pictures": features.pictures.tolist(),
        "picture_sha256": [digest.hex() for digest in features.picture_sha256],
    }


def test_golden_records_are_read():
    found = [to_json(decode_features(payload)) for payload in read_records(RECORDS / "features.tfrecord")]
    assert found == json.loads((RECORDS / "features.json").read_text())
    assert len(found) == 3


def test_golden_records_are_written_again(tmp_path):
    items = json.loads((RECORDS / "features.json").read_text())
    write_records(tmp_path / "again.tfrecord", [encode_features(to_features(item)) for item in items])
    assert (tmp_path / "again.tfrecord").read_bytes() == (RECORDS / "features.tfrecord").read_bytes()


def crc32c(data: bytes) -> int:
    """Castagnoli's CRC, by table: reflected polynomial 0x82F63B78."""
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """TensorFlow's mask: rotated right by 15 bits, plus a constant."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def unframed(data: bytes) -> Iterator[bytes]:
    """Payloads of a TFRecord file as TensorFlow's documentation lays it out; asserts both checksums of each."""
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        payload = data[12 : 12 + length]
        assert len(payload) == length
        assert data[8:12] == struct.pack("<I", masked_crc32c(data[:8]))
        assert data[12 + length : 16 + length] == struct.pack("<I", masked_crc32c(payload))
        yield payload
        data = data[16 + length :]


def varint(data: bytes, start: int) -> tuple[int, int]:
    """(value, where it ends)."""
    value = shift = 0
    while True:
        byte = data[start]
        value |= (byte & 0x7F) << shift
        start, shift = start + 1, shift + 7
        if byte < 0x80:
            return value, start


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, content) of the length-delimited fields of a protobuf message; it may have no others."""
    start = 0
    while start < len(message):
        tag, start = varint(message, start)
        assert tag & 7 == 2, "a field that is not length-delimited"
        length, start = varint(message, start)
        assert start + length <= len(message)
        yield tag >> 3, message[start : start + length]
        start += length


def parse_example(payload: bytes) -> dict[str, bytes]:
    """Example{1: Features{1: map entry{1: name, 2: Feature{1: BytesList{1: value}}}}}, each of one bytes value."""
    ((number, features),) = fields(payload)
    assert number == 1
    found: dict[str, bytes] = {}
    for number, entry in fields(features):
        (key, name), (value, feature) = fields(entry)
        ((kind, bytes_list),) = fields(feature)
        ((repeated, content),) = fields(bytes_list)
        assert (number, key, value, kind, repeated) == (1, 1, 2, 1, 1)
        assert name.decode() not in found
        found[name.decode()] = content
    return found


def test_crc32c_of_the_published_check_value():
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, B.4, and the catalogue of CRCs
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_golden_records_are_examples_by_the_wire_format_alone():
    """Neither the tfrecord package nor protobuf takes part: so TensorFlow's own parser reads these files too."""
    items = json.loads((RECORDS / "features.json").read_text())
    payloads = list(unframed((RECORDS / "features.tfrecord").read_bytes()))
    assert len(payloads) == len(items) == 3
    for payload, item in zip(payloads, items, strict=True):
        example = parse_example(payload)
        pictures = np.array(item["pictures"], "<f2").reshape(-1, 3)
        assert example == {
            "item_id": item["item_id"].encode(),
            "token_ids": np.array(item["token_ids"], "<i4").tobytes(),
            "token_offsets": np.array(item["token_offsets"], "<i4").tobytes(),
            "pictures": pictures.tobytes(),
            "picture_shape": struct.pack("<2i", *pictures.shape),
            "picture_sha256": bytes.fromhex("".join(item["picture_sha256"])),
        }


def golden_vectors() -> tuple[list[str], np.ndarray]:
    """3 ids and unit vectors of 16 entries +-1/4: exact in float32 on every machine."""
    vectors = np.zeros((3, 256), np.float32)
    for row in range(3):
        for number in range(16):
            vectors[row, 16 * number + 5 * row] = 0.25 if (number + row) % 3 else -0.25
    return ["a", "b-\u00e9\u96ea", "c"], vectors


def test_golden_embeddings_are_read():
    ids, vectors = read_embeddings(EMBEDDINGS)
    expected_ids, expected = golden_vectors()
    assert ids.to_pylist() == expected_ids
    np.testing.assert_array_equal(vectors, expected, strict=True)
    validate_embeddings(ids, vectors, "golden")
    assert read_embeddings_metadata(EMBEDDINGS) == embeddings_metadata(MODEL_ID, 256)


def test_golden_embeddings_are_written_again(tmp_path):
    writer = pq.read_metadata(EMBEDDINGS / PART).created_by
    write_embeddings_file(tmp_path / PART, *golden_vectors(), embeddings_metadata(MODEL_ID, 256))
    if pq.read_metadata(tmp_path / PART).created_by != writer:
        pytest.skip(f"the golden file was written by {writer}, another Arrow is installed ({pa.__version__})")
    assert (tmp_path / PART).read_bytes() == (EMBEDDINGS / PART).read_bytes()


def build_index(folder: Path, ids: list[str], vectors: np.ndarray) -> Path:
    """The index stage over embeddings in a run folder; returns <run>/index."""
    RunBuilder(folder, MODEL_ID).embeddings(ids, vectors)
    index.run(index.IndexConfig(run=str(folder)), beam_options([]))
    return folder / "index"


def test_golden_index_is_opened_and_answers():
    found, ids, manifest = open_index(INDEX)
    assert ids.to_pylist() == [f"item-{number:02d}" for number in range(NUM_INDEXED)]
    assert manifest["model_id"] == MODEL_ID
    vectors = found.vectors(range(NUM_INDEXED))
    rows, scores = found.search(vectors, 5)
    expected_rows, expected_scores = ExactIndex(vectors).search(vectors, 5)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-6)


def test_golden_index_is_built_again(tmp_path):
    """The vectors are those that the golden index keeps; facts and answers are equal, the trees' bytes may not be."""
    golden, ids, expected = open_index(INDEX)
    vectors = golden.vectors(range(NUM_INDEXED))
    built, built_ids, manifest = open_index(build_index(tmp_path, ids.to_pylist(), vectors))
    compared = expected.keys() - {"files", "recall"}  # later manifests say more
    assert {name: manifest[name] for name in compared} == {name: expected[name] for name in compared}
    assert manifest["recall"] == pytest.approx(expected["recall"], abs=0.05)
    assert manifest["recall"]["10"] >= manifest["target_recall"]
    assert built_ids.equals(ids)
    np.testing.assert_array_equal(built.vectors(range(NUM_INDEXED)), vectors)
    rows, scores = built.search(vectors, 5)
    golden_rows, golden_scores = golden.search(vectors, 5)
    np.testing.assert_array_equal(rows, golden_rows)
    np.testing.assert_allclose(scores, golden_scores, atol=1e-6)


def test_golden_files_are_small():
    sizes = {path: path.stat().st_size for folder in (RECORDS, EMBEDDINGS, INDEX) for path in folder.iterdir()}
    assert len(sizes) == 6
    assert max(sizes.values()) < 20_000
    assert read_json(INDEX / MANIFEST_FILE)["dimension"] == INDEX_DIM


def regenerate(what: str) -> None:
    if what == "records":
        RECORDS.mkdir(parents=True, exist_ok=True)
        (RECORDS / "features.json").write_text(json.dumps(golden_items(), indent=1) + "\n")
        write_records(RECORDS / "features.tfrecord", [encode_features(to_features(item)) for item in golden_items()])
    elif what == "embeddings":
        EMBEDDINGS.mkdir(parents=True, exist_ok=True)
        write_embeddings_file(EMBEDDINGS / PART, *golden_vectors(), embeddings_metadata(MODEL_ID, 256))
    elif what == "index":
        vectors = np.random.default_rng(0).standard_normal((NUM_INDEXED, INDEX_DIM)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        scratch = INDEX.parent / ".run"
        built = build_index(scratch, [f"item-{number:02d}" for number in range(NUM_INDEXED)], vectors)
        INDEX.mkdir(parents=True, exist_ok=True)
        for name in (ANNOY_FILE, IDS_FILE, MANIFEST_FILE):
            shutil.copyfile(built / name, INDEX / name)
        shutil.rmtree(scratch)
    else:
        sys.exit(f"expected records, embeddings or index, got {what!r}")


if __name__ == "__main__":
    regenerate(sys.argv[1] if len(sys.argv) == 2 else "")
