"""PinnerSage's clusters against an example by hand, the paper's own algorithm, scikit-learn and plain loops."""

import doctest
import math
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import chisquare
from sklearn.cluster import AgglomerativeClustering
from ward_stack import labels_of, ward_merges, ward_stack

from model.users import pinnersage

US_PER_DAY = 24 * 60 * 60 * 1_000_000


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def shopper(num_actions: int, num_items: int, seed: int, dim: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors, item rows and times (microseconds) of a user of several tastes, some items again and again, in canonical
    order. Of three items, two have one vector."""
    generator = np.random.default_rng(seed)
    tastes = generator.normal(size=(6, dim))
    items = unit(tastes[generator.integers(6, size=num_items)] + generator.normal(size=(num_items, dim)))
    items[2::3] = items[1::3][: len(items[2::3])]
    item_rows = generator.integers(num_items, size=num_actions)
    times_us = generator.integers(90, size=num_actions) * US_PER_DAY
    order = pinnersage.action_order(item_rows, times_us)
    return items[item_rows[order]], item_rows[order], times_us[order]


@st.composite
def actions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of any user, in canonical order; equal times and different items of one vector are common."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vectors = unit(generator.normal(size=(2, 1, 5)) + 0.5 * generator.normal(size=(2, 4, 5))).reshape(8, 5)
    vector_of_item = np.array(draw(st.lists(st.integers(0, 7), min_size=9, max_size=9)))
    pairs = draw(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=30))
    item_rows, days = np.array(pairs).T
    order = pinnersage.action_order(item_rows, days)
    return vectors[vector_of_item[item_rows[order]]], item_rows[order], days[order] * US_PER_DAY


def alphas_between(costs: np.ndarray) -> list[float]:
    """One alpha in every gap of more than 1e-6 between the costs of merges, one below them all and one above."""
    costs = np.sort(costs)
    wide = np.diff(costs) > 1e-6
    return [-1.0, *((costs[:-1] + costs[1:])[wide] / 2).tolist(), 1e6]


def cut_ward(tree: np.ndarray, alpha: float) -> list[int]:
    """`pinnersage.cut_ward`; a negative alpha keeps no merge at all, not even of equal rows."""
    labels = pinnersage.cut(tree, -1.0) if alpha < 0 else pinnersage.cut_ward(tree, alpha)
    assert labels.dtype == np.int32
    return labels.tolist()


def test_worked_examples():
    result = doctest.testmod(pinnersage)
    assert result.failed == 0
    assert result.attempted >= 6


EXAMPLE = np.array([[1, 0], [0.96, 0.28], [0.8, 0.6], [0, 1], [-0.6, 0.8], [-0.6, 0.8]])


def test_the_merges_of_an_example_by_hand():
    """Items a b c d e on a half circle, two actions on e. Squared distances are 2 - 2 cos:

             b      c      d      e
        a   .08    .4    2      3.2         a b:      .08, and then d(ab, c) = (2 x .4 + 2 x .128 - .08) / 3
        b          .128  1.44   2.704       e e:      0,   and then d(ee, d) = (2 x .4 + 2 x .4 - 0) / 3
        c                 .8    2           ab c:     .976 / 3
        d                        .4         ee d:     1.6 / 3

    and last abc with dee: the centroids are (.92, .29333) and (-.4, .86667), so d = 2 x 3 x 3 / 6 x (1.32^2 + .57333^2)
    = 3 x (1.7424 + .32871) = 6.21333.
    """
    squares = [0.08, 0.4, 2, 3.2, 3.2, 0.128, 1.44, 2.704, 2.704, 0.8, 2, 2, 0.4, 0.4, 0]
    assert pinnersage.distances(EXAMPLE) == pytest.approx(np.sqrt(squares), abs=1e-7)
    tree = pinnersage.merge_tree(EXAMPLE)
    assert tree[:, 2] ** 2 == pytest.approx([0, 0.08, 0.976 / 3, 1.6 / 3, 6.213333], abs=1e-6)
    assert [set(row) for row in tree[:, :2].tolist()] == [{4, 5}, {0, 1}, {2, 7}, {3, 6}, {8, 9}]
    by_falling_cost = [{0, 1, 2, 3, 4, 5}, {3, 4, 5}, {0, 1, 2}, {0, 1}, {4, 5}]
    assert [set(members) for members, _ in ward_merges(EXAMPLE)] == by_falling_cost
    clusters_at = {0.07: [0, 1, 2, 3, 4, 4], 0.3: [0, 0, 1, 2, 3, 3], 0.5: [0, 0, 0, 1, 2, 2], 0.6: [0, 0, 0, 1, 1, 1]}
    for alpha, expected in {**clusters_at, 6.2: [0, 0, 0, 1, 1, 1], 6.22: [0] * 6}.items():
        assert cut_ward(tree, alpha) == expected
        assert ward_stack(EXAMPLE, alpha).tolist() == expected


def test_the_clusters_of_the_example_by_hand():
    """At alpha .6 abc and dee. Sums of squared distances: a .48, b .208, c .528: b. d .8, e .4: e, its first action.
    Ages are 1, 2, 10 and 5, 2, 0 days: importances e^-.1 + e^-.2 + e^-1 and e^-.5 + e^-.2 + 1 at .1 a day."""
    item_rows, days = np.array([3, 5, 8, 10, 11, 11]), np.array([9, 8, 0, 5, 8, 10])
    found = pinnersage.cluster_actions(EXAMPLE.astype(np.float32), item_rows, days * US_PER_DAY, alpha=0.6)
    assert found.labels_M.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.medoid_C.tolist() == [1, 4]
    assert found.size_C.tolist() == [3, 3]
    assert (found.last_us_C // US_PER_DAY).tolist() == [9, 10]
    importance = pinnersage.importances(found.labels_M, days * US_PER_DAY, 10 * US_PER_DAY, decay_per_day=0.1)
    assert importance.tolist() == pytest.approx([0.904837 + 0.818731 + 0.367879, 0.606531 + 0.818731 + 1], abs=1e-5)


@settings(max_examples=100, deadline=None)
@given(actions())
def test_equals_the_papers_algorithm(drawn):
    vectors = drawn[0]
    merges, tree = ward_merges(vectors), pinnersage.merge_tree(vectors)
    costs = np.sort([cost for _, cost in merges])
    assert tree[:, 2] ** 2 == pytest.approx(costs, abs=1e-9)
    for alpha in alphas_between(costs):
        assert cut_ward(tree, alpha) == labels_of(merges, len(vectors), alpha).tolist()


@pytest.mark.parametrize(("num_actions", "num_items"), [(150, 400), (150, 20)], ids=["many items", "few items"])
def test_equals_the_papers_algorithm_on_a_shopper(num_actions, num_items):
    vectors, _, _ = shopper(num_actions, num_items, seed=num_items)
    merges, tree = ward_merges(vectors), pinnersage.merge_tree(vectors)
    alphas = alphas_between(tree[:, 2] ** 2)
    assert len(alphas) >= 10
    for alpha in alphas:
        assert cut_ward(tree, alpha) == labels_of(merges, num_actions, alpha).tolist()


@pytest.mark.parametrize(("num_actions", "num_items"), [(2, 1000), (60, 200), (300, 60), (300, 1000)])
def test_equals_scikit_learn(num_actions, num_items):
    """scikit-learn keeps merges below its threshold, cut those up to it: between the heights both are the same."""
    vectors, _, _ = shopper(num_actions, num_items, seed=1)
    tree = pinnersage.merge_tree(vectors)
    for alpha in alphas_between(tree[:, 2] ** 2)[1::9]:
        ward = AgglomerativeClustering(n_clusters=None, distance_threshold=math.sqrt(alpha), linkage="ward")
        theirs = ward.fit_predict(vectors).tolist()
        numbers: dict[int, int] = {}
        assert cut_ward(tree, alpha) == [numbers.setdefault(label, len(numbers)) for label in theirs]


def test_a_merge_of_cost_alpha_is_kept():
    """Orthogonal vectors: the squared distance is 2 without rounding."""
    tree = pinnersage.merge_tree(np.eye(2, dtype=np.float32))
    assert cut_ward(tree, 2.0) == [0, 0]
    assert cut_ward(tree, 2.0 - 1e-9) == [0, 1]


@settings(deadline=None)
@given(st.floats(-1, 1).filter(lambda cosine: abs(cosine - 0.8) > 1e-6))
def test_a_cosine_of_point_8_is_an_alpha_of_point_4(cosine):
    pair = np.array([[1, 0], [cosine, math.sqrt(1 - cosine**2)]])
    assert cut_ward(pinnersage.merge_tree(pair), 0.4) == ([0, 0] if cosine > 0.8 else [0, 1])


def test_complete_linkage_for_comparison():
    """Of c = (.8, .6) and its neighbours a, b, the farthest of cluster ab is a, at the square root of .4."""
    tree = pinnersage.merge_tree(EXAMPLE[:3], "complete")
    assert tree[:, 2] ** 2 == pytest.approx([0.08, 0.4])
    assert pinnersage.cut(tree, 0.63).tolist() == [0, 0, 1]
    assert pinnersage.cut(tree, 0.64).tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distances_are_those_of_scipy(dtype):
    """To 1e-9, and exactly 0 for equal vectors and for those a rounding of float32 apart."""
    vectors = shopper(200, 120, seed=3, dim=256)[0].astype(dtype)
    vectors[1] = vectors[0]
    vectors[1, 0] = np.nextafter(vectors[0, 0], np.float32(2), dtype=np.float32)
    vectors[3] = vectors[2] + np.eye(256, dtype=dtype)[0] * dtype(1e-4)
    before = vectors.copy()
    got, expected = pinnersage.distances(vectors), pdist(before.astype(np.float64))
    assert got.dtype == np.float64
    assert np.array_equal(vectors, before)
    assert (expected == 0).sum() > 50
    assert expected[0] > 0
    assert got[expected < 1e-6].max() == 0
    assert np.abs(got - expected)[expected >= 1e-6].max() < 1e-9


SQUARE = np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [1, 0], [0, 1]], np.float32)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=14).flatmap(
        lambda pairs: st.tuples(st.just(pairs), st.permutations(pairs))
    )
)
def test_the_order_of_the_actions_never_matters(orders):
    """All distances tie on the corners of a square; items 4 and 5 have the vectors of 0 and 1."""
    found = []
    for pairs in orders:
        item_rows, times_us = np.array(pairs).T
        order = pinnersage.action_order(item_rows, times_us)
        sorted_pairs = item_rows[order], times_us[order]
        result = pinnersage.cluster_actions(SQUARE[sorted_pairs[0]], *sorted_pairs, alpha=2.0)
        found.append([column.tolist() for column in (*sorted_pairs, *vars(result).values())])
    assert found[0] == found[1]


def test_without_the_canonical_order_ties_make_other_clusters():
    """The test before is not idle: which corner is east's companion depends on the order."""
    companions = set()
    for order in ([0, 1, 2, 3], [0, 3, 2, 1], [1, 2, 3, 0]):
        labels = np.array(cut_ward(pinnersage.merge_tree(SQUARE[order]), 2.0))[np.argsort(order)]
        companions.add(tuple(np.flatnonzero(labels == labels[0])))
    assert len(companions) > 1


def plain_medoid(vectors, members, item_rows, times_us):
    """The least sum of squared distances; then most actions on the item, the latest of them, the smallest row."""
    wide = vectors.astype(np.float64)
    sums = {row: sum(float(((wide[row] - wide[other]) ** 2).sum()) for other in members) for row in members}
    least = min(sums.values())

    def preference(row):
        times = [times_us[other] for other in members if item_rows[other] == item_rows[row]]
        return -len(times), -max(times), item_rows[row], row

    return min((row for row in members if sums[row] <= least + 1e-9), key=preference)


@pytest.mark.medium
@settings(max_examples=200, deadline=None)
@given(actions(), st.sampled_from([0.0, 0.1, 0.5, 2.0, 50.0]), st.sampled_from([0, 0.01, 1]), st.integers(0, 100))
def test_clusters_equal_plain_loops(drawn, alpha, decay, days):
    vectors, item_rows, times_us = drawn
    found = pinnersage.cluster_actions(vectors, item_rows, times_us, alpha)
    clusters = [np.flatnonzero(found.labels_M == c).tolist() for c in range(found.labels_M.max() + 1)]
    assert [rows[0] for rows in clusters] == sorted(rows[0] for rows in clusters)
    assert found.size_C.tolist() == [len(rows) for rows in clusters]
    assert found.last_us_C.tolist() == [max(times_us[row] for row in rows) for rows in clusters]
    assert found.medoid_C.tolist() == [plain_medoid(vectors, rows, item_rows, times_us) for rows in clusters]
    assert [column.dtype for column in vars(found).values()] == [np.int32, np.int64, np.int32, np.int64]
    now_us = (3 + days) * US_PER_DAY
    expected = [sum(math.exp(-decay * (3 + days - times_us[row] / US_PER_DAY)) for row in rows) for rows in clusters]
    assert pinnersage.importances(found.labels_M, times_us, now_us, decay) == pytest.approx(expected)


def test_medoids_of_a_shopper_equal_plain_loops():
    vectors, item_rows, times_us = shopper(300, 120, seed=5, dim=256)
    found = pinnersage.cluster_actions(vectors, item_rows, times_us, alpha=1.5)
    clusters = [np.flatnonzero(found.labels_M == c).tolist() for c in range(len(found.size_C))]
    assert 10 < len(clusters) < 100
    assert found.medoid_C.tolist() == [plain_medoid(vectors, rows, item_rows, times_us) for rows in clusters]


@pytest.mark.parametrize("seed", range(5))
def test_two_items_are_equally_central_however_float32_rounds_their_norms(seed):
    generator = np.random.default_rng(seed)
    vectors = unit(generator.normal(size=(2, 256)))
    for days, expected in ([5, 6], 1), ([6, 5], 0), ([5, 5], 0):
        found = pinnersage.cluster_actions(vectors, np.array([0, 1]), np.array(days) * US_PER_DAY, alpha=50.0)
        assert found.medoid_C.tolist() == [expected]


def test_a_slightly_more_central_item_beats_a_later_action():
    angles = np.array([0, 0.1, 0.20001, 0.3])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = pinnersage.cluster_actions(vectors, np.arange(4), np.array([0, 0, 9, 0]), alpha=0.4)
    assert (found.size_C.tolist(), found.medoid_C.tolist()) == ([4], [1])


def test_of_equal_vectors_the_item_of_most_actions_is_the_medoid():
    vectors = unit(np.ones((6, 4)))
    for item_rows, days, expected in (
        ([0, 1, 1, 2, 2, 3], [9, 1, 3, 1, 2, 9], 1),  # items 1 and 2 have two actions, 1 the later one
        ([0, 1, 1, 2, 2, 3], [9, 1, 3, 2, 3, 9], 1),  # as late as each other: the smaller row
        ([0, 1, 1, 2, 2, 2], [9, 1, 9, 1, 2, 3], 3),  # three actions
    ):
        found = pinnersage.cluster_actions(vectors, np.array(item_rows), np.array(days) * US_PER_DAY, alpha=0.4)
        assert (found.size_C.tolist(), found.medoid_C.tolist()) == ([6], [expected])


def test_importance_decays_with_now_and_is_the_size_without_decay():
    vectors, item_rows, times_us = shopper(80, 80, seed=2)
    found = pinnersage.cluster_actions(vectors, item_rows, times_us, alpha=1.0)
    now_us = 90 * US_PER_DAY
    assert pinnersage.importances(found.labels_M, times_us, now_us, 0.0).tolist() == found.size_C.tolist()
    today = pinnersage.importances(found.labels_M, times_us, now_us, 0.01)
    in_a_month = pinnersage.importances(found.labels_M, times_us, now_us + 30 * US_PER_DAY, 0.01)
    assert in_a_month == pytest.approx(today * math.exp(-0.3))
    assert (today < found.size_C).all()


def test_medoids_are_drawn_in_proportion_and_without_replacement():
    """The second is drawn in proportion to those left: the pair (i, j) has the probability p_i p_j / (1 - p_i)."""
    weights, num_draws = np.array([6.0, 3.0, 1.0]), 20_000
    generator = np.random.default_rng(7)
    counts = np.zeros((3, 3))
    for _ in range(num_draws):
        counts[tuple(pinnersage.sample_medoids(weights, 2, generator))] += 1
    share = weights / weights.sum()
    expected = num_draws * share[:, None] * share[None, :] / (1 - share[:, None])
    off_diagonal = ~np.eye(3, dtype=bool)
    assert counts.diagonal().sum() == 0
    assert chisquare(counts[off_diagonal], expected[off_diagonal]).pvalue > 0.001
    assert chisquare(counts.sum(axis=1), num_draws * share).pvalue > 0.001


def test_sampling_all_medoids_and_from_a_seed():
    weights = np.array([5.0, 0.1, 2.0, 2.0])
    once, again = (
        [tuple(pinnersage.sample_medoids(weights, 3, np.random.default_rng(seed))) for seed in range(20)] for _ in "ab"
    )
    assert once == again
    assert len(set(once)) > 3
    assert sorted(pinnersage.sample_medoids(weights, 4, np.random.default_rng(0)).tolist()) == [0, 1, 2, 3]
    assert sorted(pinnersage.sample_medoids(weights, 10, np.random.default_rng(0)).tolist()) == [0, 1, 2, 3]


def test_medoids_without_importance_come_last():
    """exp(-decay x age) is 0 beyond an age of 745 / decay days."""
    labels, times_us = np.arange(40), np.zeros(40, np.int64)
    nothing = pinnersage.importances(labels, times_us, 800 * US_PER_DAY, decay_per_day=1.0)
    assert nothing.tolist() == [0] * 40
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(50):
            generator = np.random.default_rng(seed)
            assert len(set(pinnersage.sample_medoids(nothing, 3, generator).tolist())) == 3
            some = nothing + 1e-9 * np.isin(labels, [7, 33])
            assert set(pinnersage.sample_medoids(some, 2, generator).tolist()) == {7, 33}


def test_one_action():
    found = pinnersage.cluster_actions(np.eye(1, 8, dtype=np.float32), np.array([4]), np.array([17]), alpha=0.4)
    assert [column.tolist() for column in vars(found).values()] == [[0], [0], [1], [17]]


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_a_thousand_equal_actions_are_one_cluster(alpha):
    vectors = np.repeat(shopper(1, 1, seed=0, dim=256)[0], 1000, axis=0)
    found = pinnersage.cluster_actions(vectors, np.full(1000, 4), np.arange(1000), alpha)
    assert (found.size_C.tolist(), found.medoid_C.tolist(), found.last_us_C.tolist()) == ([1000], [0], [999])


def test_two_thousand_actions_need_three_matrices_of_distances():
    vectors, item_rows, times_us = shopper(2000, 1500, seed=0, dim=32)
    tracemalloc.start()
    found = pinnersage.cluster_actions(vectors, item_rows, times_us, alpha=1.0)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.size_C.sum() == 2000
    assert 6 < len(found.size_C) < 1500
    assert 2000 * 2000 * 8 < peak_bytes < 3 * 2000 * 2000 * 8
