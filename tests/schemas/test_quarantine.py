"""What is quoted of an untrusted value: short, printable, and in time and memory that do not depend on its size."""

import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.quarantine import MAX_QUOTED_CHARACTERS, quote

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
