"""Cells of a catalogue that hold a document of an editor are read as its text, in every kind of file; others stay."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from editor_documents import DOCUMENTS, TEXT
from read_tables import catalogue_of, write_parquet, write_rows

#: What Parquet cannot hold, and so its own writers leave out: objects of nothing, values of several types in one field.
MIXED = {"Quill", "Quill, a list", "BlockNote", "Draft.js", "Wix"}


def without_nothing(value: Any) -> Any:
    """A value without objects of nothing, which Parquet does not have."""
    if isinstance(value, dict):
        return {key: without_nothing(inner) for key, inner in value.items() if inner != {}}
    return [without_nothing(member) for member in value] if isinstance(value, list) else value


@pytest.mark.parametrize("editor", DOCUMENTS)
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("is_text", [True, False])
def test_a_document_is_read_as_its_text(tmp_path: Path, editor: str, form: str, is_text: bool) -> None:
    if form == "parquet" and not is_text and editor in MIXED:
        pytest.skip("no type of Parquet has it")
    kept = DOCUMENTS[editor] if form != "parquet" else without_nothing(DOCUMENTS[editor])
    cells = [json.dumps(kept) if is_text else kept, None, json.dumps(kept) if is_text else kept]
    rows = [{"sku": f"T-{number}", "name": "Table", "body": cell} for number, cell in enumerate(cells)]
    path = write_rows(tmp_path / f"c.{form}", rows)
    found, reasons, counts = catalogue_of(path, item_id="sku", title="name", description="body")
    assert (found["description"], reasons) == ([TEXT, None, TEXT], [])
    assert "cells_unreadable:description" not in counts


def test_what_is_no_document_stays_beside_one(tmp_path: Path) -> None:
    texts = [
        "[1]",
        "{x}",
        '{"a": 1}',
        '[{"text": "Oak"}]',
        "a [b]",
        "{not JSON",
        json.dumps(DOCUMENTS["Slate"]),
        "[",
        "",
    ]
    path = write_parquet(tmp_path / "c.parquet", item_id=list("abcdefghi"), title=pa.array(texts))
    assert catalogue_of(path)[0]["title"] == [*texts[:6], TEXT, "[", None]


def test_a_bad_document_costs_only_its_cell(tmp_path: Path) -> None:
    lone = {"type": "doc", "content": [{"type": "text", "text": "\ud83d"}]}
    deep = '{"type":"doc","content":[' * 20_000 + "]}" * 20_000
    texts = [json.dumps(lone), deep, json.dumps(DOCUMENTS["Shopify"])]
    path = write_parquet(tmp_path / "c.parquet", item_id=list("abc"), description=pa.array(texts))
    rows, reasons, counts = catalogue_of(path)
    assert (rows["description"][0], rows["description"][2]) == (None, TEXT)
    assert rows["description"][1].startswith('{"type":"doc"')
    assert (reasons, counts["cells_unreadable:description"]) == (["bad_utf8"], 1)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_documents_in_several_languages(tmp_path: Path, form: str) -> None:
    english, german = DOCUMENTS["Contentful"], DOCUMENTS["ProseMirror"]
    rows = [{"sku": "a", "body": {"en-US": english}}, {"sku": "b", "body": {"en-US": english, "de-DE": german}}]
    path = write_rows(tmp_path / f"c.{form}", rows)
    assert catalogue_of(path, item_id="sku", description="body")[0]["description"] == [TEXT, None]
    assert catalogue_of(path, item_id="sku", description="body.de-DE")[0]["description"] == [None, TEXT]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_document_in_an_object(tmp_path: Path, form: str) -> None:
    rows = [{"sku": "a", "node": {"body": DOCUMENTS["Shopify"], "raw": json.dumps(DOCUMENTS["Lexical"])}}]
    path = write_rows(tmp_path / f"c.{form}", rows)
    for source in ("node.body", "node.raw"):
        assert catalogue_of(path, item_id="sku", description=source)[0]["description"] == [TEXT]


def test_a_column_of_bytes(tmp_path: Path) -> None:
    cells = pa.array([json.dumps(DOCUMENTS["Quill"]).encode(), b"Oak"], pa.binary())
    path = write_parquet(tmp_path / "c.parquet", item_id=["a", "b"], description=cells)
    assert catalogue_of(path)[0]["description"] == [TEXT, "Oak"]
