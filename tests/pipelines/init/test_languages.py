"""`itemsage init` of tables with texts in several languages: one for all texts, and a question."""

import json
import tomllib
from pathlib import Path

import pytest
from init_calls import write_csv, written

from pipelines.init.rehearsal import rehearse_items

ASKED = "? the texts are in several languages, {}: {} is taken for all"


def _columns(header, *rows):
    cells = rows or [[f"{name} {n}" for name in header[1:]] for n in range(3)]
    return written(write_csv("t.csv", ",".join(header), *(",".join([f"a{n}", *row]) for n, row in enumerate(cells))))[
        "columns"
    ]


@pytest.mark.parametrize(
    ("english", "german"), [("en", "de"), ("en_US", "de_DE"), ("en_US-ecommerce", "de_DE-ecommerce")]
)
@pytest.mark.parametrize("german_first", [False, True])
def test_title_and_description_are_of_one_language(capsys, english, german, german_first):
    pairs = [(f"name-{german}", f"name-{english}"), (f"description-{english}", f"description-{german}")]
    header = ["sku", *(name for pair in pairs for name in (reversed(pair) if german_first else pair))]
    columns = _columns(header)
    assert (columns["title"], columns["description"]) == (f"name-{german}", f"description-{german}")
    names = [language.removesuffix("-ecommerce").replace("_", "-") for language in (german, english)]
    assert ASKED.format(", ".join(names), names[0]) in capsys.readouterr().out
    text = Path("shop.toml").read_text()
    for name, theirs in (("title", "name"), ("description", "description")):
        line, other = f'{name} = "{theirs}-{german}"\n', f'# {name} = "{theirs}-{english}"\n'
        assert f"{line}# '{theirs}-{english}': 100% filled, e.g. {theirs}-{english} 0\n{other}" in text
        text = text.replace(line, f"# {line}").replace(other, other.removeprefix("# "))
    assert tomllib.loads(text)["columns"]["title"] == f"name-{english}"


def test_the_language_that_most_cells_are_filled_in_is_taken():
    header = ["sku", "name_de", "name_en", "description_de", "description_en"]
    columns = _columns(header, ["", "red scarf", "", "warm"], ["Hut", "hat", "aus Filz", "of felt"])
    assert (columns["title"], columns["description"]) == ("name_en", "description_en")


def test_a_further_text_in_one_language_decides_it():
    columns = _columns(["sku", "description_de", "description_en", "name_de", "name_en", "color_en"])
    assert [columns[name] for name in ("title", "description", "colors")] == ["name_en", "description_en", "color_en"]


def test_a_text_that_the_language_lacks_is_told(capsys):
    columns = _columns(["sku", "name_de", "color_de", "description_en"])
    assert (columns["title"], columns["description"]) == ("name_de", "description_en")
    assert ASKED.format("de, en", "de") + ", but description in en, which it lacks" in capsys.readouterr().out


@pytest.mark.parametrize("header", [["sku", "name_en", "description_en"], ["sku", "name", "name_en", "name_de"]])
def test_one_language_or_a_name_without_one_is_not_asked_about(capsys, header):
    assert _columns(header)["title"] == header[1]
    assert "several languages" not in capsys.readouterr().out


@pytest.mark.parametrize("path", ["masterData.current.{}.{}", "{}.{}", "translations.{1}.{0}"])
def test_objects_with_a_text_for_each_language(capsys, path):
    def _row(number):
        row = {"sku": f"a{number}"}
        for name, language, text in (
            ("name", "en-GB", "red scarf"),
            ("name", "de-DE", "Schal"),
            ("description", "de-DE", "warm"),
        ):
            place = row
            *parents, last = path.format(name, language).split(".")
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = f"{text} {number}"
        return row

    Path("t.json").write_text(json.dumps([_row(number) for number in range(3)]))
    columns = written("t.json")["columns"]
    assert columns["title"] == path.format("name", "de-DE")
    assert columns["description"] == path.format("description", "de-DE")
    assert f'# title = "{path.format("name", "en-GB")}"\n' in Path("shop.toml").read_text()
    assert ASKED.format("de-DE, en-GB", "de-DE") in capsys.readouterr().out


@pytest.mark.parametrize(("locale_key", "text_key"), [("locale", "data"), ("language", "value")])
@pytest.mark.parametrize("path", ["name", "values.name"])
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_lists_of_texts_with_their_locales(capsys, path, form, locale_key, text_key):
    """As Akeneo writes them, and others."""

    def _row(number):
        texts = [("en_US", "red scarf"), ("de_DE", "roter Schal")][: 1 + (number > 0)]
        name = [{locale_key: locale, "scope": None, text_key: f"{text} {number}"} for locale, text in texts]
        return {"sku": f"a{number}"} | ({"name": name} if path == "name" else {"values": {"name": name}})

    rows = [_row(number) for number in range(3)]
    if form == "jsonl":
        Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        (column,) = rows[0].keys() - {"sku"}
        quoted = [json.dumps(row[column]).replace('"', '""') for row in rows]
        write_csv("t.csv", f"sku,{column}", *(f'a{n},"{cell}"' for n, cell in enumerate(quoted)))
    columns = written(f"t.{form}")["columns"]
    assert columns == {"item_id": "sku", "title": f"{path}.en_US"}
    assert ASKED.format("en-US, de-DE", "en-US") in capsys.readouterr().out
    items = rehearse_items([f"t.{form}"], columns, "no").items
    assert items["title"].to_pylist() == [f"red scarf {number}" for number in range(3)]
