"""What init finds in a log's objects is what the log's job reads there."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.init.log.items import column_or_path
from pipelines.init.table.first_rows import look_at
from schemas.columns.mapping import table_columns
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import ENGAGEMENTS
from schemas.validation.log import validate_engagements

ITEM = {"item_id": "i1", "price": 9}
FORMS = {
    "a list": [ITEM],
    "Spark's list": {"list": [{"element": ITEM}]},
    "Hive's list": {"bag": [{"array_element": ITEM}]},
    "a list of Avro": {"array": [ITEM]},
    "Arrow's list": {"list": [{"item": ITEM}]},
    "an object": ITEM,
    "a text": json.dumps([ITEM]),
    "parameters": [{"key": "item_id", "value": {"string_value": "i1", "int_value": None}}],
    "parameters of one value": [{"key": "item_id", "value": "i1"}],
    "the second of a list": [{"item_id": None, "price": 1}, ITEM],
    "pairs": "item_id=i1,price=9",
    "nothing": [],
    "null": None,
    "a text of another kind": "a mug",
}


@pytest.mark.parametrize("beside", ["a list", "an object", "Spark's list", "null"])
@pytest.mark.parametrize("form", FORMS)
def test_what_init_sees_the_job_reads(tmp_path: Path, form: str, beside: str) -> None:
    events: list[dict[str, Any]] = [
        {"timestamp": "2026-06-20", "user_id": f"u{number}", "action": "click", "items": FORMS[one]}
        for number, one in enumerate([beside, beside, form])
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    seen = column_or_path(look_at([str(path)]), ["items.item_id"], ("items", "item_id"))
    mapping = table_columns(
        {"engagements": {"item_id": "items.item_id", "surface": {"constant": "home"}}}, "engagements"
    )
    (part,) = plan_slices([str(path)])
    read: dict[str, str] = {}
    for raw in read_slice(part, mapping, ENGAGEMENTS):
        good, _, _ = validate_engagements(raw, part)
        read |= dict(zip(good["user_id"].to_pylist(), good["item_id"].to_pylist(), strict=True))
    assert seen is not None
    assert {f"u{number}": item for number, item in enumerate(seen.values) if item is not None} == read
