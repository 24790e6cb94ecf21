"""Clicked and bought items of one session, against loops; random twins of equal popularity; what vectors are worth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_logs import log_of, us_of_day
from sklearn.metrics import roc_auc_score

from model.measures import clicked_bought
from model.measures.clicked_bought import (
    MAX_PAIRS_A_SESSION,
    of_some_sessions,
    pair_cosines,
    pair_report,
    session_pairs,
)
from model.measures.log_rows import popularity_before
from schemas.errors import ThresholdError, UsageError

pytestmark = pytest.mark.medium

ITEMS = [f"i{row:02d}" for row in range(60)]
SPLIT_DAY = 10
events = st.lists(
    st.tuples(
        st.floats(0, 20),
        st.sampled_from(["s0", "s1", "s2", None]),
        st.sampled_from([*ITEMS[:6], "unlisted"]),
        st.sampled_from(["impression", "click", "add_to_cart", "checkout"]),
    ),
    max_size=40,
)


def pairs_by_loops(rows) -> list[tuple[str, str, str]]:
    found = set()
    for session in {session for _, session, _, _ in rows if session}:
        own = [row for row in rows if row[1] == session and row[2] in ITEMS]
        if own and min(day for day, *_ in own) >= SPLIT_DAY:
            clicked, bought = ({item for *_, item, action in own if action == name} for name in ("click", "checkout"))
            found |= {(session, one, other) for one in clicked for other in bought if one != other}
    return sorted(found)


def shop_log(num_sessions: int = 80):
    """A session clicks two items of one of six kinds and buys a third; item i is of kind i % 6. Before the split only
    items below 30 are clicked."""
    generator = np.random.default_rng(0)
    rows = [(day, f"before{day}", ITEMS[item], "click") for day in range(SPLIT_DAY) for item in range(30)]
    for number in range(num_sessions):
        of_kind = generator.permutation(np.arange(number % 6, 60, 6))[:3]
        for item, action in zip(of_kind, ("click", "click", "checkout"), strict=True):
            rows.append((SPLIT_DAY + 1 + number / 100, f"s{number:03d}", ITEMS[item], action))
    return log_of(*rows)


@given(events)
def test_pairs_are_those_of_loops_and_twins_are_of_another_session(rows):
    expected = pairs_by_loops(rows)
    if not expected:
        with pytest.raises(ThresholdError, match="bought another, got none"):
            session_pairs(log_of(*rows), ITEMS, us_of_day(SPLIT_DAY))
        return
    found = session_pairs(log_of(*rows), ITEMS, us_of_day(SPLIT_DAY))
    names = sorted({session for session, *_ in expected})
    got = [
        (names[session], ITEMS[one], ITEMS[other])
        for session, one, other in zip(found.session_P, found.clicked_P, found.bought_P, strict=True)
    ]
    assert sorted(got) == expected
    for session, twin in zip(found.session_P, found.random_P, strict=True):
        of_session = {
            item for _, name, item, action in rows if name == names[session] and action in ("click", "checkout")
        }
        assert ITEMS[twin] not in of_session


def test_twins_are_of_equal_popularity_where_there_are_some():
    log = shop_log()
    clicks = popularity_before(log, ITEMS, us_of_day(SPLIT_DAY))
    assert clicks.tolist() == [10] * 30 + [0] * 30
    found = session_pairs(log, ITEMS, us_of_day(SPLIT_DAY))
    assert (found.is_cold_P == ((clicks[found.clicked_P] == 0) | (clicks[found.bought_P] == 0))).all()
    many = [f"i{row:03d}" for row in range(1000)]
    popular = log_of(
        *((1, f"b{row}", many[row], "click") for row in range(500) for _ in range(2)),
        *((11, f"s{row}", many[row], "click") for row in range(0, 1000, 9)),
        *((11, f"s{row}", many[0], "checkout") for row in range(9, 1000, 9)),
    )
    clicks = popularity_before(popular, many, us_of_day(SPLIT_DAY))
    found = session_pairs(popular, many, us_of_day(SPLIT_DAY))
    assert (clicks[found.random_P] == clicks[found.clicked_P]).mean() > 0.95
    assert len(set(found.random_P.tolist())) > 60


def test_the_order_of_the_log_does_not_matter_and_equal_seeds_are_equal():
    log = shop_log()
    shuffled = log.take(np.random.default_rng(0).permutation(log.num_rows))
    one, other = (session_pairs(table, ITEMS, us_of_day(SPLIT_DAY)) for table in (log, shuffled))
    for name in ("clicked_P", "bought_P", "random_P", "session_P", "is_cold_P"):
        assert (getattr(one, name) == getattr(other, name)).all()
    assert (session_pairs(log, ITEMS, us_of_day(SPLIT_DAY), seed=1).random_P != one.random_P).any()


def test_a_session_that_began_before_the_split_and_one_after_the_end_are_left_out():
    log = log_of(
        (9, "old", "i00", "click"), (11, "old", "i01", "checkout"),
        (11, "new", "i02", "click"), (11.1, "new", "i03", "checkout"),
        (15, "late", "i04", "click"), (15, "late", "i05", "checkout"),
    )  # fmt: skip
    found = session_pairs(log, ITEMS, us_of_day(SPLIT_DAY), us_of_day(14))
    assert (found.clicked_P.tolist(), found.bought_P.tolist()) == ([2], [3])


def test_a_session_of_very_many_pairs_is_cut():
    log = log_of(*((11, "robot", item, action) for item in ITEMS[:30] for action in ("click", "checkout")))
    assert len(session_pairs(log, ITEMS, us_of_day(SPLIT_DAY))) == MAX_PAIRS_A_SESSION


def test_a_session_of_very_many_items_costs_no_square_of_them():
    """Its pairs would be 100 million. It has clicked all that is as popular, and costs no other session its pairs."""
    many = [f"i{row:05d}" for row in range(10_000)]
    robot = [(11, "robot", item, action) for item in many for action in ("click", "checkout")]
    popular = [(1, f"b{row}", f"j{row:03d}", "click") for row in range(100)]
    one = [(11, "one", "j000", "click"), (11, "one", "j001", "checkout")]
    ids = [*many, *(f"j{row:03d}" for row in range(100))]
    found = session_pairs(log_of(*robot, *popular, *one), ids, us_of_day(SPLIT_DAY))
    assert (found.clicked_P[:1].tolist(), found.bought_P[:1].tolist()) == ([10_000], [10_001])
    assert len(found) <= MAX_PAIRS_A_SESSION + 1


def test_a_log_without_clicks_asks_for_items_bought_together():
    """Both ways, beside items bought as often before."""
    before = [(1, f"b{row}", item, "checkout") for row, item in enumerate(ITEMS[:30])]
    together = [(11, f"s{row:02d}", ITEMS[row + more], "checkout") for row in range(0, 60, 4) for more in (0, 1)]
    log = log_of(*before, *together)
    assert popularity_before(log, ITEMS, us_of_day(SPLIT_DAY)).tolist() == [1] * 30 + [0] * 30
    found = session_pairs(log, ITEMS, us_of_day(SPLIT_DAY))
    pairs = set(zip(found.clicked_P.tolist(), found.bought_P.tolist(), strict=True))
    assert pairs == {(row + one, row + 1 - one) for row in range(0, 60, 4) for one in (0, 1)}
    assert found.is_cold_P.sum() == 2 * sum(row >= 30 for row in range(0, 60, 4)) == 14
    with pytest.raises(ThresholdError, match="bought another, got none"):
        session_pairs(log_of(*before, *together, (1, "c", ITEMS[0], "click")), ITEMS, us_of_day(SPLIT_DAY))


@pytest.mark.parametrize("max_pairs", [1, 40, 10**6, None])
def test_some_sessions_are_whole_ones_and_the_same_again(max_pairs):
    pairs = session_pairs(shop_log(), ITEMS, us_of_day(SPLIT_DAY))
    some, again = (of_some_sessions(pairs, max_pairs) for _ in range(2))
    assert (some.clicked_P == again.clicked_P).all()
    expected = len(pairs) if max_pairs is None else min(len(pairs), max(max_pairs, 2))
    assert len(some) == expected  # each session has two
    assert np.bincount(some.session_P).tolist() == [2] * (expected // 2)
    whole = set(zip(pairs.clicked_P.tolist(), pairs.bought_P.tolist(), pairs.random_P.tolist(), strict=True))
    assert whole >= set(zip(some.clicked_P.tolist(), some.bought_P.tolist(), some.random_P.tolist(), strict=True))


def test_cosines_of_many_pairs_are_those_of_each(monkeypatch):
    pairs = session_pairs(shop_log(), ITEMS, us_of_day(SPLIT_DAY))
    vectors = np.random.default_rng(3).normal(size=(60, 7)).astype(np.float32)
    whole = pair_cosines(pairs, vectors)
    monkeypatch.setattr(clicked_bought, "_PAIRS_AT_ONCE", 7)
    for side, rows in zip(pair_cosines(pairs, vectors), (pairs.clicked_P, pairs.random_P), strict=True):
        assert side == pytest.approx((vectors[rows].astype(float) * vectors[pairs.bought_P]).sum(axis=1))
    assert all((one == other).all() for one, other in zip(whole, pair_cosines(pairs, vectors), strict=True))


def test_the_report_tells_vectors_that_know_from_those_that_do_not():
    pairs = session_pairs(shop_log(), ITEMS, us_of_day(SPLIT_DAY))
    kinds = np.eye(6)[np.arange(60) % 6]
    noise = np.random.default_rng(0).normal(size=(60, 6))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    found = pair_report(pairs, {"kinds": kinds, "noise": noise, "nothing": np.zeros((60, 6))}, reference="noise")
    assert found["pairs"] == 160
    assert found["sessions"] == 80
    figures = found["all"]
    assert figures["kinds"]["pair_cosine"] == 1
    assert figures["kinds"]["auc"] > 0.85
    assert figures["kinds"]["more"]["auc_low"] > 0.1
    assert figures["noise"]["auc_low"] < 0.5 < figures["noise"]["auc_high"]
    assert figures["nothing"]["auc"] == 0.5
    pair, random = pair_cosines(pairs, noise)
    labels = np.repeat([1, 0], len(pairs))
    assert figures["noise"]["auc"] == pytest.approx(roc_auc_score(labels, np.concatenate([pair, random])))
    cold = pairs.is_cold_P
    expected = roc_auc_score(np.repeat([1, 0], cold.sum()), np.concatenate([pair[cold], random[cold]]))
    assert found["cold"]["noise"]["auc"] == pytest.approx(expected)
    with pytest.raises(UsageError, match="finite vectors"):
        pair_report(pairs, {"nan": np.full((60, 6), np.nan)})


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 50))
def test_scaling_the_cosines_changes_no_auc(factor):
    pairs = session_pairs(shop_log(20), ITEMS, us_of_day(SPLIT_DAY))
    vectors = np.random.default_rng(factor).normal(size=(60, 4))
    one, other = (pair_report(pairs, {"x": vectors * scale})["all"]["x"] for scale in (1.0, float(factor)))
    assert one["auc"] == other["auc"]


def test_no_other_item_is_told():
    log = log_of((11, "s", "i00", "click"), (11, "s", "i01", "checkout"))
    with pytest.raises(ThresholdError, match="got 2 items in all"):
        session_pairs(log, ITEMS[:2], us_of_day(SPLIT_DAY))
