"""Lists of pictures, however they are written: the same in every container."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from read_tables import catalogue_of, write_parquet

from schemas.cell_lists import list_members
from schemas.cell_text import UnreadableCellError


@pytest.mark.parametrize(
    ("cell", "members"),
    [
        ("one.jpg", ["one.jpg"]),
        ("Mug, blue.jpg", ["Mug, blue.jpg"]),
        ("[hero] shot.jpg", ["[hero] shot.jpg"]),
        ("a.jpg|b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg | b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg,b.jpg", ["a.jpg", "b.jpg"]),
        ("https://x/a.jpg?w=1, https://x/b.jpg?w=2", ["https://x/a.jpg?w=1", "https://x/b.jpg?w=2"]),
        ("https://x/w_100,h_100/a.jpg", ["https://x/w_100,h_100/a.jpg"]),
        ("a.PNG; b.webp", ["a.PNG", "b.webp"]),
        ('["a.jpg", null]', ["a.jpg", None]),
        ("['a, b.jpg', 'c.jpg']", ["a, b.jpg", "c.jpg"]),
        ("('a.jpg',)", ["a.jpg"]),
        ('[{"src": "a.jpg"}, {"url": "b.jpg"}]', ["a.jpg", "b.jpg"]),
        ('{"src": "a.jpg"}', ["a.jpg"]),
        ({"list": [{"element": "a.jpg"}, {"element": None}]}, ["a.jpg", None]),
        ({"array": ["a.jpg"]}, ["a.jpg"]),
        ({"list": None}, []),
        ([{"id": 5, "src": "a.jpg"}], ["a.jpg"]),
    ],
)
def test_lists_as_systems_write_them(cell: Any, members: list[str | None]) -> None:
    assert list_members(cell) == members


@pytest.mark.parametrize(
    "cell",
    [
        "[a, b]",
        '["a.jpg", "b',
        "[" * 100_000,
        "[" * 101 + "]" * 101,
        '[["a"]]',
        5,
        "|" * 20_000,
        "a.jpg," * 20_000,
        {"a": 1},
    ],
)
def test_lists_that_cannot_be_read(cell: Any) -> None:
    with pytest.raises(UnreadableCellError):
        list_members(cell)


LISTS = ["a.jpg|b.jpg", '["a.jpg","b.jpg"]', "['a.jpg', 'b.jpg']", "a.jpg, b.jpg", "a.jpg;b.jpg", "a.jpg,b.jpg"]


@pytest.mark.parametrize("name", ["c.parquet", "c.jsonl", "c.csv"])
def test_lists_are_the_same_in_every_container(tmp_path: Path, name: str) -> None:
    path, ids = tmp_path / name, [f"i{number}" for number in range(len(LISTS))]
    if name == "c.parquet":
        write_parquet(path, item_id=ids, images=LISTS)
    elif name == "c.jsonl":
        path.write_text("\n".join(json.dumps({"item_id": i, "images": x}) for i, x in zip(ids, LISTS, strict=True)))
    else:
        cells = ['"' + text.replace('"', '""') + '"' for text in LISTS]
        path.write_text("item_id,images\n" + "\n".join(map(",".join, zip(ids, cells, strict=True))))
    assert catalogue_of(path)[0]["images"] == [["a.jpg", "b.jpg"]] * len(LISTS)


def test_lists_wrapped_in_structs(tmp_path: Path) -> None:
    wrapped = [{"list": [{"element": "a.jpg"}, {"element": "b.jpg"}]}, {"list": []}, None]
    rows, _, counts = catalogue_of(
        write_parquet(tmp_path / "c.parquet", item_id=["a", "b", "c"], images=pa.array(wrapped))
    )
    assert (rows["images"], "cells_unreadable:images" in counts) == ([["a.jpg", "b.jpg"], [], []], False)


def test_a_cell_of_separators_costs_only_itself(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "c.parquet", item_id=["a", "b"], images=["|" * 1_000_000, "a.jpg|b.jpg"])
    rows, _, counts = catalogue_of(path)
    assert (rows["images"], counts["cells_unreadable:images"]) == ([[], ["a.jpg", "b.jpg"]], 1)
