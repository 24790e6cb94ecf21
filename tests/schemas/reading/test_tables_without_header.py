"""Delimited text whose first line is a row: said where it shows, and read by the names that the config gives."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_tables import MUGS, read, words, write

from schemas.columns.names_or_values import value_among_names
from schemas.errors import UsageError
from schemas.files import declare
from schemas.reading.formats_of_config import checked_format
from schemas.reading.input_files import check_columns, count_rows
from schemas.reading.rows import plan_slices, read_slice

ROWS = "A-1,Red mug,a.jpg\n"
NAMES = ["item_id", "title", "images"]


def said(path: Path, *names: str, **form: str) -> str:
    return declare(str(path), checked_format({"header": list(names or NAMES), **form}, "catalogue", "shop.toml"))


@pytest.mark.parametrize("above", ["", "sep=,\n", "\n", ",".join(NAMES) + "\n"])
def test_the_first_line_is_a_row_below_the_names_of_the_config(tmp_path: Path, above: str) -> None:
    """Also in a part that has them itself."""
    path = said(write(tmp_path / "c.csv", above + ROWS))
    assert read(path) == (MUGS[:1], [])
    (raw,) = (raw for part in plan_slices([path]) for raw in read_slice(part, {}))
    assert raw.row_numbers.tolist() == [1 + above.count("\n")]


def test_rows_are_counted_and_the_form_is_told(tmp_path: Path) -> None:
    path = said(write(tmp_path / "c.csv", ROWS * 3))
    assert (count_rows([path]), words(path)) == (3, "c.csv: the config names its columns")


@pytest.mark.parametrize("separator", [";", "\t", "|", "^"])
def test_other_dialects_without_a_header(tmp_path: Path, separator: str) -> None:
    text = "A-1,Red mug,a.jpg\nA-2,Blue mug,c.jpg\n".replace(",", separator)
    form = {"separator": separator} if separator == "^" else {}
    found, broken = read(said(write(tmp_path / "c.csv", gzip.compress(text.encode())), **form))
    assert ([row[0] for row in found], broken) == (["A-1", "A-2"], [])


def test_a_column_without_a_name_is_not_read(tmp_path: Path) -> None:
    path = said(write(tmp_path / "c.csv", "9,A-1,x,Red mug,a.jpg\n"), "", "item_id", "", "title", "images")
    assert read(path) == (MUGS[:1], [])


def test_names_that_are_not_as_many_as_the_cells_are_refused(tmp_path: Path) -> None:
    path = said(write(tmp_path / "c.csv", ROWS), "item_id", "title")
    with pytest.raises(UsageError, match=r"expected 3 names in \[format\] header.*'Red mug'.*got 2"):
        check_columns([path], {})


@pytest.mark.parametrize("header", ["item_id", [], ["a", 1], ["a", "a"], ["", " "], {"a": 1}])
def test_what_is_no_header_is_refused(header: object) -> None:
    with pytest.raises(UsageError, match=r"header of \[format\] in shop\.toml"):
        checked_format({"header": header}, "catalogue", "shop.toml")


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (["A-1", "Red mug", "9.99"], "9.99"),
        (["A-1", "Red mug", "EUR 9,99"], "EUR 9,99"),
        (["A-1", "Red mug", "2026-06-20"], "2026-06-20"),
        (["A-1", "Red mug", "https://x.example/1"], "https://x.example/1"),
        (["A-1", "Red mug", "5"], None),
        (["ref", "wording", "v1.2"], None),
        (["sku", "Red mug", "9.99"], None),
    ],
)
def test_values_among_names(names: list[str], value: str | None) -> None:
    assert value_among_names(names) == value


@pytest.mark.parametrize(
    ("row", "value"), [("A-{n},Red mug {n},Acme", "Acme"), ("A-{n},Red mug {n},{n}.jpg", "0.jpg"), ("{n},Mug,5", "0")]
)
def test_a_job_asks_whether_the_first_line_is_a_row(tmp_path: Path, row: str, value: str) -> None:
    path = write(tmp_path / "c.csv", "".join(row.format(n=n) + "\n" for n in range(3)))
    with pytest.raises(UsageError, match=rf"'{value}' looks like a value.*all 3 .*\[format\] header = ") as error:
        check_columns([str(path)], {"item_id": "sku"})
    assert "expected the names of columns in" in str(error.value)


def test_names_that_nobody_uses_are_still_names(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "ref,wording\nA-1,Red mug\nA-2,Blue mug\n")
    with pytest.raises(UsageError, match=r"expected a column 'sku' for item_id, got ref, wording"):
        check_columns([str(path)], {"item_id": "sku"})


@pytest.mark.medium
@given(st.lists(st.lists(st.text('abc ,"\n;', min_size=1), min_size=2, max_size=2), min_size=1, max_size=5))
def test_the_rows_are_the_same_as_below_a_header(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("t")
    lines = "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in cells)
    form = {"separator": ",", "quote": '"'}
    without = said(write(folder / "a.csv", lines), "item_id", "title", **form)
    path = str(write(folder / "b.csv", "item_id,title\n" + lines))
    assert read(without) == read(declare(path, form))
