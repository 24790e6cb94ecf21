"""Texts in several languages in one cell: one of them is read, and never several at once."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from read_tables import catalogue_of, write_rows

from schemas.cells.text import UnreadableCellError
from schemas.columns.localised_texts import text_in_one_language, texts_by_language

ENGLISH = {"locale": "en_US", "scope": None, "data": "Blue shirt"}
GERMAN = {"locale": "de_DE", "scope": None, "data": "Blaues Hemd"}
OF_ALL = {"locale": None, "scope": None, "data": "blue"}
PRINTED = {"locale": "en_US", "scope": "print", "data": "BLUE SHIRT"}
AMAZONS = {"value": "Blue shirt", "language_tag": "en_US", "marketplace_id": "A1"}
FORMS = ("csv", "jsonl", "parquet")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("column", "source", "cell", "title"),
    [
        ("name", "name", [ENGLISH], "Blue shirt"),
        ("name", "name", [OF_ALL], "blue"),
        ("name", "name", [ENGLISH, GERMAN], None),
        ("name", "name.en_US", [GERMAN, ENGLISH], "Blue shirt"),
        ("name", "name.fr_FR", [ENGLISH, GERMAN], None),
        ("name", "name.fr_FR", [OF_ALL, OF_ALL], "blue"),
        ("name-de_DE", "name-de_DE", [ENGLISH, GERMAN], "Blaues Hemd"),
        ("name", "name", [ENGLISH, PRINTED], "Blue shirt"),
        ("name", "name.en_US", [ENGLISH, PRINTED], "Blue shirt"),
        ("values", "values.name.de_DE", {"name": [ENGLISH, GERMAN], "color": [OF_ALL, OF_ALL]}, "Blaues Hemd"),
        ("values", "values.color", {"name": [ENGLISH, GERMAN], "color": [OF_ALL, OF_ALL]}, "blue"),
        ("values", "values.name", {"name": [ENGLISH, GERMAN], "color": [OF_ALL, OF_ALL]}, None),
        ("name", "name", {"en_US": "Blue shirt"}, "Blue shirt"),
        ("name", "name", {"en_US": "Blue shirt", "de_DE": "Blaues Hemd"}, None),
        ("name_de", "name_de", {"en": "Blue shirt", "de": "Blaues Hemd"}, "Blaues Hemd"),
        ("name", "name", [{"lang": "en", "text": "Blue shirt"}], "Blue shirt"),
        ("name", "name", [AMAZONS, {**AMAZONS, "value": "Hemd", "language_tag": "de_DE"}], None),
        ("name", "name.en_US", [{**AMAZONS, "value": "Hemd", "language_tag": "de_DE"}, AMAZONS], "Blue shirt"),
        ("name", "name", [{"@lang": "en", "#text": "Blue shirt"}], "Blue shirt"),
        ("name", "name", [{"@language": "en", "@value": "Blue"}, {"@language": "de", "@value": "Blau"}], None),
    ],
)
def test_one_language_is_read(
    tmp_path: Path, form: str, column: str, source: str, cell: Any, title: str | None
) -> None:
    path = write_rows(tmp_path / f"c.{form}", [{"sku": f"A-{number}", column: cell} for number in range(2)])
    rows, reasons, counts = catalogue_of(path, item_id="sku", title=source)
    assert (rows["title"], reasons) == ([title] * 2, [])
    has_several = title is None and "." not in source.replace("values.", "")
    assert counts.get("cells_unreadable:title", 0) == (2 if has_several else 0)


def test_a_bad_cell_costs_only_itself(tmp_path: Path) -> None:
    texts = ["A mug", json.dumps([ENGLISH]), json.dumps([ENGLISH, GERMAN]), "{not JSON", '{"a": 1}', '[{"a": 1}]']
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({"item_id": list("abcdef"), "title": texts}), path)
    rows, _, counts = catalogue_of(path)
    assert rows["title"] == ["A mug", "Blue shirt", None, "{not JSON", '{"a": 1}', '[{"a": 1}]']
    assert counts["cells_unreadable:title"] == 1


LANGUAGES = st.sampled_from(["en_US", "de_DE", "fr_FR", "it_IT"])


@given(st.dictionaries(LANGUAGES, st.text("abc ", min_size=1), min_size=1), LANGUAGES)
def test_no_two_texts_are_ever_in_one(texts: dict[str, str], language: str) -> None:
    cell = [{"locale": name, "scope": None, "data": text} for name, text in texts.items()]
    for value in (cell, texts, json.dumps(cell), json.dumps(texts)):
        assert texts_by_language(value) == texts
        try:
            read = text_in_one_language(value, f"name-{language}")
        except UnreadableCellError:
            assert len(texts) > 1
            assert language not in texts
        else:
            assert read in ([texts[language]] if language in texts else list(texts.values()))
