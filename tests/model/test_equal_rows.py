"""Equal rows are one, and lists of different rows come out as the rows that an exact search would give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.machine.equal_rows import EqualRows
from model.nearest.index import ExactIndex
from schemas.errors import CorruptFileError

#: Rows of which some have equal scores for some queries though they differ.
ROWS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [0.6, 0.8], [0.8, 0.6]], np.float32)


def test_different_rows_are_numbered_by_their_first():
    equal = EqualRows.of(np.array([[3], [1], [3], [2], [1]], np.float32))
    assert equal.id_N.tolist() == [0, 1, 0, 2, 1]
    assert equal.first_U.tolist() == [0, 1, 3]
    assert equal.members(np.array([1, 0]), 3).tolist() == [1, 4, 0]
    assert len(equal) == 3
    assert EqualRows.of(np.array([[0.0], [-0.0]], np.float32)).id_N.tolist() == [0, 0]


@pytest.mark.medium
@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, len(ROWS) - 1), min_size=1, max_size=25),
    st.lists(st.integers(0, len(ROWS) - 1), max_size=3),
    st.integers(1, 30),
)
def test_written_out_lists_are_those_of_exact_search(kinds, queries, top):
    matrix = ROWS[kinds]
    equal = EqualRows.of(matrix)
    ids, scores = ExactIndex(matrix[equal.first_U]).search(ROWS[queries], top)
    got = equal.written_out(ids, scores, top)
    expected = ExactIndex(matrix).search(ROWS[queries], top)
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])


@pytest.mark.parametrize("numbers", [[1, 0], [0, 2], [-1, 0]])
def test_numbers_in_another_order_are_refused(numbers):
    with pytest.raises(CorruptFileError, match="numbered from 0"):
        EqualRows(np.array(numbers))


def test_no_rows_are_no_sets():
    assert len(EqualRows.of(np.zeros((0, 2), np.float32))) == 0
