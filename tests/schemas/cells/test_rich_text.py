"""Documents of editors are the text that a person reads in them; what is none of them is left alone."""

import json
import time
from typing import Any

import pytest
from editor_documents import DOCUMENTS, TEXT
from hypothesis import given
from hypothesis import strategies as st

from schemas.cells.rich_text import rich_text


@pytest.mark.parametrize("editor", DOCUMENTS)
@pytest.mark.parametrize("kept", [lambda it: it, json.dumps, lambda it: json.dumps(it, indent=2).encode(), repr])
def test_the_text_of_a_document_is_what_a_person_reads(editor, kept):
    assert rich_text(kept(DOCUMENTS[editor])) == TEXT


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"type": "doc", "content": [{"type": "paragraph"}]}, ""),
        ({"type": "doc", "content": [{"type": "image", "attrs": {"src": "https://shop.example/a.jpg"}}]}, ""),
        ({"type": "root", "children": []}, ""),
        ({"type": "root", "children": [{"type": "paragraph", "children": [{"type": "text", "value": ""}]}]}, ""),
        ({"root": {"type": "root", "children": [{"type": "paragraph", "children": []}]}}, ""),
        ({"blocks": [], "entityMap": {}}, ""),
        ({"time": 1, "blocks": [], "version": "2.2"}, ""),
        ({"blocks": [{"type": "image", "data": {"file": {"url": "https://shop.example/a.jpg"}}}]}, ""),
        ({"ops": [{"insert": "\n"}]}, ""),
        ([{"type": "paragraph", "children": [{"text": ""}]}], ""),
        # as Parquet and BigQuery have objects: a field that one node has is null in the others
        (
            {
                "type": "doc",
                "text": None,
                "content": [{"type": "paragraph", "text": None, "content": [{"type": "text", "text": "Oak"}]}],
            },
            "Oak",
        ),
        ([{"type": "paragraph", "children": [{"text": "a", "children": None}, {"text": "b"}]}, None], "ab"),
        # blocks of Editor.js that are no paragraphs
        ({"blocks": [{"type": "quote", "data": {"text": "Fine", "caption": "Ann", "alignment": "left"}}]}, "Fine Ann"),
        ({"blocks": [{"type": "table", "data": {"withHeadings": True, "content": [["a", "b"], ["c"]]}}]}, "a b c"),
        ({"blocks": [{"type": "checklist", "data": {"items": [{"text": "Oak", "checked": True}]}}]}, "Oak"),
        ({"blocks": [{"type": "warning", "data": {"title": "Hot", "message": "Do not touch"}}]}, "Hot Do not touch"),
        ({"blocks": [{"type": "paragraph", "data": {"text": "Fresh <b>milk</b>"}}]}, "Fresh <b>milk</b>"),
        # a list within the words of its item is no part of a word
        (
            [{"type": "li", "children": [{"text": "Oak"}, {"type": "ul", "children": [
                {"type": "li", "children": [{"text": "waxed"}]}]}]}],
            "Oak waxed",
        ),
        # a table of BlockNote
        (
            [{"type": "table", "content": {"type": "tableContent", "rows": [
                {"cells": [[{"type": "text", "text": "a"}], [{"type": "text", "text": "b"}]]}]}}],
            "a b",
        ),
    ],
)  # fmt: skip
def test_documents_of_little(document, text):
    assert rich_text(document) == rich_text(json.dumps(document)) == text


@pytest.mark.parametrize(
    "value",
    [
        None, 7, 1.5, "", " ", "[1]", "{}", "[]", "[[]]", "[{}]", "A mug", "{not JSON", '["a", "b"]', '{"a": 1}',
        ["red", "blue"], [None], {}, [], b"\xff{", b"\x00",
        {"blocks": 1, "data": "x"}, {"blocks": ["a"]}, {"blocks": [{"type": "section", "text": {"text": "Hi"}}]},
        {"ops": "x"}, {"ops": [{"retain": 5}, {"insert": "x"}]}, {"root": "oak"}, {"document": {"type": "root"}},
        {"type": "root"}, {"type": "doc"}, {"type": "simple", "children": [{"text": "x"}]},
        # values by their names, texts by their language, trees of categories
        [{"type": "text", "value": "Oak"}], [{"type": "color", "value": "red"}, {"type": "text", "text": "Oak"}],
        [{"lang": "en", "text": "Oak"}], {"en": "Oak"}, [{"name": "Size", "values": ["S", "M"]}],
        [{"text": "Home", "nodes": [{"text": "Tables"}]}], [{"text": "Home", "children": [{"text": "Tables"}]}],
        [{"name": "Home", "children": [{"name": "Tables", "children": []}]}],
        {"type": "root", "children": [{"type": "category", "name": "Tables", "children": []}]},
        {"name": "Tables", "children": [{"type": "paragraph", "children": [{"text": "Oak"}]}]},
        [{"type": "variant", "sku": "a"}, {"type": "variant", "sku": "b"}],
        [{"_type": "image", "asset": {"_ref": "a"}}],
        [{"type": "paragraph", "children": [{"text": "Oak"}, "loose"]}],
        [{"type": "paragraph", "children": [{"text": "Oak"}, {"sku": "7"}]}],
    ],
)  # fmt: skip
def test_what_is_no_document_has_no_text_of_one(value):
    assert rich_text(value) is None
    assert isinstance(value, bytes) or rich_text(json.dumps(value)) is None


#: What documents are made of, put together in any way.
KEYS = st.sampled_from(
    [
        *("type", "nodeType", "_type", "text", "value", "content", "children", "nodes", "root", "document", "schema"),
        *("ops", "insert", "blocks", "data", "entityMap", "items", "spans", "textData", "rows", "cells"),
    ]
)
LEAVES = st.one_of(
    st.none(), st.integers(0, 1), st.sampled_from(["Oak", "", "text", "doc", "root", "dast", "document", "paragraph"])
)
VALUES = st.recursive(LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner)))


@given(VALUES)
def test_whatever_a_value_is_made_of_it_has_a_text_or_none(value):
    text = rich_text(value)
    assert text is None or (isinstance(value, dict | list) and "  " not in text)
    assert isinstance(value, str) or rich_text(json.dumps(value)) == text


def nested(depth: int) -> dict[str, Any]:
    node: dict[str, Any] = {"type": "text", "text": "Oak"}
    for _ in range(depth):
        node = {"type": "quote", "content": [node]}
    return {"type": "doc", "content": [node]}


def test_a_document_may_nest_as_deep_as_it_will():
    assert rich_text(nested(5_000)) == "Oak"
    assert rich_text(json.dumps(nested(40))) == "Oak"
    text = '{"type":"doc","content":[' * 50_000
    assert rich_text(text) is None
    assert rich_text(text + "]}" * 50_000) is None


def test_a_list_in_a_block_may_nest_as_deep_as_it_will():
    items: list[Any] = []
    for _ in range(5_000):
        items = [{"content": "x", "items": items}]
    assert len(rich_text({"blocks": [{"type": "list", "data": {"items": items}}]}).split()) == 5_000


def test_a_picture_costs_next_to_nothing():
    picture = b"\xff\xd8\xff" + bytes(range(256)) * 20_000
    start = time.perf_counter()
    assert [rich_text(picture) for _ in range(100)] == [None] * 100
    assert time.perf_counter() - start < 1


def test_a_text_of_very_many_values_is_not_read():
    leaves = ",".join(['{"text":"a"}'] * 60_000)
    assert rich_text(f'[{{"type":"paragraph","children":[{leaves}]}}]') is None
    picture = "data:image/png;base64," + "A" * 5_000_000
    assert rich_text(json.dumps({"ops": [{"insert": {"image": picture}}, {"insert": "Oak\n"}]})) == "Oak"
