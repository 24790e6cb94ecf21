"""Items of a log that are a text which lists several: each is a row where the mapping says what separates them."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.columns.mapping import table_columns
from schemas.events.item_lists import items_of_text
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import CATALOGUE, ENGAGEMENTS
from schemas.validation.log import validate_engagements


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("[sku1, sku2]", ["sku1", "sku2"]),
        ("[sku1]", ["sku1"]),
        ("{sku1,sku2}", ["sku1", "sku2"]),
        ("{sku1, NULL}", ["sku1"]),
        ("[007, null, 008]", ["007", "008"]),
        ('{"a, b",c}', ["a, b", "c"]),
        ("['a', 'b']", ["a", "b"]),
        ("['a' 'b']", ["a", "b"]),
        ('[5" pipe, a]', ['5" pipe', "a"]),
        ("[]", ["[]"]),
        ("[a] mug", ["[a] mug"]),
        ("[{product_id=sku1, quantity=2}, {product_id=sku2, quantity=1}]",) * 2,
        ("{product_id=sku1, quantity=2}",) * 2,
    ],
)
def test_lists_as_databases_print_them(text: str, items: list[str] | str) -> None:
    assert items_of_text(text, ",") == ([items] if isinstance(items, str) else items)


#: What stands in the column of items of each event, and the items that these are.
CELLS = ["7", "7,8", " 8 , 9,", '["7", "8"]', '["7", 9]', None, "  "]
ITEMS = [["7"], ["7", "8"], ["8", "9"], ["7", "8"], ["7", "9"], [], []]
ROWS = [{"time": f"2026-06-20T10:0{number}:00Z", "user": f"u{number}"} for number in range(len(CELLS))]


def csv(path: Path) -> None:
    cells = ["" if cell is None else '"' + cell.replace('"', '""') + '"' for cell in CELLS]
    lines = [f"{row['time']},{row['user']},{cell}" for row, cell in zip(ROWS, cells, strict=True)]
    path.write_text("\n".join(["time,user,sku", *lines]) + "\n")


def jsonl(path: Path) -> None:
    events = [{**row, "sku": cell} for row, cell in zip(ROWS, CELLS, strict=True)]
    path.write_text("\n".join(map(json.dumps, events)))


def mixed(path: Path) -> None:
    """Some cells are lists, as of a system that writes both."""
    events = [
        {**row, "sku": items if number % 2 and items else cell}
        for number, (row, cell, items) in enumerate(zip(ROWS, CELLS, ITEMS, strict=True))
    ]
    path.write_text("\n".join(map(json.dumps, events)))


def parquet(path: Path) -> None:
    table = pa.Table.from_pylist(ROWS).append_column("sku", pa.array(CELLS, pa.string()))
    pq.write_table(table, path)


def dictionary(path: Path) -> None:
    table = pa.Table.from_pylist(ROWS).append_column("sku", pa.array(CELLS, pa.string()).dictionary_encode())
    pq.write_table(table, path)


def objects(path: Path) -> None:
    events = [{**row, "data": {"sku": cell}} for row, cell in zip(ROWS, CELLS, strict=True)]
    path.write_text("\n".join(map(json.dumps, events)))


@pytest.mark.parametrize(
    ("name", "write", "source"),
    [
        ("l.csv", csv, "sku"),
        ("l.jsonl", jsonl, "sku"),
        ("l.jsonl", mixed, "sku"),
        ("l.parquet", parquet, "sku"),
        ("l.parquet", dictionary, "sku"),
        ("l.jsonl", objects, "data.sku"),
    ],
)
def test_an_event_is_a_row_for_each_item_of_the_text(tmp_path, name, write: Callable[[Path], None], source):
    write(tmp_path / name)
    columns = table_columns(
        {"engagements": {"timestamp": "time", "user_id": "user", "item_id": {"source": source, "separator": ","}}},
        "engagements",
    )
    found: list[tuple[str, str]] = []
    for file_slice in plan_slices([str(tmp_path / name)]):
        for raw in read_slice(file_slice, columns, ENGAGEMENTS):
            rows, rejections, _ = validate_engagements(raw, file_slice)
            assert not rejections
            assert raw.no_rows == {"events_without_items": 2}
            found += zip(rows["user_id"].to_pylist(), rows["item_id"].to_pylist(), strict=True)
    assert found == [(f"u{number}", item) for number, items in enumerate(ITEMS) for item in items]


def test_without_a_separator_and_in_a_catalogue_a_text_is_one_id(tmp_path):
    (tmp_path / "l.csv").write_text('time,user,sku,title\n2026-06-20T10:00:00Z,u,"7,8",x\n')
    (file_slice,) = plan_slices([str(tmp_path / "l.csv")])
    log = table_columns({"engagements": {"timestamp": "time", "user_id": "user", "item_id": "sku"}}, "engagements")
    catalogue = table_columns({"item_id": {"source": "sku", "separator": ","}}, "catalogue")
    for columns, schema in ((log, ENGAGEMENTS), (catalogue, CATALOGUE)):
        (raw,) = read_slice(file_slice, columns, schema)
        assert raw.table["item_id"].to_pylist() == ["7,8"]


def test_what_is_not_utf8_or_unicode_does_not_end_the_reading(tmp_path):
    bad = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\2\0\0\0\5\0\0\0"), pa.py_buffer(b"\xff\xfe7,8"))
    table = pa.table({"time": pa.array(["2026-06-20T10:00:00Z"] * 2), "sku": bad})
    pq.write_table(table, tmp_path / "l.parquet")
    (tmp_path / "l.jsonl").write_text('{"time": "2026-06-20T10:00:00Z", "sku": "\\ud800,8"}\n')
    columns = table_columns(
        {"engagements": {"timestamp": "time", "item_id": {"source": "sku", "separator": ","}}}, "engagements"
    )
    for name, items in (("l.parquet", ["7", "8"]), ("l.jsonl", ["8"])):
        (file_slice,) = plan_slices([str(tmp_path / name)])
        (raw,) = read_slice(file_slice, columns, ENGAGEMENTS)
        assert validate_engagements(raw, file_slice)[0]["item_id"].to_pylist() == items


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"], exclude_characters=",[]"), min_size=1)))
def test_items_are_read_as_they_were_joined(items):
    assert items_of_text(",".join(items), ",") == (items or [""])
    if items:
        assert items_of_text(json.dumps(items), ",") == items


def test_a_list_of_items_that_the_config_does_not_tell_of_is_told_how_to_be_read(tmp_path):
    event = {"timestamp": "2026-06-20T10:00:00Z", "user_id": "u", "surface": "home", "action": "click"}
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({**event, "item_id": ids}) + "\n" for ids in (["1", "2"], ["3", None])))
    (part,) = plan_slices([str(path)])
    (raw,) = read_slice(part, {}, ENGAGEMENTS)
    rejection = validate_engagements(raw, part)[1][0]
    entry = rejection.remedy.partition("[columns.engagements] ")[2].partition(" makes a row")[0]
    columns = table_columns({"engagements": tomllib.loads(entry)}, "engagements")
    (raw,) = read_slice(part, columns, ENGAGEMENTS)
    assert validate_engagements(raw, part)[0]["item_id"].to_pylist() == ["1", "2", "3"]
