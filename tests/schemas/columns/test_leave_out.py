"""Rows that `[columns] leave_out` leaves out, without Beam: what the config may say, what a cell says of its row, and
the rules of schemas.validation.left_out_rows against the same rules said row by row."""

import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns.leave_out import LeaveOut
from schemas.columns.mapping import catalogue_columns, catalogue_schema, table_columns
from schemas.errors import UsageError
from schemas.hashing import fingerprint
from schemas.quarantine import Rejection
from schemas.reading.input_files import check_columns
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import ITEMS
from schemas.validation.catalogue import validate_catalogue, validated_schema
from schemas.validation.grouping import GROUP_ROWS, resolve_rows
from schemas.validation.left_out_rows import ROWS_LEFT_OUT, SAYS_LEFT_OUT, without_left_out


def mapping_of(text: str, group_rows: str = "no") -> dict[str, Any]:
    return catalogue_columns(tomllib.loads(text)["columns"], group_rows)


def read(path: Path, columns: dict[str, Any]) -> tuple[pa.Table, list[Rejection], Counter[str]]:
    """The validated rows of a file of one batch."""
    check_columns([str(path)], columns, catalogue_schema(columns))
    (part,) = plan_slices([str(path)])
    (raw,) = read_slice(part, columns, catalogue_schema(columns))
    return validate_catalogue(raw, part)


def said(path: Path, leave_out: dict[str, Any]) -> list[bool | None]:
    """What each row of a file says of itself."""
    rows, rejections, _ = read(path, table_columns({"leave_out": leave_out}, "catalogue"))
    assert not rejections
    assert rows.schema.equals(validated_schema(catalogue_schema({"leave_out": LeaveOut()})))
    return rows[SAYS_LEFT_OUT.name].to_pylist()


# ---- the config ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "source", "texts"),
    [
        ('leave_out = {Status = [" Draft", "archived", "DRAFT"]}', ("Status",), (("archived", "draft"),)),
        ('[columns.leave_out]\nStatus = "draft"', ("Status",), (("draft",),)),
        ("leave_out = {b = [false, 0, 2169.0, 1.5], a = true}", ("a", "b"), (("true",), ("0", "1.5", "2169", "false"))),
        ('leave_out = {"is shown" = ["0.0"]}', ("is shown",), (("0",),)),
        ('leave_out.info.state = ["x"]', ("info.state",), (("x",),)),
        ('leave_out = {"info.state" = ["x"]}', ("info.state",), (("x",),)),
        ('leave_out = {deleted_at = ["*"]}', ("deleted_at",), (("*",),)),
    ],
)
def test_the_config_names_columns_of_the_shop_and_their_texts(
    text: str, source: tuple[str, ...], texts: tuple[tuple[str, ...], ...]
) -> None:
    entry = mapping_of(f"[columns]\n{text}")["leave_out"]
    assert (entry.source, entry.texts) == (source, texts)


@pytest.mark.parametrize("text", ["[columns]", '[columns]\nleave_out = ""', "[columns.leave_out]", "[columns]\n"])
def test_a_config_that_leaves_nothing_out_is_what_it_was_without(text: str) -> None:
    assert mapping_of(text) == {}
    assert catalogue_schema(mapping_of(text)).equals(ITEMS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('leave_out = "Status"', r"a table of your columns.* got 'Status'"),
        ('leave_out = ["Status"]', "a table of your columns"),
        ("leave_out = {Status = []}", "texts of rows to leave out for 'Status'.* got none"),
        ('leave_out = {Status = ["draft", ""]}', "none of them blank, for 'Status'"),
        ('leave_out = {Status = [" "]}', "none of them blank"),
        ("leave_out = {Status = [nan]}", "none of them blank"),
        ('leave_out = {Status = [["draft"]]}', "none of them blank"),
        ('leave_out = {Status = [{a = "draft"}]}', "none of them blank"),
        ('leave_out = {"" = ["draft"]}', "a table of your columns"),
        ("leave_out." + "a." * 3_000 + "b = 1", "a table of your columns"),
        ('leaveout = {Status = ["draft"]}', "expected tables"),
    ],
)
def test_what_is_none_is_refused(text: str, message: str) -> None:
    columns = tomllib.loads(f"[columns]\n{text}")["columns"]
    with pytest.raises(UsageError, match=message):
        table_columns(columns, "catalogue")


def test_it_is_the_catalogues_alone() -> None:
    columns = {"leave_out": {"Status": ["draft"]}, "engagements": {"item_id": "sku"}, "title": "Name"}
    assert table_columns(columns, "engagements") == {"item_id": "sku"}
    assert table_columns({"catalogue": {"leave_out": {"S": ["x"]}}}, "catalogue").keys() == {"leave_out"}
    with pytest.raises(UsageError, match="expected columns of engagements"):
        table_columns({"engagements": {"leave_out": {"S": ["x"]}}}, "engagements")


def test_it_identifies_the_items_and_others_are_identified_as_before() -> None:
    one, other = (mapping_of(f'[columns]\nleave_out = {{Status = ["{text}"]}}') for text in ("draft", "archived"))
    same = mapping_of('[columns]\nleave_out = {Status = ["DRAFT"]}')
    assert len({fingerprint(columns) for columns in (one, other, {})}) == 3
    assert fingerprint(one) == fingerprint(same)
    # of the day before there was a leave_out
    images = mapping_of('[columns]\nimages = ["a", "b"]\ngroup = "Handle"', "merge")
    assert fingerprint(images) == "466e397b2f31e2da"


def test_a_column_that_the_table_lacks_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("item_id,title,status\n1,Mug,draft\n")
    with pytest.raises(
        UsageError, match=r"column 'Status' for leave_out.* is it 'status'\? write its name in leave_ou"
    ):
        said(tmp_path / "c.csv", {"Status": ["draft"]})
    with pytest.raises(UsageError, match=r"'Published' for leave_out.*: write its name in leave_out, in the config"):
        said(tmp_path / "c.csv", {"status": ["draft"], "Published": [0]})
    (tmp_path / "c.jsonl").write_text('{"item_id": "1", "title": "Mug"}\n')
    with pytest.raises(UsageError, match="'state' for leave_out"):
        said(tmp_path / "c.jsonl", {"state": ["draft"]})
    pq.write_table(pa.table({"item_id": ["1"], "title": ["Mug"]}), tmp_path / "c.parquet")
    with pytest.raises(UsageError, match=r"'info\.state' for leave_out"):
        said(tmp_path / "c.parquet", {"info.state": ["draft"]})


# ---- a row's own cells -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "texts", "expected"),
    [
        (["draft", " Draft ", "ACTIVE", "", " "], ["draft"], [True, True, False, None, None]),
        (["0", "0.0", "-1", "1.0", "01", "0.5"], [0, -1], [True, True, True, False, False, False]),
        (["NULL", "n/a", "x"], ["draft"], [None, None, False]),
        (["NULL", "n/a", "x"], ["N/A"], [None, True, False]),
        (["2026-01-01", "", "NULL"], ["*"], [True, False, False]),
    ],
)
def test_cells_of_delimited_text(
    tmp_path: Path, cells: list[str], texts: list[Any], expected: list[bool | None]
) -> None:
    lines = [f'{number},Mug,"{cell}"' for number, cell in enumerate(cells)]
    (tmp_path / "c.csv").write_text("\n".join(["item_id,title,state", *lines, ""]))
    assert said(tmp_path / "c.csv", {"state": texts}) == expected


@pytest.mark.parametrize(
    ("cells", "texts", "expected"),
    [
        ([True, False, None], [False], [False, True, None]),
        ([1, 0, None], ["0"], [False, True, None]),
        ([1.0, 0.0, None], [0], [False, True, None]),
        (["draft", "NULL", None], ["draft"], [True, False, None]),
        ([b"draft", b"x", None], ["Draft"], [True, False, None]),
        ([{"state": "draft"}, {"state": None}, None], ["draft"], [True, None, None]),
    ],
    ids=str,
)
def test_cells_of_typed_tables(tmp_path: Path, cells: list[Any], texts: list[Any], expected: list[bool | None]) -> None:
    name = "state.state" if isinstance(cells[0], dict) else "state"
    ids = [str(number) for number in range(len(cells))]
    pq.write_table(pa.table({"item_id": ids, "title": ids, "state": pa.array(cells)}), tmp_path / "c.parquet")
    assert said(tmp_path / "c.parquet", {name: texts}) == expected
    if not isinstance(cells[0], bytes):
        rows = [{"item_id": item_id, "title": item_id, "state": cell} for item_id, cell in zip(ids, cells, strict=True)]
        (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
        assert said(tmp_path / "c.jsonl", {name: texts}) == expected


def test_one_listed_cell_of_several_columns_is_enough(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(
        "item_id,title,s,p\n1,a,draft,true\n2,a,active,false\n3,a,active,\n4,a,,\n5,a,,true\n"
    )
    assert said(tmp_path / "c.csv", {"s": ["draft"], "p": [False]}) == [True, True, False, None, False]


def test_a_cell_that_cannot_be_read_says_nothing_and_is_counted(tmp_path: Path) -> None:
    rows = [{"item_id": "1", "title": "a", "s": ["draft"]}, {"item_id": "2", "title": "a", "s": {"x": 1}}]
    rows.append({"item_id": "3", "title": "a", "s": "draft"})
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    good, _, counts = read(tmp_path / "c.jsonl", table_columns({"leave_out": {"s": ["draft"]}}, "catalogue"))
    assert good[SAYS_LEFT_OUT.name].to_pylist() == [None, None, True]
    assert counts["cells_unreadable:leave_out"] == 2


def test_the_folder_of_a_file_says_it_of_its_rows(tmp_path: Path) -> None:
    folder = tmp_path / "status=Draft"
    folder.mkdir()
    (folder / "c.csv").write_text("item_id,title\n1,a\n")
    assert said(folder / "c.csv", {"status": ["draft"]}) == [True]


def test_a_row_that_is_to_be_left_out_is_not_rejected_for_its_id(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(
        "item_id,h,title,s\n,p,a,draft\n,p,a,\n4E+12,,a,draft\n,,a,draft\n,,a,active\n7,q,a,\n"
    )
    columns = {"leave_out": {"s": ["draft"]}}
    good, rejections, counts = read(tmp_path / "c.csv", table_columns(columns, "catalogue"))
    assert (good["item_id"].to_pylist(), counts[ROWS_LEFT_OUT], counts["rows_read"]) == (["7"], 3, 6)
    assert [rejection.where for rejection in rejections] == ["c.csv:3", "c.csv:6"]
    good, rejections, counts = read(tmp_path / "c.csv", catalogue_columns({**columns, "group": "h"}, "merge"))
    assert good["group"].to_pylist() == ["p", "p", "q"]  # the first tells what becomes of the second
    assert (counts[ROWS_LEFT_OUT], [rejection.where for rejection in rejections]) == (2, ["c.csv:6"])
    resolved = resolve_rows(good, ["c.csv"], "merge")
    assert (resolved.items["item_id"].to_pylist(), resolved.num_left_out, resolved.rejections) == (["7"], 2, [])


def test_a_broken_picture_of_a_row_that_is_left_out_is_no_rejection(tmp_path: Path) -> None:
    rows = [{"item_id": str(n), "images": [{"bytes": "%%%"}], "s": s} for n, s in enumerate(("draft", "active"))]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    _, rejections, _ = read(tmp_path / "c.jsonl", table_columns({"leave_out": {"s": ["draft"]}}, "catalogue"))
    assert [rejection.item_id for rejection in rejections] == ["1"]


# ---- what belongs to such rows ---------------------------------------------------------------------------------------

SHOPIFY = """Handle,SKU,Title,Status,Image
shirt,s-1,Shirt,draft,1.jpg
shirt,s-2,,,2.jpg
shirt,,,,3.jpg
mug,m-1,Mug,active,4.jpg
mug,m-2,,,
"""
WOOCOMMERCE = """ID,Parent,Name,Published,Images
1,,Mug,1,p.jpg
2,id:1,Mug - S,0,s.jpg
3,id:1,Mug - M,1,m.jpg
4,,Cup,-1,
5,id:4,Cup - S,1,
6,id:4,Cup - M,,
"""
BY_PARENT = {"source": ["Parent", "ID"], "prefix": "id:"}


@pytest.mark.parametrize(
    ("text", "columns", "expected", "num_left_out"),
    [
        (SHOPIFY, {"item_id": "Handle", "leave_out": {"Status": ["draft"]}}, {"mug": ["4.jpg"]}, 3),
        (
            SHOPIFY,
            {"item_id": "SKU", "group": "Handle", "leave_out": {"Status": ["draft"]}},
            {"m-1": ["4.jpg"], "m-2": ["4.jpg"]},
            3,
        ),
        (WOOCOMMERCE, {"item_id": BY_PARENT, "leave_out": {"Published": [0, -1]}}, {"1": ["p.jpg", "m.jpg"]}, 4),
        (
            WOOCOMMERCE,
            {"item_id": "ID", "group": BY_PARENT, "leave_out": {"Published": [0, -1]}},
            {"1": ["p.jpg"], "3": ["m.jpg"]},
            4,
        ),
    ],
)
def test_a_draft_goes_with_all_its_rows_and_a_hidden_variation_alone(
    tmp_path: Path, text: str, columns: dict[str, Any], expected: dict[str, list[str]], num_left_out: int
) -> None:
    names = {"title": "Title", "images": "Image"} if text == SHOPIFY else {"title": "Name", "images": "Images"}
    (tmp_path / "c.csv").write_text(text)
    rows, rejections, _ = read(tmp_path / "c.csv", catalogue_columns({**names, **columns}, "merge"))
    resolved = resolve_rows(rows, ["c.csv"], "merge")
    assert {row["item_id"]: row["images"] for row in resolved.items.to_pylist()} == expected
    assert (resolved.num_left_out, rejections, resolved.rejections) == (num_left_out, [], [])


def test_without_grouping_a_draft_goes_before_rows_of_one_id_are_compared(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("item_id,title,s\n1,Old,draft\n1,New,active\n1,Old,draft\n2,x,\n2,x,draft\n")
    rows, _, _ = read(tmp_path / "c.csv", table_columns({"leave_out": {"s": ["draft"]}}, "catalogue"))
    resolved = resolve_rows(rows, ["c.csv"], "no")
    assert resolved.items.select(["item_id", "title"]).to_pylist() == [
        {"item_id": "1", "title": "New"},
        {"item_id": "2", "title": "x"},
    ]
    assert (resolved.num_left_out, resolved.num_collapsed, resolved.rejections) == (3, 0, [])


# ---- the rules again, row by row -----------------------------------------------------------------------------------


def left_out_by_hand(rows: list[dict[str, Any]], group_rows: str) -> list[bool]:
    """Of each row, in order of (file, row), whether it goes."""
    if group_rows == "no":
        return [row["left_out"] is True for row in rows]
    key = "group" if "group" in rows[0] else "item_id"

    def first(some: list[dict[str, Any]]) -> dict[str, Any] | None:
        in_order = [row for row in some if not row["names_another"]] + [row for row in some if row["names_another"]]
        return next((row for row in in_order if row["left_out"] is not None), None)

    goes = []
    for row in rows:
        of_group = [other for other in rows if other[key] == row[key]]
        of_item = [other for other in of_group if other["item_id"] is not None and other["item_id"] == row["item_id"]]
        product = first([other for other in of_group if not other["names_another"]])
        if row["left_out"] is True or (row["names_another"] and product is not None and product["left_out"]):
            goes.append(True)
        elif row["left_out"] is None and row["item_id"] is not None:
            told = first(of_item) or first(of_group)
            goes.append(told is not None and told["left_out"])
        else:
            goes.append(False)
    for place, row in enumerate(rows):
        if row["item_id"] is None and not goes[place]:
            group = [number for number, other in enumerate(rows) if other[key] == row[key]]
            items = [number for number in group if rows[number]["item_id"] is not None]
            told = first([rows[number] for number in group])
            without_items = row["left_out"] is None and told is not None and told["left_out"]
            goes[place] = all(goes[number] for number in items) if items else without_items
    return goes


SAYS = st.sampled_from([None, None, True, False])
ROW = st.fixed_dictionaries(
    {
        "item_id": st.sampled_from([None, None, "1", "2"]),
        "group": st.sampled_from(["p", "q", "1"]),
        "left_out": SAYS,
        "names_another": st.booleans(),
        "title": st.sampled_from([None, "x", "y"]),
    }
)


def table_of(rows: list[dict[str, Any]], grouped: bool) -> pa.Table:
    schema = validated_schema(catalogue_schema({"leave_out": LeaveOut()} | ({"group": "g"} if grouped else {})))
    zeros = dict.fromkeys((name for name in schema.names if pa.types.is_integer(schema.field(name).type)), 0)
    full = [
        {"images": [f"{number}.jpg"], **zeros, **row, "file_number": number % 2, "row_number": number}
        for number, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(sorted(full, key=lambda row: (row["file_number"], row["row_number"])), schema=schema)


@pytest.mark.medium
@settings(max_examples=300, deadline=None)
@given(st.lists(ROW, max_size=12), st.sampled_from(GROUP_ROWS), st.booleans(), st.randoms())
def test_rows_go_by_the_rules_in_any_order_and_everything_adds_up(
    rows: list[dict[str, Any]], group_rows: str, grouped: bool, random: Any
) -> None:
    grouped = grouped and group_rows != "no"
    if not grouped:
        rows = [
            {name: value for name, value in row.items() if name != "group"}
            for row in rows
            if row["item_id"] is not None
        ]
    table = table_of(rows, grouped)
    goes = left_out_by_hand(table.to_pylist(), group_rows) if rows else []
    stay, num_left_out = without_left_out(table, group_rows)
    expected = table.drop_columns([SAYS_LEFT_OUT.name]).filter(pa.array([not one for one in goes], pa.bool_()))
    assert (stay.equals(expected), num_left_out) == (True, sum(goes))

    files = ["a.csv", "b.csv"]
    shuffled = table.take(pa.array(random.sample(range(table.num_rows), table.num_rows), pa.int64()))
    resolved = resolve_rows(shuffled, files, group_rows)
    filtered = resolve_rows(expected, files, group_rows)
    assert resolved.items.equals(filtered.items)
    assert (resolved.rejections, resolved.num_left_out) == (filtered.rejections, sum(goes))
    num_others = resolved.num_collapsed + resolved.num_merged + resolved.num_left_out + len(resolved.rejections)
    assert table.num_rows == resolved.items.num_rows + num_others
