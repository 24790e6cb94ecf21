"""Sources with dots: what is in the objects of a catalogue or a log, and MongoDB's objects that stand for one value."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from read_tables import catalogue_of, log_of

from schemas.columns.mapping import table_columns
from schemas.errors import UsageError
from schemas.reading.input_files import check_columns
from schemas.tables import ENGAGEMENTS

AT = datetime(2026, 6, 20, 10, tzinfo=UTC)
PRODUCTS = [
    {
        "_id": {"$oid": "65f0a1"},
        "name": "Mug",
        "attributes": {"brand": "Acme", "look": {"color": "red", "sizes": ["S", "M"]}},
        "gallery": [{"file": "1.jpg", "alt": "x"}, {"file": "2.jpg", "alt": None}],
        "cost": {"$numberDecimal": "9.90"},
    },
    {"_id": {"$oid": "65f0a2"}, "name": "Cup", "attributes": None, "gallery": [], "cost": None},
]
COLUMNS = {
    "item_id": "_id",
    "title": "name",
    "brand": "attributes.brand",
    "colors": "attributes.look.color",
    "size": "attributes.look.sizes",
    "materials": "cost",
    "images": "gallery.file",
}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        text = json.dumps(rows) if path.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["c.jsonl", "c.json", "c.parquet"])
def test_a_catalogue_of_objects(tmp_path: Path, name: str) -> None:
    columns = COLUMNS | ({"item_id": "_id.$oid", "materials": "cost.$numberDecimal"} if "parquet" in name else {})
    path = write(tmp_path / name, PRODUCTS)
    check_columns([str(path)], columns)
    rows, reasons, _ = catalogue_of(path, **columns)
    assert reasons == []
    assert (rows["item_id"], rows["title"], rows["brand"]) == (["65f0a1", "65f0a2"], ["Mug", "Cup"], ["Acme", None])
    assert (rows["colors"], rows["size"], rows["materials"]) == (["red", None], ["S M", None], ["9.90", None])
    assert rows["images"] == [["1.jpg", "2.jpg"], []]


@pytest.mark.parametrize("name", ["c.jsonl", "c.json", "c.parquet"])
@pytest.mark.parametrize("key", ["values", "value"])
def test_what_objects_of_a_list_are_called(tmp_path: Path, name: str, key: str) -> None:
    """Shopify's options: the values of a name, where no object has a field that is called so."""

    def option(called: str | None, *values: str) -> dict[str, Any]:
        return {"id": 1, "name": called, key: list(values) if key == "values" else next(iter(values), None)}

    options = [
        [option("Size", "S", "M"), option("Color", "red")],
        [option("Color", "blue", "grey"), option("size", "L")],
        [option("Size")],
        [option(None, "x")],
        [],
        None,
    ]
    rows = [{"item_id": str(n), "title": "t", "options": given} for n, given in enumerate(options)]
    columns = {"size": "options.Size", "colors": "options.Color", "patterns": "options.name", "images": ""}
    path = write(tmp_path / name, rows)
    check_columns([str(path)], columns)
    found, reasons, counts = catalogue_of(path, **columns)
    assert (reasons, [name for name in counts if name.startswith("cells_unreadable")]) == ([], [])
    several = key == "values"
    assert found["size"] == ["S M" if several else "S", None, None, None, None, None]
    assert found["colors"] == ["red", "blue grey" if several else "blue", None, None, None, None]
    assert found["patterns"] == ["Size Color", "Color size", "Size", None, None, None]


@pytest.mark.parametrize("item_id", ["_id", "_id.$oid"])
def test_an_id_of_mongo_by_either_name(tmp_path: Path, item_id: str) -> None:
    rows, reasons, _ = catalogue_of(write(tmp_path / "c.jsonl", PRODUCTS), item_id=item_id, title="name", images="")
    assert (rows["item_id"], reasons) == (["65f0a1", "65f0a2"], [])


@pytest.mark.parametrize(
    "date", [{"$date": "2026-06-20T10:00:00Z"}, {"$date": 1781949600000}, {"$date": {"$numberLong": "1781949600000"}}]
)
def test_a_log_of_mongo(tmp_path: Path, date: dict[str, Any]) -> None:
    event = {"at": date, "user": {"$oid": "u1"}, "product": {"$oid": "65f0a1"}, "meta": {"n": {"$numberInt": "7"}}}
    columns = {"timestamp": "at", "user_id": "user", "item_id": "product.$oid", "session_id": "meta.n"}
    good, reasons, _ = log_of(write(tmp_path / "log.jsonl", [event] * 2), **columns)
    assert (good["timestamp"], good["user_id"], good["item_id"]) == ([AT] * 2, ["u1"] * 2, ["65f0a1"] * 2)
    assert (good["session_id"], reasons) == (["7"] * 2, [])


def test_dots_lead_nowhere_in_a_cell_of_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text('item_id,attributes\nA-1,"Acme, red"\n')
    with pytest.raises(UsageError, match=r"expected a column 'attributes.brand' for brand"):
        check_columns([str(path)], table_columns({"brand": "attributes.brand"}, "catalogue"))
    log = tmp_path / "log.csv"
    log.write_text("timestamp,user_id,p\n2026-06-20,u,A-1\n")
    with pytest.raises(UsageError, match=r"expected a column 'p.id' for item_id"):
        check_columns([str(log)], {"item_id": "p.id"}, ENGAGEMENTS)


SEGMENT = [
    {
        "event": "Product Viewed",
        "userId": "u",
        "timestamp": "2026-06-20T10:00:00Z",
        "properties": {"product_id": "A"},
        "context": None,
    },
    {
        "event": "Order Completed",
        "userId": "u",
        "timestamp": "2026-06-20T10:00:00Z",
        "properties": {"order_id": "7", "products": [{"product_id": "B", "price": 1.5}, {"product_id": "C"}]},
        "context": {"page": {"path": "/done"}},
    },
    {"event": "Page Viewed", "userId": "u", "timestamp": "2026-06-20T10:00:00Z", "properties": {"title": "x"}},
    {"event": "Product Viewed", "userId": "v", "timestamp": "2026-06-20T10:00:00Z", "properties": {"product_id": "D"}},
]
SEGMENT_COLUMNS = {
    "user_id": "userId",
    "item_id": ["properties.products.product_id", "properties.product_id"],
    "session_id": "context.page.path",
    "action": {"source": "event", "values": {"Product Viewed": "click", "Order Completed": "checkout"}},
}


@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet"])
def test_an_event_has_its_item_or_a_list_of_them(tmp_path: Path, name: str) -> None:
    columns = table_columns({"engagements": SEGMENT_COLUMNS}, "engagements")
    good, reasons, counts = log_of(write(tmp_path / name, SEGMENT), **columns)
    assert (good["item_id"], good["user_id"], reasons) == (["A", "B", "C", "D"], ["u", "u", "u", "v"], [])
    assert good["action"] == ["click", "checkout", "checkout", "click"]
    assert good["session_id"] == [None, "/done", "/done", None]
    assert counts["rows_read"] == 4


@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet"])
def test_an_event_has_its_item_in_a_column_or_a_list_of_them(tmp_path: Path, name: str) -> None:
    events = [
        {"timestamp": "2026-06-20T10:00:00Z", "user_id": "u", "sku": sku, "lines": lines}
        for sku, lines in [("A", []), (None, [{"sku": "B"}, {"sku": "C"}]), (None, []), ("D", None)]
    ]
    columns = table_columns({"engagements": {"item_id": ["lines.sku", "sku"]}}, "engagements")
    good, reasons, _ = log_of(write(tmp_path / name, events), **columns)
    assert (good["item_id"], reasons) == (["A", "B", "C", "D"], [])


META = [
    {
        "event_name": "ViewContent",
        "event_time": 1781949600,
        "user_data": {"external_id": ["u1", "other"], "em": ["x"]},
        "custom_data": {"content_ids": ["A", "B"], "content_type": "product"},
    },
    {
        "event_name": "PageView",
        "event_time": 1781949600,
        "user_data": {"external_id": ["u2"]},
        "custom_data": {"content_ids": []},
    },
]


@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet"])
def test_a_list_of_ids_is_a_row_for_each_and_of_users_the_first_counts(tmp_path: Path, name: str) -> None:
    columns = {
        "timestamp": "event_time",
        "user_id": "user_data.external_id",
        "item_id": "custom_data.content_ids",
        "action": {"source": "event_name", "values": {"ViewContent": "click", "PageView": "impression"}},
    }
    path = write(tmp_path / name, META)
    good, reasons, _ = log_of(path, **table_columns({"engagements": columns}, "engagements"))
    assert (good["item_id"], good["user_id"], reasons) == (["A", "B"], ["u1", "u1"], [])
