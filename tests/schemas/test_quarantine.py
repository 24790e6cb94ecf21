"""What is quoted of an untrusted value: short, printable, and in time and memory that do not depend on its size."""

import time
import tracemalloc
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.quarantine import MAX_QUOTED_CHARACTERS, Rejection, quote, rejections_to_table
from schemas.tables import REJECTIONS

pytestmark = pytest.mark.medium

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.binary(max_size=30),
    lambda inner: st.lists(inner, max_size=5) | st.tuples(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_short_values_are_quoted_whole(value):
    whole = (repr(value) if isinstance(value, str) else ascii(value)).encode("utf-8", "backslashreplace").decode()
    got = quote(value)
    assert len(got) <= MAX_QUOTED_CHARACTERS
    assert got == whole if len(whole) <= MAX_QUOTED_CHARACTERS else got.endswith("…")


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


LARGE = {
    "text": "x" * (50 << 20),
    "text in other letters": "\ud800" * (10 << 20),
    "bytes": b"\xff" * (50 << 20),
    "a list": [0] * 10_000_000,
    "a list of texts": ["x" * (50 << 20)] * 3,
    "a dict": {"a": ["x" * (50 << 20)], "b" * (50 << 20): 1},
    "structs in a tuple": ({"bytes": b"\0" * (50 << 20)},),
    "nested lists": nested(100_000),
    "a whole number": 10**200_000,
    "whole numbers": [-(10**200_000)] * 3,
}


@pytest.mark.parametrize("name", LARGE)
def test_large_values_are_cut_before_they_are_rendered(name):
    value = LARGE[name]
    tracemalloc.start()
    started_s = time.process_time()
    try:
        got = quote(value)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(got) <= MAX_QUOTED_CHARACTERS
    assert got.isprintable()
    assert peak_bytes < 1 << 20
    assert time.process_time() - started_s < 0.5


def test_a_number_too_long_to_be_printed_is_told_by_its_size():
    assert quote(10**5_000) == "a whole number of 16,610 bits"
    assert quote([1, 10**5_000, "a"]) == "[1, a whole number of 16,610 bits, 'a']"


REJECTED = st.builds(
    Rejection,
    level=st.sampled_from(["row", "picture"]),
    stage=st.just("items"),
    item_id=st.none() | st.sampled_from(["a", "b", "None"]),
    reason=st.sampled_from(["null_id", "missing"]),
    expected=st.just("text"),
    got=st.sampled_from(["None", "'é'", "''"]),
    where=st.builds("{}:{}".format, st.sampled_from(["a.csv", "b.csv", "a:1"]), st.integers(0, 10**19))
    | st.sampled_from(["a.jpg", "x:", ":7", "items/bucket-00001.parquet", "a\n:3"]),
    remedy=st.just(""),
)


def place(where: str) -> tuple[str, int]:
    file, colon, number = where.rpartition(":")
    is_row = colon and number.isdigit() and len(number) <= 18 and "\n" not in file
    return (file, int(number)) if is_row else ("", -1)


@given(st.lists(REJECTED, max_size=12), st.randoms())
@settings(max_examples=300, deadline=None)
def test_rejections_are_in_the_order_of_their_files(rejections: list[Rejection], random) -> None:
    rows = [asdict(one) for one in rejections]
    expected = sorted(rows, key=lambda row: (*place(row["where"]), *map(str, row.values()), row["item_id"] is None))
    table = rejections_to_table(random.sample(rejections, len(rejections)))
    assert table.schema == REJECTIONS
    assert table.to_pylist() == expected
