"""The next batch reconciles: what a user did today is recent today, and an action like others in tomorrow's run."""

from pathlib import Path

import pytest
from recommend_store import make_items, point_to, seal
from users_runs import row, write_log

from pipelines.serving.recommendation_types import Settings
from pipelines.serving.recommender import Recommender
from pipelines.users import job as users

pytestmark = pytest.mark.medium

#: Kinds 0 and 1 before; kind 5 today (item n is of kind n % 12).
BEFORE = [row("u", "item-000", age_days=9), row("u", "item-012", age_days=3), row("u", "item-025", age_days=5)]
NEW, OLD = "item-041", "item-024"
TODAY = [row("u", NEW, age_days=-0.5), row("u", NEW, age_days=-0.6, action="save")]
LOG = [*BEFORE, row("u", OLD, age_days=200), *TODAY]


def publish_day(store: Path, date: str, rows: list[dict]) -> Recommender:
    """A run of the day, with users as the job makes them of the log."""
    run = store / "runs" / date / "0123456789abcdef"
    make_items(run)
    log = write_log(store / f"log-{date}", rows)
    assert users.main(["--run", str(run), "--engagements", str(log), "--date", date, "--alpha", "0.4"]) == 0
    seal(run)
    point_to(run)
    return Recommender(str(store))


@pytest.fixture(scope="module")
def days(tmp_path_factory) -> tuple[Recommender, Recommender]:
    store = tmp_path_factory.mktemp("store")
    first = publish_day(store, "2026-06-30", LOG)
    return first, publish_day(store, "2026-07-01", LOG)


def shown(asked: Recommender, recent: list[str], **settings: object) -> tuple[dict[str, int], set[str]]:
    """(size by medoid, ids of the candidates)."""
    answer = asked.recommend("u", recent, Settings(top=590, samples=10, near_duplicate_cosine=None, **settings))
    clusters = {cluster.medoid_item_id: cluster.size for cluster in answer.clusters}
    return clusters, {candidate.item_id for candidate in answer.candidates}


def test_the_next_run_has_what_was_recent(days):
    first, second = days
    assert first.run.parent.name < second.run.parent.name
    clusters, candidates = shown(first, [])
    assert NEW not in clusters
    assert NEW in candidates
    with_recent, candidates = shown(first, [NEW, NEW])
    assert with_recent == {**clusters, NEW: 2}
    assert NEW not in candidates
    assert len(candidates) > 100
    afterwards, candidates = shown(second, [])
    assert afterwards == with_recent
    assert NEW not in candidates
    assert NEW in shown(second, [], keep_seen=True)[1]


def test_the_interest_weighs_as_much_as_it_did(days):
    """Half a day older: decayed by a hundredth a day."""
    first, second = days
    importance = [
        {cluster.medoid_item_id: cluster.importance for cluster in asked.recommend("u", recent).clusters}[NEW]
        for asked, recent in ((first, [NEW, NEW]), (second, []))
    ]
    assert importance[0] == 2
    assert importance[1] == pytest.approx(2, rel=0.01)
    assert importance[1] < 2


def test_only_actions_of_the_window_count_as_seen(days):
    first, _ = days
    candidates = shown(first, [])[1]
    assert not {"item-000", "item-012", "item-025"} & candidates
    assert OLD in candidates
