"""The users of a bucket without Beam: rules of the cap, order of rows, what is taken over, and BLAS threads."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st

from model.machine.blas_threads import one_blas_thread
from model.users.bucket_users import EarlierUsers, ItemVectors, KnownClusters, UserRules, cluster_users
from schemas.records.user_rows import UserActionRows, UserRows

NOW_US = 1_000_000
RULES = UserRules(alpha=0.5, decay_per_day=0.01, max_actions=5, now_us=NOW_US)
Actions = list[tuple[str, int, int]]


def made_vectors() -> ItemVectors:
    matrix = np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)
    matrix[4] = matrix[3]  # equal vectors of different items
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return ItemVectors(pa.array([f"item-{number}" for number in range(9)], pa.string()), matrix)


VECTORS = made_vectors()
#: (user, item row or -1, time)
ACTIONS = st.lists(st.tuples(st.sampled_from("abü"), st.integers(-1, 8), st.integers(0, 20)), max_size=40)


def cluster(actions: Actions, rules: UserRules = RULES, earlier: EarlierUsers | None = None):
    users, rows, times = zip(*actions, strict=True) if actions else ((), (), ())
    columns = pa.array(users, pa.string()), np.array(rows, np.int32), np.array(times, np.int64)
    return cluster_users(*columns, VECTORS, rules, **({"earlier": earlier} if earlier else {}))


def plain(rows: UserRows | UserActionRows) -> dict:
    return {name: value if isinstance(value, list) else value.tolist() for name, value in vars(rows).items()}


def taken_over(rows: UserActionRows) -> EarlierUsers:
    known = {}
    for user, name in enumerate(rows.ids.to_pylist()):
        actions = slice(rows.action_offsets[user], rows.action_offsets[user + 1])
        medoids = slice(rows.medoid_offsets[user], rows.medoid_offsets[user + 1])
        known[name] = KnownClusters(rows.hashes[user], rows.labels_M[actions], rows.medoid_C[medoids])
    return EarlierUsers(frozenset(known), known)


@settings(max_examples=60, deadline=None)
@given(ACTIONS, st.randoms())
def test_the_order_of_rows_never_counts(actions, chance):
    shuffled = chance.sample(actions, len(actions))
    first, second = cluster(actions), cluster(shuffled)
    assert plain(first.users) == plain(second.users)
    assert plain(first.actions) == plain(second.actions)
    assert first.popularity.equals(second.popularity)
    assert first.counts == second.counts


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_every_action_is_counted_once(actions):
    found = cluster(actions)
    counts, users = found.counts, found.users
    assert len(actions) == counts["rows_used"] + counts["rows_item_unknown"] + counts["rows_over_cap"]
    assert len({user for user, _, _ in actions}) == counts["users_written"] + counts["users_without_items"]
    assert users.used_U.sum() == users.size_C.sum() == counts["rows_used"]
    assert (users.used_U > 0).all()
    assert users.used_U.max(initial=0) <= RULES.max_actions
    assert sum(found.popularity["num_actions"].to_pylist()) == sum(row >= 0 for _, row, _ in actions)
    assert sum(found.popularity["num_users"].to_pylist()) == len({(user, row) for user, row, _ in actions if row >= 0})
    assert users.ids.to_pylist() == sorted(users.ids.to_pylist())


@settings(max_examples=60, deadline=None)
@given(ACTIONS, ACTIONS)
def test_what_is_taken_over_is_what_would_be_computed(before, after):
    earlier = taken_over(cluster(before + after[:1]).actions)
    reused, computed = cluster(before, earlier=earlier), cluster(before)
    assert plain(reused.users) == plain(computed.users)
    assert plain(reused.actions) == plain(computed.actions)
    touched = {after[0][0]} if after else set()
    same = sum(user not in touched for user in reused.users.ids.to_pylist())
    assert reused.counts["users_reused"] >= same
    assert cluster(before, earlier=taken_over(computed.actions)).counts["users_computed"] == 0


def test_of_equal_times_the_smaller_items_are_used():
    actions = [("a", 8, 7), ("a", 1, 7), ("a", 3, 7), ("a", 0, 6), ("a", 5, 9)]
    found = cluster(actions, dataclasses.replace(RULES, max_actions=3))
    assert found.actions.item_ids.to_pylist() == ["item-1", "item-3", "item-5"]
    assert found.users.over_cap_U.tolist() == [2]


def test_clusters_are_by_falling_importance_then_medoid():
    east, north, up = np.eye(3, dtype=np.float32)
    vectors = ItemVectors(pa.array(["a", "b", "c"], pa.string()), np.stack([east, north, up]))
    rows, times = np.array([2, 1, 0, 0], np.int32), np.full(4, 5, np.int64)
    users = cluster_users(pa.array(["u"] * 4), rows, times, vectors, RULES).users
    assert users.medoid_ids.to_pylist() == ["a", "b", "c"]
    assert users.size_C.tolist() == [2, 1, 1]
    np.testing.assert_array_equal(users.medoids_CD, np.eye(3))


def test_clusters_of_another_number_of_actions_are_not_taken_although_the_hash_is_equal():
    actions = [("a", 1, 5), ("a", 2, 6)]
    found = cluster(actions)
    forged = KnownClusters(found.actions.hashes[0], np.zeros(1, np.int32), np.zeros(1, np.int32))
    again = cluster(actions, earlier=EarlierUsers(frozenset("a"), {"a": forged}))
    assert again.counts["users_changed"] == 1
    assert plain(again.actions) == plain(found.actions)


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}


def test_blas_has_one_thread_until_the_last_one_leaves():
    with threadpoolctl.threadpool_limits(2, "blas"):
        before = blas_threads()
        with one_blas_thread():
            with one_blas_thread():
                assert blas_threads() == {1}
            assert blas_threads() == {1}
        assert blas_threads() == before
        with pytest.raises(KeyError), one_blas_thread():
            raise KeyError
        assert blas_threads() == before


def test_blas_has_one_thread_in_all_threads_of_a_process():
    def inside(_: int) -> set[int]:
        with one_blas_thread():
            return blas_threads()

    before = blas_threads()
    with ThreadPoolExecutor(4) as pool:
        assert set(map(frozenset, pool.map(inside, range(30)))) == {frozenset({1})}
    assert blas_threads() == before
