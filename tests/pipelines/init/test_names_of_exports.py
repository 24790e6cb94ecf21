"""`itemsage init` of exports whose columns are called with more words, or further in, than usual."""

import json
from pathlib import Path

import pytest
from init_calls import write_csv, written

TEXT = "Woven in a small mill of the Borders, this scarf keeps its shape wash after wash and is made to be worn daily"
NUMBERS = range(6)


def write_json(name: str, *rows: dict) -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def products(**more) -> list[dict]:
    return [{"sku": f"A-{n}", "name": f"red mug {n}", **more} for n in NUMBERS]


@pytest.mark.parametrize("name", ["Main Description", "description_of_product", "Produktbeschreibung lang"])
def test_a_column_called_a_description_comes_before_highlights(capsys, name):
    rows = (f'A-{n},red mug {n},"{TEXT} {n}",<li>Wool</li>' for n in NUMBERS)
    columns = written(write_csv("p.csv", f"sku,name,{name},Highlights", *rows))["columns"]
    assert columns["description"] == [name, "Highlights"]
    assert f"? description: '{name}' by its name, before Highlights. Is it the description?" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["Meta Description", "Short description text", "Category Description", "shipping_description", "Story"]
)
def test_a_description_of_something_else_is_none(name):
    rows = (f'A-{n},red mug {n},"{TEXT} {n}",<li>Wool</li>' for n in NUMBERS)
    columns = written(write_csv("p.csv", f"sku,name,{name},Highlights", *rows))["columns"]
    assert columns["description"] == "Highlights"


def test_of_two_columns_called_so_none_is_taken(capsys):
    rows = (f'A-{n},red mug {n},"{TEXT} {n}","{TEXT} or {n}",Wool' for n in NUMBERS)
    path = write_csv("p.csv", "sku,name,Main Description,App Description,Highlights", *rows)
    assert written(path)["columns"]["description"] == "Highlights"
    assert "? description: 'Main Description', 'App Description' are called so, too" in capsys.readouterr().out
    assert '# description = ["Main Description", "Highlights"]' in Path("shop.toml").read_text()


@pytest.mark.parametrize("key", ["imageUrl", "image_url", "pictureURL"])
def test_pictures_of_variants_are_found_whatever_their_address_is_called(capsys, key):
    """As VTEX's answers have them."""
    rows = [
        {**row, "items": [{"itemId": "1", "images": [{"imageId": "1", key: f"{row['sku']}.jpg"}, {key: "b.jpg"}]}]}
        for row in products()
    ]
    assert written(write_json("p.jsonl", *rows))["columns"]["images"] == f"items.images.{key}"
    assert "6 with pictures" in capsys.readouterr().out


def test_pictures_of_variants_with_usual_addresses_are_found_as_they_were():
    pictures = ({"url": f"{n}.jpg", "imageLabel": "front"} for n in NUMBERS)
    rows = [{**row, "variants": [{"images": [next(pictures)]}]} for row in products()]
    assert written(write_json("p.jsonl", *rows))["columns"]["images"] == "variants.images"


def test_what_json_ld_says_of_objects_is_no_text():
    ld = {"@context": "https://schema.org", "@type": "Product", "@id": "https://e.com/1"}
    rows = products(brand={"@type": "Brand", "name": "Acme"}, offers={"@type": "Offer", "price": 9}, **ld)
    path = write_json("p.jsonl", *rows)
    assert written(path)["columns"] == {"item_id": "sku", "title": "name", "brand": "brand.name"}
    assert "Offer" not in Path("shop.toml").read_text()


def test_types_of_other_objects_are_still_texts():
    rows = products(attributes={"type": "Mugs"})
    assert written(write_json("p.jsonl", *rows))["columns"]["product_types"] == "attributes.type"


@pytest.mark.parametrize(
    ("more", "sources"),
    [
        ({"user": {"id": "u1", "name": "Ann"}}, "user.id"),
        ({"customer": {"id": 7}}, "customer.id"),
        ({"client": {"ip": "1.2.3.4"}, "user": {"email": "ann@e.com"}}, "user.email"),
        ({"user": {"id": "u1"}, "anonymous_id": "x"}, ["user.id", "anonymous_id"]),
        ({"user": {"id": "u1"}, "user_id": "x"}, "user_id"),
        ({"anonymous_id": "x"}, "anonymous_id"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_id_of_a_user_in_an_object_is_taken(capsys, more, sources, wrapped):
    """As the Elastic Common Schema has it."""
    catalogue = write_csv("p.csv", "sku,name", *(f"A-{n},red mug {n}" for n in NUMBERS))
    event = {"@timestamp": "2026-06-20T10:00:00Z", "event": {"action": "view"}, "product": {"sku": "A-1"}, **more}
    path = write_json("log.jsonl", *([{"_index": "clicks", "_source": event}] if wrapped else [event]))
    found = written("--from", "ga4", path, "--catalog", catalogue)["columns"]["engagements"]["user_id"]
    dotted = [f"_source.{one}" if wrapped else one for one in ([sources] if isinstance(sources, str) else sources)]
    assert found == (dotted[0] if isinstance(sources, str) else dotted)
    assert "cannot be read" not in capsys.readouterr().out
