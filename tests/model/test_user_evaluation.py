"""Evaluation of users: exact search, the protocol and its metrics, each against a plain twin on small data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.nearest.distinct_search import DistinctVectors, top_rows
from model.users.actions import Actions
from model.users.baselines import METHODS, Queries, UserDay, decay_average, last_item, pinnersage
from model.users.evaluation import METRICS, Protocol, count_user_days, walk_forward
from model.users.intervals import standard_errors, summarize
from model.users.pinnersage import US_PER_DAY
from model.users.ranking import rank_metrics, ranking
from schemas.hashing import seed_of

DAYS = range(100, 104)
NUM_ITEMS = 60


def made_matrix(num: int = NUM_ITEMS, dim: int = 6, seed: int = 0) -> np.ndarray:
    """A third of the items share the vector of another."""
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((num, dim)).astype(np.float32)
    rows[generator.integers(0, num, num // 3)] = rows[0]
    rows[1::4] = rows[2]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def made_actions(num_users: int = 6, num: int = 400, seed: int = 1) -> Actions:
    generator = np.random.default_rng(seed)
    times_us = generator.integers(90 * US_PER_DAY, DAYS.stop * US_PER_DAY, num)
    names = [f"user-{n}" for n in range(num_users)]
    return Actions(names, generator.integers(0, num_users, num), generator.integers(0, NUM_ITEMS, num), times_us)


MATRIX, ACTIONS = made_matrix(), made_actions()
VECTORS = DistinctVectors(MATRIX)


def plainly_nearest(query: np.ndarray, k: int) -> list[int]:
    """Highest cosine first; items of one vector by row."""
    cosines = (MATRIX.astype(np.float64) @ query).round(6)
    return np.lexsort((np.arange(NUM_ITEMS), -cosines))[:k].tolist()


def test_distinct_vectors_are_the_rows_once_each():
    assert len(VECTORS.vectors_UD) == len(np.unique(MATRIX, axis=0)) < NUM_ITEMS
    np.testing.assert_array_equal(VECTORS.vectors_UD[VECTORS.id_N], MATRIX)


@pytest.mark.parametrize("k", [1, 7, 30, NUM_ITEMS, 2 * NUM_ITEMS])
def test_exact_search_is_brute_force(k):
    queries = made_matrix(9, seed=5)
    for query, found in zip(queries, VECTORS.nearest(queries, k), strict=True):
        cosines = MATRIX[found] @ query
        expected = plainly_nearest(query, k)
        assert len(found) == min(k, NUM_ITEMS)
        assert sorted(found.tolist()) == sorted(expected)
        np.testing.assert_allclose(cosines, MATRIX[expected] @ query, atol=1e-6)
        for vector in np.unique(VECTORS.id_N[found]):
            rows = found[VECTORS.id_N[found] == vector]
            assert (np.diff(rows) > 0).all()


def test_an_items_own_list_begins_with_itself():
    VECTORS.prepare(range(NUM_ITEMS), 20)
    for row in range(NUM_ITEMS):
        found = VECTORS.nearest_to_item(row, 9).tolist()
        others = [other for other in plainly_nearest(MATRIX[row], 21) if other != row]
        assert found[0] == row
        assert len(set(found)) == 9
        cosines = MATRIX[found[1:]] @ MATRIX[row]
        np.testing.assert_allclose(cosines, MATRIX[others[:8]] @ MATRIX[row], atol=1e-6)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 40))
def test_top_rows_is_a_stable_sort(scores, k):
    scores = np.array(scores, float)
    assert top_rows(scores, k).tolist() == np.argsort(-scores, kind="stable")[:k].tolist()


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=3),
    st.lists(st.integers(0, 9), max_size=12),
)
def test_ranks_count_negatives_of_equal_score_first(positive, negative):
    found = rank_metrics(np.array(positive, float), np.array([negative] * len(positive), float))
    for values, (precision, reciprocal) in zip(positive, found, strict=True):
        listed = sorted([(-score, 0) for score in negative] + [(-score, 1) for score in values])
        is_positive = [kind for _, kind in listed]
        assert precision == pytest.approx(sum(is_positive[: len(values)]) / len(values))
        ranks = [place + 1 for place, kind in enumerate(is_positive) if kind]
        assert reciprocal == pytest.approx(np.mean([1 / rank for rank in ranks]))


def test_ranking_takes_the_best_of_a_methods_own_queries():
    matrix = np.eye(4, dtype=np.float32)
    far, near = Queries(None, matrix[[2]], 1), Queries(None, matrix[[2, 0]], 2)
    found = ranking(matrix, np.array([0]), np.array([1, 3]), [far, near, far])
    assert found.tolist() == [[0, pytest.approx(1 / 3)], [1, 1], [0, pytest.approx(1 / 3)]]


def plainly_evaluated(name: str, user: int, day: int, protocol: Protocol) -> tuple[float, float]:
    """Relevance and recall of a user-day, item by item."""
    start = day * US_PER_DAY
    history = ACTIONS.history(user, start - protocol.window_days * US_PER_DAY, start)
    seed = seed_of("evaluate-users", ACTIONS.user_ids[user], day)
    queries = METHODS[name](UserDay(history, MATRIX, start, protocol.alpha, seed))
    each, found = protocol.top // len(queries.vectors_QD), set()
    for place, query in enumerate(queries.vectors_QD):
        own = [] if queries.rows_Q is None else [int(queries.rows_Q[place])]
        found |= set((own + [row for row in plainly_nearest(query, protocol.top) if row not in own])[:each])
    items = set(ACTIONS.items(user, start, start + US_PER_DAY).tolist())
    near = [any(float(MATRIX[item] @ MATRIX[row]) >= 0.8 - 1e-6 for row in found) for item in items]
    return float(np.mean(near)), len(items & found) / len(items)


@pytest.mark.medium
@pytest.mark.parametrize("top", [5, 12])
def test_walking_forward_is_the_plain_protocol(top):
    protocol = Protocol(alpha=1.5, window_days=6, top=top)
    found = walk_forward(ACTIONS, VECTORS, DAYS, METHODS, protocol)
    pairs = {
        (user, day)
        for day in DAYS
        for user in range(len(ACTIONS.user_ids))
        if len(ACTIONS.items(user, day * US_PER_DAY, (day + 1) * US_PER_DAY))
        and ACTIONS.history(user, (day - 6) * US_PER_DAY, day * US_PER_DAY)
    }
    assert len(pairs) > 15
    assert set(zip(found.users_U.tolist(), found.days_U.tolist(), strict=True)) == pairs
    assert count_user_days(ACTIONS, DAYS, protocol) == len(found.users_U) == len(pairs)
    for place, (user, day) in enumerate(zip(found.users_U, found.days_U, strict=True)):
        for method, name in enumerate(METHODS):
            expected = plainly_evaluated(name, int(user), int(day), protocol)
            assert found.values_UTM[place, method, :2].tolist() == pytest.approx(expected), (name, user, day)
    assert 0.1 < found.values_UTM[..., 0].mean() < 0.95
    assert (found.values_UTM[..., 0] >= found.values_UTM[..., 1] - 1e-9).all()


def test_the_order_of_the_log_changes_nothing():
    order = np.random.default_rng(9).permutation(len(ACTIONS.rows_M))
    shuffled = Actions(ACTIONS.user_ids, ACTIONS.users_M[order], ACTIONS.rows_M[order], ACTIONS.times_us_M[order])
    protocol = Protocol(alpha=1.5, top=10)
    one, other = (walk_forward(log, VECTORS, DAYS, METHODS, protocol) for log in (ACTIONS, shuffled))
    np.testing.assert_array_equal(one.values_UTM, other.values_UTM)


@pytest.mark.medium
@pytest.mark.parametrize("max_lists", [0, 3])
def test_how_many_neighbour_lists_are_kept_changes_nothing(max_lists):
    protocol = Protocol(alpha=1.5, top=10)
    searches = DistinctVectors(MATRIX), DistinctVectors(MATRIX, max_lists)
    one, other = (walk_forward(ACTIONS, vectors, DAYS, METHODS, protocol) for vectors in searches)
    np.testing.assert_array_equal(one.values_UTM, other.values_UTM)


def test_the_day_itself_and_later_days_are_not_history():
    later = ACTIONS.times_us_M >= 101 * US_PER_DAY
    rows = np.where(later, (ACTIONS.rows_M + 7) % NUM_ITEMS, ACTIONS.rows_M)
    other = Actions(ACTIONS.user_ids, ACTIONS.users_M, rows, ACTIONS.times_us_M)
    protocol = Protocol(alpha=1.5, top=10)
    before, after = (walk_forward(log, VECTORS, [100], METHODS, protocol) for log in (ACTIONS, other))
    np.testing.assert_array_equal(before.values_UTM, after.values_UTM)


def shop_of_two() -> tuple[np.ndarray, Actions]:
    """Items along the axes. ann and bob have item 0 on day 9; on day 10 ann acts on 0, bob on 1 and 2."""
    users, rows, days = np.array([[0, 0, 9], [1, 0, 9], [0, 0, 10], [1, 1, 10], [1, 2, 10]]).T
    return np.eye(6, dtype=np.float32), Actions(["ann", "bob"], users, rows, days * US_PER_DAY)


def test_without_impressions_the_items_of_others_stand_in():
    matrix, actions = shop_of_two()
    found = walk_forward(actions, DistinctVectors(matrix), [10], {"last": last_item}, Protocol(alpha=1, top=1))
    ann, bob = found.values_UTM[:, 0]
    assert ann.tolist() == [1, 1, 1, 1]  # item 0 before draws of items 1 and 2
    assert bob[:2].tolist() == [0, 0]
    assert bob[2] == 0  # 40 draws of item 0, which is where bob's history points, come before items 1 and 2
    assert bob[3] == pytest.approx((1 / 41 + 1 / 42) / 2)


def test_the_users_own_impressions_of_the_day_come_first():
    matrix, actions = shop_of_two()
    generator = np.random.default_rng(0)
    matrix = np.concatenate([matrix, generator.standard_normal((40, 6)).astype(np.float32)])
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    matrix[6:] *= np.sign(matrix[6:, :1]) * -1  # all point away from item 0
    shown = np.arange(6, 46)
    impressions = Actions(actions.user_ids, np.ones(41, int), np.append(shown, 1), np.full(41, 10 * US_PER_DAY + 5))
    protocol, methods = Protocol(alpha=1, top=1), {"last": last_item}
    found = walk_forward(actions, DistinctVectors(matrix), [10], methods, protocol, impressions)
    assert found.values_UTM[1, 0, 2] == 1  # items 1 and 2 have cosine 0 to item 0, the 40 impressions less
    assert found.values_UTM[1, 0, 3] == pytest.approx((1 + 1 / 2) / 2)


def test_means_and_lifts_are_over_user_days_and_intervals_over_users():
    users = np.array([3, 3, 3, 8, 9, 10, 11, 12])
    values = np.array([[[1.0], [2.0]]] * 3 + [[[3.0], [6.0]]] * 5)
    found = summarize(users, values, 0, seed=1)
    assert found.mean[:, 0].tolist() == [2.25, 4.5]
    assert 1 < found.low[0, 0] < found.mean[0, 0] < found.high[0, 0] == 3  # the others alone, drawn six times
    assert found.lift[:, 0].tolist() == [0.0, 100.0]
    assert (found.lift_low[1, 0], found.lift_high[1, 0]) == (100.0, 100.0)  # paired: always twice


def test_too_few_users_have_no_interval():
    """Of a metric those count that have a value: one that a single user has gave bounds of no width."""
    values = np.array([[[1.0, 1.0], [2.0, np.nan]]] * 9)
    values[5:, 1, 1] = 3.0
    found = summarize(np.arange(9), values, 0, seed=1)
    assert found.lift[1].tolist() == [100.0, 200.0]
    for low, high in ((found.low, found.high), (found.lift_low, found.lift_high)):
        assert np.isnan(low).tolist() == np.isnan(high).tolist() == [[False, False], [False, True]]
    few = summarize(np.arange(5), values[:5], 0, seed=1)
    assert few.mean[:, 0].tolist() == [1.0, 2.0]
    assert np.isnan([few.low[:, 0], few.high[:, 0], few.lift_low[:, 0], few.lift_high[:, 0]]).all()


def test_rows_of_one_user_are_not_independent():
    generator = np.random.default_rng(2)
    per_user = generator.standard_normal((200, 1, 1)) + 5
    alone = summarize(np.arange(200), per_user, 0, seed=1)
    repeated = summarize(np.repeat(np.arange(200), 25), np.repeat(per_user, 25, axis=0), 0, seed=1)
    np.testing.assert_allclose([repeated.low, repeated.high], [alone.low, alone.high])
    assert alone.high - alone.low == pytest.approx(2 * 1.96 / 200**0.5, rel=0.2)
    errors = standard_errors(np.repeat(np.arange(200), 25), np.repeat(per_user[:, 0], 25, axis=0))
    assert errors.item() == pytest.approx(per_user.std() / 200**0.5)


def test_missing_values_do_not_count_and_a_baseline_of_zero_has_no_lift():
    found = summarize(np.array([0, 1]), np.array([[[0.0], [np.nan]], [[0.0], [4.0]]]), 0, seed=1)
    assert found.mean[:, 0].tolist() == [0.0, 4.0]
    assert np.isnan(found.lift).all()
    with pytest.raises(ValueError, match="at least one user-day"):
        summarize(np.zeros(0, int), np.zeros((0, 1, 1)), 0, seed=1)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 100))
def test_methods_do_not_depend_on_which_others_are_asked(seed):
    log, protocol = made_actions(seed=seed), Protocol(alpha=1.5, top=8)
    some = {"decay": decay_average(0.01), "e3": pinnersage(3)}
    both = walk_forward(log, VECTORS, [101], some, protocol)
    alone = walk_forward(log, VECTORS, [101], {"e3": some["e3"]}, protocol)
    np.testing.assert_array_equal(both.values_UTM[:, 1], alone.values_UTM[:, 0])
    assert both.values_UTM.shape[2] == len(METRICS)
