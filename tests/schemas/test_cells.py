"""Cells of every type that shops' files have: what they become, and that a bad one costs no other."""

import json
import tracemalloc
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.cell_lists import list_members
from schemas.cell_text import NULL_WORDS, UnreadableCellError, cell_text, id_text
from schemas.cell_times import fast_timestamps, timestamp_of
from schemas.raw_rows import FileSlice, RawRows
from schemas.reading import plan_slices, read_slice
from schemas.tables import CATALOGUE, ENGAGEMENTS
from schemas.validation import validate_catalogue, validate_engagements

SLICE = FileSlice(0, "c.parquet")
NOON = datetime(2026, 6, 20, 12, tzinfo=UTC)


def catalogue_of(path: Path, **columns: Any) -> tuple[dict[str, list[Any]], list[str], dict[str, int]]:
    """(columns of the good rows, reasons, counts) of a catalogue file."""
    rows: dict[str, list[Any]] = {name: [] for name in CATALOGUE.names}
    reasons, counts = [], {}
    for part in plan_slices([str(path)]):
        for raw in read_slice(part, columns):
            good, rejected, counts = validate_catalogue(raw, part)
            assert counts["rows_read"] == len(good) + sum(row.level == "row" for row in rejected)
            for name in rows:
                rows[name] += good[name].to_pylist()
            reasons += [row.reason for row in rejected]
    return rows, reasons, dict(counts)


def log_of(path: Path, **columns: Any) -> tuple[dict[str, list[Any]], list[str], dict[str, int]]:
    (part,) = plan_slices([str(path)])
    (raw,) = read_slice(part, columns, ENGAGEMENTS)
    good, rejected, counts = validate_engagements(raw, part)
    return good.to_pydict(), [row.reason for row in rejected], dict(counts)


def write(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


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


@pytest.mark.parametrize("value", [1.5, True, float("inf"), 2.0**53 + 2, Decimal("1.5"), date(2026, 6, 20), [1], {}])
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
    path = write(tmp_path / "c.parquet", item_id=["a", "b", "c"], title=["mug"] * 3, google_product_category=category)
    rows, reasons, counts = catalogue_of(path)
    assert rows["google_product_category"] == ["2169", None, "166"]
    assert not reasons
    assert not [name for name in counts if name.startswith("cells_unreadable")]


def test_sizes_and_booleans_of_parquet(tmp_path: Path) -> None:
    path = write(tmp_path / "c.parquet", item_id=["a", "b"], size=[38.5, 42.0], colors=[True, False])
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
    rows, reasons, _ = catalogue_of(write(tmp_path / "c.parquet", item_id=column, title=["a", "b"]))
    assert (rows["item_id"], reasons) == (["101", "102"], [])


def test_uuids_are_ids_and_text(tmp_path: Path) -> None:
    values = [uuid.UUID(int=number) for number in (1, 2)]
    column = pa.array([value.bytes for value in values], pa.uuid())
    rows, reasons, _ = catalogue_of(write(tmp_path / "c.parquet", item_id=column, brand=column))
    assert (rows["item_id"], rows["brand"], reasons) == ([*map(str, values)], [*map(str, values)], [])


def test_json_of_many_types_keeps_every_item(tmp_path: Path) -> None:
    lines = [
        {"item_id": 1, "title": "int"},
        {"item_id": "2", "title": "x", "size": 42.5},
        {"item_id": 3.0, "title": True},
        {"item_id": "4", "title": {"en": "hello"}, "brand": "Acme", "images": [{"src": "a.jpg"}]},
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


def test_words_for_null_are_words_where_there_is_null(tmp_path: Path) -> None:
    rows, _, _ = catalogue_of(write(tmp_path / "c.parquet", item_id=["NA"], brand=["None"]))
    assert (rows["item_id"], rows["brand"]) == (["NA"], ["None"])


@pytest.mark.parametrize(
    ("given_ids", "ids"),
    [
        (["1.0", "", "22.0"], ["1", None, "22"]),
        (["1.0", "x", "22.0"], ["1.0", "x", "22.0"]),
        (["1.0", "2", "3"], ["1.0", "2", "3"]),
        (["1.5", "2.0", ""], ["1.5", "2.0", None]),
        (["007", " 8 ", ""], ["007", "8", None]),
    ],
)
def test_ids_of_csv_that_are_all_written_as_floats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_ids: list[str], ids: list[str | None]
) -> None:
    """The whole file decides, whatever its batches."""
    monkeypatch.setattr("schemas.reading.MAX_BATCH_ROWS", 1)
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


@pytest.mark.parametrize(
    ("cell", "members"),
    [
        ("one.jpg", ["one.jpg"]),
        ("Mug, blue.jpg", ["Mug, blue.jpg"]),
        ("[hero] shot.jpg", ["[hero] shot.jpg"]),
        ("a.jpg|b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg | b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg,b.jpg", ["a.jpg", "b.jpg"]),
        ("https://x/a.jpg?w=1, https://x/b.jpg?w=2", ["https://x/a.jpg?w=1", "https://x/b.jpg?w=2"]),
        ("https://x/w_100,h_100/a.jpg", ["https://x/w_100,h_100/a.jpg"]),
        ("a.PNG; b.webp", ["a.PNG", "b.webp"]),
        ('["a.jpg", null]', ["a.jpg", None]),
        ("['a, b.jpg', 'c.jpg']", ["a, b.jpg", "c.jpg"]),
        ("('a.jpg',)", ["a.jpg"]),
        ('[{"src": "a.jpg"}, {"url": "b.jpg"}]', ["a.jpg", "b.jpg"]),
        ('{"src": "a.jpg"}', ["a.jpg"]),
        ({"list": [{"element": "a.jpg"}, {"element": None}]}, ["a.jpg", None]),
        ({"array": ["a.jpg"]}, ["a.jpg"]),
        ({"list": None}, []),
        ([{"id": 5, "src": "a.jpg"}], ["a.jpg"]),
    ],
)
def test_lists_as_systems_write_them(cell: Any, members: list[str | None]) -> None:
    assert list_members(cell) == members


@pytest.mark.parametrize(
    "cell",
    [
        "[a, b]",
        '["a.jpg", "b',
        "[" * 100_000,
        "[" * 101 + "]" * 101,
        '[["a"]]',
        5,
        "|" * 20_000,
        "a.jpg," * 20_000,
        {"a": 1},
    ],
)
def test_lists_that_cannot_be_read(cell: Any) -> None:
    with pytest.raises(UnreadableCellError):
        list_members(cell)


LISTS = ["a.jpg|b.jpg", '["a.jpg","b.jpg"]', "['a.jpg', 'b.jpg']", "a.jpg, b.jpg", "a.jpg;b.jpg", "a.jpg,b.jpg"]


@pytest.mark.parametrize("name", ["c.parquet", "c.jsonl", "c.csv"])
def test_lists_are_the_same_in_every_container(tmp_path: Path, name: str) -> None:
    path, ids = tmp_path / name, [f"i{number}" for number in range(len(LISTS))]
    if name == "c.parquet":
        write(path, item_id=ids, images=LISTS)
    elif name == "c.jsonl":
        path.write_text("\n".join(json.dumps({"item_id": i, "images": x}) for i, x in zip(ids, LISTS, strict=True)))
    else:
        cells = ['"' + text.replace('"', '""') + '"' for text in LISTS]
        path.write_text("item_id,images\n" + "\n".join(map(",".join, zip(ids, cells, strict=True))))
    assert catalogue_of(path)[0]["images"] == [["a.jpg", "b.jpg"]] * len(LISTS)


def test_lists_wrapped_in_structs(tmp_path: Path) -> None:
    wrapped = [{"list": [{"element": "a.jpg"}, {"element": "b.jpg"}]}, {"list": []}, None]
    rows, _, counts = catalogue_of(write(tmp_path / "c.parquet", item_id=["a", "b", "c"], images=pa.array(wrapped)))
    assert (rows["images"], "cells_unreadable:images" in counts) == ([["a.jpg", "b.jpg"], [], []], False)


SECONDS = int(NOON.timestamp())
WRITTEN = [
    SECONDS,
    SECONDS * 1_000,
    SECONDS * 1_000_000,
    SECONDS * 1_000_000_000,
    float(SECONDS),
    Decimal(SECONDS),
    str(SECONDS),
    f"{SECONDS}.000",
    str(SECONDS * 1_000),
    f" {SECONDS}000000 ",
    "2026-06-20 12:00:00 UTC",
    "2026-06-20 12:00:00.000000 UTC",
    "2026-06-20T12:00:00Z",
    "2026-06-20 14:00:00+02",
    "2026-06-20 14:00:00 +0200",
    "Sat, 20 Jun 2026 12:00:00 GMT",
    "20 Jun 2026 14:00:00 +0200",
]


@pytest.mark.parametrize("value", WRITTEN)
def test_times_as_systems_write_them(value: Any) -> None:
    assert timestamp_of(value) == NOON
    if not isinstance(value, Decimal):
        fast = fast_timestamps(pa.array([value, None]))
        assert fast is None or fast.to_pylist() == [NOON, None]


@pytest.mark.parametrize(
    "value", [20260620, "20260620", "20260620120000", 202606201200, 0, 5, -SECONDS, "06/20/2026", 1e300]
)
def test_times_that_need_to_be_told(value: Any) -> None:
    with pytest.raises(UnreadableCellError):
        timestamp_of(value)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (20260620, "%Y%m%d"),
        ("20.06.2026", "%d.%m.%Y"),
        (SECONDS - 43_200, "s"),
        ((SECONDS - 43_200) * 1000.0, "ms"),
        (str(SECONDS - 43_200), "s"),
    ],
)
def test_times_that_are_told(value: Any, told: str) -> None:
    assert timestamp_of(value, told) == datetime(2026, 6, 20, tzinfo=UTC)
    fast = fast_timestamps(pa.array([value]), told)
    assert fast is None or fast.to_pylist() == [datetime(2026, 6, 20, tzinfo=UTC)]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1), st.sampled_from([None, "s", "ms", "us", "ns"])
)
def test_numbers_are_the_same_times_alone_and_in_a_column(values: list[int | None], told: str | None) -> None:
    alone: list[datetime | None] = []
    bad = False
    for value in values:
        try:
            alone.append(None if value is None else timestamp_of(value, told))
        except UnreadableCellError:
            bad = True
    for column in (
        pa.array(values, pa.int64()),
        pa.array([None if v is None else str(v) for v in values], pa.string()),
    ):
        fast = fast_timestamps(column, told)
        if fast is not None:
            assert not bad
            assert fast.to_pylist() == alone


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(available_timezones())),
    st.lists(st.none() | st.datetimes(datetime(1850, 1, 1), datetime(2199, 1, 1)), min_size=1, max_size=3),
    st.booleans(),
)
def test_times_without_a_zone_are_those_of_the_zone_that_is_told(
    zone: str, shown: list[datetime | None], near_now: bool
) -> None:
    if near_now:  # where Arrow knows all changes of clocks
        shown = [moment and moment.replace(year=1990 + moment.year % 40, day=min(moment.day, 28)) for moment in shown]
    expected = [moment and moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for moment in shown]
    assert [moment and timestamp_of(moment, None, zone) for moment in shown] == expected
    assert [moment and timestamp_of(moment.isoformat(" "), None, zone) for moment in shown] == expected
    texts = pa.array([moment and moment.isoformat() for moment in shown])
    for column in (pa.array(shown, pa.timestamp("us")), texts):
        fast = fast_timestamps(column, None, zone)
        assert fast is None or fast.to_pylist() == expected


@pytest.mark.parametrize("value", [*WRITTEN, "Sat, 20 Jun 2026 12:00:00 -0000", NOON])
def test_times_with_a_zone_and_numbers_are_not_of_the_zone_that_is_told(value: Any) -> None:
    assert timestamp_of(value, None, "Asia/Tokyo") == NOON
    if not isinstance(value, Decimal):
        fast = fast_timestamps(pa.array([value, None]), None, "Asia/Tokyo")
        assert fast is None or fast.to_pylist() == [NOON, None]


def test_dates_begin_in_the_zone_that_is_told() -> None:
    start = datetime(2026, 6, 19, 22, tzinfo=UTC)
    assert timestamp_of("20.06.2026", "%d.%m.%Y", "Europe/Berlin") == start
    assert timestamp_of(date(2026, 6, 20), None, "Europe/Berlin") == start
    fast = fast_timestamps(pa.array([date(2026, 6, 20)]), None, "Europe/Berlin")
    assert fast is not None
    assert fast.to_pylist() == [start]


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.lists(st.one_of(st.none(), st.text(max_size=3), st.integers()), max_size=3),
)


@pytest.mark.parametrize("name", ["title", "size", "images", "google_product_category"])
@settings(max_examples=300, deadline=None)
@given(values=st.lists(CELLS, min_size=1, max_size=5))
def test_a_bad_cell_costs_no_other(name: str, values: list[Any]) -> None:
    num_rows = len(values)
    arrays = {column: pa.nulls(num_rows) for column in CATALOGUE.names}
    arrays |= {"item_id": pa.array([f"i{n}" for n in range(num_rows)]), "brand": pa.array(["Acme"] * num_rows)}
    raw = RawRows(1, pa.table(arrays), [], np.arange(1, num_rows + 1), {name: values})
    good, rejected, _ = validate_catalogue(raw, SLICE)
    assert not rejected
    assert good["brand"].to_pylist() == ["Acme"] * num_rows


def test_a_log_of_strange_cells(tmp_path: Path) -> None:
    lines = [
        {"timestamp": SECONDS, "user_id": {"id": 1}, "item_id": " a", "action": "Add to cart", "surface": "HOME"},
        {"timestamp": "2026-06-20 12:00:00 UTC", "user_id": 7.0, "item_id": 5, "action": "CHECKOUT", "surface": "home"},
        {"timestamp": SECONDS * 1_000, "user_id": "  ", "item_id": "a", "action": "Buy", "surface": "home"},
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    rows, reasons, counts = log_of(path)
    assert (rows["user_id"], rows["item_id"], rows["timestamp"]) == ([None, "7"], ["a", "5"], [NOON] * 2)
    assert (rows["action"], reasons) == (["add_to_cart", "checkout"], ["unknown_action"])
    assert (counts["cells_unreadable:user_id"], counts["ids_trimmed"]) == (1, 1)


def test_user_ids_of_guests_make_floats(tmp_path: Path) -> None:
    log = {"timestamp": [NOON] * 3, "user_id": [1.0, float("nan"), 2.0], "surface": ["home"] * 3}
    path = write(tmp_path / "log.parquet", **log, item_id=["a"] * 3, action=["click"] * 3)
    rows, reasons, _ = log_of(path)
    assert (rows["user_id"], reasons) == (["1", None, "2"], [])


@pytest.mark.parametrize("name", ["images", "title", "item_id"])
def test_a_small_file_whose_cell_unfolds_to_many_values_takes_little_memory(tmp_path: Path, name: str) -> None:
    """Lists of structs: eight bytes a member in Arrow, some hundred in Python."""
    num_members = 300_000
    members = pa.StructArray.from_arrays([pa.nulls(num_members, pa.int8())] * 8, names=list("abcdefgh"))
    huge = pa.ListArray.from_arrays(pa.array([0, num_members, num_members], pa.int32()), members)
    columns = {"item_id": pa.array(["a", "b"]), "brand": pa.array(["x", "y"]), name: huge}
    path = write(tmp_path / "c.parquet", **columns)
    assert path.stat().st_size < 8_000
    tracemalloc.start()
    try:
        rows, reasons, counts = catalogue_of(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 10 << 20
    if name == "item_id":
        assert reasons == ["wrong_type", "wrong_type"]
    else:
        assert (rows["brand"], counts[f"cells_unreadable:{name}"]) == (["x", "y"], 1)


def test_a_cell_of_separators_costs_only_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "c.parquet", item_id=["a", "b"], images=["|" * 1_000_000, "a.jpg|b.jpg"])
    rows, _, counts = catalogue_of(path)
    assert (rows["images"], counts["cells_unreadable:images"]) == ([[], ["a.jpg", "b.jpg"]], 1)
