"""Recommendations from a published run made by hand, and what is refused."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.recommender import POPULAR_CLUSTER, Recommender, Settings
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_sealed_json, write_sealed_json, write_text
from tests.helpers.published_users import write_published_users
from tests.helpers.recommend_store import (
    MODEL,
    NOW_US,
    NUM_ITEMS,
    USERS,
    actions,
    item_ids,
    make_store,
    vectors,
)

MANY = Settings(top=60)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """Published; read it, do not change it."""
    folder = tmp_path_factory.mktemp("store")
    make_store(folder)
    return folder


@pytest.fixture(scope="module")
def refined_store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("refined")
    make_store(folder, refine_cosine=0.99)
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


def test_exact_search_finds_what_the_index_finds(store, recommender):
    exact = Recommender(str(store), exact=True)
    for user in USERS[:40:9]:
        one, other = (each.recommend(user, ["item-100"], MANY) for each in (recommender, exact))
        assert one.clusters == other.clusters
        common = {c.item_id for c in one.candidates} & {c.item_id for c in other.candidates}
        assert len(common) >= 55


def test_caches_are_bounded(store, monkeypatch):
    monkeypatch.setattr("pipelines.recommender._CACHED_USERS", 3)
    monkeypatch.setattr("pipelines.recommender._CACHED_LISTS", 5)
    small = Recommender(str(store))
    for user in USERS[:12]:
        small.recommend(user, (), MANY)
    assert (small._user.cache_info().currsize, small._neighbours.cache_info().currsize) == (3, 5)
    small.recommend(USERS[11], (), MANY)
    assert small._user.cache_info().hits == 1
    monkeypatch.setattr("pipelines.recommender._LONGEST_CACHED", 200)
    before = small._neighbours.cache_info()
    small.recommend(USERS[11], (), Settings(top=500))
    assert small._neighbours.cache_info() == before
    assert small._neighbours.cache_info().hits >= 3


@pytest.mark.parametrize("exact", [False, True])
def test_a_refined_index_has_representatives_in_place_of_others(refined_store, exact):
    refined = Recommender(str(refined_store), exact=exact)
    removed = [name for name in item_ids() if name not in set(refined.items.item_ids.to_pylist())]
    assert len(removed) > 10
    for user in USERS[:60:7]:
        answer = refined.recommend(user, removed[:2], MANY)
        assert answer.unknown_recent == []
        shown = {c.item_id for c in answer.candidates} | {c.medoid_item_id for c in answer.clusters}
        assert not shown & set(removed)
        seen = [row for row, _ in actions()[user]]
        assert (vectors()[rows_of(answer.candidates)] @ vectors()[seen].T).max() < 0.999


def without_users(run: Path) -> None:
    (run / "manifests" / "users.json").unlink()


def users_of_another_model(run: Path) -> None:
    path = run / "manifests" / "users.json"
    write_sealed_json(path, read_sealed_json(path) | {"model_id": "itemsage-ffffffffffff"})


def endless_decay(run: Path) -> None:
    path = run / "manifests" / "users.json"
    write_sealed_json(path, read_sealed_json(path) | {"decay_per_day": "0.01"})


def no_number_of_samples(run: Path) -> None:
    path = run / "manifests" / "users.json"
    write_sealed_json(path, read_sealed_json(path) | {"samples": 0})


def files_of(run: Path, folder: str) -> list[Path]:
    return sorted((run / folder).iterdir())


def files_of_another_model(run: Path) -> None:
    for path in files_of(run, "users"):
        table = pq.read_table(path)
        pq.write_table(table.replace_schema_metadata({"model_id": "itemsage-ffffffffffff"}), path)


def damaged_pages(run: Path) -> None:
    for path in files_of(run, "users"):
        data = bytearray(path.read_bytes())
        data[8:200] = bytes(192)
        path.write_bytes(bytes(data))


def lost_actions(run: Path) -> None:
    for path in files_of(run, "user_actions"):
        path.unlink()


def unknown_medoids(run: Path) -> None:
    shutil.rmtree(run / "users")
    shutil.rmtree(run / "user_actions")
    shutil.rmtree(run / "item_popularity")
    others = [f"other-{n}" for n in range(NUM_ITEMS)]
    write_published_users(run, actions(), others, vectors(), model_id=MODEL, now_us=NOW_US)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (without_users, UsageError, "with users"),
        (users_of_another_model, CorruptFileError, "itemsage-ffffffffffff"),
        (endless_decay, CorruptFileError, "decay_per_day"),
        (no_number_of_samples, CorruptFileError, "'samples': 0"),
        (files_of_another_model, CorruptFileError, "itemsage-ffffffffffff"),
        (damaged_pages, CorruptFileError, "expected readable users"),
        (lost_actions, CorruptFileError, "expected a Parquet file of users"),
        (unknown_medoids, CorruptFileError, "'other-"),
    ],
)
def test_what_does_not_belong_together_is_refused(own_run, damage, error, message):
    damage(own_run)
    with pytest.raises(error, match=message):
        Recommender(str(own_run.parents[2])).recommend("user-001")


def test_a_refined_index_that_was_not_published_is_refused(refined_store, tmp_path):
    store = Path(shutil.copytree(refined_store, tmp_path / "store"))
    path = store / "runs" / "2026-06-30" / "0123456789abcdef" / "refined_index" / "manifest.json"
    write_text(path, path.read_text() + " ")
    with pytest.raises(CorruptFileError, match="refined_index"):
        Recommender(str(store))
