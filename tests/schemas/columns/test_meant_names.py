"""A column that is meant, by a usual name or one that is nearly ours, is asked for; others are not."""

from pathlib import Path
from typing import Any

import pytest
from read_tables import mapped, write_rows

from schemas.columns.mapping import source_columns, table_columns
from schemas.errors import UsageError
from schemas.reading.input_files import check_columns
from schemas.tables import CATALOGUE, ENGAGEMENTS

KINDS = pytest.mark.parametrize("name", ["t.parquet", "t.jsonl", "t.csv"])


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (
            {"event_name": "purchase", "surface": "home"},
            r"action: is it 'event_name'\?.*\[columns.engagements\] action",
        ),
        ({"query": "mug"}, r"expected a column 'surface', since there are queries"),
        ({"surface": "home", "Action": "click"}, r"action: is it 'Action'\?"),
        ({"userid": "u"}, r"user_id: is it 'userid'\?"),
    ],
)
def test_a_log_that_only_seems_to_need_none_is_asked_for(tmp_path: Path, others: dict[str, str], message: str) -> None:
    path = write_rows(tmp_path / "t.csv", [{"timestamp": "2026-06-20", "item_id": "a", **others}])
    with pytest.raises(UsageError, match=message):
        check_columns([str(path)], {}, ENGAGEMENTS)


@KINDS
@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ("Title", "title"),
        ("Description", "description"),
        ("Image", "images"),
        ("image_link", "images"),
        ("Product Type", "product_types"),
        ("colour", "colors"),
        ("google product category", "google_product_category"),
    ],
)
def test_a_column_that_nobody_reads_is_asked_for(tmp_path: Path, name: str, given: str, ours: str) -> None:
    path = write_rows(tmp_path / name, [{"item_id": "a", given: "x.jpg", "size": "M"}])
    with pytest.raises(UsageError) as raised:
        check_columns([str(path)], {}, CATALOGUE)
    assert f"is it '{given}'?" in str(raised.value)
    assert f"[columns] {ours} = '{given}'" in str(raised.value)
    assert mapped(path, {ours: ""})[ours] == [None if ours != "images" else []]
    assert mapped(path, {ours: given})[ours] != [None]


def test_columns_of_other_names_are_not_asked_for(tmp_path: Path) -> None:
    others = ["link", "price", "size_chart", "likes", "short_description", "availability", "partners", "photographer"]
    path = write_rows(tmp_path / "t.csv", [{"item_id": "a", **dict.fromkeys(["title", *others], "x")}])
    check_columns([str(path)], {}, CATALOGUE)


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        *((name, "title") for name in ("name", "product_title", "Product Name", "Titel", "Title (en)")),
        *((name, "description") for name in ("desc", "long_description", "Body (HTML)", "short_description")),
        ("Vendor", "brand"),
    ],
)
def test_a_catalogue_without_a_word_of_text_is_asked_for_usual_names(tmp_path: Path, given: str, ours: str) -> None:
    path = write_rows(tmp_path / "t.csv", [{"item_id": "a", "images": "a.jpg", given: "x"}])
    with pytest.raises(UsageError, match=rf"\[columns\] {ours} = ") as raised:
        check_columns([str(path)], {}, CATALOGUE)
    assert f"is it '{given}'?" in str(raised.value)
    check_columns([str(path)], {ours: ""}, CATALOGUE)
    check_columns([str(write_rows(tmp_path / "u.csv", [{"item_id": "a", "size": "M", given: "x"}]))], {}, CATALOGUE)


@pytest.mark.parametrize(
    "given", ["picture", "img", "photo", "main_image", "picture_url", "Product Photos", "Bild-URL"]
)
def test_pictures_of_usual_names_are_asked_for(tmp_path: Path, given: str) -> None:
    path = write_rows(tmp_path / "t.csv", [{"item_id": "a", "title": "mug", "thumbnail": "b.jpg", given: "a.jpg"}])
    with pytest.raises(UsageError, match=rf"\[columns\] images = '{given}'"):
        check_columns([str(path)], {}, CATALOGUE)


@pytest.mark.parametrize("given", ["id", "sku", "product_id", "Handle"])
def test_an_id_of_a_usual_name_is_asked_for(tmp_path: Path, given: str) -> None:
    path = write_rows(tmp_path / "t.csv", [{"item_name": "mug", given: "a"}])
    with pytest.raises(UsageError, match=rf"is it '{given}'\? then map it, in the config: \[columns\] item_id = "):
        check_columns([str(path)], {}, CATALOGUE)


def test_the_time_and_the_item_of_a_log_are_asked_for_by_usual_names(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "t.csv", [{"id": "1", "created_at": "2026-06-20", "product_id": "a"}])
    with pytest.raises(UsageError, match=r"\[columns.engagements\] timestamp = 'created_at'"):
        check_columns([str(path)], {}, ENGAGEMENTS)
    with pytest.raises(UsageError, match=r"\[columns.engagements\] item_id = 'product_id'"):
        check_columns([str(path)], {"timestamp": "created_at"}, ENGAGEMENTS)


@pytest.mark.parametrize(
    "given",
    [
        *("behavior_type", "interaction", "event_action", "action_name", "user_action", "activity_type", "verb"),
        *("event_name", "Event", "type", "Interaction Type"),
    ],
)
def test_actions_of_usual_names_are_asked_for(tmp_path: Path, given: str) -> None:
    path = write_rows(tmp_path / "t.csv", [{"timestamp": "2026-06-20", "user_id": "u", "item_id": "a", given: "view"}])
    with pytest.raises(UsageError, match=rf"\[columns.engagements\] action = '{given}'"):
        check_columns([str(path)], {}, ENGAGEMENTS)


def test_who_acts_is_asked_for_where_neither_user_nor_session_is_there(tmp_path: Path) -> None:
    rows = [{"timestamp": "2026-06-20", "item_id": "a", "visitor_id": "v"}]
    with pytest.raises(UsageError, match=r"\[columns.engagements\] user_id = 'visitor_id'"):
        check_columns([str(write_rows(tmp_path / "t.csv", rows))], {}, ENGAGEMENTS)
    check_columns([str(write_rows(tmp_path / "u.csv", [{**rows[0], "session_id": "s"}]))], {}, ENGAGEMENTS)


@pytest.mark.parametrize(
    ("columns", "names", "told"),
    [
        ({"description": "description"}, "id title condition text_lang", 'description = "your name"'),
        ({"images": ["image_link", "more_images"]}, "id title more_images bild", "is it 'bild'?"),
        ({"images": ["image_link", "more_image_link"]}, "id title more_image_link x", 'images = "your name"'),
        ({"colors": "color"}, "id title colour_description colors", "is it 'colors'?"),
        ({"brand": "brand_label"}, "id title brand_table brand_labels", "is it 'brand_labels'?"),
        ({"description": "text"}, "id title product_description text_1", "is it 'text_1'?"),
        ({"patterns": "pattern_name"}, "id title brand_name", 'patterns = "your name"'),
    ],
)
def test_what_is_read_or_means_something_else_is_not_offered(columns: dict[str, Any], names: str, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        source_columns(names.split(), table_columns({"item_id": "id"} | columns, "catalogue"), CATALOGUE, "c.csv")
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["1001", "Red mug", "Acme", "9.99"], "'1001'"),
        (["SKU-1", "Red mug", "https://cdn.example/a.jpg"], "'https://cdn.example/a.jpg'"),
        (["u1", "p1", "2026-11-20 12:00:00", "click"], "'2026-11-20 12:00:00'"),
        (["A-1", "Red mug", "a/b.JPG"], "'a/b.JPG'"),
    ],
)
def test_a_first_line_of_data_is_asked_about(names: list[str], shown: str) -> None:
    for columns in ({}, {"item_id": "product_id"}):
        with pytest.raises(UsageError, match="does the first line name the columns") as raised:
            source_columns(names, table_columns(columns, "catalogue"), CATALOGUE, "c.csv")
        assert shown in str(raised.value)


@pytest.mark.parametrize("names", [["sku", "2024", "25"], ["ref", "Red mug"], ["ref", "2024"], ["name", "9.9", "8.9"]])
def test_a_line_of_names_is_taken_for_one(names: list[str]) -> None:
    with pytest.raises(UsageError) as raised:
        source_columns(names, table_columns({"item_id": "product_id"}, "catalogue"), CATALOGUE, "c.csv")
    assert "first line" not in str(raised.value)
