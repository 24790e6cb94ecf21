"""Recommendations from a published run made by hand."""

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from recommend_store import (
    NOW_US,
    NUM_ITEMS,
    USERS,
    actions,
    item_ids,
    make_store,
    point_to,
    vectors,
)

from pipelines.serving.recommendation_types import POPULAR_CLUSTER, Settings
from pipelines.serving.recommender import Recommender
from pipelines.serving.searcher import MAX_TOP
from schemas.errors import UsageError
from schemas.files import read_sealed_json, write_sealed_json

MANY = Settings(top=60)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """Published; read it, do not change it."""
    folder = tmp_path_factory.mktemp("store")
    make_store(folder)
    return folder


@pytest.fixture(scope="module")
def recommender(store) -> Recommender:
    return Recommender(str(store))


@pytest.fixture
def own_run(store, tmp_path) -> Path:
    """The run of a copy of the store to damage."""
    return Path(shutil.copytree(store, tmp_path / "store")) / "runs" / "2026-06-30" / "0123456789abcdef"


def rows_of(found: Sequence) -> np.ndarray:
    ids = item_ids()
    return np.array([ids.index(candidate.item_id) for candidate in found])


@pytest.mark.medium
@pytest.mark.parametrize("weight", [0.0, 0.3])
@pytest.mark.parametrize("top", [1, 7, 60, 400])
def test_what_every_answer_promises(recommender, weight, top):
    everything = actions()
    for number, user in enumerate(USERS[::23]):
        recent = [item_ids()[(number * 31 + n) % NUM_ITEMS] for n in range(number % 4)]
        answer = recommender.recommend(user, recent, Settings(top=top, popularity_weight=weight, seed=number))
        rows = rows_of(answer.candidates)
        assert 0 < len(rows) <= top
        assert len(set(rows)) == len(rows)
        seen = {row for row, _ in everything[user]} | {item_ids().index(item_id) for item_id in recent}
        assert not seen & set(rows.tolist())
        cosines = vectors()[rows].astype(np.float64) @ vectors()[rows].T
        assert (cosines - np.eye(len(rows))).max(initial=-1) < 0.999 + 1e-6
        assert (vectors()[rows] @ vectors()[sorted(seen)].T).max() < 0.999 + 1e-6
        sampled = {cluster.medoid_item_id for cluster in answer.clusters if cluster.is_sampled}
        assert len(sampled) == min(3, top, len(answer.clusters))
        assert {candidate.cluster for candidate in answer.candidates} <= sampled | {POPULAR_CLUSTER}
        keys = [(-candidate.score, candidate.item_id) for candidate in answer.candidates]
        assert keys == sorted(keys)


def test_an_answer_is_full_where_there_are_enough_items(recommender):
    """More than the sampled kinds have: what seen items and near-duplicates take comes from further away."""
    for user in USERS[::17]:
        assert len(recommender.recommend(user, (), Settings(top=200)).candidates) == 200


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_as_many_candidates_as_there_are_can_be_had(recommender, weight):
    found = [
        recommender.recommend("user-028", (), Settings(top=top, popularity_weight=weight)).candidates
        for top in (10_000, 20_000, MAX_TOP)
    ]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 400
    with pytest.raises(UsageError, match=r"expected --top from 1 to 2,147,483,647, got 2,147,483,648"):
        Settings(top=MAX_TOP + 1)


def test_scores_without_popularity_are_cosines_to_the_medoid(recommender):
    ids = item_ids()
    for candidate in recommender.recommend("user-007", (), MANY).candidates:
        medoid, row = ids.index(candidate.cluster), ids.index(candidate.item_id)
        assert candidate.score == candidate.cosine == pytest.approx(float(vectors()[medoid] @ vectors()[row]), abs=1e-5)


def test_clusters_are_the_users_by_falling_importance(recommender):
    clusters = recommender.recommend("user-014").clusters
    assert sum(cluster.size for cluster in clusters) == len(actions()["user-014"])
    assert [cluster.importance for cluster in clusters] == sorted((c.importance for c in clusters), reverse=True)
    assert max(cluster.last_us for cluster in clusters) == max(time for _, time in actions()["user-014"])


def test_recent_actions_count_as_done_now(recommender):
    before = recommender.recommend("user-005").clusters[0]
    answer = recommender.recommend("user-005", [before.medoid_item_id] * 3)
    (after,) = [cluster for cluster in answer.clusters if cluster.medoid_item_id == before.medoid_item_id]
    assert after.importance == pytest.approx(before.importance + 3)
    assert (after.size, after.last_us) == (before.size + 3, NOW_US)


def test_a_stranger_lives_on_recent_items_or_on_popularity(recommender):
    with pytest.raises(UsageError, match=r"expected a user with actions.*--recent.*'nobody'"):
        recommender.recommend("nobody")
    with pytest.raises(UsageError, match="'nobody'"):
        recommender.recommend("nobody", ["no-item"])
    answer = recommender.recommend("nobody", ["item-006", "no-item", "item-013"], MANY)
    assert {cluster.medoid_item_id for cluster in answer.clusters} == {"item-006", "item-013"}
    assert answer.unknown_recent == ["no-item"]
    popular = recommender.recommend("nobody", (), Settings(top=20, popularity_weight=0.5))
    assert {candidate.cluster for candidate in popular.candidates} == {POPULAR_CLUSTER}
    assert popular.candidates[0].score == pytest.approx(0.5)
    assert popular.clusters == []


def test_endless_recent_items_are_refused(recommender):
    with pytest.raises(UsageError, match=r"at most 1,000 recent items, got 1,001 of user 'u'"):
        recommender.recommend("u", ["item-001"] * 1_001)
    answer = recommender.recommend("nobody", item_ids(), MANY)
    assert sum(cluster.size for cluster in answer.clusters) == 20
    assert answer.candidates == []


def test_unknown_recent_items_are_as_none(recommender):
    with_unknown = recommender.recommend("user-003", ["gone-1", "gone-2"], MANY)
    assert with_unknown.unknown_recent == ["gone-1", "gone-2"]
    assert with_unknown._replace(unknown_recent=[]) == recommender.recommend("user-003", (), MANY)


def test_popularity_lifts_popular_items(recommender):
    def mean_popularity(weight: float) -> float:
        found = recommender.recommend("user-044", (), Settings(top=30, popularity_weight=weight)).candidates
        return float(np.mean([recommender.items.num_users_N[row] for row in rows_of(found)]))

    assert mean_popularity(1.0) > mean_popularity(0.1) > mean_popularity(0.0)
    assert recommender.recommend("user-044", (), Settings(popularity_weight=0)) == recommender.recommend("user-044")


def test_seen_items_and_near_duplicates_come_if_wanted(recommender):
    seen = {row for row, _ in actions()["user-028"]}
    kept = recommender.recommend("user-028", (), Settings(top=400, keep_seen=True)).candidates
    assert seen & set(rows_of(kept).tolist())
    doubled = recommender.recommend("user-028", (), Settings(top=400, near_duplicate_cosine=None)).candidates
    rows = rows_of(doubled)
    assert (vectors()[rows] @ vectors()[rows].T - np.eye(len(rows))).max() > 0.9999


def test_an_answer_depends_on_the_request_only(store, recommender):
    requests = [
        (user, [f"item-{n:03d}"], settings) for n, user in enumerate(USERS[:8]) for settings in (MANY, Settings())
    ]
    answers = [recommender.recommend(*request) for request in requests]
    other = Recommender(str(store))
    assert [other.recommend(*request) for request in reversed(requests)][::-1] == answers
    recommender.forget()
    assert [recommender.recommend(*request) for request in requests] == answers
    sampled = {
        tuple(c.is_sampled for c in recommender.recommend("user-014", (), Settings(top=5, samples=1, seed=n)).clusters)
        for n in range(20)
    }
    assert len(sampled) > 1


def test_as_many_interests_are_sampled_as_the_run_was_calibrated_for(own_run):
    path = own_run / "manifests" / "users.json"
    for calibrated in (None, 2, 5):
        if calibrated is not None:
            write_sealed_json(path, read_sealed_json(path) | {"samples": calibrated})
        asked = Recommender(str(own_run.parents[2]))
        for given in (None, 1, 4, 100):
            for user in USERS[:60:7]:
                clusters = asked.recommend(user, (), Settings(top=60, samples=given)).clusters
                sampled = sum(cluster.is_sampled for cluster in clusters)
                assert sampled == min(given or calibrated or 3, len(clusters))
        assert max(len(asked.recommend(user).clusters) for user in USERS[:60:7]) > 5


def test_the_most_important_interests_are_asked_with_where_the_run_was_calibrated_for_them(own_run):
    path = own_run / "manifests" / "users.json"
    write_sealed_json(path, read_sealed_json(path) | {"samples": 2, "sampled": False})
    asked = Recommender(str(own_run.parents[2]))
    for user in USERS[:60:7]:
        for seed in (0, 1):
            clusters = asked.recommend(user, (), Settings(top=60, seed=seed)).clusters
            by_importance = sorted(clusters, key=lambda cluster: -cluster.importance)
            assert [c.is_sampled for c in by_importance] == [place < 2 for place in range(len(clusters))]


def test_exact_search_finds_what_the_index_finds(store, recommender):
    exact = Recommender(str(store), exact=True)
    for user in USERS[:40:9]:
        one, other = (each.recommend(user, ["item-100"], MANY) for each in (recommender, exact))
        assert one.clusters == other.clusters
        common = {c.item_id for c in one.candidates} & {c.item_id for c in other.candidates}
        assert len(common) >= 55


def test_caches_are_bounded(store, monkeypatch):
    monkeypatch.setattr("pipelines.serving.recommender._CACHED_USERS", 3)
    monkeypatch.setattr("pipelines.serving.recommender._CACHED_LISTS", 5)
    small = Recommender(str(store))
    for user in USERS[:12]:
        small.recommend(user, (), MANY)
    assert (small._user.cache_info().currsize, small._neighbours.cache_info().currsize) == (3, 5)
    small.recommend(USERS[11], (), MANY)
    assert small._user.cache_info().hits == 1
    monkeypatch.setattr("pipelines.serving.recommender._LONGEST_CACHED", 200)
    before = small._neighbours.cache_info()
    small.recommend(USERS[11], (), Settings(top=500))
    assert small._neighbours.cache_info() == before
    assert small._neighbours.cache_info().hits >= 3


def sampled_of(recommender: Recommender, user: str, recent: Sequence[str] = ()) -> str:
    """The one interest that was sampled."""
    clusters = recommender.recommend(user, recent, Settings(top=1, samples=1)).clusters
    return next(cluster.medoid_item_id for cluster in clusters if cluster.is_sampled)


def test_the_sample_depends_on_user_recent_items_and_run(recommender, own_run):
    """Each of them alone: equal interests, and all else equal."""
    four = ["item-001", "item-002", "item-003", "item-004"]
    assert len({sampled_of(recommender, f"stranger {n}", four) for n in range(20)}) > 1
    assert len({sampled_of(recommender, "stranger", order) for order in itertools.permutations(four)}) > 1
    other_run = own_run.rename(own_run.with_name("fedcba9876543210"))
    point_to(other_run)
    other = Recommender(str(other_run.parents[2]))
    differ = [sampled_of(other, user) != sampled_of(recommender, user) for user in USERS[3:60]]
    assert 5 < sum(differ) < len(differ)


def test_where_everything_near_is_seen_a_longer_list_is_searched(recommender):
    """300 nearest items are seen: more than the first list has."""
    seen = np.argsort(vectors() @ vectors()[70])[-300:]
    answer = recommender.recommend("nobody", [item_ids()[row] for row in seen], Settings(top=5, samples=1))
    assert len(answer.candidates) == 5
    assert not {candidate.item_id for candidate in answer.candidates} & {item_ids()[row] for row in seen}


def test_seen_items_take_no_room_from_the_popular_ones(recommender):
    num_users = recommender.items.num_users_N
    order = np.argsort(-num_users, kind="stable")
    settings = Settings(top=10, samples=1, popularity_weight=1e4, near_duplicate_cosine=None)
    answer = recommender.recommend("nobody", [item_ids()[row] for row in order[:30]], settings)
    found = num_users[rows_of(answer.candidates)]
    assert found.tolist() == num_users[order[30:40]].tolist()


def test_clusters_are_described_when_asked_for(recommender):
    answer = recommender.recommend("user-014")
    listed = list(answer.clusters)
    assert len(answer.clusters) == len(listed) > 3
    assert [answer.clusters[n] for n in range(len(listed))] == listed == answer.clusters
    assert (answer.clusters[-1], answer.clusters[1:3]) == (listed[-1], listed[1:3])
    assert answer.clusters != listed[1:]
    with pytest.raises(IndexError):
        answer.clusters[len(listed)]
