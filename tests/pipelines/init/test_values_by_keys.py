"""`itemsage init` of tables whose attributes are values by keys: in a text, in a list of objects, in a map."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from init_calls import write_csv, written

from pipelines.init.rehearsal import rehearse_items, rehearse_log

KEPT = {"description": "a warm scarf of wool", "color": "Red", "size": "M", "material": ["Cotton", "Linen"]}


def _named(name: str) -> list[dict[str, Any]]:
    return [{name: key, "value": value} for key, value in KEPT.items()]


def _write(form: str) -> str:
    """A table of three products whose attributes are written in this form; returns its name."""
    products = [{"sku": f"A-{number}", "name": f"red scarf {number}"} for number in range(3)]
    if form == "map":
        kind = pa.map_(pa.string(), pa.string())
        texts = {key: " ".join(value) if isinstance(value, list) else value for key, value in KEPT.items()}
        table = pa.Table.from_pylist(products).append_column("attrs", pa.array([list(texts.items())] * 3, kind))
        pq.write_table(table, "t.parquet")
        return "t.parquet"
    if form in ("attribute_code", "key", "name"):
        Path("t.json").write_text(json.dumps([{**product, "attrs": _named(form)} for product in products]))
        return "t.json"
    attrs = json.dumps(KEPT) if form == "json" else ""
    if form == "pairs":
        attrs = ",".join(f"{key}={'|'.join(v) if isinstance(v, list) else v}" for key, v in KEPT.items())
    with open("t.csv", "w", newline="") as file:
        out = csv.DictWriter(file, ["sku", "name", "attrs"])
        out.writeheader()
        out.writerows({**product, "attrs": attrs} for product in products)
    return "t.csv"


@pytest.mark.parametrize("form", ["pairs", "json", "attribute_code", "key", "name", "map"])
def test_attributes_by_their_keys(form: str) -> None:
    name = _write(form)
    columns = written(name)["columns"]
    assert columns == {
        "item_id": "sku",
        "title": "name",
        "description": "attrs.description",
        "colors": "attrs.color",
        "size": "attrs.size",
        "materials": "attrs.material",
    }
    items = rehearse_items([name], columns, "no").items
    assert (
        items.select(["description", "colors", "size", "materials"]).to_pylist()
        == [{"description": KEPT["description"], "colors": "Red", "size": "M", "materials": "Cotton Linen"}] * 3
    )


def test_what_is_left_out_by_a_key() -> None:
    rows = ["A-1,a mug,state=draft", "A-2,a cup,state=live"]
    write_csv("t.csv", "sku,name,attrs", *rows)
    columns = {"item_id": "sku", "title": "name", "leave_out": {"attrs": {"state": ["draft"]}}}
    assert rehearse_items(["t.csv"], columns, "no").items["item_id"].to_pylist() == ["A-2"]


def test_sentences_with_a_colon_are_texts() -> None:
    rows = [f"A-{n},red scarf {n},Material: wool of a happy sheep; Care: wash cold" for n in range(3)]
    columns = written(write_csv("t.csv", "sku,name,description", *rows))["columns"]
    assert columns == {"item_id": "sku", "title": "name", "description": "description"}


ACTION = "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1"
PRODUCTS = "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1"


def _snowplow(number: int, action: str | None, *items: str) -> dict[str, Any]:
    return {
        "event_name": "page_view" if action is None else "snowplow_ecommerce_action",
        "derived_tstamp": f"2026-06-20 10:{number:02}:00",
        "domain_userid": "u",
        ACTION: None if action is None else {"type": action},
        PRODUCTS: [{"id": item, "name": "x"} for item in items],
    }


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet"])
def test_an_action_in_an_object_and_items_in_another(name: str) -> None:
    """Snowplow's columns of objects, as Parquet and JSON have them, and as text."""
    write_csv("c.csv", "sku,name", "a,A mug", "b,A cup")
    events = [("product_view", "a"), ("transaction", "a", "b"), (None,), ("list_view", "b"), ("checkout_step", "b")]
    rows = [_snowplow(number, *event) for number, event in enumerate(events)]
    if name == "log.parquet":
        pq.write_table(pa.Table.from_pylist(rows), name)
    elif name == "log.jsonl":
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with open(name, "w", newline="") as file:
            out = csv.writer(file)
            out.writerow(rows[0])
            out.writerows([v if isinstance(v, str) else json.dumps(v) for v in row.values()] for row in rows)
    log = written("--from", "ga4", name, "--catalog", "c.csv")["columns"]["engagements"]
    assert (log["item_id"], log["action"]["source"]) == (f"{PRODUCTS}.id", f"{ACTION}.type")
    found = rehearse_log([name], log)
    assert (found.items, found.num_rows) == ({"a": 2, "b": 2}, 4)


def test_notes_of_the_shops_own_people_are_no_description() -> None:
    note = "do not buy these again for they came late and were of poor quality so says the buyer of our shop in town"
    rows = [f"A-{n},red scarf {n},{note} {n},x y {n}" for n in range(3)]
    columns = written(write_csv("t.csv", "sku,title,internal_note,supplier_comment", *rows))["columns"]
    assert columns == {"item_id": "sku", "title": "title"}
    assert "# Not read: internal_note, supplier_comment.\n" in Path("shop.toml").read_text()
