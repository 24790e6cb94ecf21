"""Values by keys in one column: pairs in a text, JSON in a text, lists of objects by their names, maps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from read_tables import catalogue_of, log_of, write_rows

from schemas.cells.keyed_texts import keyed
from schemas.columns.mapping import table_columns

KEYS = st.from_regex(r"[a-z][a-z_0-9]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters='"|\r\n', exclude_categories=["Cs", "Z"]), min_size=1)


@pytest.mark.medium
@given(st.dictionaries(KEYS, VALUES, min_size=1), st.sampled_from([",", ";", "|"]), st.sampled_from("=:"))
def test_pairs_in_quotes_are_what_was_written(given: dict[str, str], separator: str, mark: str) -> None:
    text = separator.join(f'{key}{mark}"{value}"' for key, value in given.items())
    assert keyed(text) == given


@given(st.text(max_size=60))
def test_any_text_is_an_object_a_list_or_nothing(text: str) -> None:
    assert isinstance(keyed(text), dict | list | None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("color=Red,size=M,material=Cotton|Linen", {"color": "Red", "size": "M", "material": ["Cotton", "Linen"]}),
        ("description=Soft, warm, and good,color=Red", {"description": "Soft, warm, and good", "color": "Red"}),
        (
            'description=<p style="a: b">x, y=z</p>,color=Red',
            {"description": '<p style="a: b">x, y=z</p>', "color": "Red"},
        ),
        ('a="x, b=c ""q""",d=,e=1', {"a": 'x, b=c "q"', "d": None, "e": "1"}),
        ("color=Red, size=M", {"color": "Red", "size": "M"}),
        ("Color: Red; Size: M, L", {"Color": "Red", "Size": "M, L"}),
        ("Farbe=Rot|Größe=M", {"Farbe": "Rot", "Größe": "M"}),
        ("Color: Red\nSize: M", {"Color": "Red", "Size": "M"}),
        ("size=S,size=M", {"size": ["S", "M"]}),
        ("url=https://x.example/a,size=M", {"url": "https://x.example/a", "size": "M"}),
        ("{'brand': None}", {"brand": None}),
        ("https://x.example/a=b,c=d", None),
        ("10:05", None),
        ("a red mug", None),
        ('["S", "M"]', None),
        ("{broken", None),
        ("", None),
    ],
)
def test_texts_as_shops_write_them(text: str, expected: object) -> None:
    assert keyed(text) == expected


def _magento(row: dict[str, Any]) -> str:
    return ",".join(f"{key}={'|'.join(value) if isinstance(value, list) else value}" for key, value in row.items())


def _listed(name: str, value: str) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    return lambda row: [{name: key, value: inner} for key, inner in row.items()]


def _of_types(row: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"string_value": value, "int_value": None}} for key, value in row.items()]


PLAIN = [{"color": "Red", "description": "A warm scarf"}, {"color": "Blue"}]
FORMS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pairs": _magento,
    "json": json.dumps,
    "json list": lambda row: json.dumps(_listed("attribute_code", "value")(row)),
    "json types": lambda row: json.dumps(_of_types(row)),
    "custom_attributes": _listed("attribute_code", "value"),
    "metafields": _listed("key", "value"),
    "commercetools": _listed("name", "value"),
    "types": _of_types,
}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("name", ["c.csv", "c.jsonl", "c.parquet"])
def test_a_key_is_named_like_a_field(tmp_path: Path, name: str, form: str) -> None:
    """The same of every form in every container; a row without the key, or without anything, has null."""
    given = [FORMS[form](row) for row in PLAIN]
    rows = [{"item_id": str(n), "attrs": value} for n, value in enumerate([*given, None])]
    columns = {"colors": "attrs.color", "description": "attrs.description", "images": ""}
    found, reasons, counts = catalogue_of(write_rows(tmp_path / name, rows), **columns)
    assert (reasons, [name for name in counts if "unreadable" in name]) == ([], [])
    assert found["colors"] == ["Red", "Blue", None]
    assert found["description"] == ["A warm scarf", None, None]


def test_a_key_of_a_map(tmp_path: Path) -> None:
    schema = pa.schema([("item_id", pa.string()), ("attrs", pa.map_(pa.string(), pa.string()))])
    rows = [{"item_id": str(n), "attrs": list(row.items())} for n, row in enumerate(PLAIN)]
    path = write_rows(tmp_path / "c.parquet", [*rows, {"item_id": "2", "attrs": None}], schema)
    found, reasons, _ = catalogue_of(path, colors="attrs.color", images="")
    assert (found["colors"], reasons) == (["Red", "Blue", None], [])


def test_a_label_of_a_value_by_its_name(tmp_path: Path) -> None:
    """commercetools' enums."""
    color = {"name": "color", "value": {"key": "r", "label": {"en": "Red", "de": "Rot"}}}
    rows = [{"item_id": "1", "attributes": [color, {"name": "size", "value": "M"}]}]
    columns = {"colors": "attributes.color.label.de", "size": "attributes.size", "images": ""}
    found, _, _ = catalogue_of(write_rows(tmp_path / "c.jsonl", rows), **columns)
    assert (found["colors"], found["size"]) == (["Rot"], ["M"])


@pytest.mark.parametrize("name", ["c.csv", "c.jsonl", "c.parquet"])
def test_an_id_by_a_key(tmp_path: Path, name: str) -> None:
    rows = [{"attrs": f"sku={number},state=live", "title": "t"} for number in ("A-1", "007")]
    found, reasons, _ = catalogue_of(write_rows(tmp_path / name, rows), item_id="attrs.sku", images="")
    assert (found["item_id"], reasons) == (["A-1", "007"], [])


EVENTS = [
    {
        "timestamp": "2026-06-20T10:00:00Z",
        "user_id": "u",
        "event": "purchase",
        "items": [{"item_id": "A", "price": 1.5}, {"item_id": "B"}],
        "params": [{"key": "ga_session_id", "value": {"string_value": None, "int_value": 17}}],
    },
    {"timestamp": "2026-06-20T10:00:00Z", "user_id": "u", "event": "page_view", "items": [], "params": []},
    {"timestamp": "2026-06-20T10:00:00Z", "user_id": "v", "event": "purchase", "items": None, "params": None},
]
LOG = {
    "item_id": "items.item_id",
    "session_id": "params.ga_session_id",
    "action": {"source": "event", "values": {"purchase": "checkout", "page_view": "impression"}},
}


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("name", ["l.csv", "l.jsonl", "l.parquet"])
def test_events_whose_items_are_json_in_a_text(tmp_path: Path, name: str, as_text: bool) -> None:
    def told(value: Any) -> Any:
        return json.dumps(value) if as_text and isinstance(value, list) else value

    path = write_rows(tmp_path / name, [{key: told(value) for key, value in row.items()} for row in EVENTS])
    good, reasons, counts = log_of(path, **table_columns({"engagements": LOG}, "engagements"))
    assert (good["item_id"], good["session_id"], reasons) == (["A", "B"], ["17", "17"], [])
    assert (good["action"], counts["rows_read"]) == (["checkout"] * 2, 2)


@pytest.mark.parametrize("name", ["l.jsonl", "l.parquet"])
def test_items_are_json_in_a_text_of_an_object(tmp_path: Path, name: str) -> None:
    """As Spark and Segment's warehouses keep what they do not know."""
    rows = [
        {
            **row,
            "properties": {"items": row["items"] if row["items"] is None else json.dumps(row["items"])},
            "items": None,
        }
        for row in EVENTS
    ]
    columns = {**LOG, "item_id": "properties.items.item_id", "session_id": "params.ga_session_id"}
    good, reasons, _ = log_of(
        write_rows(tmp_path / name, rows), **table_columns({"engagements": columns}, "engagements")
    )
    assert (good["item_id"], reasons) == (["A", "B"], [])


@pytest.mark.parametrize("name", ["l.csv", "l.jsonl", "l.parquet"])
def test_a_parameter_of_a_log_by_its_name(tmp_path: Path, name: str) -> None:
    rows = [
        {"timestamp": "2026-06-20T10:00:00Z", "user_id": "u", "item_id": "A", "p": [{"name": key, "value": "x"}]}
        for key in ("visit", "other")
    ]
    good, reasons, _ = log_of(write_rows(tmp_path / name, rows), session_id="p.visit")
    assert (good["item_id"], good["session_id"], reasons) == (["A", "A"], ["x", None], [])
