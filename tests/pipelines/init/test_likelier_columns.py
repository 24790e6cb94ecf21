"""`itemsage init`: columns that are called like ours, and are not, give way to those that are."""

import json
from pathlib import Path

from init_calls import write_csv, written


def test_one_value_in_all_rows_is_no_id():
    """As MercadoLibre answers: a code of HTTP beside each item."""
    bodies = [{"id": f"M{number}", "title": f"Red wool scarf {number}"} for number in range(3)]
    Path("c.json").write_text(json.dumps([{"code": 200, "body": body} for body in bodies]))
    assert written("c.json")["columns"]["item_id"] == "body.id"


def test_a_language_behind_a_dot_is_one(capsys):
    rows = [f'00{number},Red scarf {number},Roter Schal {number},"A, b"' for number in range(3)]
    columns = written(write_csv("c.csv", "abstract_sku,name.en_US,name.de_DE,description.en_US", *rows))["columns"]
    assert (columns["title"], columns["description"]) == ("name.en_US", "description.en_US")
    assert "the texts are in several languages" in capsys.readouterr().out


def test_what_is_offered_for_a_title_is_called_like_one(capsys):
    pictures = [{"type": "IMAGE", "location": "https://shop.example/1.jpg"}]
    row = {"sku": "A-1", "mediaAssets": pictures, "pricing": {"amount": 9.9, "currency": "EUR", "tax": {"rate": 1}}}
    Path("c.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({**row, "sku": "A-2"}) + "\n")
    assert written("c.jsonl")["columns"]["item_id"] == "sku"
    told = capsys.readouterr().out
    assert "which column is the title?" in told
    assert "mediaAssets.type" not in told
    assert "pricing.amount" not in told


def test_families_of_colours_and_materials_of_products_are_found():
    rows = [f"A-{number},Red scarf {number},Red,Wool" for number in range(3)]
    columns = written(write_csv("c.csv", "sku,name,Color Family,Product Material", *rows))["columns"]
    assert (columns["colors"], columns["materials"]) == ("Color Family", "Product Material")


def test_offers_that_have_ended_are_asked_about(capsys):
    states = ("ACTIVE", "ENDED", "ACTIVE")
    rows = [
        {"id": str(number), "name": f"Red scarf {number}", "publication": {"status": state}}
        for number, state in enumerate(states)
    ]
    Path("c.json").write_text(json.dumps(rows))
    written("c.json")
    assert "publication.status" in capsys.readouterr().out
    assert 'leave_out = {"publication.status" = ["ENDED"' in Path("shop.toml").read_text()
