"""`itemsage init` of a table whose rows have objects, and of one in folders that give it columns."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from init_calls import write_csv, written

from pipelines.init.rehearsal import rehearse_items


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_columns_that_folders_give_are_taken_like_any(capsys, kind):
    """As Spark and Hive write a table in partitions: `category` is in no file."""
    for number, category in enumerate(["Arm%20Chairs", "__HIVE_DEFAULT_PARTITION__"]):
        folder = Path("products", "season=2026", f"category={category}")
        folder.mkdir(parents=True)
        table = pa.table({"sku": [f"{number}a", f"{number}b"], "name": ["red scarf", "blue hat"]})
        if kind == "parquet":
            pq.write_table(table, folder / "part-0.parquet")
        elif kind == "csv":
            write_csv(str(folder / "part-0.csv"), "sku,name", *(f"{number}{letter},red scarf" for letter in "ab"))
        else:
            (folder / "part-0.jsonl").write_text("".join(map("{}\n".format, map(json.dumps, table.to_pylist()))))
    assert written("products")["columns"] == {"item_id": "sku", "title": "name", "product_types": "category"}
    assert "# Not read: season.\n" in Path("shop.toml").read_text()
    assert "Arm Chairs" in capsys.readouterr().out


@pytest.mark.parametrize("sources", [["type", "category"], ["category", "type"]])
def test_a_folders_column_beside_one_of_the_file(sources):
    folder = Path("category=Chairs")
    folder.mkdir()
    pq.write_table(pa.table({"item_id": ["a"], "type": ["simple"]}), folder / "a.parquet")
    write_csv(str(folder / "b.csv"), "item_id,type", "b,simple")
    (folder / "c.jsonl").write_text('{"item_id": "c", "type": "simple"}\n')
    words = " ".join({"type": "simple", "category": "Chairs"}[name] for name in sources)
    for name in ("a.parquet", "b.csv", "c.jsonl"):
        items = rehearse_items([str(folder / name)], {"product_types": sources}, "no").items
        assert items["product_types"].to_pylist() == [words]


def test_what_is_in_objects_is_found_by_its_name():
    """As Elasticsearch dumps an index, and MongoDB a collection."""
    rows = [
        {
            "_id": {"$oid": f"m{n}"},
            "_type": "_doc",
            "_source": {"name": f"red scarf {n}", "attributes": {"brand": "Acme", "color": None}},
            "media": {"gallery": [{"file": f"https://x.example/{n}.jpg", "rank": 1}]},
        }
        for n in range(3)
    ]
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = written("t.jsonl")["columns"]
    assert columns == {
        "item_id": "_id",
        "title": "_source.name",
        "brand": "_source.attributes.brand",
        "colors": "_source.attributes.color",
        "images": "media.gallery.file",
    }
    items = rehearse_items(["t.jsonl"], columns, "no").items
    assert items.select(["item_id", "title", "brand", "images"]).to_pylist()[1] == {
        "item_id": "m1",
        "title": "red scarf 1",
        "brand": "Acme",
        "images": ["https://x.example/1.jpg"],
    }


def test_objects_in_a_list_are_no_texts(capsys):
    """What is asked of the title says where it may be."""
    rows = [
        {"_id": f"m{n}", "brand": "A", "hits": [{"words": f"red scarf {n}", "score": n}, {"words": "x"}]}
        for n in range(3)
    ]
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert written("t.jsonl")["columns"] == {"item_id": "_id", "brand": "brand"}
    question = (
        "? which column is the title? None looks like it: title = ... with its name. 'hits' holds objects (words, "
        'score): what is in them is read by a name with a dot, title = "hits.words" or another\n'
    )
    assert question in Path("shop.toml").read_text()
    assert question in capsys.readouterr().out


@pytest.mark.parametrize("name", ["gallery", "images"])
def test_objects_that_are_pictures_are_pictures(name):
    pictures = [[{"src": f"https://x.example/{n}.jpg", "alt": "red", "position": n}] for n in range(3)]
    rows = [{"sku": str(n), "name": f"red scarf {n}", name: found} for n, found in enumerate(pictures)]
    Path("t.json").write_text(json.dumps(rows))
    assert written("t.json")["columns"]["images"] == name


def _shop_api(number):
    picture = {"id": number, "src": f"https://x.example/{number}.jpg", "width": 10}
    product = {"id": 632 + number, "handle": f"mug-{number}", "title": f"mug {number}", "image": picture}
    return {**product, "body_html": "x", "images": [picture], "variants": [{"id": 8, "sku": f"M-{number}"}]}


def _woo_api(number):
    product = {"id": number, "sku": f"M-{number}", "name": f"mug {number}", "brand": [{"id": 1, "name": "Acme"}]}
    return {
        **product,
        "categories": [{"id": 1, "name": "Kitchen", "slug": "k"}, {"id": 2, "name": "Cups", "slug": "c"}],
    }


def _localised(number):
    current = {"name": {"en": f"mug {number}", "de": f"Becher {number}"}, "description": {"en": "soft"}}
    return {"id": f"m{number}", "masterData": {"current": {**current, "slug": {"en": f"mug-{number}"}}}}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (_shop_api, {"item_id": "handle", "title": "title", "description": "body_html", "images": "images"}),
        (
            _woo_api,
            {"item_id": "id", "title": "name", "brand": "brand.name", "product_types": "categories.name"},
        ),
        (
            _localised,
            {
                "item_id": "id",
                "title": "masterData.current.name.en",
                "description": "masterData.current.description.en",
            },
        ),
    ],
)
def test_answers_of_interfaces(row, expected):
    Path("t.json").write_text(json.dumps([row(number) for number in range(3)]))
    columns = written("t.json")["columns"]
    assert columns == expected
    items = rehearse_items(["t.json"], columns, "no").items
    assert items["title"].to_pylist() == ["mug 0", "mug 1", "mug 2"]
    assert None not in items["product_types" if row is _woo_api else "item_id"].to_pylist()


@pytest.mark.parametrize("brand_first", [False, True])
def test_what_elasticsearch_dumps(brand_first):
    """The brand is an object, and its name no title; `_doc` is no type of a product."""
    rows = []
    for n in range(2):
        brand, name = {"brand": {"id": 3, "name": f"Kumo {n}"}}, {"name": f"red scarf {n}"}
        source = {**brand, **name} if brand_first else {**name, **brand}
        rows.append(
            {"_index": "p", "_type": "_doc", "_id": str(n), "_source": {"sku": f"E-{n}", **source}, "sort": [0]}
        )
    Path("e.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = written("--from", "csv", "e.ndjson")["columns"]
    assert (columns["title"], columns["brand"]) == ("_source.name", "_source.brand.name")
    assert "product_types" not in columns


def _write(rows):
    Path("t.json").write_text(json.dumps(rows))


def _rows(**fields):
    return [{"sku": f"a{n}", "name": f"red scarf {n}", **fields} for n in range(3)]


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({"manufacturer": {"name": "Acme"}}, "manufacturer.name"),
        ({"brand": {"id": 3, "name": "Acme"}}, "brand.name"),
        ({"brands": [{"id": 3, "name": "Acme", "slug": "a"}]}, "brands.name"),
        ({"brand": {"data": {"name": "Acme"}}}, "brand.data.name"),
    ],
)
def test_the_name_of_an_object_is_taken(fields, source):
    _write(_rows(**fields))
    columns = written("t.json")["columns"]
    assert columns["brand"] == source
    assert rehearse_items(["t.json"], columns, "no").items["brand"].to_pylist() == ["Acme"] * 3


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("brand", {"brand": {"_ref": "brand-1", "_type": "reference"}}),
        ("product_types", {"productType": {"typeId": "product-type", "id": "x"}}),
        ("description", {"body": [{"kind": "block", "parts": [{"text": "warm", "marks": []}]}]}),
    ],
)
def test_objects_without_a_name_are_asked_about_and_not_taken(capsys, name, fields):
    """Their cells would all be null."""
    _write(_rows(**fields))
    columns = written("t.json")["columns"]
    assert columns == {"item_id": "sku", "title": "name", name: ""}
    (theirs, value), told, text = *fields.items(), capsys.readouterr().out, Path("shop.toml").read_text()
    assert f"? {name}: {theirs!r} is called so, and holds objects (" in told
    assert "cannot be read" not in told
    keys = value[0] if isinstance(value, list) else value
    first = next(iter(keys))
    assert f'# {name} = "{theirs}.{first}"\n' in text


def test_cells_that_cannot_be_read_are_not_filled_and_are_told(capsys):
    rows = _rows(brand="Acme")
    rows[2]["brand"] = {"maker": "Acme"}
    _write(rows)
    assert written("t.json")["columns"]["brand"] == "brand"
    told = capsys.readouterr().out
    assert "WARNING: 1 cells of brand cannot be read, and are empty: what is in objects, or in one" in told
    assert "# 'brand': 67% filled, e.g. Acme" in Path("shop.toml").read_text()
