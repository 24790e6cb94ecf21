"""Rows that belong together, without Beam: the rules of schemas.validation.grouping against the same rules said row by
row."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns.mapping import catalogue_schema
from schemas.columns.raw_rows import FileSlice, RawRows
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import CATALOGUE, GROUPED_CATALOGUE, ITEMS, TEXT_FIELDS
from schemas.validation import grouping
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.grouping import complete_groups, merge_items

pytestmark = pytest.mark.medium

FILES = ["a.csv", "b.csv"]
MAX_PICTURES = 3


def validated(rows: list[dict[str, Any]], schema: pa.Schema = CATALOGUE) -> pa.Table:
    """Good rows of two files, the first half of the rows in the first."""
    half = (len(rows) + 1) // 2
    parts = []
    for number, some in enumerate((rows[:half], rows[half:])):
        table = pa.Table.from_pylist(some, schema=schema)
        raw = RawRows(1, table, [], np.arange(1, len(some) + 1))
        good, rejections, _ = validate_catalogue(raw, FileSlice(number, FILES[number]))
        assert not rejections
        parts.append(good)
    return pa.concat_tables(parts)


def shown(items: pa.Table) -> list[dict[str, Any]]:
    """What is there of each item."""
    return [{name: value for name, value in row.items() if value} for row in items.select(ITEMS.names).to_pylist()]


def test_the_rows_of_an_item_are_one_with_the_first_texts_and_all_pictures() -> None:
    rows = validated(
        [
            {"item_id": "b", "title": "Cup", "images": ["c", "c"]},
            {"item_id": "a", "images": ["2", "1"]},
            {"item_id": "a", "title": "Mug", "images": ["1", "3"]},
            {"item_id": "a", "title": "Other", "brand": "Acme"},
        ]
    )
    items, rejections = merge_items(rows, FILES)
    assert shown(items) == [
        {"item_id": "a", "title": "Mug", "brand": "Acme", "images": ["2", "1", "3"]},
        {"item_id": "b", "title": "Cup", "images": ["c", "c"]},  # a row alone stays as it is
    ]
    assert items["rows_merged"].to_pylist() == [2, 0]
    assert items["texts_differing"].to_pylist() == [1, 0]
    assert not rejections


SHIRT = [
    {"group": "shirt", "item_id": "s-1", "title": "Shirt", "size": "S", "images": ["1"]},
    {"group": "shirt", "item_id": "s-2", "size": "M", "images": ["2"]},
    {"group": "shirt", "item_id": "s-3", "size": "L"},
    {"group": "shirt", "images": ["3"]},
    {"item_id": "mug", "title": "Mug"},
]


@pytest.mark.parametrize(
    ("share_pictures", "pictures"),
    [(False, [["1", "3"], ["2", "3"], ["1", "3"]]), (True, [["1", "2", "3"], ["2", "1", "3"], ["1", "2", "3"]])],
)
def test_the_items_of_a_group_complete_each_other(share_pictures: bool, pictures: list[list[str]]) -> None:
    items, rejections = complete_groups(
        validated(SHIRT, GROUPED_CATALOGUE), FILES, share_pictures=share_pictures, max_pictures=MAX_PICTURES
    )
    shirts = [
        {"item_id": f"s-{number}", "title": "Shirt", "size": size, "images": images}
        for number, size, images in zip((1, 2, 3), "SML", pictures, strict=True)
    ]
    assert sorted(shown(items), key=lambda item: item["item_id"]) == [{"item_id": "mug", "title": "Mug"}, *shirts]
    assert sum(items["rows_merged"].to_pylist()) == 1
    assert not rejections


def test_a_group_without_any_id_is_rejected_row_by_row() -> None:
    rows = [*SHIRT, {"group": "ghost", "title": "Ghost"}, {"group": "ghost", "images": ["g"]}]
    items, rejections = complete_groups(validated(rows, GROUPED_CATALOGUE), FILES, share_pictures=False)
    assert items.num_rows == 4
    assert [(rejection.reason, rejection.got, rejection.where) for rejection in rejections] == [
        ("null_id", "none in 'ghost'", "b.csv:2"),
        ("null_id", "none in 'ghost'", "b.csv:3"),
    ]
    nothing, rejections = complete_groups(validated(rows[-1:], GROUPED_CATALOGUE), FILES, share_pictures=False)
    assert (nothing.num_rows, len(rejections)) == (0, 1)
    assert complete_groups(validated([], GROUPED_CATALOGUE), FILES, share_pictures=True)[0].num_rows == 0


@pytest.mark.parametrize("key", ["item_id", "group"])
def test_rows_beyond_the_bound_are_rejected(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setattr(grouping, "MAX_GROUP_ROWS", 3)
    rows = [{"item_id": "a", "group": "g", "images": [str(number)]} for number in range(5)]
    if key == "item_id":
        items, rejections = merge_items(validated([{**row, "group": None} for row in rows]), FILES)
    else:
        items, rejections = complete_groups(validated(rows, GROUPED_CATALOGUE), FILES, share_pictures=False)
    assert items["images"].to_pylist() == [["0", "1", "2"]]
    assert [(rejection.reason, rejection.where) for rejection in rejections] == [
        ("group_too_large", "b.csv:1"),
        ("group_too_large", "b.csv:2"),
    ]
    assert all(key in rejection.remedy for rejection in rejections)


def test_rows_merged_into_a_row_that_is_beyond_the_bound_stay_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "MAX_GROUP_ROWS", 2)
    rows = [{"item_id": "a", "group": str(number // 2)} for number in range(8)]
    in_groups, none = complete_groups(validated(rows, GROUPED_CATALOGUE), FILES, share_pictures=False)
    items, rejections = merge_items(in_groups, FILES)
    assert (in_groups.num_rows, items.num_rows, len(rejections), none) == (4, 1, 2, [])
    assert items["rows_merged"].to_pylist() == [8 - 1 - 2]


def test_cells_that_tell_no_group_leave_the_row_to_the_group_of_its_id() -> None:
    cells = ["g", None, "  ", {"a": 1}, "x" * 600, 7]
    table = pa.table({name: pa.nulls(len(cells)) for name in GROUPED_CATALOGUE.names})
    raw = RawRows(1, table, [], np.arange(len(cells)), {"group": cells, "item_id": [f"i{n}" for n in range(6)]})
    good, rejections, counts = validate_catalogue(raw, FileSlice(0, "a.csv"))
    assert good["group"].to_pylist() == ["g", "i1", "i2", "i3", "i4", "7"]
    assert counts["cells_unreadable:group"] == 2
    assert not rejections


def test_a_null_word_or_a_bad_id_in_a_group(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(b"h,sku,t\nx,1,Mug\nx,NULL,\nx,\xff,\n,NULL,Cup\n")
    columns = {"item_id": "sku", "group": "h", "title": "t"}
    (part,) = plan_slices([str(tmp_path / "c.csv")])
    (raw,) = read_slice(part, columns, catalogue_schema(columns))
    good, rejections, counts = validate_catalogue(raw, part)
    assert good.select(["item_id", "group"]).to_pylist() == [
        {"item_id": "1", "group": "x"},
        {"item_id": None, "group": "x"},
    ]
    assert [(rejection.reason, rejection.where) for rejection in rejections] == [
        ("bad_utf8", "c.csv:4"),
        ("null_id", "c.csv:5"),
    ]
    assert counts["rows_read"] == 4


# ---- the rules again, row by row -----------------------------------------------------------------------------------


def first_of(rows: list[dict[str, Any]], name: str) -> Any:
    return next((row[name] for row in rows if row[name]), None)


def union(*lists: list[str]) -> list[str]:
    return list(dict.fromkeys(uri for uris in lists for uri in uris))[:MAX_PICTURES]


def by(rows: list[dict[str, Any]], key: str) -> dict[Any, list[dict[str, Any]]]:
    found: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(row)
    return found


def in_other_order(table: pa.Table, random: Any) -> pa.Table:
    return table.take(pa.array(random.sample(range(table.num_rows), table.num_rows), pa.int64()))


def merged_by_hand(rows: list[dict[str, Any]]) -> dict[str, Any]:
    pictures = [row["images"] for row in rows]
    return {
        "item_id": rows[0]["item_id"],
        **{name: first_of(rows, name) for name in TEXT_FIELDS},
        "images": union(*pictures) if len(rows) > 1 else pictures[0],
    }


def completed_by_hand(rows: list[dict[str, Any]], share_pictures: bool) -> list[dict[str, Any]]:
    """The items of one group."""
    without_id = [row for row in rows if row["item_id"] is None]
    items = []
    for item_id, some in by(rows, "item_id").items():
        if item_id is None:
            continue
        item = merged_by_hand(some)
        item |= {name: item[name] or first_of(rows, name) for name in TEXT_FIELDS}
        given = union(*(row["images"] for row in (rows if share_pictures else without_id)))
        if given or not item["images"]:
            item["images"] = union(item["images"] or first_of(rows, "images") or [], given)
        items.append(item)
    return items


TEXT = st.sampled_from([None, None, "x", "y"])
PICTURES = st.lists(st.sampled_from("abcdef"), max_size=3)
ROW = st.fixed_dictionaries(
    {
        "item_id": st.sampled_from([None, "1", "2", "3"]),
        "group": st.sampled_from([None, "p", "q", "1"]),
        "title": TEXT,
        "size": TEXT,
        "images": PICTURES,
    }
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, max_size=12), st.booleans(), st.randoms())
def test_groups_follow_the_rules_in_any_order(rows: list[dict[str, Any]], share_pictures: bool, random: Any) -> None:
    rows = [row for row in rows if row["item_id"] or row["group"]]
    table = validated(rows, GROUPED_CATALOGUE)
    flags = {"share_pictures": share_pictures, "max_pictures": MAX_PICTURES}
    items, rejections = complete_groups(table, FILES, **flags)
    groups = by(table.to_pylist(), "group")
    expected = [item for some in groups.values() for item in completed_by_hand(some, share_pictures)]
    assert Counter(map(repr, items.select(ITEMS.names).to_pylist())) == Counter(map(repr, expected))
    assert len(rows) == items.num_rows + sum(items["rows_merged"].to_pylist()) + len(rejections)
    assert sorted(r.where for r in rejections) == sorted(
        f"{FILES[row['file_number']]}:{row['row_number']}"
        for some in groups.values()
        if not any(row["item_id"] for row in some)
        for row in some
    )
    again, rejected_again = complete_groups(in_other_order(table, random), FILES, **flags)
    assert again.equals(items)
    assert rejected_again == rejections
    whole, more = merge_items(in_other_order(items, random), FILES, MAX_PICTURES)
    assert not more
    assert whole["item_id"].to_pylist() == sorted({row["item_id"] for row in rows if row["item_id"]})
    assert len(rows) == whole.num_rows + sum(whole["rows_merged"].to_pylist()) + len(rejections)
    assert whole.equals(merge_items(items, FILES, MAX_PICTURES)[0])


@settings(max_examples=100, deadline=None)
@given(st.lists(ROW.filter(lambda row: row["item_id"] is not None), max_size=10), st.randoms())
def test_items_follow_the_rules_in_any_order(rows: list[dict[str, Any]], random: Any) -> None:
    table = validated([{**row, "group": None} for row in rows])
    items, rejections = merge_items(table, FILES, MAX_PICTURES)
    expected = {item_id: merged_by_hand(some) for item_id, some in by(table.to_pylist(), "item_id").items()}
    assert items.select(ITEMS.names).to_pylist() == [expected[item_id] for item_id in sorted(expected)]
    assert len(rows) == items.num_rows + sum(items["rows_merged"].to_pylist())
    assert not rejections
    assert merge_items(in_other_order(table, random), FILES, MAX_PICTURES)[0].equals(items)
