"""Descriptions that an editor keeps as JSON are read as the texts in it."""

import json
from pathlib import Path
from typing import Any

import pytest
from init_calls import write_csv, written

from pipelines.init.rehearsal import rehearse_items


def blocks(number: int) -> dict[str, Any]:
    """What Editor.js keeps."""
    texts = [{"id": "x", "type": "paragraph", "data": {"text": f"Straight from the <b>tree</b> {number}"}}]
    items = [{"id": "y", "type": "list", "data": {"style": "unordered", "items": ["sweet", "ripe"]}}]
    return {"time": 1, "blocks": texts + items if number % 2 else texts, "version": "2.22"}


def as_a_text(number: int) -> str:
    return json.dumps(blocks(number))


def descriptions(name: str) -> list[str]:
    config = written(name)
    assert config["columns"]["description"][0].endswith("description.blocks.data.text")
    return rehearse_items([name], config["columns"], "no").items["description"].to_pylist()


WANTED = [f"Straight from the <b>tree</b> {number}" + (" sweet ripe" if number % 2 else "") for number in range(4)]


@pytest.mark.parametrize("kept", [blocks, as_a_text])
@pytest.mark.parametrize("is_within", [True, False])
def test_in_json(kept, is_within):
    rows = [{"sku": f"J-{number}", "name": f"Juice {number}", "description": kept(number)} for number in range(4)]
    lines = [json.dumps({"node": row} if is_within else row) for row in rows]
    Path("p.jsonl").write_text("\n".join(lines) + "\n")
    assert descriptions("p.jsonl") == WANTED


def test_in_csv():
    cells = ['"' + as_a_text(number).replace('"', '""') + '"' for number in range(4)]
    write_csv("p.csv", "sku,name,description", *(f"J-{n},Juice {n},{cell}" for n, cell in enumerate(cells)))
    assert descriptions("p.csv") == WANTED


@pytest.mark.parametrize(
    "kept",
    [
        {"blocks": 1, "data": "x"},
        {"blocks": [{"type": "image", "data": {"file": {"url": "https://e.com/1.jpg"}}}]},
        {"blocks": [{"type": "delimiter", "data": {}}]},
        {"blocks": []},
    ],
)
@pytest.mark.parametrize("is_text", [True, False])
def test_what_has_no_texts_in_blocks_is_not_led_into(kept, is_text):
    told = json.dumps(kept) if is_text else kept
    rows = [{"sku": f"J-{number}", "name": f"Juice {number}", "description": told} for number in range(4)]
    Path("p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert ".blocks.data" not in str(written("p.jsonl")["columns"].get("description"))
