"""Recommendations from a run with a refined index: representatives stand for the items that it left out."""

from pathlib import Path

import numpy as np
import pytest
from recommend_store import NOW_US, USERS, actions, item_ids, make_store, vectors

from pipelines.serving.recommendation_types import Settings
from pipelines.serving.recommender import Recommender
from schemas.files import write_text

pytestmark = pytest.mark.slow

MANY = Settings(top=60)


@pytest.fixture(scope="module")
def refined_store(tmp_path_factory) -> Path:
    """Published; read it, do not change it."""
    folder = tmp_path_factory.mktemp("refined")
    make_store(folder, refine_cosine=0.99)
    return folder


def run_of(store: Path) -> Path:
    return store / "runs" / "2026-06-30" / "0123456789abcdef"


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
        assert (vectors()[[item_ids().index(c.item_id) for c in answer.candidates]] @ vectors()[seen].T).max() < 0.999


def test_a_representative_is_as_popular_as_the_most_popular_of_its_group(refined_store):
    items = Recommender(str(refined_store)).items
    users_of: dict[str, set[str]] = {}
    for user, done in actions().items():
        for row, _ in done:
            users_of.setdefault(item_ids()[row], set()).add(user)
    expected, firsts_win, lasts_win = (np.zeros(items.index.num_items, np.int32) for _ in range(3))
    for item_id in sorted(users_of):
        row, count = items.rows[item_id], len(users_of[item_id])
        expected[row], lasts_win[row] = max(expected[row], count), count
        firsts_win[row] = firsts_win[row] or count
    assert items.num_users_N.tolist() == expected.tolist()
    assert expected.tolist() not in (firsts_win.tolist(), lasts_win.tolist())


def test_medoids_with_one_representative_are_one_interest(tmp_path):
    """Small clusters, large groups: most users have several medoids of one group."""
    make_store(tmp_path, refine_cosine=0.8, alpha=0.01)
    refined, merged = Recommender(str(tmp_path)), 0
    for user in USERS[:60]:
        record, clusters = refined.users.find(user), refined.recommend(user, (), MANY).clusters
        medoids = [cluster.medoid_item_id for cluster in clusters]
        assert len(set(medoids)) == len(medoids)
        merged += len(record.medoid_ids) > len(medoids)
        assert sum(cluster.size for cluster in clusters) == len(actions()[user])
        assert sum(cluster.importance for cluster in clusters) == pytest.approx(record.importance_C.sum())
        assert max(cluster.last_us for cluster in clusters) == max(time for _, time in actions()[user]) < NOW_US
        assert [c.importance for c in clusters] == sorted((c.importance for c in clusters), reverse=True)
    assert merged > 20


@pytest.mark.parametrize("left", [[], ["items.ann", "manifest.json"]])
def test_what_a_killed_build_left_is_not_read(tmp_path, left):
    """The manifest says whether a refined index was published, not the folder."""
    folder = make_store(tmp_path) / "refined_index"
    expected = Recommender(str(tmp_path)).recommend("user-007", (), MANY)
    folder.mkdir()
    for name in left:
        write_text(folder / name, "half")
    assert Recommender(str(tmp_path)).recommend("user-007", (), MANY) == expected
