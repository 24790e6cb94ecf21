"""Events with their items as rows of a log, and events that are none."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.columns.mapping import table_columns
from schemas.errors import UsageError
from schemas.events import paths as log_events
from schemas.events.paths import MAX_EVENT_ITEMS
from schemas.reading.input_files import check_columns
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import ENGAGEMENTS
from schemas.validation.log import validate_engagements

COLUMNS = {
    "timestamp": "event_timestamp",
    "user_id": ["user_id", "user_pseudo_id"],
    "item_id": "items.item_id",
    "query": "event_params.search_term",
    "session_id": "event_params.ga_session_id",
    "surface": {"source": "event_params.search_term", "present": "search", "absent": "home"},
    "action": {"source": "event_name", "values": {"view_item": "click", "purchase": "checkout", "page_view": ""}},
}
VALUE = pa.struct([("string_value", pa.string()), ("int_value", pa.int64()), ("double_value", pa.float64())])
EVENTS = pa.schema(
    [
        ("event_timestamp", pa.int64()),
        ("event_name", pa.string()),
        ("user_id", pa.string()),
        ("user_pseudo_id", pa.string()),
        ("event_params", pa.list_(pa.struct([("key", pa.string()), ("value", VALUE)]))),
        ("items", pa.list_(pa.struct([("item_id", pa.string()), ("item_name", pa.string())]))),
    ]
)
START_US = 1_781_000_000_000_000


def event(name: str, items: list[str] | None, query: str | None = None, user: str | None = None) -> dict[str, Any]:
    params = [{"key": "ga_session_id", "value": {"int_value": 17}}]
    if query is not None:
        params.append({"key": "search_term", "value": {"string_value": query}})
    return {
        "event_timestamp": START_US,
        "event_name": name,
        "user_id": user,
        "user_pseudo_id": "p.1",
        "event_params": params,
        "items": None if items is None else [{"item_id": item, "item_name": f"name {item}"} for item in items],
    }


def write(path: Path, events: list[dict[str, Any]]) -> Path:
    """The events as Parquet, or as BigQuery's JSON: whole numbers are text there."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(events, schema=EVENTS), path)
    else:
        texts = [json.dumps({**row, "event_timestamp": str(row["event_timestamp"])}) for row in events]
        path.write_text("\n".join(text.replace('"int_value": 17', '"int_value": "17"') for text in texts))
    return path


def read(path: Path, columns: dict[str, Any] = COLUMNS) -> tuple[list[dict[str, Any]], list[Any], dict[str, int]]:
    """(good rows, rejections, events that are no rows) of a file of one batch."""
    mapping = table_columns({"engagements": columns}, "engagements")
    check_columns([str(path)], mapping, ENGAGEMENTS)
    (part,) = plan_slices([str(path)])
    (raw,) = read_slice(part, mapping, ENGAGEMENTS)
    good, rejected, counts = validate_engagements(raw, part)
    assert counts["rows_read"] == len(good) + len(rejected)
    return good.to_pylist(), rejected, dict(raw.no_rows)


CONTAINERS = pytest.mark.parametrize("name", ["log.parquet", "log.jsonl"])


@CONTAINERS
def test_an_event_is_a_row_for_each_of_its_items(tmp_path, name):
    events = [
        event("view_item", ["a"], query="blue mug"),
        event("session_start", None),
        event("purchase", ["b", "c"], user="u1"),
        event("view_item", []),
        event("page_view", ["a"]),
    ]
    rows, rejected, no_rows = read(write(tmp_path / name, events))
    assert rejected == []
    assert [(row["item_id"], row["action"], row["surface"], row["query"], row["user_id"]) for row in rows] == [
        ("a", "click", "search", "blue mug", "p.1"),
        ("b", "checkout", "home", None, "u1"),
        ("c", "checkout", "home", None, "u1"),
    ]
    assert {row["session_id"] for row in rows} == {"17"}
    assert no_rows == {"events_without_items": 2, "events_of_no_use": 1}


@CONTAINERS
def test_a_bad_item_costs_its_row_alone_and_names_its_event(tmp_path, name):
    path = write(tmp_path / name, [event("view_item", ["a"]), event("view_item", [" ", "b"])])
    rows, rejected, _ = read(path)
    assert [row["item_id"] for row in rows] == ["a", "b"]
    assert [(row.reason, row.where) for row in rejected] == [("null_id", f"{name}:2")]


@CONTAINERS
def test_an_event_of_too_many_items_is_one_broken_row(tmp_path, name):
    many = [str(number) for number in range(MAX_EVENT_ITEMS + 1)]
    rows, rejected, no_rows = read(write(tmp_path / name, [event("purchase", many), event("purchase", many[1:])]))
    assert len(rows) == MAX_EVENT_ITEMS
    assert [(row.reason, row.where) for row in rejected] == [("broken_line", f"{name}:1")]
    assert no_rows == {}


@pytest.mark.medium
@CONTAINERS
def test_large_events_of_many_items_are_read_in_bounded_batches(tmp_path, monkeypatch, name):
    """The texts of an event are repeated for each of its items."""
    monkeypatch.setattr(log_events, "MAX_REPEATED_BYTES", 50_000)
    events = [
        event("purchase", [str(number) for number in range(MAX_EVENT_ITEMS + 1)]),
        event("session_start", None),
        event("view_item", [f"a{number}" for number in range(150)], query="mug " * 5_000),
        event("view_item", ["b", "c"], query="mug"),
        event("view_item", ["d"], query="mug " * 50_000),
    ]
    mapping = table_columns({"engagements": COLUMNS}, "engagements")
    (part,) = plan_slices([str(write(tmp_path / name, events))])
    batches = list(read_slice(part, mapping, ENGAGEMENTS))
    assert max(len(raw.row_numbers) for raw in batches) <= 3
    assert max(raw.table.nbytes for raw in batches if raw.table["item_id"].to_pylist() != ["d"]) < 100_000
    read_in_pieces = [validate_engagements(raw, part) for raw in batches]
    items = [item for good, _, _ in read_in_pieces for item in good["item_id"].to_pylist()]
    assert items == [*(f"a{number}" for number in range(150)), "b", "c", "d"]
    assert [row.where for _, rejected, _ in read_in_pieces for row in rejected] == [f"{name}:1"]
    assert sum(counts["queries_truncated"] for _, _, counts in read_in_pieces) == 151
    assert [dict(raw.no_rows) for raw in batches if raw.no_rows] == [{"events_without_items": 1}]


def test_wrapped_lists_are_lists(tmp_path):
    """As BigQuery writes Parquet unless it is told otherwise."""
    rows = [event("purchase", ["b", "c"], query="mug")]
    for name in ("items", "event_params"):
        rows[0][name] = {"list": [{"element": member} for member in rows[0][name]]}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "log.parquet")
    found, rejected, _ = read(tmp_path / "log.parquet")
    assert rejected == []
    assert [(row["item_id"], row["query"], row["session_id"]) for row in found] == [
        ("b", "mug", "17"),
        ("c", "mug", "17"),
    ]


def test_a_map_of_parameters(tmp_path):
    params = pa.array([[("search_term", "mug"), ("x", "y")]], pa.map_(pa.string(), pa.string()))
    table = pa.Table.from_pylist([event("view_item", ["a"])], schema=EVENTS).set_column(4, "event_params", params)
    pq.write_table(table, tmp_path / "log.parquet")
    ((row,), _, _) = read(tmp_path / "log.parquet")
    assert (row["query"], row["session_id"]) == ("mug", None)


def test_json_whose_values_differ_in_kind(tmp_path):
    """Of a field that no path leads to, and of one that a path does."""
    events = [event("view_item", ["a"]), event("view_item", ["b"])]
    events[0]["items"][0] |= {"item_id": 7, "price": "1.50"}
    events[1]["items"][0]["price"] = {"value": 1.5}
    events[0]["event_params"].append({"key": "engagement", "value": "text"})
    rows, rejected, _ = read(write(tmp_path / "log.jsonl", events))
    assert rejected == []
    assert [(row["item_id"], row["session_id"]) for row in rows] == [("7", "17"), ("b", "17")]


@pytest.mark.parametrize(
    ("items", "num_rows"),
    [
        ("none", 0),
        ({"item_id": "z"}, 1),
        ([["x"]], 0),
        ([{"item_id": "\ud800"}], 0),
        ([{"item_id": {"no": "text"}}], 0),
        ([{"item_id": "\ud800"}, {"item_id": "z"}], 1),
        ([{"item_id": ["list"]}, {"item_id": "z"}], 0),
    ],
)
@pytest.mark.parametrize("place", [0, 25, 50])
def test_an_odd_event_costs_no_row_of_another(tmp_path, items, num_rows, place):
    events = [event("view_item", [f"i{number}", "j"], query="mug") for number in range(48)]
    events[5:5] = [event("view_item", None), event("view_item", [])]
    odd = {**event("view_item", [], query="mug"), "items": items}
    events.insert(place, odd)
    rows, rejected, no_rows = read(write(tmp_path / "log.jsonl", events))
    expected = [row for number in range(48) for row in (f"i{number}", "j")]
    assert [row["item_id"] for row in rows if row["item_id"] != "z"] == expected
    assert len(rows) == len(expected) + num_rows
    assert {row["query"] for row in rows} == {"mug"}
    is_bad = num_rows == 0 or len(items) == 2
    assert [(row.reason, row.where) for row in rejected] == [("null_id", f"log.jsonl:{place + 1}")] * is_bad
    assert no_rows == {"events_without_items": 2}


def test_an_odd_parameter_costs_itself(tmp_path):
    events = [event("view_item", ["a"], query="mug") for _ in range(3)]
    events[1]["event_params"] = [["x"]]
    events[2]["event_params"] = "none"
    rows, rejected, _ = read(write(tmp_path / "log.jsonl", events))
    assert rejected == []
    assert [(row["item_id"], row["query"]) for row in rows] == [("a", "mug"), ("a", None), ("a", None)]


@pytest.mark.parametrize("name", ["log.csv", "log.parquet", "log.jsonl"])
def test_flat_events_of_no_use_are_no_rows(tmp_path, name):
    """page_view has no item: it is not rejected for that."""
    rows = [
        {"event_timestamp": START_US, "event_name": action, "user_pseudo_id": "p.1", "item_id": item}
        for action, item in [("view_item", "a"), ("page_view", None), ("buy", "b")]
    ]
    if name == "log.csv":
        lines = [",".join("" if cell is None else str(cell) for cell in row.values()) for row in rows]
        (tmp_path / name).write_text("\n".join([",".join(rows[0]), *lines]))
    elif name == "log.parquet":
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    else:
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    columns = {**COLUMNS, "user_id": "user_pseudo_id", "item_id": "item_id"}
    columns = {key: given for key, given in columns.items() if key not in ("query", "session_id", "surface")}
    good, rejected, no_rows = read(tmp_path / name, columns)
    assert [(row["item_id"], row["action"], row["surface"]) for row in good] == [("a", "click", "home")]
    assert [row.reason for row in rejected] == ["unknown_action"]
    assert no_rows == {"events_of_no_use": 1}


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ({"name": pa.array([1, 2, None, 3])}, {"values": {"1": "click", "2": ""}}),
        ({"name": pa.array([b"view", b"page", None, b"x"])}, {"values": {"view": "click", "page": ""}}),
        ({"name": pa.array(["ev_click", "ev_scroll", "", "x"])}, {"prefix": "ev_", "values": {"scroll": ""}}),
        (
            {"name": pa.array(["view", "page", "", "x"]), "kind": pa.array([None, None, None, "y"])},
            {"source": ["name", "kind"], "values": {"view": "click", "page": ""}},
        ),
        (
            {"name": pa.array(["page", "page", None, "x"]), "kind": pa.array(["view", "page", "", "y"])},
            {"source": ["name", "kind"], "values": {"view": "click", "page": ""}},
        ),
    ],
    ids=["int", "binary", "prefix", "sources", "both_sources"],
)
def test_the_mapped_action_tells_what_is_of_no_use(tmp_path, cells, told):
    """An action that is missing is not of no use: it is unknown."""
    columns = {"timestamp": pa.array([START_US] * 4), "item_id": pa.array(["a", "b", "c", "d"]), **cells}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    action = {"source": "name", **told}
    good, rejected, no_rows = read(tmp_path / "log.parquet", {"action": action, "user_id": "", "session_id": ""})
    assert [(row["item_id"], row["action"]) for row in good] == [("a", "click")]
    assert [(row.reason, row.item_id) for row in rejected] == [("unknown_action", "c"), ("unknown_action", "d")]
    assert no_rows == {"events_of_no_use": 1}


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_a_word_for_null_may_be_of_no_use(tmp_path, name):
    action = {"source": "event", "values": {"view": "click", "null": "", "7": ""}}
    lines = {
        "log.csv": [f"timestamp,item_id,event\n{START_US},a,view", f"{START_US},b, null", f"{START_US},c,7"],
        "log.jsonl": [
            json.dumps({"timestamp": START_US, "item_id": item, "event": given})
            for item, given in [("a", "view"), ("b", "null "), ("c", 7)]
        ],
    }
    (tmp_path / name).write_text("\n".join(lines[name]))
    good, rejected, no_rows = read(tmp_path / name, {"action": action})
    assert ([row["item_id"] for row in good], rejected) == (["a"], [])
    assert no_rows == {"events_of_no_use": 2}


def test_presence_is_told_of_texts_alone():
    with pytest.raises(UsageError, match="expected a word for a text as present of item_id"):
        table_columns({"engagements": {"item_id": {"source": "x", "present": "y"}}}, "engagements")


def test_times_in_another_list_than_the_items_are_told_with_what_to_do(tmp_path):
    """Visits of Matomo: actions in a list, of which each has a list of items."""
    items = [{"itemSKU": "a"}, {"itemSKU": "b"}]
    actions = [{"timestamp": 1782813600, "type": "ecommerceOrder", "itemDetails": items, "productViewSku": "v"}]
    (tmp_path / "log.jsonl").write_text(json.dumps({"idVisit": 1, "actionDetails": actions}))
    columns = {
        "timestamp": "actionDetails.timestamp",
        "item_id": "actionDetails.itemDetails.itemSKU",
        "action": {"source": "actionDetails.type", "values": {"ecommerceOrder": "checkout"}},
        "user_id": "idVisit",
    }
    rows, rejections, _ = read(tmp_path / "log.jsonl", columns)
    assert (rows, [rejection.reason for rejection in rejections]) == ([], ["null_timestamp"] * 2)
    assert rejections[0].remedy.startswith(
        "'actionDetails.timestamp' and the items are in different lists of an event: write a row for each item"
    )
    rows, rejections, _ = read(tmp_path / "log.jsonl", {**columns, "item_id": "actionDetails.productViewSku"})
    assert ([row["item_id"] for row in rows], rejections) == (["v"], [])


def test_events_by_action_are_counted_only_where_somebody_asks(tmp_path, monkeypatch):
    path = write(tmp_path / "log.parquet", [event("view_item", ["a"]), event("purchase", None)])
    mapping = table_columns({"engagements": COLUMNS}, "engagements")
    (part,) = plan_slices([str(path)])
    (raw,) = read_slice(part, mapping, ENGAGEMENTS)
    assert raw.events_by_action == {"events_with_items:click": 1, "events_without_items:checkout": 1}
    monkeypatch.setattr(log_events, "events_by_action", lambda *_: pytest.fail("counted"))
    rows, _, _ = read(path)
    assert [row["item_id"] for row in rows] == ["a"]
