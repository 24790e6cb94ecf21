"""Rows of some sessions against a loop over the sessions in the order that they are drawn in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.measures.some_sessions import rows_of_some_sessions
from schemas.hashing import seed_of

pytestmark = pytest.mark.medium

SESSIONS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=1, max_size=12)
BOUND = st.none() | st.integers(1, 15)


def drawn_by_a_loop(items_of: list[list[int]], max_rows: int | None, max_items: int | None) -> set[int]:
    """The sessions, each of as many rows as it has items."""
    drawn: set[int] = set()
    items: set[int] = set()
    num_rows = 0
    for session in sorted(range(len(items_of)), key=lambda number: seed_of("some sessions", number)):
        items |= set(items_of[session])
        num_rows += len(items_of[session])
        is_over = num_rows > (max_rows or np.inf) or len(items) > (max_items or np.inf)
        if drawn and is_over:
            break
        drawn.add(session)
        if is_over:
            break
    return drawn


@settings(max_examples=200, deadline=None)
@given(SESSIONS, BOUND, BOUND, st.randoms())
def test_whole_sessions_are_drawn_until_a_bound(items_of, max_rows, max_items, chance):
    pairs = [(session, item) for session, items in enumerate(items_of) for item in items]
    chance.shuffle(pairs)
    session_R = np.array([session for session, _ in pairs])
    order = chance.sample(range(len(pairs)), len(pairs))
    session_I, item_I = (np.array([pairs[place][side] for place in order]) for side in (0, 1))
    kept_R = rows_of_some_sessions(session_R, session_I, item_I, max_rows, max_items)
    expected = drawn_by_a_loop(items_of, max_rows, max_items)
    assert kept_R.tolist() == [session in expected for session in session_R.tolist()]
