"""From clusters to candidates: examples worked by hand, and plain loops as exact twins."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.users import recommendation
from model.users.recommendation import (
    MAX_RECENT,
    POPULAR,
    Interests,
    blend,
    merge_equal,
    merge_recent,
    no_interests,
    order_by_depth,
    order_by_score,
    pool_of,
    recent_interests,
    with_popular,
)

NOW_US = 1_000


def unit(*angles_degrees: float) -> np.ndarray:
    radians = np.radians(angles_degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def interests(rows: list[int], importance: list[float]) -> Interests:
    return Interests(
        rows_C=np.array(rows, np.int64),
        importance_C=np.array(importance),
        size_C=np.ones(len(rows), np.int32),
        last_us_C=np.zeros(len(rows), np.int64),
    )


def as_lists(found: Interests) -> list[list]:
    return [column.tolist() for column in (found.rows_C, found.importance_C, found.size_C, found.last_us_C)]


def test_the_examples():
    assert doctest.testmod(recommendation).attempted > 5
    assert doctest.testmod(recommendation).failed == 0


def test_recent_actions_are_clustered_and_weigh_one_each():
    rows = np.array([5, 9, 5, 2])
    found = recent_interests(rows, unit(0, 90, 0, 5), alpha=0.4, now_us=NOW_US)
    assert as_lists(found) == [[5, 9], [3.0, 1.0], [3, 1], [NOW_US, NOW_US]]


def test_only_the_newest_recent_actions_are_clustered():
    rows = np.arange(MAX_RECENT + 5)
    found = recent_interests(rows, unit(*(120 * (rows >= 5))), alpha=0.4, now_us=NOW_US)
    assert found.size_C.tolist() == [MAX_RECENT]
    assert as_lists(recent_interests(rows[:0], unit(), 0.4, NOW_US)) == as_lists(no_interests())


@pytest.mark.parametrize(("angle", "joins"), [(36, True), (37.5, False)])
def test_a_recent_cluster_joins_at_cosine_08(angle, joins):
    merged = merge_recent(interests([1], [4]), unit(0), interests([2], [1]), unit(angle))
    assert merged.rows_C.tolist() == ([1] if joins else [1, 2])
    assert merged.importance_C.tolist() == ([5] if joins else [4, 1])


def test_a_recent_cluster_joins_the_nearest_and_the_order_is_by_importance():
    batch = interests([1, 2, 3], [3, 2.5, 2])
    recent = interests([4, 5, 6], [2, 1, 9])
    merged = merge_recent(batch, unit(0, 20, 90), recent, unit(15, 22, 200))
    assert as_lists(merged)[:2] == [[6, 2, 1, 3], [9, 5.5, 3, 2]]
    assert batch.importance_C.tolist() == [3, 2.5, 2]


def test_merging_with_nothing_changes_nothing():
    batch = interests([1, 2], [3, 1])
    assert merge_recent(batch, unit(0, 90), no_interests(), unit()) is batch
    assert merge_recent(no_interests(), unit(), batch, unit(0, 90)) is batch


def slow_pool(neighbours, left_out) -> dict[int, tuple[float, int, int]]:
    """row -> (cosine, source, depth)."""
    found: dict[int, tuple[float, int, int]] = {}
    for source, (rows, cosines) in enumerate(neighbours):
        depth = 0
        for row, cosine in zip(rows.tolist(), cosines.tolist(), strict=True):
            if row in left_out:
                continue
            before = found.get(row)
            if before is None:
                found[row] = (cosine, source, depth)
            else:
                best = (cosine, source) if cosine > before[0] else before[:2]
                found[row] = (*best, min(depth, before[2]))
            depth += 1
    return found


@st.composite
def neighbour_lists(draw):
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    lists = []
    for _ in range(draw(st.integers(0, 4))):
        rows = generator.permutation(40)[: draw(st.integers(0, 20))]
        lists.append((rows, -np.sort(-generator.integers(0, 8, len(rows)) / 8).astype(np.float32)))
    return lists, generator.permutation(40)[: draw(st.integers(0, 20))]


@given(neighbour_lists())
@settings(max_examples=150, deadline=None)
def test_the_pool_is_its_loop(case):
    neighbours, left_out = case
    pool = pool_of(neighbours, left_out)
    slow = slow_pool(neighbours, set(left_out.tolist()))
    assert pool.rows_P.tolist() == sorted(slow)
    columns = zip(pool.cosine_P.tolist(), pool.source_P.tolist(), pool.depth_P.tolist(), strict=True)
    assert list(columns) == [slow[row] for row in sorted(slow)]


def test_popular_items_join_the_pool_that_has_them_not():
    pool = pool_of([(np.array([3, 7]), np.array([0.9, 0.5], np.float32))], np.array([], np.int64))
    wider = with_popular(pool, np.array([9, 7, 1]), np.array([0.1, 0.2, 0.3], np.float32))
    assert wider.rows_P.tolist() == [1, 3, 7, 9]
    assert wider.source_P.tolist() == [POPULAR, 0, 0, POPULAR]
    np.testing.assert_allclose(wider.cosine_P, [0.3, 0.9, 0.5, 0.1], rtol=1e-6)


def test_each_medoid_gives_its_quota_before_any_gives_more():
    near = (np.array([1, 2, 3, 4]), np.array([0.9, 0.8, 0.7, 0.6], np.float32))
    far = (np.array([5, 6, 7]), np.array([0.5, 0.4, 0.3], np.float32))
    pool = pool_of([near, far], np.array([], np.int64))
    assert pool.rows_P[order_by_depth(pool, 2)].tolist() == [1, 2, 5, 6, 3, 7, 4]
    assert pool.rows_P[order_by_depth(pool, 1)].tolist() == [1, 5, 2, 6, 3, 7, 4]


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(0.125, 9), st.integers(1, 9), st.integers(0, 99)), max_size=20))
def test_interests_of_one_row_become_one(clusters):
    rows, importance, size, last_us = (
        (np.array(column) for column in zip(*clusters, strict=True)) if clusters else [np.zeros(0, np.int64)] * 4
    )
    given_ones = Interests(
        rows_C=rows.astype(np.int64), importance_C=importance, size_C=size.astype(np.int32), last_us_C=last_us
    )
    merged = merge_equal(given_ones)
    found = {row: at for at, row in enumerate(merged.rows_C.tolist())}
    assert sorted(found) == sorted({row for row, *_ in clusters})
    assert len(found) == len(merged.rows_C)
    for row, at in found.items():
        own = [cluster for cluster in clusters if cluster[0] == row]
        assert merged.importance_C[at] == pytest.approx(sum(cluster[1] for cluster in own))
        assert (merged.size_C[at], merged.last_us_C[at]) == (sum(c[2] for c in own), max(c[3] for c in own))
    keys = list(zip((-merged.importance_C).tolist(), merged.rows_C.tolist(), strict=True))
    assert keys == sorted(keys)
    assert merged.size_C.dtype == np.int32


def test_ties_are_ordered_by_row():
    pool = pool_of([(np.array([8, 4, 6]), np.full(3, 0.5, np.float32))], np.array([], np.int64))
    assert pool.rows_P[order_by_score(pool, blend(pool.cosine_P, np.zeros(3), 0, 1.0))].tolist() == [4, 6, 8]


def test_popularity_is_logarithmic_and_relative_to_the_most_popular():
    scores = blend(np.zeros(3), np.array([0, 9, 99]), 99, 2.0)
    np.testing.assert_allclose(scores, [0, 1, 2])
    assert blend(np.float32([0.25]), np.array([9]), 99, 0.0).tolist() == [0.25]
    assert blend(np.float32([0.25]), np.array([0]), 0, 3.0).tolist() == [0.25]
