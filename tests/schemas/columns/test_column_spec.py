"""What `[columns]` may say of a column."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_batches import engagements
from read_tables import mapped

from schemas.coercion.cells import BatchFindings
from schemas.coercion.columns import mapped_to_empty, text_column
from schemas.columns.mapping import ASSUMED, table_columns
from schemas.columns.spec import Column
from schemas.errors import UsageError
from schemas.events.paths import OF_NO_USE
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import ENGAGEMENTS
from schemas.validation.log import validate_engagements

DAY = datetime(2026, 6, 20, tzinfo=UTC)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows as the kind of file that the name says; of CSV every cell quoted."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        lines = [",".join(f'"{"" if value is None else value}"' for value in row.values()) for row in rows]
        path.write_text("\n".join([",".join(rows[0]), *lines]))
    return path


KINDS = pytest.mark.parametrize("name", ["t.parquet", "t.jsonl", "t.csv"])


@KINDS
def test_several_sources(tmp_path: Path, name: str) -> None:
    rows = [
        {
            "id": "a",
            "image_link": "1.jpg",
            "additional_image_link": "2.jpg,1.jpg,3.jpg",
            "colour": "red",
            "hue": "dark",
        },
        {"id": "b", "image_link": "4.jpg", "additional_image_link": None, "colour": None, "hue": "pale"},
    ]
    columns = {
        "item_id": ["id", "image_link"],
        "images": ["image_link", "additional_image_link"],
        "colors": {"source": ["colour", "hue"]},
    }
    found = mapped(write(tmp_path / name, rows), columns)
    assert found["item_id"] == ["a", "b"]
    assert found["images"] == [["1.jpg", "2.jpg", "3.jpg"], ["4.jpg"]]
    assert found["colors"] == ["red dark", "pale"]


@KINDS
def test_separator_values_and_trim(tmp_path: Path, name: str) -> None:
    rows = [{"item_id": " a", "pics": "1.jpg#2, 3.jpg", "brand": " ACM ", "colors": "red#blue"}]
    columns: dict[str, Any] = {
        "item_id": {"trim": False},
        "images": {"source": "pics", "separator": "#"},
        "brand": {"values": {"ACM": "Acme"}, "trim": True},
        "colors": {"separator": "#"},
    }
    found = mapped(write(tmp_path / name, rows), columns)
    assert (found["item_id"], found["images"], found["brand"], found["colors"]) == (
        [" a"],
        [["1.jpg", "2, 3.jpg"]],
        ["Acme"],
        ["red blue"],
    )


@KINDS
def test_constants_values_and_times_of_a_log(tmp_path: Path, name: str) -> None:
    rows = [
        {"day": "20.06.2026", "client": "u", "sku": "a", "event_name": "purchase"},
        {"day": "20.06.2026", "client": None, "sku": "b", "event_name": "add_to_cart"},
    ]
    columns = {
        "timestamp": {"source": "day", "time": "%d.%m.%Y"},
        "user_id": "client",
        "item_id": "sku",
        "action": {"source": "event_name", "values": {"purchase": "checkout", "view_item": "click"}},
        "surface": {"constant": "home"},
    }
    found = mapped(write(tmp_path / name, rows), columns, "engagements")
    assert found["timestamp"] == [DAY, DAY]
    assert (found["action"], found["surface"]) == (["checkout", "add_to_cart"], ["home", "home"])
    assert found["user_id"] == ["u", None]


@KINDS
def test_a_log_needs_neither_surface_nor_action_nor_session(tmp_path: Path, name: str) -> None:
    rows = [{"timestamp": "2026-06-20", "user_id": "u", "item_id": "a"}]
    found = mapped(write(tmp_path / name, rows), {}, "engagements")
    assert (found["surface"], found["action"], found["session_id"]) == (
        [ASSUMED["surface"]],
        [ASSUMED["action"]],
        [None],
    )


def test_folders_win_over_what_is_assumed(tmp_path: Path) -> None:
    folder = tmp_path / "surface=home" / "action=checkout"
    folder.mkdir(parents=True)
    path = write(folder / "log.parquet", [{"timestamp": "2026-06-20", "user_id": "u", "item_id": "a"}])
    assert mapped(path, {}, "engagements")["action"] == ["checkout"]
    assert mapped(path, {"action": {"constant": "save"}}, "engagements")["action"] == ["save"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "expected your name for images"),
        ({}, "expected your name for images"),
        ({"from": "x"}, "a table of source, constant, separator, values, present, absent, prefix, time, zone, trim, "),
        ([], "a column of yours, or a list of them as source"),
        (["a", 5], "a column of yours, or a list of them as source"),
        ({"separator": ""}, "a text as separator"),
        ({"values": ["a"]}, "your values = ours as values"),
        ({"time": "s"}, "of timestamp alone as time of images in .columns., got 's'"),
        ({"zone": "Europe/Berlin"}, "of timestamp alone, as zone of images in .columns., got 'Europe/Berlin'"),
        ({"trim": "yes"}, "true or false as trim"),
        ({"null_words": "NA"}, "a list of words as null_words"),
        ({"prefix": "id:"}, "what texts or ids begin with as prefix of images"),
        ({"source": "a", "constant": "b"}, "a source or a constant"),
    ],
)
def test_what_a_column_may_not_be(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table_columns({"images": given}, "catalogue")


@pytest.mark.parametrize("told", ["S", "%Q", "seconds", ""])
def test_times_that_nobody_can_read(told: str) -> None:
    with pytest.raises(UsageError, match="as time of timestamp"):
        table_columns({"engagements": {"timestamp": {"time": told}}}, "engagements")


@pytest.mark.parametrize(
    ("zone", "message"),
    [("Europe/Berln", r"for zone of timestamp in \[columns.engagements\], .*: is it Europe/Berlin"), (1, "as zone of")],
)
def test_zones_that_there_are_not(zone: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table_columns({"engagements": {"timestamp": {"zone": zone}}}, "engagements")


@KINDS
def test_times_are_of_the_zone_that_the_column_says_if_they_say_none(tmp_path: Path, name: str) -> None:
    rows = [{"timestamp": "2026-06-20 01:30:00", "user_id": "u", "item_id": "a"}]
    rows.append({**rows[0], "timestamp": "2026-06-20T01:30:00+00:00"})
    path = write(tmp_path / name, rows)
    half_past_one = datetime(2026, 6, 20, 1, 30, tzinfo=UTC)
    assert mapped(path, {}, "engagements")["timestamp"] == [half_past_one, half_past_one]
    of_berlin = mapped(path, {"timestamp": {"zone": "Europe/Berlin"}}, "engagements")
    assert of_berlin["timestamp"] == [datetime(2026, 6, 19, 23, 30, tzinfo=UTC), half_past_one]


def test_strings_stay_strings_and_tables_are_columns() -> None:
    columns = {"title": "Name", "images": ["a", "b"], "brand": {"null_words": []}}
    assert table_columns(columns, "catalogue") == {
        "title": "Name",
        "images": Column(source=("a", "b")),
        "brand": Column(source=("brand",), null_words=()),
    }


def test_words_for_null_of_a_column(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [{"item_id": "a", "brand": "NA", "size": "-"}])
    assert (mapped(path, {})["brand"], mapped(path, {"brand": {"null_words": []}})["brand"]) == ([None], ["NA"])
    assert mapped(path, {"size": {"null_words": ["-"]}})["size"] == [None]


@KINDS
def test_texts_of_several_sources_of_which_a_row_has_none(tmp_path: Path, name: str) -> None:
    """Continuation rows of a product have no text at all; nobody's text moves up to another row."""
    rows = [("a", "x", "y"), ("b", None, None), ("c", None, "z"), ("d", "w", None)]
    path = write(tmp_path / name, [dict(zip(("item_id", "Type", "Tags"), row, strict=True)) for row in rows])
    assert mapped(path, {"product_types": ["Type", "Tags"]})["product_types"] == ["x y", None, "z", "w"]


@KINDS
def test_a_prefix_is_no_part_of_an_id_or_a_text(tmp_path: Path, name: str) -> None:
    rows = [{"id": "id:7", "parent": "", "size": "EU 42"}, {"id": " 7", "parent": "id:7", "size": "42 EU"}]
    spec = {"item_id": {"source": ["parent", "id"], "prefix": "id:"}, "size": {"prefix": "EU "}}
    if name != "t.csv":  # in which an empty cell is null
        rows[0]["parent"] = None
    found = mapped(write(tmp_path / name, rows), spec)
    assert (found["item_id"], found["size"]) == (["7", "7"], ["42", "42 EU"])


def actions_of(folder: Path, words: list[str | None], values: dict[str, str]) -> tuple[list[str], list[str], int]:
    """(actions, reasons of rejected rows, events of no use) of a log whose actions the mapping says."""
    rows = [{"timestamp": "2026-06-20", "user_id": "u", "item_id": "a", "event": word} for word in words]
    columns = table_columns({"engagements": {"action": {"source": "event", "values": values}}}, "engagements")
    (file_slice,) = plan_slices([str(write(folder / "t.jsonl", rows))])
    (raw,) = read_slice(file_slice, columns, ENGAGEMENTS)
    good, rejected, _ = validate_engagements(raw, file_slice)
    return good["action"].to_pylist(), [row.reason for row in rejected], raw.no_rows.get(OF_NO_USE, 0)


WORDS = ["buy", "Buy", " view", "view", "", "click", "x-buy", "x-view", "ＶＩＥＷ"]


@pytest.mark.medium
@given(
    st.lists(st.none() | st.sampled_from(WORDS), min_size=1, max_size=8),
    st.sampled_from(
        [{"view": ""}, {"": "", "buy": "checkout"}, {"buy": ""}, {"buy": "save"}, {"view": "", "Buy": "save"}]
    ),
    st.sampled_from([None, "x-"]),
)
def test_what_is_mapped_to_nothing_is_no_text_and_the_rest_is_as_mapped(
    words: list[str | None], values: dict[str, str], prefix: str | None
) -> None:
    spec = {"values": values, **({"prefix": prefix} if prefix else {})}
    columns = table_columns({"engagements": {"action": spec}}, "engagements")
    raw = replace(engagements(action=pa.array(words, pa.string())), columns=columns)
    texts = text_column(raw, "action", BatchFindings()).to_pylist()
    emptied = mapped_to_empty(raw, "action").tolist()
    for word, text, is_emptied in zip(words, texts, emptied, strict=True):
        assert not (is_emptied and text is not None)
        if word is None or not word.isascii():
            continue
        found = word.strip().removeprefix(prefix or "")
        ours = values.get(found, values.get(found.lower()))
        if found or "" in values:
            assert is_emptied == (ours == "")
        if ours:
            assert text == ours


def test_case_and_signs_of_mapped_actions_do_not_count(tmp_path: Path) -> None:
    values = {"purchase": "checkout", "view_item": "click", "page_view": ""}
    words = ["purchase", "Purchase", "PURCHASE ", "View_Item", "viewItem", "view-item", "Page View", "pageview"]
    assert actions_of(tmp_path, words, values) == (["checkout"] * 3 + ["click"] * 3, [], 2)


def test_a_word_that_is_mapped_as_it_is_written_comes_first(tmp_path: Path) -> None:
    values = {"Buy": "checkout", "buy": "save", "Save": "", "like": "save"}
    words = ["Buy", "buy", "BUY", "Save", "save", "LIKE", "!"]
    found = (["checkout", "save", "save", "save"], ["unknown_action"] * 2, 1)
    assert actions_of(tmp_path, words, values) == found


def test_actions_in_camel_case_are_ours(tmp_path: Path) -> None:
    words = ["addToCart", "AddToCart", "addtocart", "CheckOut", "Click", "購入", "add"]
    found = actions_of(tmp_path, words, {"?": "click"})
    assert found == (["add_to_cart"] * 3 + ["checkout", "click"], ["unknown_action"] * 2, 0)


def test_case_of_other_values_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [{"item_id": "A1", "size": "s"}, {"item_id": "a1", "size": "S"}])
    spec = {"item_id": {"values": {"a1": "b"}}, "size": {"values": {"S": "small"}}}
    assert (mapped(path, spec)["item_id"], mapped(path, spec)["size"]) == (["A1", "b"], ["s", "small"])
