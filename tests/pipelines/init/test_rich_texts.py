"""Descriptions that an editor keeps as JSON are one column, whose text is read: nothing within them is a column."""

import json
from pathlib import Path
from typing import Any

import pytest
from editor_documents import DOCUMENTS, TEXT
from init_calls import written
from read_tables import write_rows

from pipelines.init.rehearsal import rehearse_items

NOTE = "is kept as an editor's JSON: the text in it is read"
#: What Parquet cannot hold but as text: objects of nothing, values of several types in one field.
OF_NO_TYPE = {"Quill", "Quill, a list", "Draft.js", "BlockNote", "Wix", "Contentful"}


def description_of(name: str, source: str) -> list[str]:
    """The descriptions as the config that init writes has them read, from one column of that name."""
    columns = written(name)["columns"]
    assert columns["description"] == source
    assert columns.keys() <= {"item_id", "title", "description", "leave_out"}, columns
    assert f"{source!r} {NOTE}" in Path("shop.toml").read_text()
    return rehearse_items([name], columns, "no").items["description"].to_pylist()


def rows_of(editor: str, called: str, is_text: bool, num_rows: int = 4) -> list[dict[str, Any]]:
    kept = json.dumps(DOCUMENTS[editor]) if is_text else DOCUMENTS[editor]
    return [{"sku": f"T-{number}", "name": f"Oak table {number}", called: kept} for number in range(num_rows)]


@pytest.mark.parametrize("editor", DOCUMENTS)
@pytest.mark.parametrize("called", ["description", "body_html"])
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_column_of_documents_is_the_description(editor, called, form):
    is_text = form == "parquet" and editor in OF_NO_TYPE
    write_rows(Path(f"p.{form}"), rows_of(editor, called, is_text))
    assert description_of(f"p.{form}", called) == [TEXT] * 4


@pytest.mark.parametrize("editor", DOCUMENTS)
@pytest.mark.parametrize("is_text", [True, False])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_documents_in_an_object(editor, is_text, form):
    rows = [{"node": row} for row in rows_of(editor, "description", is_text)]
    write_rows(Path(f"p.{form}"), rows)
    assert description_of(f"p.{form}", "node.description") == [TEXT] * 4


ASSET = {"title": "Front", "type": "image", "brand": "Acme", "url": "https://shop.example/a.jpg"}


@pytest.mark.parametrize(
    ("key", "kept", "beside"),
    [
        ("json", DOCUMENTS["Contentful"], {}),
        ("json", DOCUMENTS["Contentful"], {"links": {"assets": {"block": [ASSET]}, "entry": ASSET}}),
        ("raw", DOCUMENTS["Slate in an object"], {"html": "<p>x</p>", "text": "x"}),
        ("value", DOCUMENTS["DatoCMS"], {"links": [], "blocks": [ASSET]}),
        ("value", json.dumps(DOCUMENTS["Shopify"]), {"type": "rich_text_field", "title": "Description"}),
    ],
)
def test_what_an_interface_has_beside_a_document_is_of_the_document(key, kept, beside):
    rows = [{"sku": f"T-{n}", "name": f"Oak table {n}", "description": {**beside, key: kept}} for n in range(4)]
    write_rows(Path("p.jsonl"), rows)
    assert description_of("p.jsonl", f"description.{key}") == [TEXT] * 4


def test_documents_that_are_values_by_their_names():
    fields = {
        "description": json.dumps(DOCUMENTS["Shopify"]),
        "care": json.dumps(DOCUMENTS["Shopify"]),
        "material": "Oak",
    }
    metafields = [{"key": key, "value": value, "type": "rich_text_field"} for key, value in fields.items()]
    write_rows(
        Path("p.jsonl"), [{"sku": f"T-{n}", "name": f"Oak table {n}", "metafields": metafields} for n in range(4)]
    )
    columns = written("p.jsonl")["columns"]
    assert (columns["description"], columns["materials"]) == ("metafields.description", "metafields.material")
    assert rehearse_items(["p.jsonl"], columns, "no").items["description"].to_pylist() == [TEXT] * 4


@pytest.mark.parametrize("editor", ["Shopify", "Slate", "Portable Text", "Editor.js"])
def test_rows_without_a_text_give_no_columns(editor):
    """Among documents, one of pictures alone and one of nothing."""
    rows = rows_of(editor, "description", False)
    picture = {"_type": "image", "title": "Front", "brand": "Acme", "url": "https://shop.example/a.jpg"}
    rows[1]["description"], rows[2]["description"] = [picture], None
    write_rows(Path("p.jsonl"), rows)
    assert description_of("p.jsonl", "description") == [TEXT, None, None, TEXT]


def test_plain_texts_beside_documents():
    rows = rows_of("Shopify", "description", True)
    rows[2]["description"] = "A table of oak"
    write_rows(Path("p.csv"), rows)
    assert description_of("p.csv", "description") == [TEXT, TEXT, "A table of oak", TEXT]


def test_a_document_that_has_pairs_is_no_object():
    document = {
        "type": "doc",
        "content": [{"type": "paragraph", "content": [{"type": "text", "text": "color=Red,size=M"}]}],
    }
    rows = [{"sku": f"T-{n}", "name": f"Oak table {n}", "description": document} for n in range(4)]
    write_rows(Path("p.jsonl"), rows)
    assert description_of("p.jsonl", "description") == ["color=Red,size=M"] * 4


@pytest.mark.parametrize(
    "kept",
    [
        {"blocks": 1, "data": "x"},
        {"blocks": [{"type": "image", "data": {"file": {"url": "https://e.com/1.jpg"}}}]},
        {"blocks": [{"type": "delimiter", "data": {}}]},
        {"blocks": []},
    ],
)
@pytest.mark.parametrize("is_text", [True, False])
def test_what_has_no_text_is_not_led_into(kept, is_text):
    told = json.dumps(kept) if is_text else kept
    rows = [{"sku": f"J-{number}", "name": f"Juice {number}", "description": told} for number in range(4)]
    Path("p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = written("p.jsonl")["columns"]
    assert ".blocks.data" not in str(columns.get("description"))
    assert not columns.keys() & {"product_types", "images", "brand"}
