"""Slips of exports that cost no row: a separator that a row lacks, notes beside parts, words for guests, UUIDs."""

import json
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from read_tables import catalogue_of
from text_tables import HEADER, MUGS, read, write

from schemas.files import expand_inputs
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import ENGAGEMENTS
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.log import validate_engagements


@pytest.mark.parametrize("header", ["item_id,title,images,", "item_id,title,images"])
def test_a_separator_at_the_end_that_one_row_lacks(tmp_path: Path, header: str) -> None:
    lines = [header, *(f"A-{number},mug,a.jpg," for number in range(3_000)), "B-1,mug,b.jpg", "B-2,mug,", "B-3,mug"]
    rows, broken = read(write(tmp_path / "c.csv", "\n".join(lines) + "\n"))
    assert (len(rows), rows[-1]) == (3_001, ("B-1", "mug", ["b.jpg"]))
    assert [number for number, _ in broken] == [3_003, 3_004]


@pytest.mark.parametrize(
    "name", ["manifest.json", "0000manifest", "metadata.json", "part-0.csv.meta.json", "a.manifest"]
)
def test_notes_beside_parts_are_no_data(tmp_path: Path, name: str) -> None:
    part = write(tmp_path / "parts" / "part-0.csv", HEADER + "A-1,Red mug,a.jpg\n")
    write(part.parent / name, json.dumps({"entries": [{"url": "part-0.csv"}]}))
    assert expand_inputs(str(part.parent)) == [str(part)]
    assert read(part.parent) == (MUGS[:1], [])


@pytest.mark.parametrize("word", ["guest", "Anonymous", "(not set)", "undefined", "none", " NULL "])
def test_guests_are_no_user(tmp_path: Path, word: str) -> None:
    rows = [f"2026-06-20,{user},home,a,click" for user in (word, "0", "guest-7", "u")]
    path = write(tmp_path / "log.csv", "\n".join(["timestamp,user_id,surface,item_id,action", *rows]))
    (part,) = plan_slices([str(path)])
    (raw,) = read_slice(part, {}, ENGAGEMENTS)
    good, rejections, counts = validate_engagements(raw, part)
    assert (good["user_id"].to_pylist(), rejections) == ([None, "0", "guest-7", "u"], [])
    assert counts["cells_unreadable:user_id"] == (0 if word == " NULL " else 1)


def test_sixteen_bytes_are_a_uuid(tmp_path: Path) -> None:
    ids = [uuid.UUID(int=7), uuid.UUID("12345678-9abc-def0-1234-56789abcdef0")]
    for given, expected in (
        ([one.bytes for one in ids], list(map(str, ids))),
        ([b"SKU-000000000001", b"SKU-000000000002"], ["SKU-000000000001", "SKU-000000000002"]),
    ):
        table = pa.table({"item_id": pa.array(given, pa.binary(16)), "title": ["a", "b"]})
        pq.write_table(table, tmp_path / "c.parquet")
        assert catalogue_of(tmp_path / "c.parquet")[0]["item_id"] == expected


@pytest.mark.parametrize(("kind", "digits"), [(pa.float64(), 53), (pa.float32(), 24), (pa.float16(), 11)])
def test_a_float_that_stands_for_two_numbers_says_so(tmp_path: Path, kind: pa.DataType, digits: int) -> None:
    ids = pa.array([2.0**digits, 2.0**digits - 1, 2.0**digits + 2], kind)
    pq.write_table(pa.table({"item_id": ids, "title": ["a", "b", "c"]}), tmp_path / "c.parquet")
    (part,) = plan_slices([str(tmp_path / "c.parquet")])
    (raw,) = read_slice(part, {})
    good, rejections, _ = validate_catalogue(raw, part)
    assert good["item_id"].to_pylist() == [str(2**digits - 1)]
    assert len(rejections) == 2
    assert all("too large for a float" in rejection.remedy for rejection in rejections)


def test_a_formula_of_a_link_is_what_it_shows(tmp_path: Path) -> None:
    cells = {
        '=HYPERLINK("https://shop.example/p","A ""blue"" mug")': 'A "blue" mug',
        '=hyperlink("https://shop.example/p"; "A mug")': "A mug",
        '=HYPERLINK("https://shop.example/p")': '=HYPERLINK("https://shop.example/p")',
        "=A1": "=A1",
        'A ""mug""': 'A ""mug""',
    }
    pq.write_table(pa.table({"item_id": list("abcde"), "title": list(cells)}), tmp_path / "c.parquet")
    assert catalogue_of(tmp_path / "c.parquet")[0]["title"] == list(cells.values())
