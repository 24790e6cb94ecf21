"""A log whose events have their items in several places: each event has those of the first source that has any."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from read_tables import catalogue_of, log_of

from schemas.columns.mapping import table_columns
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import ENGAGEMENTS

ONE, LISTED, OTHER = "properties.product_id", "properties.products.product_id", "context.lines.sku"
#: What an event has, and its items if ONE comes first, and if LISTED does; None: a row without an id.
CASES: list[tuple[dict[str, Any] | None, list[str | None], list[str | None]]] = [
    ({"product_id": "A"}, ["A"], ["A"]),
    ({"products": [{"product_id": "B"}, {"product_id": "C"}]}, ["B", "C"], ["B", "C"]),
    ({"product_id": "D", "products": [{"product_id": "E"}, {"product_id": "F"}]}, ["D"], ["E", "F"]),
    ({"product_id": "G", "products": []}, ["G"], ["G"]),
    ({"product_id": "H", "products": [{"product_id": None}, {"product_id": None}]}, ["H"], ["H"]),
    ({"product_id": None, "products": [{"product_id": "I"}]}, ["I"], ["I"]),
    ({"product_id": " ", "products": [{"product_id": "J"}]}, ["J"], ["J"]),
    ({"products": [{"product_id": None}, {"product_id": "K"}]}, [None, "K"], [None, "K"]),
    ({"name": "Home"}, [], []),
    (None, [], []),
]


def write(path: Path, properties: list[dict[str, Any] | None], **others: list[Any]) -> Path:
    rows = [
        {"userId": "a", "timestamp": f"2026-06-20T10:00:{n:02}Z", "event": "Product Viewed", "properties": given}
        | {name: values[n] for name, values in others.items()}
        for n, given in enumerate(properties)
    ]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, *sources: str) -> tuple[list[str], list[str]]:
    """(items of the good rows, reasons of the others)."""
    action = {"source": "event", "values": {"Product Viewed": "click"}}
    columns = {"user_id": "userId", "item_id": list(sources), "action": action}
    good, reasons, _ = log_of(path, **table_columns({"engagements": columns}, "engagements"))
    return good["item_id"], reasons


@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet"])
@pytest.mark.parametrize("sources", [(ONE, LISTED), (LISTED, ONE)])
def test_an_event_has_the_items_of_the_first_source_that_has_any(
    tmp_path: Path, name: str, sources: tuple[str, str]
) -> None:
    expected = [item for case in CASES for item in case[1 + sources.index(ONE)]]
    items, reasons = read(write(tmp_path / name, [case[0] for case in CASES]), *sources)
    assert items == [item for item in expected if item is not None]
    assert reasons == ["null_id"]


@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet"])
@pytest.mark.parametrize("sources", [(LISTED, OTHER), (OTHER, LISTED), ("sku", OTHER, LISTED), (LISTED, "sku", OTHER)])
def test_lists_in_several_places(tmp_path: Path, name: str, sources: tuple[str, ...]) -> None:
    properties = [{"products": [{"product_id": "A"}, {"product_id": "B"}]}, {"products": []}, None]
    context = [None, {"lines": [{"sku": "C"}, {"sku": "D"}]}, {"lines": None}]
    path = write(tmp_path / name, properties, context=context, sku=[None, None, "E"])
    known = ["A", "B", "C", "D", *(["E"] if "sku" in sources else [])]
    assert read(path, *sources) == (known, [])


@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet"])
@pytest.mark.parametrize("sources", [(ONE,), (LISTED,), (LISTED, ONE), ("sku", LISTED)])
@pytest.mark.parametrize("properties", [{"path": "/"}, {"product_id": None, "products": None}, {"products": []}])
def test_events_without_items_are_no_rows_whatever_else_a_batch_has(
    tmp_path: Path, name: str, sources: tuple[str, ...], properties: dict[str, Any]
) -> None:
    """A file of page views alone has neither the list nor the field."""
    path = write(tmp_path / name, [properties] * 2, sku=[None, None])
    assert read(path, *sources) == ([], [])


def test_events_of_a_json_file_that_has_no_objects_at_all_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"timestamp": "2026-06-20T10:00:00Z", "userId": "u", "event": "Page"}\n')
    assert read(path, LISTED, ONE) == ([], [])


@pytest.mark.parametrize("first", ["", " ", None])
def test_a_blank_id_of_the_first_source_is_none(tmp_path: Path, first: str | None) -> None:
    path = tmp_path / "c.jsonl"
    rows = [
        {"sku": first, "id": "7", "title": "x"},
        {"sku": "S", "id": "8", "title": "x"},
        {"sku": first, "title": "x"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    good, reasons, _ = catalogue_of(path, item_id=table_columns({"item_id": ["sku", "id"]}, "catalogue")["item_id"])
    assert (good["item_id"], reasons) == (["7", "S"], ["null_id" if first is None else "empty_id"])


def test_a_word_for_null_in_one_source_costs_no_row_that_has_another(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("sku,id,title\nnull,7,x\nS,NULL,x\nnull,null,x\n")
    good, reasons, _ = catalogue_of(path, item_id=table_columns({"item_id": ["sku", "id"]}, "catalogue")["item_id"])
    assert (good["item_id"], reasons) == (["7", "S"], ["null_id"])


@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet"])
@pytest.mark.parametrize("action", ["event", "event.name"])
def test_events_are_counted_by_action_and_whether_they_have_items(tmp_path: Path, name: str, action: str) -> None:
    events = [("View", "A"), ("View", None), ("view", ""), ("Order", "B"), ("Page", None), (None, None), ("Off", "C")]
    rows = [
        {
            "timestamp": "2026-06-20T10:00:00Z",
            "user_id": "u",
            "event": {"name": event} if action == "event.name" else event,
            "items": [{"id": item}] * 2 if item else [],
        }
        for event, item in events
    ]
    path = tmp_path / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {"View": "click", "Order": "checkout", "Off": ""}
    columns = {"item_id": "items.id", "action": {"source": action, "values": values}}
    (part,) = plan_slices([str(path)])
    (raw,) = read_slice(part, table_columns({"engagements": columns}, "engagements"), ENGAGEMENTS)
    assert dict(raw.events_by_action) == {
        "events_with_items:click": 1,
        "events_without_items:click": 2,
        "events_with_items:checkout": 1,
    }
