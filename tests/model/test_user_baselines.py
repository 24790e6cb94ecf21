"""Users as query vectors: each method against its definition, written the plain way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.users.actions import Actions, History
from model.users.baselines import (
    BASELINE,
    METHODS,
    UserDay,
    alpha_by_num,
    calibrated_methods,
    calibrated_name,
    complete_linkage,
    decay_average,
    k_means,
    last_item,
    own_items,
    pinnersage,
    single_medoid,
    ward_centroids,
)
from model.users.pinnersage import US_PER_DAY, cluster_actions

NOW_US = 100 * US_PER_DAY
NUM_ITEMS = 12


def unit_rows(num: int, dim: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((num, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


MATRIX = unit_rows(NUM_ITEMS, 4)
MATRIX[5] = MATRIX[4]
#: (item row, age in days)
HISTORIES = st.lists(st.tuples(st.integers(0, NUM_ITEMS - 1), st.integers(0, 89)), min_size=1, max_size=25)


def day_of(actions: list[tuple[int, int]], alpha: float = 0.8, seed: int = 7, matrix: np.ndarray = MATRIX) -> UserDay:
    rows, ages = np.array(actions).T
    log = Actions(["ann"], np.zeros(len(rows), int), rows, NOW_US - ages * US_PER_DAY)
    history = log.history(0, 0, NOW_US + 1)
    assert history is not None
    return UserDay(history, matrix, NOW_US, alpha, seed)


def test_the_last_item_is_that_of_the_latest_action_and_of_equal_times_the_largest_row():
    assert last_item(day_of([(3, 5), (1, 2), (2, 2), (9, 8)])).rows_Q.tolist() == [2]


@given(HISTORIES)
def test_own_items_are_of_different_vectors_the_latest_or_the_most_important(actions):
    """Items 4 and 5 share a vector."""
    day = day_of(actions)
    same = {row: 4 if row == 5 else row for row in range(NUM_ITEMS)}
    ages: dict[int, int] = {}
    importance: dict[int, float] = {}
    for row, age in actions:
        ages[same[row]] = min(age, ages.get(same[row], 99))
        importance[same[row]] = importance.get(same[row], 0.0) + np.exp(-0.01 * age)
    for num in (1, 3, 50):
        for recent, worth in ((True, {row: -age for row, age in ages.items()}), (False, importance)):
            rows = [same[row] for row in own_items(num, recent=recent)(day).rows_Q.tolist()]
            assert len(set(rows)) == len(rows) == min(num, len(ages))
            found = [worth[row] for row in rows]
            assert found == pytest.approx(sorted(worth.values(), reverse=True)[:num])
    assert set(own_items(50, recent=True)(day).rows_Q.tolist()) <= {row for row, _ in actions}


@given(HISTORIES, st.sampled_from([0.0, 0.01, 0.25]))
def test_decay_average_is_the_direction_of_the_weighted_sum(actions, decay):
    expected = sum(np.exp(-decay * age) * MATRIX[row].astype(np.float64) for row, age in actions)
    expected /= np.linalg.norm(expected)
    found = decay_average(decay)(day_of(actions))
    assert found.rows_Q is None
    np.testing.assert_allclose(found.vectors_QD, expected[None], atol=1e-5)


def test_decay_average_of_opposite_vectors_has_no_direction_and_no_nan():
    found = decay_average(0.0)(day_of([(0, 1), (1, 1)], matrix=np.array([[1, 0], [-1, 0]], np.float32)))
    assert found.vectors_QD.tolist() == [[0, 0]]


@given(HISTORIES)
def test_the_single_medoid_is_the_item_with_the_least_sum_of_squared_distances(actions):
    row = single_medoid(day_of(actions)).rows_Q.item()
    own = MATRIX[[row for row, _ in actions]].astype(np.float64)
    sums = {candidate: ((own - MATRIX[candidate]) ** 2).sum() for candidate, _ in actions}
    assert sums[row] <= min(sums.values()) + 1e-6


@settings(deadline=None)
@given(HISTORIES, st.sampled_from([0.0, 0.5, 2.0, 50.0]))
def test_pinnersage_asks_with_different_medoids_of_wards_clusters(actions, alpha):
    day = day_of(actions, alpha)
    clusters = cluster_actions(day.vectors_HD, day.rows_H, day.times_us_H, alpha)
    medoids = day.rows_H[clusters.medoid_C].tolist()
    assert pinnersage(None)(day).rows_Q.tolist() == medoids
    for num in (1, 2, 3, 10):
        found = pinnersage(num)(day)
        assert len(found.rows_Q) == min(num, len(medoids))
        assert found.num_clusters == len(medoids)
        assert set(found.rows_Q.tolist()) <= set(medoids)
        np.testing.assert_array_equal(found.vectors_QD, MATRIX[found.rows_Q])
        assert pinnersage(10)(day).rows_Q.tolist()[:num] == found.rows_Q.tolist()  # one draw, longer or shorter


def test_replicates_and_seeds_draw_otherwise():
    actions = [(row, 1) for row in range(NUM_ITEMS)]
    drawn = {tuple(pinnersage(3, alpha=0.0, replicate=n)(day_of(actions)).rows_Q) for n in range(20)}
    seeded = {tuple(pinnersage(3, alpha=0.0)(day_of(actions, seed=n)).rows_Q) for n in range(20)}
    assert len(drawn) > 10
    assert len(seeded) > 10
    assert tuple(pinnersage(3, alpha=0.0)(day_of(actions)).rows_Q) in drawn


def test_top_medoids_are_those_of_the_most_decayed_actions():
    actions = [(0, 80)] * 5 + [(1, 1)] * 3 + [(2, 1)] * 2 + [(3, 1)]
    top = {decay: pinnersage(2, decay, alpha=0.0, sampled=False)(day_of(actions)).rows_Q for decay in (0.0, 0.1)}
    assert top[0.0].tolist() == [0, 1]
    assert top[0.1].tolist() == [1, 2]


@settings(deadline=None)
@given(HISTORIES)
def test_ward_centroids_are_the_means_of_wards_clusters(actions):
    day = day_of(actions)
    labels = day.clusters().labels_M
    means = np.stack([day.vectors_HD[labels == c].mean(axis=0) for c in range(labels.max() + 1)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    found = ward_centroids(day)
    assert len(found.vectors_QD) == min(3, len(means))
    cosines = found.vectors_QD @ means.T
    np.testing.assert_allclose(cosines.max(axis=1), 1, atol=1e-5)
    assert found.num_clusters == len(means)


@settings(deadline=None)
@given(HISTORIES, st.sampled_from([0.0, 0.5, 2.0, 50.0]))
def test_complete_linkage_has_as_many_clusters_as_ward(actions, alpha):
    day = day_of(actions, alpha)
    assert complete_linkage(day).num_clusters == len(day.clusters().medoid_C)


def test_complete_linkage_merges_the_nearer_groups_where_ward_spares_the_large_ones():
    """Nine actions at angle 0, nine at 1, one at 2.1: Ward adds the last one to a group, complete joins the groups."""
    angles = np.array([0.0, 1.0, 2.1])
    matrix = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    day = day_of([*[(0, 1)] * 9, *[(1, 1)] * 9, (2, 1)], alpha=4.0, matrix=matrix)
    assert sorted(pinnersage()(day).rows_Q.tolist()) == [0, 1]
    assert 2 in complete_linkage(day).rows_Q.tolist()
    assert complete_linkage(day).num_clusters == 2


@settings(deadline=None, max_examples=30)
@given(HISTORIES)
def test_k_means_has_five_clusters_or_one_for_each_different_vector(actions):
    day = day_of(actions)
    different = len({MATRIX[row].tobytes() for row, _ in actions})
    found, again = k_means(day), k_means(day_of(actions))
    assert found.num_clusters == min(5, different)
    assert len(found.vectors_QD) == min(3, different)
    np.testing.assert_allclose(np.linalg.norm(found.vectors_QD, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found.vectors_QD, again.vectors_QD)


def test_k_means_finds_five_separate_groups():
    matrix = np.eye(5, dtype=np.float32)
    found = k_means(day_of([(row, 1) for row in range(5) for _ in range(4)], matrix=matrix))
    assert sorted(found.vectors_QD.max(axis=1).tolist()) == pytest.approx([1, 1, 1])
    assert len(np.unique(found.vectors_QD.argmax(axis=1))) == 3


@settings(deadline=None, max_examples=20)
@given(HISTORIES)
def test_every_method_answers_every_user_with_unit_vectors_of_its_items(actions):
    for name, method in METHODS.items():
        found = method(day_of(actions))
        assert found.vectors_QD.dtype == np.float32, name
        assert found.num_clusters >= 1, name
        np.testing.assert_allclose(np.linalg.norm(found.vectors_QD, axis=1), 1, atol=1e-5, err_msg=name)


def test_the_table_of_methods_has_what_the_paper_compares():
    assert next(iter(METHODS)) == BASELINE
    for part in ("λ = 0.25", "single medoid", "k-means", "complete", "centroids", "top 3", "e = 1", "e = 2", "e = 5"):
        assert any(part in name for name in METHODS), part
    assert len(set(map(id, METHODS.values()))) == len(METHODS)


def test_calibrated_methods_are_the_choice_and_the_others_at_their_own_alphas():
    methods = calibrated_methods(10, 0.5, True, {3: 50.0, 5: 2.0, 10: 0.5})
    own = ["own items, 10 most recent", "own items, 10 most important"]
    assert list(methods) == [calibrated_name(10, 0.5), *own, "PinnerSage, e = 5, alpha = 2, calibrated for it"]
    day = day_of([(row, 1) for row in range(NUM_ITEMS)], alpha=50.0)
    expected_methods = (
        pinnersage(10, alpha=0.5),
        own_items(10, recent=True),
        own_items(10, recent=False),
        pinnersage(5, alpha=2.0),
    )
    for method, expected in zip(methods.values(), expected_methods, strict=True):
        assert method(day).rows_Q.tolist() == expected(day).rows_Q.tolist()
    assert len(pinnersage(10)(day).rows_Q) == 1
    top = calibrated_methods(10, 0.5, False, {3: 50.0, 10: 2.0})
    assert list(top) == [
        "PinnerSage, calibrated: top 10, alpha = 0.5",
        *own,
        "PinnerSage, e = 10, alpha = 2, calibrated for it",
    ]
    expected = pinnersage(10, alpha=0.5, sampled=False)(day)
    assert next(iter(top.values()))(day).rows_Q.tolist() == expected.rows_Q.tolist()


def test_alphas_around_one_have_it_and_both_ways_to_choose_medoids():
    grid = alpha_by_num(8.0)
    assert {at for at, _, _ in grid} == {0.5, 2.0, 4.0, 8.0, 16.0, 32.0}
    day = day_of([(0, 80)] * 5 + [(1, 1), (2, 1), (3, 1)], alpha=0.0)
    top = grid[0.5, 3, False](day).rows_Q.tolist()
    assert top[0] == 0
    assert len(top) == 3


def test_a_history_over_the_cap_keeps_the_newest_and_of_equal_times_the_smaller_rows():
    log = Actions(["ann", "bob"], np.array([1, 1, 0, 1, 1]), np.array([4, 3, 8, 2, 9]), np.array([10, 10, 10, 20, 5]))
    kept = log.history(1, 0, 21, most=2)
    assert isinstance(kept, History)
    assert (kept.rows_H.tolist(), kept.times_us_H.tolist()) == ([2, 3], [20, 10])
    assert log.history(1, 6, 20).rows_H.tolist() == [3, 4]
    assert log.history(0, 11, 99) is None
    assert log.items(1, 0, 11).tolist() == [3, 4, 9]
