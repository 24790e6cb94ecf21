"""Texts of `leave_out` that no row has: which they are, and which are most likely slips."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.columns.leave_out import ANY
from schemas.columns.mapping import catalogue_columns
from schemas.validation.unmet_texts import unmet_of, unmet_texts

ROWS = [{"item_id": str(n), "Status": ["active", "Draft ", "active", None][n % 4], "on": n % 2 == 0} for n in range(40)]


def _file(path: Path) -> str:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        lines = [",".join("" if value is None else str(value) for value in row.values()) for row in ROWS]
        path.write_text("\n".join(["item_id,Status,on", *lines]) + "\n")
    return str(path)


def _unmet(path: str, leave_out: dict[str, Any]) -> list[Any]:
    return unmet_texts([path], catalogue_columns({"leave_out": leave_out}, "no"))


@pytest.mark.parametrize("name", ["c.csv", "c.jsonl", "c.parquet"])
def test_a_misspelt_text_is_named_with_the_one_that_is_meant(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path / name)
    (found,) = _unmet(path, {"Status": ["Drafts"], "on": [False]})
    assert (found.texts, found.near, found.is_likely_wrong) == (("drafts",), {"drafts": "draft"}, True)
    assert found.in_words == (
        "leave_out: 'drafts' of 'Status' is on none of the 40 rows looked at: should 'drafts' be 'draft'? the column "
        "has most often 'active' (20), 'draft' (10)"
    )
    assert _unmet(path, {"Status": ["draft"], "on": [True]}) == []
    assert _unmet(path, {}) == []


@pytest.mark.parametrize(
    ("listed", "met", "near", "is_wrong"),
    [
        (["drafts", "archived"], {"active": 9, "draft": 2}, {"drafts": "draft"}, True),
        (["draft", "archived"], {"active": 9, "draft": 2}, {}, False),  # there may be one tomorrow
        (["false"], {"true": 9}, {}, False),
        (["unpublished"], {"published": 9}, {}, False),
        (["inactive"], {"active": 9, "hidden": 2}, {}, True),
        (["hidden"], {"live": 9, "verborgen": 2}, {}, True),
        ([ANY], {}, {}, False),
        (["x"], {}, {}, False),
    ],
)
def test_which_are_likely_slips(listed: list[str], met: dict[str, int], near: dict[str, str], is_wrong: bool) -> None:
    found = unmet_of("Status", listed, Counter(met), 11)
    assert (found.near, found.is_likely_wrong) == (near, is_wrong)


@given(st.lists(st.sampled_from("abcd"), min_size=1, unique=True), st.dictionaries(st.sampled_from("abcd"), st.just(1)))
def test_what_is_unmet_is_listed_and_not_there(listed: list[str], met: dict[str, int]) -> None:
    found = unmet_of("c", listed, Counter(met), 5)
    assert set(found.texts) == set(listed) - set(met)
