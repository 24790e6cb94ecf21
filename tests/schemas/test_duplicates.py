"""Rows of one id without --group-rows: a row that holds less than another never takes its place."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_batches import SLICE, raw_rows

from schemas.columns.raw_rows import FileSlice, RawRows
from schemas.tables import CATALOGUE
from schemas.validation.catalogue import validate_catalogue
from schemas.validation.duplicates import num_completing, resolve_duplicates


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
