"""Columns whose meaning another column names, against the same thing said row by row."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns.mapping import table_columns
from schemas.columns.named_options import carried, option_name
from schemas.errors import UsageError
from schemas.reading import rows as reading
from schemas.reading.input_files import check_columns
from schemas.reading.rows import plan_slices, read_slice

NAMED = {
    "item_id": "Handle",
    "size": {"source": ["V1", "V2"], "named_by": ["N1", "N2"], "names": ["Size", "Größe"], "within": "Handle"},
    "colors": {"source": ["Own", "V1", "V2"], "named_by": ["", "N1", "N2"], "names": ["color"], "within": "Handle"},
}
HEADER = ("Handle", "Own", "N1", "V1", "N2", "V2")
ROWS = [
    ("tee", "", "Size", "S", "pa_color", "Red"),
    ("tee", "", "", "M", "", "Red"),
    ("jacket", "navy", "Color", "Blue", "GRÖSSE", "XL"),
    ("candle", "", "Scent", "Rose", "", ""),
    ("candle", "", "", "Vanilla", "", ""),
    ("tee", "", "", "L", "", "Blue"),
]
SIZES = [["S", None], ["M", None], [None, "XL"], [None, None], [None, None], [None, None]]
COLORS = [[None, "Red"], [None, "Red"], ["Blue", None], [None, None], [None, None], [None, None]]


def _read(path: str, columns: dict = NAMED) -> list[dict]:
    mapping = table_columns(columns, "catalogue")
    check_columns([path], mapping)
    rows = []
    for file_slice in plan_slices([path]):
        for raw in read_slice(file_slice, mapping):
            assert raw.columns is mapping
            assert {name for name in raw.table.column_names if "+" in name} <= {"size+1", "colors+1", "colors+2"}
            rows += raw.table.to_pylist()
    return rows


def _write_csv(path: Path, rows: list[tuple[str, ...]]) -> str:
    path.write_text("".join(",".join(row) + "\n" for row in [HEADER, *rows]))
    return str(path)


def _without_blank(row: dict, names: list[str]) -> list[str | None]:
    return [row[name] or None for name in names]


@pytest.mark.parametrize("rows_of_a_batch", [1, 2, 100])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_each_rows_own_names_decide(tmp_path, monkeypatch, kind, rows_of_a_batch):
    """However the rows fall into batches; a product that comes again further below has no names of its own there."""
    monkeypatch.setattr(reading, "MAX_BATCH_ROWS", rows_of_a_batch)
    path = _write_csv(tmp_path / "p.csv", ROWS)
    if kind == "parquet":
        path = str(tmp_path / "p.parquet")
        columns = {name: [row[n] or None for row in ROWS] for n, name in enumerate(HEADER)}
        pq.write_table(pa.table(columns), path)
    rows = _read(path)
    assert [_without_blank(row, ["size", "size+1"]) for row in rows] == SIZES
    assert [_without_blank(row, ["colors+1", "colors+2"]) for row in rows] == COLORS
    assert [row["colors"] or None for row in rows] == [None, None, "navy", None, None, None]


def test_without_within_every_row_has_names_of_its_own(tmp_path):
    size = {key: value for key, value in NAMED["size"].items() if key != "within"}
    rows = _read(_write_csv(tmp_path / "p.csv", ROWS), {**NAMED, "size": size})
    assert [row["size"] or row["size+1"] for row in rows][:2] == ["S", None]


def test_values_of_json_that_are_no_text(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(
        '{"Handle": "a", "Own": null, "N1": "Size", "V1": 38, "N2": 7, "V2": ["x"]}\n'
        '{"Handle": "a", "Own": null, "N1": null, "V1": "M", "N2": {"a": 1}, "V2": {"b": 2}}\n'
    )
    mapping = table_columns(NAMED, "catalogue")
    (raw,) = read_slice(plan_slices([str(path)])[0], mapping)
    assert raw.mixed["size"] == [38, "M"]
    assert raw.mixed.get("size+1", [None, None]) == [None, None]
    assert set(raw.mixed) <= set(raw.table.column_names)


CELLS = st.sampled_from([None, "a", "b"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=12))
def test_carried_names_are_those_that_stand_above(rows):
    """By a search upwards for each row."""
    names, held_by = [row[0] for row in rows], [row[1] for row in rows]

    def above(number: int) -> str | None:
        for place in range(number, -1, -1):
            if held_by[place] != held_by[number] or (place < number and held_by[number] is None):
                return None
            if names[place] is not None:
                return names[place]
        return None

    assert carried(names, held_by) == [above(number) for number in range(len(rows))]
    assert carried(names, None) == names


def test_names_are_the_same_in_any_case_and_with_any_signs():
    assert len({option_name(text) for text in ("Shoe Size", "shoe-size", " SHOE_SIZE ", "pa_shoe-size")}) == 1


def test_a_naming_column_that_is_missing_is_told(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("Handle,Own,N1,V1,V2\na,,Size,S,\n")
    with pytest.raises(UsageError, match=r"expected a column 'N2' for .*named_by or within"):
        check_columns([str(path)], table_columns(NAMED, "catalogue"))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"source": ["V1", "V2"], "named_by": ["N1"], "names": ["size"]}, "for each source the column that names it"),
        ({"source": "V1", "named_by": "N1", "names": ["size"]}, "for each source the column that names it"),
        ({"source": "V1", "named_by": [""], "names": ["size"]}, "for each source the column that names it"),
        ({"source": "V1", "named_by": ["N1"]}, "what named_by's columns say"),
        ({"source": "V1", "names": ["size"]}, "what named_by's columns say"),
        ({"source": "V1", "within": "Handle"}, "the name of a column, beside named_by alone"),
    ],
)
def test_what_is_no_such_entry(entry, expected):
    with pytest.raises(UsageError, match=expected):
        table_columns({"size": entry}, "catalogue")


def test_an_id_is_named_by_no_column():
    with pytest.raises(UsageError, match="of a text alone"):
        table_columns({"item_id": {"source": "V1", "named_by": ["N1"], "names": ["sku"]}}, "catalogue")
