"""Rows of one id without --group-rows: a row that holds less than another never takes its place."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_batches import SLICE, raw_rows

from schemas.columns.raw_rows import FileSlice, RawRows
from schemas.tables import CATALOGUE, TEXT_FIELDS
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.duplicates import num_completing, resolve_duplicates
from schemas.validation.runs import equal_to_next

pytestmark = pytest.mark.medium


def rows_of_one_id(rows: list[dict[str, Any]]) -> pa.Table:
    """Validated rows of the item `a`, as file c.csv has them from row 1 on."""
    table = pa.Table.from_pylist([{"item_id": "a", **row} for row in rows], schema=CATALOGUE)
    raw = RawRows(1, table, [], np.arange(1, len(rows) + 1))
    good, _, _ = validate_catalogue(raw, FileSlice(0, "c.csv"))
    return good


TITLE, BOTH, OTHER = {"title": "Mug"}, {"title": "Mug", "brand": "Acme"}, {"title": "Cup"}
PICTURE = {"images": ["2.jpg"]}


@pytest.mark.parametrize(
    ("rows", "kept", "names_the_flag"),
    [
        ([BOTH, PICTURE], 1, [True]),
        ([BOTH, TITLE], 1, [True]),
        ([BOTH, {**TITLE, "size": "S"}], 2, [True]),  # each has what the other lacks
        ([TITLE, BOTH, {"brand": "Acme"}], 2, [True, True]),
        ([TITLE, BOTH, PICTURE, PICTURE], 2, [True, True]),
        ([{**TITLE, **PICTURE}, TITLE], 2, [False]),  # the same texts
        ([BOTH, OTHER], 2, [False]),
        ([BOTH, OTHER, TITLE], 1, [False, True]),
        ([PICTURE, BOTH], 2, [True]),
        ([OTHER, TITLE, PICTURE], 2, [False, True]),  # two are fuller, and equally full: the last of them
    ],
)
def test_the_last_row_stays_unless_another_has_all_its_texts_and_more(
    rows: list[dict[str, Any]], kept: int, names_the_flag: list[bool]
) -> None:
    items, rejections, num_collapsed = resolve_duplicates(rows_of_one_id(rows), ["c.csv"])
    assert items["row_number"].to_pylist() == [kept]
    assert ["--group-rows merge" in rejection.remedy for rejection in rejections] == names_the_flag
    assert {rejection.reason for rejection in rejections} == {"duplicate_id"}
    assert all(f"c.csv:{kept}," in rejection.got for rejection in rejections)
    assert len(rows) == 1 + len(rejections) + num_collapsed
    assert num_completing(rejections) == any(names_the_flag)


TEXTS = st.fixed_dictionaries({name: st.sampled_from([None, "x", "y"]) for name in ("title", "brand", "size")})


@settings(max_examples=80, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6), st.randoms())
def test_no_row_that_is_left_out_is_fuller_than_the_one_that_stays(rows: list[dict[str, Any]], random: Any) -> None:
    given_rows = rows_of_one_id(rows)
    items, rejections, num_collapsed = resolve_duplicates(given_rows, ["c.csv"])
    assert len(rows) == 1 + len(rejections) + num_collapsed
    said = [{name: text for name, text in row.items() if text is not None} for row in rows]
    (kept,) = items["row_number"].to_pylist()
    assert not any(said[kept - 1].items() < row.items() for row in said)
    assert said[-1].items() <= said[kept - 1].items()
    shuffled = given_rows.take(random.sample(range(len(rows)), len(rows)))
    assert resolve_duplicates(shuffled, ["c.csv"])[0].equals(items)


def test_duplicates_of_the_docstring() -> None:
    good, _, _ = validate_catalogue(raw_rows(CATALOGUE, item_id=list("baaac"), title=list("zxyxw")), SLICE)
    rows, rejections, num_collapsed = resolve_duplicates(good, ["", "", "", "c.parquet"])
    assert list(zip(rows["item_id"].to_pylist(), rows["row_number"].to_pylist(), strict=True)) == [
        ("a", 4),
        ("b", 1),
        ("c", 5),
    ]
    assert num_collapsed == 1
    (rejection,) = rejections
    assert (rejection.item_id, rejection.reason, rejection.where) == ("a", "duplicate_id", "c.parquet:3")
    assert "c.parquet:4" in rejection.got


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), min_size=1, max_size=10), st.randoms())
def test_duplicates_follow_the_rule_in_any_order(pairs: list[tuple[str, str]], random: Any) -> None:
    columns = {"item_id": [item for item, _ in pairs], "title": [title for _, title in pairs]}
    good, _, _ = validate_catalogue(raw_rows(CATALOGUE, **columns), SLICE)
    shuffled = good.take(random.sample(range(len(pairs)), len(pairs)))
    rows, rejections, num_collapsed = resolve_duplicates(shuffled, ["", "", "", "c"])
    assert dict(zip(rows["item_id"].to_pylist(), rows["title"].to_pylist(), strict=True)) == dict(pairs)
    distinct = set(pairs)
    assert num_collapsed == len(pairs) - len(distinct)
    expected = sorted(
        (item, f"c:{max(row for row, other in enumerate(pairs, 1) if other == (item, title))}")
        for item, title in distinct
        if dict(pairs)[item] != title
    )
    assert sorted((entry.item_id, entry.where) for entry in rejections) == expected


def naive(rows: pa.Table) -> tuple[list[dict[str, Any]], list[tuple[str, int, int]], int]:
    """(rows that stay; id, row that is rejected, row that stays; how many rows collapsed), row by row."""
    by_id: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows.to_pylist(), key=lambda row: (row["item_id"], row["file_number"], row["row_number"])):
        by_id.setdefault(row["item_id"], []).append(row)
    stay, rejected, num_collapsed = [], [], 0
    for item_id, members in by_id.items():
        last_of = {repr([row[name] for name in CATALOGUE.names]): row for row in members}
        several = list(last_of.values())
        said = [{name: row[name] for name in TEXT_FIELDS if row[name] is not None} for row in several]
        last = said[several.index(members[-1])]
        places = [(row["file_number"], row["row_number"]) for row in several]
        fuller = [number for number, texts in enumerate(said) if last.items() < texts.items()]
        best = max(fuller, key=lambda n: (len(said[n]), places[n]), default=several.index(members[-1]))
        stay.append(several[best])
        numbers = [row["row_number"] for row in several]
        rejected += [(item_id, number, numbers[best]) for n, number in enumerate(numbers) if n != best]
        num_collapsed += len(members) - len(several)
    return stay, sorted(rejected), num_collapsed


ROWS = st.fixed_dictionaries(
    {
        "item_id": st.sampled_from("abc"),
        "title": st.sampled_from([None, "x", "y"]),
        "brand": st.sampled_from([None, "x"]),
        "images": st.sampled_from([[], ["1"], ["2"], ["1", "2"], ["2", "1"], ["12"]]),
    }
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ROWS, max_size=12), st.randoms())
def test_duplicates_are_those_of_a_loop_over_all_rows(rows: list[dict[str, Any]], random: Any) -> None:
    table = pa.Table.from_pylist(rows, schema=CATALOGUE)
    places = random.sample(range(1, 1 + len(rows)), len(rows))  # the rows come in any order, from two files
    fields = [pa.array([place % 2 for place in places], pa.int64()), pa.array(places, pa.int64())]
    table = table.append_column("file_number", fields[0]).append_column("row_number", fields[1])
    items, rejections, num_collapsed = resolve_duplicates(table, ["0", "1"])
    stay, rejected, expected_collapsed = naive(table)
    assert items.to_pylist() == stay
    got = [(one.item_id or "", one.where, one.got.rpartition(" in ")[2]) for one in rejections]
    expected = [(i, f"{row % 2}:{row}", f"{kept % 2}:{kept}, which stays") for i, row, kept in rejected]
    assert sorted(got) == sorted(expected)
    assert num_collapsed == expected_collapsed


def test_equal_rows_become_no_python_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pa.concat_tables([rows_of_one_id([BOTH, BOTH, BOTH])] * 2)
    monkeypatch.setattr("schemas.validation.duplicates._resolve_group", None)  # what is called of rows that differ
    assert resolve_duplicates(rows, ["c.csv"])[2] == 5


LISTS = st.none() | st.lists(st.none() | st.sampled_from(["", "a", "b", "ab"]), max_size=3)


@given(st.lists(LISTS, min_size=1, max_size=8))
def test_lists_are_equal_to_the_next_as_python_says(lists: list[list[str | None] | None]) -> None:
    expected = [a == b for a, b in pairwise(lists)]
    column = pa.array([["before"], *lists], pa.list_(pa.string()))[1:]  # of a slice, too
    assert equal_to_next(column).tolist() == expected
    texts = pa.array([None if one is None else "/".join(map(str, one)) for one in lists], pa.string())
    assert equal_to_next(texts).tolist() == [a == b for a, b in pairwise(texts.to_pylist())]
