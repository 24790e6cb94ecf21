"""Recall of new items and of blends with popularity, each against a plain twin on small data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.nearest.distinct_search import DistinctVectors
from model.users.actions import Actions
from model.users.baselines import UserDay, decay_average, pinnersage
from model.users.blend import BlendPoint, _best, best_weight, blend_curve
from model.users.calibration import NEW, SEED_NAME, CurvePoint, calibration_curve
from model.users.evaluation import Protocol, walk_forward
from model.users.pinnersage import US_PER_DAY
from schemas.hashing import seed_of

DAYS, WINDOW, TOP = range(100, 103), 8, 12
NUM_ITEMS, NUM_USERS = 80, 9
PROTOCOL = Protocol(alpha=1.5, window_days=WINDOW, top=TOP, with_ranking=False, with_new=True, seed_name=SEED_NAME)
WITHOUT = CurvePoint(
    r_precision=0.0,
    **dict.fromkeys(("recall", "recall_se", "recall_new", "recall_new_se", "relevance", "relevance_se"), 0.01),
    samples=3,
    alpha=1.5,
    clusters_median=3,
    clusters_p90=5,
)


def made_log() -> tuple[np.ndarray, Actions]:
    generator = np.random.default_rng(4)
    matrix = generator.standard_normal((NUM_ITEMS, 5)).astype(np.float32)
    matrix[1::4] = matrix[0::4]
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    rows = np.minimum(generator.exponential(25, 700).astype(int), NUM_ITEMS - 1)
    times_us = generator.integers(88 * US_PER_DAY, DAYS.stop * US_PER_DAY, 700)
    return matrix, Actions([f"u{n}" for n in range(NUM_USERS)], generator.integers(0, NUM_USERS, 700), rows, times_us)


MATRIX, ACTIONS = made_log()
VECTORS = DistinctVectors(MATRIX)
RECORDS = list(zip(ACTIONS.users_M.tolist(), ACTIONS.rows_M.tolist(), ACTIONS.times_us_M.tolist(), strict=True))


def items_of(user: int, from_day: int, to_day: int) -> set[int]:
    return {row for u, row, t in RECORDS if u == user and from_day * US_PER_DAY <= t < to_day * US_PER_DAY}


def queries_of(method, user: int, day: int):
    history = ACTIONS.history(user, (day - WINDOW) * US_PER_DAY, day * US_PER_DAY)
    seed = seed_of(SEED_NAME, ACTIONS.user_ids[user], day)
    return method(UserDay(history, MATRIX, day * US_PER_DAY, PROTOCOL.alpha, seed))


def by_score(scores: np.ndarray) -> list[int]:
    return np.lexsort((np.arange(NUM_ITEMS), -scores.round(6))).tolist()


@pytest.mark.parametrize("num", [1, 3, None])
def test_recall_of_new_items_leaves_seen_ones_out_of_lists_and_targets(num):
    found = walk_forward(ACTIONS, VECTORS, DAYS, {"": pinnersage(num)}, PROTOCOL)
    measured = 0
    for user, day, recall in zip(found.users_U, found.days_U, found.recall_new_UT[:, 0], strict=True):
        seen = items_of(user, day - WINDOW, day)
        new = items_of(user, day, day + 1) - seen
        listed = set()
        queries = queries_of(pinnersage(num), user, day)
        for row in queries.rows_Q.tolist():
            near = [row] + [other for other in by_score(MATRIX @ MATRIX[row]) if other != row]
            listed |= set([other for other in near[:TOP] if other not in seen][: TOP // len(queries.rows_Q)])
        expected = len(new & listed) / len(new) if new else math.nan
        # equal vectors have cosines that differ in their last bits, and so trade places
        assert recall == pytest.approx(expected, abs=0.01, nan_ok=True)
        measured += bool(new)
    assert 10 < measured < len(found.users_U)
    assert 0.02 < np.nanmean(found.recall_new_UT) < 0.5


def test_draws_become_their_mean_at_once():
    methods = {f"{num} {draw}": pinnersage(num, replicate=draw) for num in (1, 3) for draw in range(2)}
    apart = walk_forward(ACTIONS, VECTORS, DAYS, methods, PROTOCOL)
    together = walk_forward(ACTIONS, VECTORS, DAYS, methods, Protocol(**{**vars(PROTOCOL), "draws": 2}))
    np.testing.assert_allclose(together.values_UTM[:, 0], apart.values_UTM[:, :2].mean(axis=1))
    np.testing.assert_allclose(together.values_UTM[:, 1], apart.values_UTM[:, 2:].mean(axis=1))
    np.testing.assert_allclose(together.recall_new_UT[:, 1], apart.recall_new_UT[:, 2:].mean(axis=1))
    np.testing.assert_array_equal(together.clusters_UT, apart.clusters_UT[:, ::2])
    assert (apart.values_UTM[:, 0] != apart.values_UTM[:, 1]).any()


def test_new_items_need_queries_that_are_items():
    with pytest.raises(ValueError, match="expected queries that are items"):
        walk_forward(ACTIONS, VECTORS, DAYS, {"": decay_average(0.0)}, PROTOCOL)


def plain_blend(user: int, day: int, weight: float, log=RECORDS) -> tuple[float, float]:
    window = {(u, row) for u, row, t in log if (day - WINDOW) * US_PER_DAY <= t < day * US_PER_DAY}
    users = np.bincount([row for _, row in window], minlength=NUM_ITEMS)
    cosines = (queries_of(pinnersage(3), user, day).vectors_QD @ MATRIX.T).max(axis=0).round(6)
    ranked = by_score(cosines + weight * np.log(1 + users) / np.log(1 + users.max()))
    items, seen = items_of(user, day, day + 1), items_of(user, day - WINDOW, day)
    new, unseen = items - seen, [row for row in ranked if row not in seen]
    of_new = len(new & set(unseen[:TOP])) / len(new) if new else math.nan
    return len(items & set(ranked[:TOP])) / len(items), of_new


def test_a_blend_is_the_best_of_all_items_by_cosine_and_popularity_before_the_day():
    few = ACTIONS.of_users(np.arange(4))
    weights = [0.0, 0.3, 2.0]
    curve = blend_curve(ACTIONS, few, VECTORS, DAYS, PROTOCOL, pinnersage(3), WITHOUT, weights)
    assert [point.popularity_weight for point in curve] == weights
    assert (curve[0].recall, curve[0].recall_new) == (WITHOUT.recall, WITHOUT.recall_new)
    pairs = [
        (user, day)
        for day in DAYS
        for user in range(4)
        if items_of(user, day, day + 1) and items_of(user, day - WINDOW, day)
    ]
    assert len(pairs) > 8
    for point in curve[1:]:
        of_all, of_new = np.array([plain_blend(*pair, point.popularity_weight) for pair in pairs]).T
        assert point.recall == pytest.approx(of_all.mean(), abs=0.005)
        assert point.recall_new == pytest.approx(np.nanmean(of_new), abs=0.005)
    assert curve[2].recall > 0.1


def test_actions_of_a_day_and_after_it_make_nothing_popular():
    """On the last day everybody acts on an item that nobody knew."""
    last = DAYS[-1]
    before = ACTIONS.times_us_M < last * US_PER_DAY
    everybody = np.arange(NUM_USERS)
    rows = np.concatenate([ACTIONS.rows_M[before] % (NUM_ITEMS - 1), np.full(NUM_USERS, NUM_ITEMS - 1)])
    times_us = np.concatenate([ACTIONS.times_us_M[before], np.full(NUM_USERS, last * US_PER_DAY)])
    log = Actions(ACTIONS.user_ids, np.concatenate([ACTIONS.users_M[before], everybody]), rows, times_us)
    curve = blend_curve(log, log, VECTORS, [last], PROTOCOL, pinnersage(3), WITHOUT, [20.0])
    assert curve[1].recall == 0


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(1, 45), st.data())
def test_the_best_are_those_of_a_stable_sort_whatever_is_thought_likely(scores, k, data):
    scores_N = np.array(scores, float)
    likely = data.draw(st.lists(st.sampled_from(range(len(scores))), min_size=min(k, len(scores)), unique=True))
    expected = np.argsort(-scores_N, kind="stable")[:k].tolist()
    assert _best(scores_N, np.array(likely), k).tolist() == expected


def test_the_best_weight_is_the_smallest_of_equal_ones_by_the_recall_that_decides():
    points = [
        BlendPoint(popularity_weight=weight, recall=recall, recall_new=of_new)
        for weight, recall, of_new in [(0.0, 0.1, 0.3), (0.5, 0.2, 0.3), (1.0, 0.2, 0.1)]
    ]
    assert best_weight(points).popularity_weight == 0.5
    assert best_weight(points, NEW).popularity_weight == 0.0


def test_a_curve_has_both_recalls_and_none_of_new_items_where_there_are_none():
    curve = calibration_curve(ACTIONS, VECTORS, DAYS, PROTOCOL, 0.01, (3,))
    assert all(0 < point.recall_new < 1 and point.recall_new_se > 0 for point in curve)
    assert any(point.recall_new != point.recall for point in curve)
    again = Actions(["ann"], np.zeros(6, int), np.array([1, 2, 3] * 2), np.repeat([99, 100], 3) * US_PER_DAY)
    curve = calibration_curve(again, VECTORS, [100], PROTOCOL, 0.01, (3,))
    assert {(point.recall_new, point.recall_new_se) for point in curve} == {(None, None)}
    blends = blend_curve(again, again, VECTORS, [100], PROTOCOL, pinnersage(3), curve[0], [1.0])
    assert [point.recall_new for point in blends] == [None, None]
    assert blends[1].recall == 1
