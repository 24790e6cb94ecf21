from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import CorruptFileError
from schemas.records.fingerprints import (
    FingerprintsFile,
    FingerprintsWriter,
    ItemFingerprint,
    MadeWith,
    PictureFingerprint,
    text_hash,
)
from schemas.tables import FINGERPRINTS, TEXT_FIELDS

MADE_WITH = MadeWith(
    code_version=2,
    encoder_id="encoder",
    vocabulary_id="vocabulary",
    image_root="root",
    max_picture_bytes=10,
    max_picture_pixels=20,
)
PICTURES = [
    PictureFingerprint("a.jpg", 10, 5, b"1" * 32),
    PictureFingerprint("b.jpg", -1, -1, None, "missing", "a file", "none"),
    PictureFingerprint("c\x1b.jpg", 7, 8, b"2" * 32, "truncated", "a whole picture file", "7 bytes"),
    PictureFingerprint("d.jpg", 7, 9, b"3" * 32),
]


def write(path, items) -> None:
    with FingerprintsWriter(path, MADE_WITH) as writer:
        for item in items:
            writer.add(item)


@pytest.mark.parametrize("count", [0, 1, 511, 512, 1025])
def test_rows_come_back(tmp_path, count):
    items = [
        ItemFingerprint(f"{n:05d}", b"t" * 16, b"f" * 16 if n % 3 else None, tuple(PICTURES[: n % 5]))
        for n in range(count)
    ]
    for name in ("a", "b"):
        write(tmp_path / name, items)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    file = FingerprintsFile(tmp_path / "a")
    assert file.made_with == MADE_WITH
    assert list(file) == items
    assert list(file) == items
    assert pq.read_table(tmp_path / "a").schema.equals(FINGERPRINTS)


def test_text_vectors_are_named_where_there_are_some(tmp_path):
    """Files of shops without a text encoder are those of before there was one."""
    made_with = replace(MADE_WITH, text_vectors_id="bert-1")
    for name, written in (("with", made_with), ("without", MADE_WITH)):
        with FingerprintsWriter(tmp_path / name, written):
            pass
        assert FingerprintsFile(tmp_path / name).made_with == written
    assert "text_vectors_id" not in MADE_WITH.to_json()
    assert b"text_vectors_id" not in (tmp_path / "without").read_bytes()


def test_usable_pictures_are_the_good_ones_in_order():
    item = ItemFingerprint("a", b"t" * 16, None, tuple(PICTURES))
    assert item.usable_pictures() == (b"1" * 32, b"3" * 32)


texts = st.dictionaries(st.sampled_from(TEXT_FIELDS), st.none() | st.text(max_size=4))


@pytest.mark.medium
@settings(max_examples=200, deadline=None)
@given(texts, texts)
def test_text_hashes_are_equal_for_equal_texts_only(a, b):
    same = all((a.get(name) or "") == (b.get(name) or "") for name in TEXT_FIELDS)
    assert (text_hash(a) == text_hash(b)) == same
    assert text_hash({**a, "item_id": "x", "images": ["y"]}) == text_hash(a)


def test_text_that_moves_to_another_field_is_another_text():
    first, second = TEXT_FIELDS[:2]
    assert text_hash({first: "ab", second: ""}) != text_hash({first: "a", second: "b"}) != text_hash({second: "ab"})


def test_other_files_are_refused(tmp_path):
    write(tmp_path / "good", [ItemFingerprint("a", b"t" * 16, None, tuple(PICTURES))])
    data = (tmp_path / "good").read_bytes()
    bad = {"empty": b"", "text": b"hello", "cut": data[:-20], "half": data[: len(data) // 2]}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    table = pq.read_table(tmp_path / "good")
    pq.write_table(table.select(["item_id"]), tmp_path / "columns")
    for number, metadata in enumerate((None, {"made_with": "{"}, {"made_with": "{}"}, {"made_with": "[]"})):
        pq.write_table(table.replace_schema_metadata(metadata), tmp_path / f"metadata {number}")
    wrong = {**vars(MADE_WITH), "max_picture_pixels": "20"}
    pq.write_table(table.replace_schema_metadata({"made_with": str(wrong).replace("'", '"')}), tmp_path / "type")
    for path in sorted(tmp_path.iterdir()):
        if path.name == "good":
            continue
        with pytest.raises(CorruptFileError, match=r"fingerprints|expected the columns"):
            list(FingerprintsFile(path))
    with pytest.raises(CorruptFileError):
        FingerprintsFile(tmp_path / "none")


@pytest.mark.medium
def test_flipped_bytes_raise_one_kind_of_error(tmp_path):
    """Most are found; those in page headers are what the sidecar's sha256 is for."""
    items = [ItemFingerprint("a" * 40, b"t" * 16, b"f" * 16, tuple(PICTURES))]
    write(tmp_path / "good", items)
    data = (tmp_path / "good").read_bytes()
    found = 0
    for position in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[position] ^= 1
        (tmp_path / "bad").write_bytes(flipped)
        try:
            list(FingerprintsFile(tmp_path / "bad"))
        except CorruptFileError:
            found += 1
    assert found > len(data) / 7 / 4


def test_a_row_that_the_table_does_not_allow_is_refused(tmp_path):
    with (
        pytest.raises((pa.ArrowException, TypeError, ValueError)),
        FingerprintsWriter(tmp_path / "a", MADE_WITH) as writer,
    ):
        writer.add(ItemFingerprint("a", b"too short", None, ()))
