"""A cell that is not what its column holds costs itself, or its row if the row cannot do without it, and nothing else.

Each kind of cell, in Parquet, CSV and JSON lines: some cells of one column are replaced by anything, and the table is
read beside the good one.
"""

import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from exploration import SEED
from hypothesis import given, settings
from hypothesis import strategies as st
from mutated_cells import NUM_ROWS, Form, booleans, lists, pictures, texts, times, whole_numbers, write_table

from schemas.reading.input_files import check_columns
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import CATALOGUE, ENGAGEMENTS, GROUPED_CATALOGUE
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.grouping import ResolvedRows, resolve_rows
from schemas.validation.log import validate_engagements

pytestmark = pytest.mark.medium

NUM_EXAMPLES = 300 if SEED else 25
#: The good columns of a catalogue. `links` tells its rows apart, and has letters that only UTF-8 writes so.
ITEMS = {
    "item_id": [f"i-{row}" for row in range(NUM_ROWS)],
    "links": [f"Größe ☕ {row}" for row in range(NUM_ROWS)],
    "title": [f"Mug, {row} ml" for row in range(NUM_ROWS)],
    "description": [None, "blue", "red", None, "a|b", '27" wide'],
    "brand": ["Acme"] * NUM_ROWS,
    "images": [f"{row}.jpg" for row in range(NUM_ROWS)],
}
#: Those of a log.
EVENTS = {
    "timestamp": [f"2026-06-20T{row:02}:30:00Z" for row in range(NUM_ROWS)],
    "user_id": [f"u-{row}" for row in range(NUM_ROWS)],
    "session_id": [f"s-{row}" for row in range(NUM_ROWS)],
    "surface": ["search"] * NUM_ROWS,
    "query": [f"grün ☕ {row}" for row in range(NUM_ROWS)],
    "item_id": [f"i-{row}" for row in range(NUM_ROWS)],
    "action": ["click", "save"] * (NUM_ROWS // 2),
}
#: Kind of cell -> the column it is in, and its forms.
ITEM_KINDS = {
    "id": ("item_id", texts("i-{}", "ü☕ {}") + whole_numbers()),
    "title": ("title", texts("Mug {}", "Größe ☕ {}")),
    "description": ("description", texts("blue {}", "a,b;c {}")),
    "price, which nobody reads": ("price", texts("9.99 EUR") + whole_numbers()),
    "brand": ("brand", texts("Acme") + whole_numbers()),
    "boolean": ("materials", booleans()),
    "time": ("patterns", times()),
    "list of pictures": ("images", lists("{}.jpg") + texts("a/{}.jpg?v=1")),
    "bytes of a picture": ("images", pictures()),
    "list of categories": ("product_types", lists("Home > Mugs {}")),
    "group": ("group", texts("g-{}") + whole_numbers()),
}
EVENT_KINDS = {
    "user": ("user_id", texts("u-{}") + whole_numbers()),
    "session": ("session_id", texts("s-{}") + whole_numbers()),
    "item": ("item_id", texts("i-{}") + whole_numbers()),
    "time": ("timestamp", times()),
    "action": ("action", texts("click", "save")),
    "surface": ("surface", texts("search")),
    "query": ("query", texts("red mug {}")),
}
#: Columns without which a row is none.
REQUIRED = {"item_id", "timestamp", "action", "surface", "query"}


#: No path is written twice: what a file is like is remembered by its path.
FILE_NUMBERS = itertools.count()


def read(path: Path, schema: pa.Schema) -> tuple[pa.Table, list[ResolvedRows]]:
    """(the good rows of a file, what becomes of a catalogue's): each row is a good one or a rejection, each good row an
    item, one of the rows of an item or a rejection."""
    validate = validate_engagements if schema.equals(ENGAGEMENTS) else validate_catalogue
    columns = {"group": "group"} if schema.equals(GROUPED_CATALOGUE) else {}
    check_columns([str(path)], columns, schema)
    (part,) = plan_slices([str(path)])
    (raw,) = read_slice(part, columns, schema)
    rows, rejections, counts = validate(raw, part)
    num_lost = sum(rejection.level == "row" for rejection in rejections)
    assert counts["rows_read"] == NUM_ROWS == rows.num_rows + num_lost
    assert all(rejection.got.isprintable() for rejection in rejections)
    ways = ("no", "merge", "share-pictures") if schema.equals(CATALOGUE) else ("merge",)
    resolved = [] if schema.equals(ENGAGEMENTS) else [resolve_rows(rows, [path.name], way) for way in ways]
    for found in resolved:
        num_left = found.items.num_rows + found.num_collapsed + found.num_merged
        assert rows.num_rows == num_left + len(found.rejections)
    return rows, resolved


def check_kind(data: st.DataObject, folder: Path, good: dict[str, list[Any]], column: str, forms: list[Form]) -> None:
    """Draws a form and other cells for it, and compares what is read with what is read of the good ones."""
    form = forms[data.draw(st.integers(0, len(forms) - 1), "form")]
    bad = data.draw(st.dictionaries(st.integers(0, NUM_ROWS - 1), form.bad, min_size=1, max_size=3), "cells")
    schema = ENGAGEMENTS if "action" in good else GROUPED_CATALOGUE if column == "group" else CATALOGUE
    read_of = []
    for cells in ({}, bad):
        path = folder / f"{next(FILE_NUMBERS)}.{form.container}"
        values = [cells.get(row, value) for row, value in enumerate(form.good)]
        write_table(path, {**good, column: values}, column, form)
        read_of.append(read(path, schema))
        path.unlink()
    (before, resolved_before), (after, resolved_after) = read_of
    key = "links" if schema is not ENGAGEMENTS else "user_id" if column == "item_id" else "item_id"
    found = {row[key]: row for row in after.select(schema.names).to_pylist()}
    assert before.num_rows == NUM_ROWS
    for number, row in enumerate(before.select(schema.names).to_pylist()):
        kept = [name for name in row if number not in bad or name != column]
        if number not in bad or column not in REQUIRED or row[key] in found:
            assert {name: found[row[key]][name] for name in kept} == {name: row[name] for name in kept}
    untouched = [name for number, name in enumerate(before["item_id"].to_pylist()) if number not in bad]
    for one, other in zip(resolved_before, resolved_after, strict=True):
        assert items_of(one, untouched) == items_of(other, untouched)


def items_of(resolved: ResolvedRows, item_ids: list[str]) -> list[dict[str, Any]]:
    """Those items, as they are published."""
    return [row for row in resolved.items.select(CATALOGUE.names).to_pylist() if row["item_id"] in item_ids]


@pytest.mark.parametrize("kind", ITEM_KINDS)
@settings(max_examples=NUM_EXAMPLES)
@given(data=st.data())
def test_cells_of_items(tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject) -> None:
    check_kind(data, tmp_path_factory.getbasetemp(), ITEMS, *ITEM_KINDS[kind])


@pytest.mark.parametrize("kind", EVENT_KINDS)
@settings(max_examples=NUM_EXAMPLES)
@given(data=st.data())
def test_cells_of_events(tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject) -> None:
    check_kind(data, tmp_path_factory.getbasetemp(), EVENTS, *EVENT_KINDS[kind])
