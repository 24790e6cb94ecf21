"""`100.0` is the id 100, in every container and column of ids alike, unless the column of the whole table has
codes; how its rows lie in files, and what other rows are, makes no difference."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from read_tables import write_parquet, write_rows

from schemas.columns.mapping import catalogue_schema, table_columns
from schemas.columns.spec import ColumnsOfTable, parse_column
from schemas.errors import UsageError
from schemas.reading.rows import mixed_ids, plan_slices, read_slice
from schemas.tables import ENGAGEMENTS, JUDGEMENTS
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.log import validate_engagements, validate_judgements

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
OF_LOG = ("item_id", "user_id", "session_id")
IDS = [("catalogue", "item_id"), ("catalogue", "group"), ("judgements", "item_id")]
IDS += [("engagements", name) for name in OF_LOG]
ROWS: dict[str, dict[str, Any]] = {
    "catalogue": {"item_id": "i", "title": "Mug", "group": None},
    "judgements": {"surface": "search", "query": "mug", "item_id": "i", "grade": "1"},
    "engagements": {
        "timestamp": "2026-06-20",
        "user_id": "u",
        "session_id": "s",
        "surface": "home",
        "item_id": "i",
        "action": "click",
    },
}
VALIDATE = {"catalogue": validate_catalogue, "engagements": validate_engagements, "judgements": validate_judgements}
#: Cells of a column -> the ids. None: nobody, which costs an item its row.
COLUMNS = {
    "pandas": (["100.0", "101.00", "-7.0", "0.0"], ["100", "101", "-7", "0"]),
    "another": (["100.0", "abc", "1e5", "0"], ["100", "abc", "1e5", "0"]),
    "parts": (["100.0", "100", "7"], ["100", "100", "7"]),
    "zeros": (["007", "8.0", "9"], ["007", "8.0", "9"]),
    "addresses": (["10.0.0.1", "8.0"], ["10.0.0.1", "8"]),
    "sizes": (["12.0", "12.5", "13"], ["12.0", "12.5", "13"]),
    "versions": (["1.0", "1.1", "1.10"], ["1.0", "1.1", "1.10"]),
    "longer versions": (["1.0", "1.0.1"], ["1.0", "1.0.1"]),
    "large": (["9007199254740993", "1.0"], ["9007199254740993", "1"]),
}


def written(path: Path, table: str, name: str, cells: Sequence[str | None]) -> Path:
    """A table whose column `name` has these cells, all else being good."""
    return write_rows(path, [{**ROWS[table], "item_id": f"i{n}", name: cell} for n, cell in enumerate(cells)])


def ids_of(files: Sequence[Path], table: str, name: str, **columns: Any) -> list[str | None]:
    """The ids of the column in the files of a table, in order."""
    return [one for one, _ in read(files, table, name, **columns)]


def read(files: Sequence[Path], table: str, name: str, **columns: Any) -> list[tuple[str | None, dict[str, int]]]:
    """(the id, counts of its batch) of each row."""
    paths = list(map(str, files))
    mapping, schema = mapping_of(paths, table, columns)
    found = []
    for part in plan_slices(paths):
        for raw in read_slice(part, mapping, schema):
            good, rejected, counts = VALIDATE[table](raw, part)
            assert not rejected
            found += [(one, dict(counts)) for one in good[name].to_pylist()]
    return found


def mapping_of(paths: Sequence[str], table: str, columns: dict[str, Any]) -> tuple[ColumnsOfTable, pa.Schema]:
    columns = {"group": "group", **columns} if table == "catalogue" else columns
    parsed = table_columns(columns if table == "catalogue" else {table: columns}, table)
    schema = {"catalogue": catalogue_schema(parsed), "engagements": ENGAGEMENTS, "judgements": JUDGEMENTS}[table]
    return ColumnsOfTable(parsed, paths), schema


@pytest.mark.medium
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("table", "name"), IDS)
@pytest.mark.parametrize("column", COLUMNS)
def test_every_container_and_column_of_ids_has_one_rule(
    tmp_path: Path, suffix: str, table: str, name: str, column: str
) -> None:
    cells, ids = COLUMNS[column]
    assert ids_of([written(tmp_path / f"t{suffix}", table, name, cells)], table, name) == ids


@pytest.mark.parametrize("word", ["guest", "Anonymous", "(not set)", "null", "nan", "abc", "10.0.0.1", None])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_odd_cell_calls_nobody_otherwise(tmp_path: Path, suffix: str, word: str | None) -> None:
    """The fault that was: a guest, or an id that is a word, made 100.0 out of 100."""
    log = written(tmp_path / f"l{suffix}", "engagements", "user_id", ["100.0", word, "101.0"])
    assert ids_of([log], "engagements", "user_id")[::2] == ["100", "101"]


def test_a_slip_in_one_cell_of_many_is_no_code(tmp_path: Path) -> None:
    cells = [f"{n}.0" for n in range(100)]
    for num_slips, last in ((1, "99"), (2, "99.0")):
        log = written(tmp_path / "l.csv", "engagements", "user_id", ["3.14"] * num_slips + cells)
        assert ids_of([log], "engagements", "user_id")[-1] == last


def test_the_part_of_a_folder_makes_no_difference(tmp_path: Path) -> None:
    parts = [["100", "101"], ["100.0", None], ["guest", "100.0"], ["abc"]]
    files = [written(tmp_path / f"{n}.csv", "engagements", "user_id", cells) for n, cells in enumerate(parts)]
    assert ids_of(files, "engagements", "user_id") == ["100", "101", "100", None, None, "100", "abc"]
    with_sizes = [*files, written(tmp_path / "4.jsonl", "engagements", "user_id", ["12.5"])]
    assert "100.0" in ids_of(with_sizes, "engagements", "user_id")


def test_rows_far_down_a_file_are_read_as_the_first(tmp_path: Path) -> None:
    cells = ["100"] * 1_000 + ["100.0"]
    assert set(ids_of([written(tmp_path / "l.csv", "engagements", "user_id", cells)], "engagements", "user_id")) == {
        "100"
    }


def test_a_group_is_called_as_the_item_that_it_is(tmp_path: Path) -> None:
    rows = [{"item_id": item, "group": group, "title": "x"} for item, group in (("7.0", None), ("7.5", "7.0"))]
    assert ids_of([write_rows(tmp_path / "c.csv", rows)], "catalogue", "group") == ["7.0", "7.0"]


def test_users_of_one_source_are_not_held_against_those_of_another(tmp_path: Path) -> None:
    """The client ids of Google Analytics have the form of codes."""
    rows = [
        {**ROWS["engagements"], "uid": user, "client": client}
        for user, client in ((None, "1234.5678"), ("100.0", "1234.5678"), (None, "99.5"))
    ]
    log = write_rows(tmp_path / "l.csv", rows)
    found = ids_of([log], "engagements", "user_id", user_id=["uid", "client"])
    assert found == ["1234.5678", "100", "99.5"]


def test_a_prefix_is_none_of_the_number(tmp_path: Path) -> None:
    catalogue = written(tmp_path / "c.csv", "catalogue", "group", ["id:100.0", "100", "abc"])
    columns = {"group": {"source": "group", "prefix": "id:"}}
    assert ids_of([catalogue], "catalogue", "group", **columns) == ["100", "100", "abc"]


@pytest.mark.parametrize(("whole", "ids"), [(True, ["12", "12.5", "12"]), (False, ["12.0", "12.5", "12"])])
def test_the_mapping_says_it_for_every_day(tmp_path: Path, whole: bool, ids: list[str]) -> None:
    """Then nothing depends on other rows: each may be alone in its file."""
    files = [
        written(tmp_path / f"{n}.csv", "engagements", "user_id", [cell]) for n, cell in enumerate(("12.0", "12.5", 12))
    ]
    columns = {"user_id": {"source": "user_id", "whole": whole}}
    assert ids_of(files, "engagements", "user_id", **columns) == ids
    assert [ids_of([file], "engagements", "user_id", **columns)[0] for file in files] == ids


@pytest.mark.parametrize(("name", "entry"), [("title", {"whole": True}), ("item_id", {"whole": "yes"})])
def test_whole_is_true_or_false_of_ids_alone(name: str, entry: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"expected true or false, of ids alone, as whole of {name} in here"):
        parse_column(name, entry, "here")


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["100.0", "101.0", None, "guest", "nan"], None),
        (["100", "101"], None),
        (["100.0", "100", "x"], r"1 as '100\.0', 1 as 'x', 1 as '100'; .*'100\.0' is '100'.*whole = true\}; with"),
        (["12.0", "12.5"], r"1 as '12\.0', 1 as '12\.5'; .*'12\.0' stays as it is written.*whole = false\}; with"),
    ],
)
def test_several_ways_to_write_an_id_are_said(tmp_path: Path, cells: list[str | None], told: str | None) -> None:
    """What is told to write ends it."""
    log = written(tmp_path / "l.csv", "engagements", "user_id", cells)
    mapping, schema = mapping_of([str(log)], "engagements", {})
    found = read([log], "engagements", "user_id")
    (count,) = {tuple(sorted(counts.items())) for _, counts in found}
    said = mixed_ids([str(log)], mapping, schema, dict(count))
    assert len(said) == (told is not None)
    if told is not None:
        assert re.search(told, said[0])
        whole = "whole = true}; with" in said[0]
        mapping, _ = mapping_of([str(log)], "engagements", {"user_id": {"source": "user_id", "whole": whole}})
        assert mixed_ids([str(log)], mapping, schema, dict(count)) == []


@pytest.mark.parametrize(
    ("cells", "name", "number"),
    [(["100.0", "x", "7.0"], "dropped", 2), (["12.0", "12.5"], "kept", 1), (["100", "x"], "", None)],
)
def test_they_are_counted(tmp_path: Path, cells: list[str], name: str, number: int | None) -> None:
    for table, ours in (("engagements", "user_id"), ("catalogue", "item_id")):
        _, counts = read([written(tmp_path / f"{table}.csv", table, ours, cells)], table, ours)[0]
        assert counts.get(f"ids_point_{name}:{ours}") == number
        assert sum("ids_point" in one for one in counts) == (number is not None)


def test_numbers_of_json_are_what_they_are_wherever_they_stand(tmp_path: Path) -> None:
    rows = [{**ROWS["engagements"], "items": [{"id": number}]} for number in (7.0, 8, "9.0", "x", 2.0**52)]
    log = write_rows(tmp_path / "l.jsonl", rows)
    found = ids_of([log], "engagements", "item_id", item_id="items.id")
    assert found == ["7", "8", "9", "x", str(2**52)]
    rows[1]["items"] = [{"id": "8.5"}]  # the text 9.0 may now be another, the number 7.0 is not
    found = ids_of([write_rows(tmp_path / "m.jsonl", rows)], "engagements", "item_id", item_id="items.id")
    assert found == ["7", "8.5", "9.0", "x", str(2**52)]


def test_16_bytes_are_read_each_alone(tmp_path: Path) -> None:
    """A batch that had one value that is no text made UUIDs of all."""
    values = [b"abcdefghijklmnop", bytes(range(0xF0, 0x100)), b"SKU-000000000001"]
    found = ids_of(
        [
            write_parquet(
                tmp_path / "c.parquet", item_id=pa.array(values, pa.binary(16)), title=["x"] * 3, group=["g"] * 3
            )
        ],
        "catalogue",
        "item_id",
    )
    assert found == ["abcdefghijklmnop", "f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff", "SKU-000000000001"]


CELLS = st.sampled_from(
    ["100.0", "100", "7.00", "12.5", "1.10", "1.0.1", "abc", "guest", "nan", "007.0", "-3.0", "x.0"]
)


def by_hand(cells: Sequence[str]) -> list[str | None]:
    """The users of a log, cell by cell."""
    pointed = [cell for cell in cells if re.fullmatch(r"-?(0|[1-9]\d*)\.0+", cell)]
    codes = [cell for cell in cells if cell in ("12.5", "1.10", "1.0.1", "007.0")]
    whole = 100 * len(codes) < len(pointed) + len(codes)
    ids = [cell.partition(".")[0] if whole and cell in pointed else cell for cell in cells]
    return [None if one in ("guest", "nan") else one for one in ids]


@pytest.mark.medium
@given(cells=st.lists(CELLS, min_size=1, max_size=12), data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_way_to_lay_rows_into_files_changes_an_id(cells: list[str], data: st.DataObject) -> None:
    """Nor does the kind of a file; and rows that are no codes, added or dropped, change no other row's id."""
    place_of_cell = data.draw(st.lists(st.integers(0, 3), min_size=len(cells), max_size=len(cells)).map(sorted))
    suffixes = data.draw(st.lists(st.sampled_from(SUFFIXES), min_size=4, max_size=4))
    others = data.draw(st.lists(st.sampled_from(["100", "abc", "guest", "0", "10.0.0.1"]), max_size=3))
    with tempfile.TemporaryDirectory() as folder:

        def users(parts: Sequence[Sequence[str]], ending: Sequence[str], name: str) -> list[str | None]:
            paths = [Path(folder) / f"{name}{n}{end}" for n, end in enumerate(ending)]
            files = [
                written(path, "engagements", "user_id", part) for path, part in zip(paths, parts, strict=True) if part
            ]
            return ids_of(files, "engagements", "user_id")

        parts = [[cell for cell, place in zip(cells, place_of_cell, strict=True) if place == n] for n in range(4)]
        whole = users([cells], [".csv"], "whole")
        assert whole == by_hand(cells)
        assert users(parts, suffixes, "part") == whole
        assert users([*parts, others], [*suffixes, ".csv"], "more")[: len(cells)] == whole


@pytest.mark.medium
@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-(2**53), 2**53).map(float)), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_float_of_parquet_is_read_alone(numbers: list[float | None]) -> None:
    with tempfile.TemporaryDirectory() as folder:

        def users(values: Sequence[float | None]) -> list[str | None]:
            columns = {name: [value] * len(values) for name, value in ROWS["engagements"].items() if name != "user_id"}
            path = write_parquet(
                Path(folder) / f"{len(values)}.parquet", **columns, user_id=pa.array(values, pa.float64())
            )
            return ids_of([path], "engagements", "user_id")

        together = users([*numbers, None])
        assert together[:-1] == [users([number])[0] for number in numbers]
        for number, user in zip(numbers, together, strict=False):
            is_id = number is not None and number.is_integer() and abs(number) < 2**53
            assert user == (str(int(number)) if number is not None and is_id else None)
