"""Cells as text and as ids, of every type that shops' files have."""

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from read_tables import catalogue_of, write_parquet

from schemas.cells.text import NULL_WORDS, UnreadableCellError, cell_text, id_text
from schemas.columns.raw_rows import FileSlice, RawRows
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import CATALOGUE, ENGAGEMENTS
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.log import validate_engagements

SLICE = FileSlice(0, "c.parquet")
NOON = datetime(2026, 6, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2169.0, "2169"),
        (-0.0, "0"),
        (42.5, "42.5"),
        (0.1, "0.1"),
        (1e20, "1e+20"),
        (float("nan"), None),
        (np.float32(0.1), "0.1"),
        (np.float64(38.5), "38.5"),
        (Decimal("101.00"), "101"),
        (Decimal("42.50"), "42.5"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.0"), "0"),
        (True, "true"),
        (2**70, str(2**70)),
        (b"mug", "mug"),
        (date(2026, 6, 20), "2026-06-20"),
        (time(10, 30), "10:30:00"),
        (NOON.replace(tzinfo=None), "2026-06-20T12:00:00"),
        (datetime(2026, 6, 20, 14, tzinfo=timezone(timedelta(hours=2))), "2026-06-20T12:00:00Z"),
        (uuid.UUID(int=10), "00000000-0000-0000-0000-00000000000a"),
    ],
)
def test_text_of_a_value(value: Any, text: str | None) -> None:
    assert cell_text(value) == text


@pytest.mark.parametrize("value", [float("inf"), {"en": "mug"}, ["mug"], b"\xff", "\udcff", Decimal("Infinity"), None])
def test_what_has_no_text(value: Any) -> None:
    with pytest.raises(UnreadableCellError):
        cell_text(value)


@pytest.mark.parametrize(
    "value", [1.5, True, float("inf"), 2.0**53, -(2.0**53), 2.0**53 + 2, Decimal("1.5"), date(2026, 6, 20), [1], {}]
)
def test_what_is_no_id(value: Any) -> None:
    with pytest.raises(UnreadableCellError):
        id_text(value)


NUMBERS = {
    pa.float64(): st.floats(),
    pa.float32(): st.floats(width=32),
    pa.decimal128(20, 4): st.decimals(-(10**12), 10**12, places=4),
    pa.bool_(): st.booleans(),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("ns", "UTC"): st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
}


@pytest.mark.medium
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_column_becomes_what_each_of_its_values_becomes(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(NUMBERS)))
    given_values = data.draw(st.lists(st.none() | NUMBERS[kind], min_size=1, max_size=6))
    column = pa.array(given_values, kind)
    num_rows = len(column)
    arrays = {name: pa.nulls(num_rows) for name in CATALOGUE.names}
    arrays |= {"item_id": pa.array([f"i{n}" for n in range(num_rows)]), "size": column}
    raw = RawRows(1, pa.table(arrays), [], np.arange(1, num_rows + 1))
    good, rejected, counts = validate_catalogue(raw, SLICE)
    assert not rejected
    values = column.to_numpy(zero_copy_only=False) if kind == pa.float32() else given_values
    for value, text in zip(values, good["size"].to_pylist(), strict=True):
        infinite = isinstance(value, float | np.floating) and np.isinf(value)
        assert text == (None if value is None or infinite else cell_text(value))
        if isinstance(value, float) and text is not None:
            assert float(text) == value
    num_infinite = sum(isinstance(value, float) and np.isinf(value) for value in given_values)
    assert counts["cells_unreadable:size"] == num_infinite


def test_whole_numbers_with_nulls_are_floats_and_mean_digits(tmp_path: Path) -> None:
    category = pa.array([2169.0, None, 166.0])
    path = write_parquet(
        tmp_path / "c.parquet", item_id=["a", "b", "c"], title=["mug"] * 3, google_product_category=category
    )
    rows, reasons, counts = catalogue_of(path)
    assert rows["google_product_category"] == ["2169", None, "166"]
    assert not reasons
    assert not [name for name in counts if name.startswith("cells_unreadable")]


def test_sizes_and_booleans_of_parquet(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "c.parquet", item_id=["a", "b"], size=[38.5, 42.0], colors=[True, False])
    rows, reasons, _ = catalogue_of(path)
    assert (rows["size"], rows["colors"], reasons) == (["38.5", "42"], ["true", "false"], [])


@pytest.mark.parametrize(
    "column",
    [
        pa.array([Decimal("101"), Decimal("102")], pa.decimal128(38, 0)),
        pa.array([Decimal("101.00"), Decimal("102.00")]),
        pa.array([101.0, 102.0]),
        pa.array([101.0, 102.0], pa.float32()),
        pa.array([101.0, 102.0], pa.float16()),
        pa.array([101, 102], pa.uint16()),
        pa.array(["101", " 102\t"]),
        pa.array([b"101", b"102"]),
    ],
)
def test_ids_of_every_whole_type_are_their_digits(tmp_path: Path, column: pa.Array) -> None:
    rows, reasons, _ = catalogue_of(write_parquet(tmp_path / "c.parquet", item_id=column, title=["a", "b"]))
    assert (rows["item_id"], reasons) == (["101", "102"], [])


def test_uuids_are_ids_and_text(tmp_path: Path) -> None:
    values = [uuid.UUID(int=number) for number in (1, 2)]
    column = pa.array([value.bytes for value in values], pa.uuid())
    rows, reasons, _ = catalogue_of(write_parquet(tmp_path / "c.parquet", item_id=column, brand=column))
    assert (rows["item_id"], rows["brand"], reasons) == ([*map(str, values)], [*map(str, values)], [])


def test_json_of_many_types_keeps_every_item(tmp_path: Path) -> None:
    lines = [
        {"item_id": 1, "title": "int"},
        {"item_id": "2", "title": "x", "size": 42.5},
        {"item_id": 3.0, "title": True},
        {"item_id": "4", "title": {"en": "hello", "n": 1}, "brand": "Acme", "images": [{"src": "a.jpg"}]},
        {"item_id": "5", "title": "n", "size": float("nan"), "images": [None, "", "a.jpg", 7]},
    ]
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    rows, reasons, counts = catalogue_of(path)
    assert rows["item_id"] == ["1", "2", "3", "4", "5"]
    assert rows["title"] == ["int", "x", "true", None, "n"]
    assert (rows["size"], rows["brand"]) == ([None, "42.5", None, None, None], [None, None, None, "Acme", None])
    assert rows["images"] == [[], [], [], ["a.jpg"], ["a.jpg"]]
    assert not reasons
    assert {name: n for name, n in counts.items() if name.startswith("cells")} == {
        "cells_unreadable:title": 1,
        "cells_unreadable:images": 1,
    }


def test_words_for_null_in_csv(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("item_id,title,brand,images\nN-1,NULL,\\N,NaN\nN-2,none,nan,a.jpg\nNULL,x,y,a.jpg\nnan,x,y,a.jpg\n")
    rows, reasons, _ = catalogue_of(path)
    assert (rows["item_id"], rows["title"], rows["brand"]) == (["N-1", "N-2"], [None, "none"], [None, None])
    assert (rows["images"], reasons) == ([[], ["a.jpg"]], ["null_id", "null_id"])
    (part,) = plan_slices([str(path)])
    (raw,) = read_slice(part, {})
    assert [row.got for row in validate_catalogue(raw, part)[1]] == ["'NULL'", "'nan'"]
    assert "none" not in NULL_WORDS


@pytest.mark.parametrize(
    "word", ["#REF!", "#NAME?", "#VALUE! ", "#DIV/0!", "#N/A", "#NV", "#BEZUG!", "#NOM?", "#¡REF!"]
)
def test_what_a_spreadsheet_could_not_compute_is_null_in_csv(tmp_path: Path, word: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(f"item_id,title,brand\nN-1,{word},#1 of all!\n{word},x,y\n")
    rows, reasons, _ = catalogue_of(path)
    assert (rows["item_id"], rows["title"], rows["brand"]) == (["N-1"], [None], ["#1 of all!"])
    assert reasons == ["null_id"]


def test_words_for_null_are_words_where_there_is_null(tmp_path: Path) -> None:
    rows, _, _ = catalogue_of(write_parquet(tmp_path / "c.parquet", item_id=["NA"], brand=["None"]))
    assert (rows["item_id"], rows["brand"]) == (["NA"], ["None"])


@pytest.mark.parametrize(
    ("given_ids", "ids"),
    [
        (["1.0", "", "22.0"], ["1", None, "22"]),
        (["1.0", "x", "22.0"], ["1", "x", "22"]),
        (["1.0", "2", "3"], ["1", "2", "3"]),
        (["1.5", "2.0", ""], ["1.5", "2.0", None]),
        (["007", " 8 ", ""], ["007", "8", None]),
    ],
)
def test_ids_of_csv_that_are_whole_numbers_some_written_as_floats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_ids: list[str], ids: list[str | None]
) -> None:
    """The whole file decides, whatever its batches."""
    monkeypatch.setattr("schemas.reading.rows.MAX_BATCH_ROWS", 1)
    lines = ["timestamp,user_id,surface,item_id,action", *(f"2026-06-20,{name},home,a,click" for name in given_ids)]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    (part,) = plan_slices([str(tmp_path / "log.csv")])
    raws = read_slice(part, {}, ENGAGEMENTS)
    assert [validate_engagements(raw, part)[0]["user_id"][0].as_py() for raw in raws] == ids


def test_ids_keep_all_but_their_blanks(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    given_ids = ["00123", "123", "🛒-1", " 77 ", "1e5", "9007199254740993", "cafe\u0301", "caf\u00e9"]
    path.write_text("item_id,title\n" + "".join(f"{name},x\n" for name in given_ids))
    rows, _, counts = catalogue_of(path)
    assert rows["item_id"] == [name.strip() for name in given_ids]
    assert counts["ids_trimmed"] == 1


@pytest.mark.parametrize("sign", ["\u200b", "\u200c", "\u200d", "\ufeff", "\u00ad", "\u2060"])
def test_characters_that_nobody_sees_are_trimmed_as_blanks_are(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(f"item_id,title\nA,x\nB{sign},x\n {sign} C{sign}D\u3000,x\n{sign},x\n")
    rows, rejections, counts = catalogue_of(path)
    assert rows["item_id"] == ["A", "B", f"C{sign}D"]
    assert (counts["ids_trimmed"], rejections) == (2, ["empty_id"])


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_nul_is_in_no_text(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"c.{kind}"
    if kind == "csv":
        path.write_bytes(b"item_id,title,brand\nA-1,Red\0 mug,\0\0\n")
    elif kind == "json":
        path.write_text('{"item_id": "A-1", "title": "Red\\u0000 mug", "brand": ["\\u0000"]}\n')
    else:
        write_parquet(path, item_id=["A-1"], title=["Red\0 mug"], brand=["\0"])
    rows, rejections, _ = catalogue_of(path)
    assert (rows["item_id"], rows["title"], rows["brand"]) == (["A-1"], ["Red mug"], [None])
    assert not rejections


def test_the_words_for_null_are_those_of_the_page_on_inputs() -> None:
    page = Path(__file__).parents[3] / "docs" / "inputs.md"
    assert f"in CSV `{' '.join(NULL_WORDS)}` and no others" in " ".join(page.read_text().split())
