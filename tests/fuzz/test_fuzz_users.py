"""Hostile engagement logs through the users job: no row ends it, every row is accounted for, the users are sound, and a
second run that takes clusters over writes the same bytes."""

import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from fuzz_run import NUM_INPUTS, Outcome, fuzz
from fuzz_tables import make_files
from users_runs import MODEL_ID, data_of, finish_embeddings, vectors_of

from pipelines.console.jobs import beam_options
from pipelines.run.accounting import account
from pipelines.run.user_files import check_user_actions, check_users_file
from pipelines.users import job as users
from schemas.errors import CorruptFileError, UsageError
from schemas.records.embeddings import read_embeddings
from schemas.records.users import read_popularity, read_user_actions
from schemas.sample_shop.assortment import make_assortment
from schemas.sample_shop.catalogue import make_query_pictures
from schemas.sample_shop.engagements import make_engagements
from schemas.tables import ENGAGEMENTS, POSITIVE_ACTIONS, QUARANTINE

pytestmark = pytest.mark.slow

NUM_LOGS = max(12, NUM_INPUTS // 100)
#: Of the log, before it, and at the ends of what a date can be.
DATES = (*["2026-06-30"] * 5, "2026-06-10", "1970-01-01", "1969-12-31", "0001-01-01", "9999-12-31")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A run with the vectors of two thirds of the shop's items, and good events, as JSON spells them."""
    assortment = make_assortment(30, 0)
    pictures, anchors = make_query_pictures(assortment, 0)
    table = make_engagements(
        assortment, [p.uri for p in pictures], anchors, 0, datetime(2026, 6, 30, tzinfo=UTC).date()
    )
    good = table.filter(pc.is_in(table["action"], pa.array(POSITIVE_ACTIONS)))
    events = good.slice(len(good) - 200).to_pylist()
    for event in events:
        event["timestamp"] = event["timestamp"].isoformat()
    run = tmp_path_factory.mktemp("run")
    finish_embeddings(run, vectors_of([product.item_id for product in assortment.products[:20]]))
    return run, events


def check_log(rng: random.Random, folder: Path, vectors: Path, events: list[dict[str, Any]]) -> Outcome:
    (folder / "log").mkdir()
    made = make_files(rng, folder / "log", ENGAGEMENTS, events)
    sound = [{**event, "timestamp": datetime.fromisoformat(event["timestamp"])} for event in events]
    pq.write_table(pa.Table.from_pylist(sound, schema=ENGAGEMENTS), folder / "log" / "sound.parquet")
    settings = {
        "engagements": str(folder / "log"),
        "date": rng.choice(DATES),
        "window_days": rng.choice((1, 30, 90, 36_500)),
        "max_actions": rng.choice((1, 3, 2_000)),
        "alpha": rng.choice((0.0, 0.7, 1.0, 4.0)),
        "actions": ",".join(rng.sample(POSITIVE_ACTIONS, rng.choice((1, 4, 4)))),
        "num_user_buckets": rng.choice((1, 3)),
        "embeddings": str(vectors / "embeddings"),
    }
    first, second = folder / "first", folder / "second"
    try:
        manifest = users.run(users.UsersConfig(run=str(first), **settings), beam_options([]))
    except (UsageError, CorruptFileError) as error:
        return refused(error)
    counts = manifest["counts"]
    account({"users": counts})
    assert made.num_rows is None or counts["rows_read"] == made.num_rows + len(events)
    check_users(first, vectors, settings["num_user_buckets"], counts)
    again = users.run(users.UsersConfig(run=str(second), reuse_from=str(first), **settings), beam_options([]))["counts"]
    assert data_of(second) == data_of(first)
    assert again["users_reused"] == again["users_yesterday"] == again["users_written"] == counts["users_written"]
    told = ("rows_read", "rows_used", "rows_after_date", "rows_too_old", "rows_item_unknown", "rows_over_cap")
    return Outcome(counts=Counter({name: counts.get(name, 0) for name in (*told, "users_written")}))


def refused(error: Exception) -> Outcome:
    """A whole log refused: what a person reads of it must be fit to print."""
    assert str(error).isprintable(), repr(str(error))
    return Outcome(type(error).__name__)


def check_users(run: Path, vectors: Path, num_buckets: int, counts: dict[str, int]) -> None:
    ids, matrix_ND = read_embeddings(vectors / "embeddings")
    num_users = num_actions = 0
    for bucket, path in enumerate(sorted((run / "users").iterdir())):
        users = check_users_file(path, ids, matrix_ND, MODEL_ID, bucket, num_buckets)
        num_users += len(users.ids)
        actions = read_user_actions(run / "user_actions" / path.name)
        check_user_actions(actions, path.name)
        assert actions.ids.equals(users.ids)
        assert all(name.strip() for name in actions.ids.to_pylist())
        num_actions += len(actions.item_ids)
    assert (num_users, num_actions) == (counts["users_written"], counts["rows_used"])
    popularity = read_popularity(run / "item_popularity" / "items.parquet")
    assert (pc.sum(popularity["num_actions"]).as_py() or 0) == counts["rows_used"] + counts["rows_over_cap"]
    rejected = [row for path in (run / "quarantine").glob("*.parquet") for row in read_quarantine(path)]
    assert len(rejected) == counts["rows_quarantined"]
    assert all(row[name].isprintable() for row in rejected for name in ("got", "where", "expected", "remedy"))


def read_quarantine(path: Path) -> list[dict[str, Any]]:
    table = pq.read_table(path)
    assert table.schema == QUARANTINE
    assert set(table["stage"].to_pylist()) == {"log"}
    return table.to_pylist()


def test_logs_of_users(tmp_path: Path, shop: tuple[Path, list[dict[str, Any]]]) -> None:
    tally = fuzz("users", lambda rng, folder: check_log(rng, folder, *shop), tmp_path, NUM_LOGS)
    assert tally.inputs == sum(tally.verdicts.values())
    assert tally.counts["users_written"] > 0 or tally.inputs < 12
