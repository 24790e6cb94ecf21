"""`itemsage init` of categories and attributes that are lists of objects, of which some rows have none."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from init_calls import written

CATEGORIES = [{"id": 1, "name": "Shirts"}, {"id": 2, "name": "Men"}]


def rows(nothing):
    texts = {"description": "A shirt of long cotton"}
    return [
        {"id": number, "name": f"Shirt {number}", **texts, "categories": CATEGORIES if number % 2 else nothing}
        for number in range(8)
    ]


def as_lines(given):
    Path("c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    return "c.jsonl"


@pytest.mark.parametrize("nothing", [[], None, "", {}, [{}], [None], "[]", [{"id": None, "name": ""}]])
def test_a_product_without_categories_says_nothing_of_the_others(nothing):
    assert written(as_lines(rows(nothing)))["columns"]["product_types"] == "categories.name"


def test_one_product_with_categories_among_many_says_what_they_are():
    given = [{**row, "categories": CATEGORIES if row["id"] == 7 else []} for row in rows([])]
    assert written(as_lines(given))["columns"]["product_types"] == "categories.name"


@pytest.mark.parametrize("nothing", ["[]", "{}", ""])
def test_the_same_holds_of_lists_as_text(nothing):
    given = [{**row, "categories": json.dumps(row["categories"]) if row["categories"] else nothing} for row in rows([])]
    assert written(as_lines(given))["columns"]["product_types"] == "categories.name"


def test_the_same_holds_of_lists_in_objects():
    given = [{"id": row["id"], "_source": {key: row[key] for key in ("name", "categories")}} for row in rows([])]
    assert written(as_lines(given))["columns"]["product_types"] == "_source.categories.name"


def test_the_same_holds_of_parquet():
    pq.write_table(pa.Table.from_pylist(rows([])), "c.parquet")
    assert written("c.parquet")["columns"]["product_types"] == "categories.name"


def test_lists_of_texts_of_which_some_are_empty_stay_texts():
    given = [{**row, "categories": ["Shirts", "Men"] if row["categories"] else []} for row in rows([])]
    assert written(as_lines(given))["columns"]["product_types"] == "categories"


#: What WooCommerce's REST API answers of a product.
OF_REST_API = {
    "name": "Shirt",
    "type": "variable",
    "status": "publish",
    "description": "<p>Long cotton</p>",
    "sku": "S",
    "categories": [CATEGORIES[0]],
    "images": [{"id": 5, "src": "https://x/1.jpg", "name": "a"}],
    "attributes": [
        {"id": 0, "name": "Colour", "options": ["Red", "Blue"]},
        {"id": 0, "name": "Shoe size", "options": ["38"]},
    ],
}


@pytest.mark.parametrize("kind", ["variable", "simple"])
def test_the_answer_of_woocommerces_rest_api(kind, capsys):
    nothing = {"categories": [], "images": [], "attributes": [], "status": "draft"}
    product = {**OF_REST_API, "type": kind}
    given = [{"id": 1, **product}, {"id": 2, **product, "type": "simple", **nothing}, {"id": 3, **product}]
    columns = written(as_lines(given))["columns"]
    assert columns["product_types"] == "categories.name"
    assert (columns["colors"], columns["size"]) == ("attributes.Colour", "attributes.Shoe size")
    assert "status: draft in 1 rows. They are items too" in capsys.readouterr().out
