"""Sessions in common, against loops over sets."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from session_logs import log_of, us_of_day

from model.measures.clicked_bought import SessionPairs
from model.measures.sessions_in_common import common_cosines, session_rows

ITEMS = ["a", "b", "c", "d"]
SPLIT_DAY = 10
rows_of_log = st.lists(
    st.tuples(
        st.floats(0, 20),
        st.sampled_from(["s0", "s1", "s2", "s3", None]),
        st.sampled_from([*ITEMS, "unlisted"]),
        st.sampled_from(["impression", "click", "add_to_cart", "checkout", "return"]),
    ),
    min_size=1,
    max_size=30,
)
places = st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=8)


@settings(deadline=None)
@given(rows_of_log, places)
def test_cosines_are_those_of_sets_of_sessions_before_the_split(rows, places):
    sessions: dict[str, set[str]] = {name: set() for name in ITEMS}
    for day, session, item, action in rows:
        if day < SPLIT_DAY and session and item in ITEMS and action in ("click", "add_to_cart", "checkout"):
            sessions[item].add(session)

    def cosine(one: int, other: int) -> float:
        s, t = sessions[ITEMS[one]], sessions[ITEMS[other]]
        return len(s & t) / math.sqrt(len(s) * len(t)) if s and t else 0.0

    clicked_P, bought_P, random_P = np.array(places, np.int64).T
    pairs = SessionPairs(clicked_P, bought_P, random_P, np.arange(len(places)), np.zeros(len(places), bool))
    found = common_cosines(pairs, session_rows(log_of(*rows), ITEMS, us_of_day(SPLIT_DAY)))
    for side, first_P in zip(found, (clicked_P, random_P), strict=True):
        expected = [cosine(one, other) for one, other in zip(first_P, bought_P, strict=True)]
        np.testing.assert_allclose(side, expected, atol=1e-12)
