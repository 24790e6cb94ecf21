"""What befalls users: damaged files of yesterday never block or spoil today's, logs without users are no quiet loss."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exploration import soak
from fault_bench import Bench, Outcome, copy_of, pointer_of, published_after

from pipelines.store import store
from schemas.files import read_json

pytest_plugins = ["fault_fixtures"]
pytestmark = pytest.mark.slow
FOLDERS = ("users", "user_actions", "item_popularity")


def refused(bench: Bench, folder: Path, *argv: str) -> Outcome:
    """The day fails a gate, and readers stay where they are."""
    before, outcome = pointer_of(folder), bench.day(folder, *argv)
    assert outcome.code == 3, outcome.output
    assert pointer_of(folder) == before
    return outcome


def damage_file(path: Path, damage: str) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]
    damaged = {"flipped": flipped, "truncated": content[:middle], "strange": b"no Parquet"}
    path.unlink() if damage == "gone" else path.write_bytes(damaged[damage])


DAMAGES = ["flipped", *soak("truncated", "gone", "strange")]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_users_of_yesterday_never_block_today(bench, folder, figures, damage):
    """Every file of users of the run before: nobody is taken over, and all is as it should be."""
    run = store.current_run(str(folder))
    for path in [path for name in FOLDERS for path in (run / name).rglob("*.parquet")]:
        damage_file(path, damage)
    before, outcome = pointer_of(folder), bench.day(folder)
    assert outcome.code == 0, outcome.output
    assert bench.check(folder, before, outcome)
    assert "its users count as new, for an earlier file is damaged: expected" in outcome.output
    counts = read_json(store.current_run(str(folder)) / "manifest.json")["counts"]
    assert (counts["users_reused"], counts["users_new"]) == (0, counts["users"])
    figures["faults survived"] += 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_manifest_of_yesterdays_users_blocks_until_a_person_accepts(bench, folder, figures, damage):
    """How many users there were cannot be said any more."""
    damage_file(store.current_run(str(folder)) / "manifests" / "users.json", damage)
    assert "[users_count] the days cannot be compared: expected" in refused(bench, folder).error
    published_after(bench, folder, "--accept", "users_count", "--because", "the disk broke")
    figures["faults survived"] += 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_users_of_today_are_made_again(bench, tmp_path, figures, damage):
    """Every file of users of the run that was killed just before it was finished."""
    half = copy_of(bench.half, tmp_path / "half")
    (run,) = (half / "runs").glob("2026-06-30/*")
    paths = [*(path for name in FOLDERS for path in (run / name).rglob("*.parquet")), run / "manifests" / "users.json"]
    for path in paths:
        damage_file(path, damage)
    published_after(bench, half)
    figures["faults survived"] += 1


def without_user_ids(log: pa.Table) -> pa.Table:
    place = log.schema.get_field_index("user_id")
    return log.set_column(place, log.schema.field(place), pa.nulls(len(log), pa.string()))


def no_rows(log: pa.Table) -> pa.Table:
    return log[:0]


def of_other_users(log: pa.Table) -> pa.Table:
    """Three of four users have gone."""
    names = log["user_id"].to_pylist()
    kept = sorted({name for name in names if name})[::4]
    return log.filter(pa.array(np.isin(np.array(names, object).astype(str), kept)))


def of_other_items(log: pa.Table) -> pa.Table:
    """The log names items by ids that the catalogue has not."""
    place = log.schema.get_field_index("item_id")
    renamed = pa.array([None if name is None else f"sku/{name}" for name in log["item_id"].to_pylist()])
    return log.set_column(place, log.schema.field(place), renamed)


@pytest.mark.parametrize(
    ("change", "num_users", "gates"),
    [
        (without_user_ids, 0, ["log_users", "users_count"]),
        *soak(
            (no_rows, 0, ["users_count"]), (of_other_users, None, ["users_count"]), (of_other_items, None, ["log_used"])
        ),
    ],
)
def test_a_log_that_has_lost_its_users_fails_by_numbers(bench, folder, tmp_path, figures, change, num_users, gates):
    log = pq.read_table(bench.shop / "engagements.parquet")
    pq.write_table(change(log), tmp_path / "log.parquet")
    outcome = refused(bench, folder, "--engagements", str(tmp_path / "log.parquet"))
    assert all(f"[{gate}] " in outcome.error for gate in gates), outcome.error
    if num_users is not None:
        assert f"{num_users} users have clusters, yesterday " in " ".join(outcome.output.split())
    published_after(bench, folder)
    figures["faults survived"] += 1
