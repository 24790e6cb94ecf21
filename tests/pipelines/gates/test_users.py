"""The gates of users on hand-made runs with the real users stage: whatever readers must not get fails `users`, and a
loss of users fails `users_count` with its numbers until a person accepts it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gate_runs import DEFAULTS, MODEL_ID, TODAY, YESTERDAY, edit, flip_byte, judge, make_run, names, unit_rows
from users_runs import row, write_log

from pipelines.console.jobs import beam_options
from pipelines.gates.judge import GateThresholds, require_passed
from pipelines.run.units import read_stage_manifest
from pipelines.users import job as users
from schemas.errors import ThresholdError, UsageError
from schemas.files import read_json, sha256_of_file
from schemas.records.embeddings import read_embeddings
from schemas.records.user_rows import UserRows
from schemas.records.users import read_users, write_users

NUM_USERS, NUM_BUCKETS = 20, 2
FIRST = "users/bucket-00000-of-00002.parquet"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A store of two days of 30 items; 20 users on both, each with a click on each of the items 5n to 5n + 4."""
    store = tmp_path_factory.mktemp("store")
    vectors = unit_rows(30, mean=0.0)
    rows = [
        row(f"user-{n}", names(30)[(5 * n + k) % 30], age_days=3 + n + 0.1 * k) for n in range(20) for k in range(5)
    ]
    log = write_log(store / "log", rows)
    for date in (YESTERDAY, TODAY):
        run = make_run(store, date, names(30), vectors)
        settings = {"engagements": str(log), "date": date, "alpha": 1.0, "num_user_buckets": NUM_BUCKETS}
        users.run(users.UsersConfig(run=str(run), **settings), beam_options([]))
    return store


def reseal(run: Path, name: str) -> None:
    """Gives the manifest the checksum of the file as it is now."""
    entries = read_stage_manifest(str(run), "users")["files"]
    now = {"path": name, "bytes": (run / name).stat().st_size, "sha256": sha256_of_file(run / name)}
    edit(run, "users", files=[now if entry["path"] == name else entry for entry in entries])


def rewrite(run: Path, change: Callable[[UserRows], UserRows], model_id: str = MODEL_ID) -> None:
    """The users of bucket 0 changed, with the manifest's blessing."""
    rows, _ = read_users(run / FIRST)
    write_users(run / FIRST, change(rows), model_id)
    reseal(run, FIRST)


@pytest.mark.medium
def test_a_sound_day_passes_both_gates(days):
    today, yesterday = days
    found = judge(today, yesterday)
    assert (found["users"].status, found["users"].message) == (
        "passed",
        "20 users, their medoids are the items' vectors",
    )
    count = found["users_count"]
    assert (count.status, count.value, count.baseline, count.threshold) == ("passed", 20, 20, 14)
    assert count.message == "20 users have clusters, yesterday 20: expected at least 14"
    assert found["model_id"].status == "passed"
    assert read_json(today / "gates.json")["thresholds"]["max_users_drop"] == DEFAULTS.max_users_drop == 0.3
    rows, _ = read_users(today / FIRST)
    assert len(rows.ids) >= 4, "else the tests below show nothing"
    assert np.diff(rows.cluster_offsets).max() >= 2


def test_the_first_run_with_users_is_checked_and_compared_with_nothing(days):
    found = judge(days[0], None)
    assert (found["users"].status, found["users_count"].status) == ("passed", "skipped")


def swapped_users(rows: UserRows) -> UserRows:
    """Names of the first two users in the other order."""
    ids = rows.ids.to_pylist()
    return replace(rows, ids=pa.array([ids[1], ids[0], *ids[2:]]))


def twice(rows: UserRows) -> UserRows:
    ids = rows.ids.to_pylist()
    return replace(rows, ids=pa.array([ids[1], ids[1], *ids[2:]]))


def strange_user(rows: UserRows) -> UserRows:
    """The last name is one of bucket 1."""
    ids = rows.ids.to_pylist()
    return replace(rows, ids=pa.array([*ids[:-1], "zzz-1"]))


def other_vector(rows: UserRows) -> UserRows:
    """One bit of one number of the last medoid."""
    medoids = rows.medoids_CD.copy()
    medoids.view(np.int32)[-1, 3] ^= 1
    return replace(rows, medoids_CD=medoids)


def other_width(rows: UserRows) -> UserRows:
    return replace(rows, medoids_CD=rows.medoids_CD[:, :16])


def no_item(rows: UserRows) -> UserRows:
    return replace(rows, medoid_ids=pa.array([*rows.medoid_ids.to_pylist()[:-1], "item\x1b[2J"]))


def rising(rows: UserRows) -> UserRows:
    return replace(rows, importance_C=np.arange(1.0, len(rows.importance_C) + 1))


def nan_importance(rows: UserRows) -> UserRows:
    importance = rows.importance_C.copy()
    importance[rows.cluster_offsets[1] - 1] = np.nan
    return replace(rows, importance_C=importance)


def negative_importance(rows: UserRows) -> UserRows:
    importance = rows.importance_C.copy()
    importance[rows.cluster_offsets[1:] - 1] = -0.5
    return replace(rows, importance_C=importance)


def other_size(rows: UserRows) -> UserRows:
    size = rows.size_C.copy()
    size[0] += 1
    return replace(rows, size_C=size)


def empty_cluster(rows: UserRows) -> UserRows:
    """A size of 0 whose action the user's next cluster has."""
    size = rows.size_C.copy()
    user = int(np.argmax(np.diff(rows.cluster_offsets) > 1))
    first = rows.cluster_offsets[user]
    size[first : first + 2] = [0, size[first] + size[first + 1]]
    return replace(rows, size_C=size)


def no_cluster(rows: UserRows) -> UserRows:
    """The second user's clusters are the first one's."""
    offsets = rows.cluster_offsets.copy()
    offsets[1] = offsets[2]
    used = rows.used_U.copy()
    used[:2] = [used[0] + used[1], 0]
    return replace(rows, cluster_offsets=offsets, used_U=used)


def fewer(rows: UserRows) -> UserRows:
    """Without the last user."""
    last = rows.cluster_offsets[-2]
    return UserRows(
        ids=rows.ids[:-1],
        cluster_offsets=rows.cluster_offsets[:-1],
        medoid_ids=rows.medoid_ids[:last],
        medoids_CD=rows.medoids_CD[:last],
        importance_C=rows.importance_C[:last],
        size_C=rows.size_C[:last],
        last_us_C=rows.last_us_C[:last],
        used_U=rows.used_U[:-1],
        skipped_U=rows.skipped_U[:-1],
        over_cap_U=rows.over_cap_U[:-1],
    )


CLUSTERS = "expected clusters by falling importance whose sizes sum to actions_used, got others in"


@pytest.mark.medium
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swapped_users, "expected unique users in ascending order, got others in"),
        (twice, "expected unique users in ascending order, got others in"),
        (strange_user, "expected users of bucket 0, got 'zzz-1' in"),
        (other_vector, "expected the items' own vectors as medoids, got others in"),
        (other_width, "expected the items' own vectors as medoids, got others in"),
        (no_item, r"expected medoids that are items with a vector, got 'item\x1b[2J' in"),
        (rising, CLUSTERS),
        (nan_importance, CLUSTERS),
        (negative_importance, CLUSTERS),
        (other_size, CLUSTERS),
        (empty_cluster, CLUSTERS),
        (no_cluster, CLUSTERS),
        (fewer, "expected 20 users, got 19"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_wrong_users_fail_though_their_checksums_fit_and_cannot_be_accepted(days, change, message):
    today, yesterday = days
    rewrite(today, change)
    found = judge(today, yesterday)
    assert (found["users"].status, found["users"].value) == ("failed", 1)
    assert message in found["users"].message
    assert found["vectors"].status == found["model_id"].status == "passed"
    with pytest.raises(ThresholdError, match=r"users cannot be accepted"):
        require_passed(list(found.values()), today)
    with pytest.raises(UsageError, match="got users: what fails there is broken for readers"):
        judge(today, yesterday, users="never mind")


def test_users_of_a_foreign_model_fail_by_both_names(days):
    today, yesterday = days
    rewrite(today, lambda rows: rows, model_id="itemsage-ffffffffffff")
    found = judge(today, yesterday)
    assert f"expected users of model {MODEL_ID}, got 'itemsage-ffffffffffff' in" in found["users"].message
    assert found["model_id"].status == "failed"
    assert f"{FIRST} 'itemsage-ffffffffffff' instead of '{MODEL_ID}'" in found["model_id"].message


def test_a_row_of_a_foreign_model_fails(days):
    table = pq.read_table(days[0] / FIRST)
    place = table.schema.get_field_index("model_id")
    made_by = pa.array([MODEL_ID] * (len(table) - 1) + ["itemsage-ffffffffffff"])
    pq.write_table(table.set_column(place, table.schema.field(place), made_by), days[0] / FIRST)
    reseal(days[0], FIRST)
    assert f"expected model_id '{MODEL_ID}' in every row, got another in" in judge(*days)["users"].message


@pytest.mark.parametrize("folder", ["users", "user_actions", "item_popularity"])
@pytest.mark.parametrize("fault", ["flipped", "gone"])
def test_files_unlike_their_checksums_fail(days, folder, fault):
    path = sorted((days[0] / folder).glob("*.parquet"))[0]
    if fault == "flipped":
        flip_byte(path)
    else:
        path.unlink()
    result = judge(*days)["users"]
    assert result.status == "failed"
    assert path.name in result.message
    assert ("got none" if fault == "gone" else "expected sha256") in result.message


def test_a_bucket_that_is_not_listed_and_a_file_too_many_fail(days):
    today, yesterday = days
    stray = today / "users" / "bucket-00000-of-00003.parquet"
    shutil.copy(today / FIRST, stray)
    result = judge(today, yesterday)["users"]
    assert (result.status, "expected the files of manifests/users.json" in result.message) == ("failed", True)
    stray.unlink()
    (today / FIRST).unlink()
    entries = read_stage_manifest(str(today), "users")["files"]
    edit(today, "users", files=[entry for entry in entries if entry["path"] != FIRST])
    result = judge(today, yesterday)["users"]
    assert (result.status, "a file for each of 2 buckets in users/, got 1" in result.message) == ("failed", True)


def test_users_of_yesterdays_vectors_fail(days):
    today, yesterday = days
    ids, matrix = read_embeddings(today / "embeddings")
    shutil.rmtree(today)
    rolled = make_run(today.parents[2], TODAY, ids.to_pylist(), np.roll(matrix, 1, axis=0))
    for name in ("users", "user_actions", "item_popularity", "manifests/users.json"):
        source = yesterday / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, rolled / name)
    assert "expected the items' own vectors as medoids" in judge(rolled, yesterday)["users"].message


def test_users_without_their_manifest_fail(days):
    today, yesterday = days
    (today / "manifests" / "users.json").unlink()
    found = judge(today, yesterday)
    assert found["users"].status == found["users_count"].status == "failed"
    assert "expected the finished stage 'users'" in found["users"].message


def test_broken_vectors_fail_both_vectors_and_users(days):
    flip_byte(days[0] / "embeddings" / "part-00000-of-00001.parquet")
    found = judge(*days)
    assert found["vectors"].status == found["users"].status == "failed"


def without_users(run: Path) -> None:
    for name in ("users", "user_actions", "item_popularity", "units/users"):
        shutil.rmtree(run / name)
    (run / "manifests" / "users.json").unlink()


@pytest.mark.parametrize(
    ("before", "status", "least"), [(20, "passed", 14), (28, "passed", 20), (29, "failed", 21), (0, "passed", 0)]
)
def test_users_count(days, before, status, least):
    today, yesterday = days
    edit(yesterday, "users", {"users_written": before})
    result = judge(today, yesterday)["users_count"]
    assert result.status == status
    assert (result.value, result.baseline, result.threshold) == (20, before, least)
    assert result.message == f"20 users have clusters, yesterday {before}: expected at least {least}"
    if status == "failed":
        with pytest.raises(ThresholdError, match=r"--accept users_count --because"):
            require_passed([result], today)
        assert judge(today, yesterday, users_count="a quiet day")["users_count"].status == "accepted"


def test_a_day_without_the_stage_fails_until_a_person_accepts(days):
    today, yesterday = days
    without_users(today)
    found = judge(today, yesterday)
    assert (found["users"].status, found["users"].message) == ("skipped", "nothing to check: the run has no users")
    count = found["users_count"]
    assert (count.status, count.value, count.baseline, count.threshold) == ("failed", 0, 20, 14)
    assert count.message == (
        "0 users have clusters, yesterday 20: expected at least 14 (the stage did not run: --engagements is missing, "
        "or --no-users was given)"
    )
    accepted = judge(today, yesterday, users_count="users go")
    assert (accepted["users_count"].status, accepted["users_count"].accepted_reason) == ("accepted", "users go")
    require_passed(list(accepted.values()), today)
    assert judge(today, yesterday, GateThresholds(max_users_drop=1.0))["users_count"].status == "passed"


def test_yesterday_without_users_is_not_compared(days):
    today, yesterday = days
    without_users(yesterday)
    found = judge(today, yesterday)
    assert (found["users"].status, found["users_count"].status) == ("passed", "skipped")
    assert found["users_count"].message == "not compared: the run before has no users"
    without_users(today)
    found = judge(today, yesterday)
    assert {found["users"].status, found["users_count"].status} == {"skipped"}


@pytest.mark.medium
@pytest.mark.parametrize("damage", ["broken", "gone", "counts"])
def test_a_damaged_manifest_of_yesterday_fails_until_a_person_accepts(days, damage):
    today, yesterday = days
    path = yesterday / "manifests" / "users.json"
    if damage == "broken":
        path.write_bytes(b"\x00broken")
    elif damage == "gone":
        path.unlink()
    else:
        edit(yesterday, "users", {"users_written": -1})
    found = judge(today, yesterday)
    assert {name for name, result in found.items() if result.status == "failed"} == {"users_count"}
    assert found["users_count"].message.startswith("the days cannot be compared: expected")
    with pytest.raises(ThresholdError, match="the new run stands without it"):
        require_passed(list(found.values()), today)
    require_passed(list(judge(today, yesterday, users_count="the disk broke").values()), today)


def test_damaged_users_of_yesterday_fail_nothing(days):
    """What today has does not rest on them; its own users are what is checked."""
    today, yesterday = days
    for path in [*(yesterday / "users").iterdir(), *(yesterday / "user_actions").iterdir()]:
        flip_byte(path)
    found = judge(today, yesterday)
    assert {found["users"].status, found["users_count"].status} == {"passed"}
