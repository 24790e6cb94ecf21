"""Cells of every type that shops' files have: a bad one costs no other."""

import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from read_tables import catalogue_of, log_of, write_parquet

from schemas.columns.raw_rows import FileSlice, RawRows
from schemas.tables import CATALOGUE
from schemas.validation.catalogue import validate_catalogue

pytestmark = pytest.mark.medium

SLICE = FileSlice(0, "c.parquet")
NOON = datetime(2026, 6, 20, 12, tzinfo=UTC)
SECONDS = int(NOON.timestamp())
CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.lists(st.one_of(st.none(), st.text(max_size=3), st.integers()), max_size=3),
)


@pytest.mark.parametrize("name", ["title", "size", "images", "google_product_category"])
@settings(max_examples=300, deadline=None)
@given(values=st.lists(CELLS, min_size=1, max_size=5))
def test_a_bad_cell_costs_no_other(name: str, values: list[Any]) -> None:
    num_rows = len(values)
    arrays = {column: pa.nulls(num_rows) for column in CATALOGUE.names}
    arrays |= {"item_id": pa.array([f"i{n}" for n in range(num_rows)]), "brand": pa.array(["Acme"] * num_rows)}
    raw = RawRows(1, pa.table(arrays), [], np.arange(1, num_rows + 1), {name: values})
    good, rejected, _ = validate_catalogue(raw, SLICE)
    assert not rejected
    assert good["brand"].to_pylist() == ["Acme"] * num_rows


def test_a_log_of_strange_cells(tmp_path: Path) -> None:
    lines = [
        {
            "timestamp": SECONDS,
            "user_id": {"id": 1},
            "item_id": " a",
            "action": "Add to cart",
            "surface": "HOME",
        },
        {"timestamp": "2026-06-20 12:00:00 UTC", "user_id": 7.0, "item_id": 5, "action": "CHECKOUT", "surface": "home"},
        {
            "timestamp": SECONDS * 1_000,
            "user_id": "  ",
            "item_id": "a",
            "action": "Buy",
            "surface": "home",
        },
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    rows, reasons, counts = log_of(path)
    assert (rows["user_id"], rows["item_id"], rows["timestamp"]) == ([None, "7"], ["a", "5"], [NOON] * 2)
    assert (rows["action"], reasons) == (["add_to_cart", "checkout"], ["unknown_action"])
    assert (counts["cells_unreadable:user_id"], counts["ids_trimmed"]) == (1, 1)


def test_user_ids_of_guests_make_floats(tmp_path: Path) -> None:
    log = {"timestamp": [NOON] * 3, "user_id": [1.0, float("nan"), 2.0], "surface": ["home"] * 3}
    path = write_parquet(tmp_path / "log.parquet", **log, item_id=["a"] * 3, action=["click"] * 3)
    rows, reasons, _ = log_of(path)
    assert (rows["user_id"], reasons) == (["1", None, "2"], [])


@pytest.mark.parametrize("name", ["images", "title", "item_id"])
def test_a_small_file_whose_cell_unfolds_to_many_values_takes_little_memory(tmp_path: Path, name: str) -> None:
    """Lists of structs: eight bytes a member in Arrow, some hundred in Python."""
    num_members = 300_000
    members = pa.StructArray.from_arrays([pa.nulls(num_members, pa.int8())] * 8, names=list("abcdefgh"))
    huge = pa.ListArray.from_arrays(pa.array([0, num_members, num_members], pa.int32()), members)
    columns = {"item_id": pa.array(["a", "b"]), "brand": pa.array(["x", "y"]), name: huge}
    path = write_parquet(tmp_path / "c.parquet", **columns)
    assert path.stat().st_size < 8_000
    tracemalloc.start()
    try:
        rows, reasons, counts = catalogue_of(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 10 << 20
    if name == "item_id":
        assert reasons == ["wrong_type", "wrong_type"]
    else:
        assert (rows["brand"], counts[f"cells_unreadable:{name}"]) == (["x", "y"], 1)
