"""The users job: equal to a plain computation, whatever the order of rows, files, buckets and workers; its rules."""

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from users_runs import (
    DAY,
    ITEM_IDS,
    MODEL_ID,
    NOW,
    data_of,
    finish_embeddings,
    plain_users,
    random_rows,
    row,
    run_users,
    us,
    users_of,
    vectors_of,
    write_log,
    write_vectors,
)

from pipelines.users import job as users
from pipelines.users.job import main
from schemas.files import read_sealed_json
from schemas.hashing import bucket_of
from schemas.records.users import read_popularity, read_user_actions

pytestmark = pytest.mark.slow


def manifest_of(run: Path) -> dict:
    return json.loads((run / "manifests" / "users.json").read_text())


def assert_same_users(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for user, wanted in expected.items():
        got = found[user]
        assert got["counts"] == wanted["counts"], user
        assert [cluster[:3] for cluster in got["clusters"]] == [cluster[:3] for cluster in wanted["clusters"]], user
        np.testing.assert_allclose([c[3] for c in got["clusters"]], [c[3] for c in wanted["clusters"]], rtol=1e-12)
        np.testing.assert_array_equal(got["vectors"], wanted["vectors"])


@pytest.fixture
def vectors(tmp_path) -> Path:
    return write_vectors(tmp_path / "vectors.parquet", vectors_of())


def job(tmp_path: Path, vectors: Path, rows: list, *flags: str) -> tuple[dict, dict]:
    """(users, counts) of a run of the job over some rows."""
    log = write_log(tmp_path / "log", rows)
    assert run_users(tmp_path / "run", vectors, log, *flags) == 0
    return users_of(tmp_path / "run"), manifest_of(tmp_path / "run")["counts"]


def test_the_job_equals_a_plain_computation(tmp_path, vectors):
    rows = random_rows()
    found, counts = job(tmp_path, vectors, rows, "--alpha", "0.5", "--max-actions", "30")
    expected = plain_users(rows, vectors_of(), alpha=0.5, cap=30)
    assert_same_users(found, expected)
    assert len(expected) == 25
    assert {len(user["clusters"]) for user in expected.values()} > {5, 6}
    assert sum(user["counts"][2] for user in expected.values()) > 0 < sum(u["counts"][1] for u in expected.values())
    assert counts["rows_read"] == len(rows)
    left_out = ("quarantined", "after_date", "other_actions", "without_user", "too_old", "item_unknown", "over_cap")
    assert all(counts[f"rows_{name}"] for name in left_out[1:])
    assert counts["rows_read"] == counts["rows_used"] + sum(counts[f"rows_{name}"] for name in left_out)
    same = ("rows_read", "rows_after_date", "rows_other_actions")
    assert counts["users_written"] == counts["users_computed"] == counts["users_new"] == 25
    of_log = read_sealed_json(tmp_path / "run" / "manifests" / "log.json")["counts"]
    assert {name: of_log[name] for name in same} == {name: counts[name] for name in same}


def test_the_manifest_says_what_users_were_made_with(tmp_path, vectors):
    job(tmp_path, vectors, random_rows(50), "--alpha", "0.5", "--actions", "checkout,click", "--window-days", "30")
    manifest = manifest_of(tmp_path / "run")
    wanted = {"actions": ["click", "checkout"], "alpha": 0.5, "decay_per_day": 0.01, "max_actions": 2000}
    assert wanted.items() <= manifest.items()
    assert (manifest["model_id"], manifest["dimension"], manifest["window_days"]) == (MODEL_ID, 16, 30)
    assert (manifest["now_us"], manifest["num_user_buckets"]) == (us(NOW), 4)
    listed = {entry["path"] for entry in manifest["files"]}
    on_disk = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*.parquet")}
    assert listed == on_disk
    assert "item_popularity/items.parquet" in listed


def test_user_actions_are_the_actions_used_in_canonical_order(tmp_path, vectors):
    job(tmp_path, vectors, [row("u", "item-003", 2), row("u", "item-001", 1), row("u", "item-003", 5)])
    rows = read_user_actions(tmp_path / "run" / "user_actions" / f"bucket-{bucket_of('u', 4):05d}-of-00004.parquet")
    assert rows.ids.to_pylist() == ["u"]
    assert rows.item_ids.to_pylist() == ["item-001", "item-003", "item-003"]
    assert rows.times_us_M.tolist() == [us(NOW - age * DAY) for age in (1, 5, 2)]
    assert rows.labels_M[0] == 0
    assert rows.labels_M[1] == rows.labels_M[2]


def test_popularity_counts_users_and_actions_over_the_cap_too(tmp_path, vectors):
    rows = [row("a", "item-001", age) for age in (1, 2, 3)] + [row("b", "item-001"), row("b", "item-002")]
    rows += [row("b", "gone"), row("b", "item-003", 200)]
    job(tmp_path, vectors, rows, "--max-actions", "1", "--num-user-buckets", "7")
    popularity = read_popularity(tmp_path / "run" / "item_popularity" / "items.parquet")
    assert popularity.to_pydict() == {"item_id": ["item-001", "item-002"], "num_users": [2, 1], "num_actions": [4, 1]}


@pytest.mark.parametrize(
    "workers", [[], ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]], ids=["one", "threads"]
)
def test_order_and_files_never_change_the_bytes(tmp_path, vectors, workers):
    rows = random_rows(800)
    job(tmp_path, vectors, rows, "--num-user-buckets", "5")
    shuffled = random.Random(1).sample(rows, len(rows))
    log = write_log(tmp_path / "shuffled", shuffled, num_files=3)
    assert run_users(tmp_path / "other", vectors, log, "--num-user-buckets", "5", *workers) == 0
    assert data_of(tmp_path / "other") == data_of(tmp_path / "run")
    assert len(data_of(tmp_path / "run")) == 11


def test_two_processes_write_the_same_bytes(tmp_path, vectors):
    rows = random_rows(400)
    job(tmp_path, vectors, rows)
    workers = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    assert run_users(tmp_path / "other", vectors, tmp_path / "log", *workers) == 0
    assert data_of(tmp_path / "other") == data_of(tmp_path / "run")
    assert manifest_of(tmp_path / "other") == manifest_of(tmp_path / "run")


def test_the_number_of_buckets_only_deals_users_out(tmp_path, vectors):
    rows = random_rows(500)
    few, _ = job(tmp_path, vectors, rows, "--num-user-buckets", "3")
    assert run_users(tmp_path / "run", vectors, tmp_path / "log", "--num-user-buckets", "6") == 0
    assert_same_users(users_of(tmp_path / "run"), few)
    assert len(list((tmp_path / "run" / "users").iterdir())) == 6  # those of the first call are gone
    for path in (tmp_path / "run" / "users").iterdir():
        ids = pq.read_table(path)["user_id"].to_pylist()
        assert ids == sorted(ids)
        assert {bucket_of(user, 6) for user in ids} <= {int(path.name.split("-")[1])}


def test_one_action_makes_one_cluster(tmp_path, vectors):
    found, _ = job(tmp_path, vectors, [row("u", "item-007", 2)])
    assert found["u"]["clusters"] == [("item-007", 1, us(NOW - 2 * DAY), pytest.approx(np.exp(-0.02)))]
    assert found["u"]["counts"] == (1, 0, 0)


def test_a_thousand_equal_actions_make_one_cluster(tmp_path, vectors):
    rows = [{**row("u", "item-007", 2), "session_id": str(number)} for number in range(1000)]
    found, _ = job(tmp_path, vectors, rows, "--alpha", "0")
    assert found["u"]["clusters"] == [("item-007", 1000, us(NOW - 2 * DAY), pytest.approx(1000 * np.exp(-0.02)))]


def test_of_200_000_actions_the_newest_are_used(tmp_path, vectors):
    items = [ITEM_IDS[number % 60] for number in range(200_000)]
    times = [us(NOW) - 1 - number // 10 for number in range(200_000)]  # ten at once
    table = pa.table({"timestamp": pa.array(times, pa.timestamp("us", "UTC")), "item_id": items})
    for name, value in {"user_id": "busy", "surface": "home", "action": "click"}.items():
        table = table.append_column(name, pa.repeat(value, len(table)))
    pq.write_table(table, tmp_path / "log.parquet")
    assert run_users(tmp_path / "run", vectors, tmp_path / "log.parquet", "--max-actions", "995") == 0
    assert users_of(tmp_path / "run")["busy"]["counts"] == (995, 0, 199_005)
    (path,) = [p for p in (tmp_path / "run" / "user_actions").iterdir() if pq.read_metadata(p).num_rows]
    rows = read_user_actions(path)
    newest = sorted(zip(times, items, strict=True), key=lambda action: (-action[0], action[1]))[:995]
    assert sorted((item, time) for time, item in newest) == list(
        zip(rows.item_ids.to_pylist(), rows.times_us_M.tolist(), strict=True)
    )


def test_unknown_items_are_skipped_and_a_user_of_none_but_those_has_no_row(tmp_path, vectors):
    found, counts = job(tmp_path, vectors, [row("a", "gone"), row("a", "item-001"), row("b", "gone"), row("b", "lost")])
    assert found.keys() == {"a"}
    assert found["a"]["counts"] == (1, 1, 0)
    assert (counts["users_without_items"], counts["rows_item_unknown"], counts["rows_used"]) == (1, 3, 1)


def test_the_window_is_half_open(tmp_path, vectors):
    instant = 1e-6 / 86_400
    ages = {"future": -1, "now": 0, "last": instant, "first": 90, "old": 90 + instant}
    found, counts = job(tmp_path, vectors, [row(user, "item-001", age) for user, age in ages.items()])
    assert found.keys() == {"last", "first"}
    assert (counts["rows_after_date"], counts["rows_too_old"]) == (2, 1)


def test_rows_without_a_user_and_bad_rows_are_counted(tmp_path, vectors):
    log = tmp_path / "log.jsonl"
    lines = [json.dumps({**row("u", "item-001"), "timestamp": "2026-06-30T10:00:00Z"})] * 2
    lines += [json.dumps({**row(user, "item-001"), "timestamp": "2026-06-30"}) for user in (None, "")]
    lines += ["{broken", json.dumps({**row("u", "item-001"), "timestamp": "soon"})]
    log.write_text("\n".join(lines) + "\n")
    assert run_users(tmp_path / "run", vectors, log) == 0
    counts = manifest_of(tmp_path / "run")["counts"]
    assert (counts["rows_read"], counts["rows_quarantined"], counts["rows_without_user"]) == (6, 2, 2)
    (file,) = (tmp_path / "run" / "quarantine").iterdir()
    assert file.name == "log-read-00000-00000.parquet"
    assert [(one["reason"], one["where"], one["stage"]) for one in pq.read_table(file).to_pylist()] == [
        ("broken_line", "log.jsonl:5", "log"),
        ("wrong_type", "log.jsonl:6", "log"),
    ]


def test_an_empty_log_makes_no_users_and_says_so(tmp_path, vectors, capsys):
    found, counts = job(tmp_path, vectors, [])
    assert found == {}
    assert (counts.get("rows_read", 0), counts["users_written"]) == (0, 0)
    assert "WARNING: expected at least one user, got none: no rows left out; " in capsys.readouterr().out
    assert len(read_popularity(tmp_path / "run" / "item_popularity" / "items.parquet")) == 0


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (row(None, "item-001", surface="search"), "rows read 1, rows without user 1. To do: see that the log has a us"),
        (row("u", "item-001", age_days=91), "rows read 1, rows too old 1. To do: give a --date inside the log"),
    ],
)
def test_a_log_that_makes_no_user_fails_and_the_stage_is_not_finished(tmp_path, vectors, capsys, one, told):
    log = write_log(tmp_path / "log", [one])
    for _ in range(2):
        assert run_users(tmp_path / "run", vectors, log) == 3  # of use for an evaluation, perhaps
        assert f"expected rows of {log} that make users, got none: {told}" in capsys.readouterr().err
        assert not (tmp_path / "run" / "manifests" / "users.json").exists()


def test_columns_have_the_names_of_the_shop(tmp_path, vectors):
    table = pq.read_table(write_log(tmp_path / "log", [row("u", "item-001")]))
    pq.write_table(table.rename_columns({"user_id": "customer"}), tmp_path / "log" / "part-0.parquet")
    (tmp_path / "shop.toml").write_text('[columns.engagements]\nuser_id = "customer"\n[users]\nmax_actions = 7\n')
    assert run_users(tmp_path / "run", vectors, tmp_path / "log", "--config", str(tmp_path / "shop.toml")) == 0
    assert users_of(tmp_path / "run").keys() == {"u"}
    assert manifest_of(tmp_path / "run")["max_actions"] == 7


def test_vectors_of_the_run_and_of_any_file_of_any_dimension(tmp_path):
    rows = random_rows(200)
    log = write_log(tmp_path / "log", rows)
    finish_embeddings(tmp_path / "run", vectors_of(dim=256))
    assert run_users(tmp_path / "run", None, log) == 0
    assert_same_users(users_of(tmp_path / "run"), plain_users(rows, vectors_of(dim=256)))
    other = write_vectors(tmp_path / "other.parquet", vectors_of(dim=3), "one-embedding/v2")
    assert run_users(tmp_path / "small", other, log) == 0
    assert_same_users(users_of(tmp_path / "small"), plain_users(rows, vectors_of(dim=3)))
    assert manifest_of(tmp_path / "small")["model_id"] == "one-embedding/v2"


def test_damaged_vectors_are_refused(tmp_path, capsys):
    log = write_log(tmp_path / "log", [row("u", "item-001")])
    assert run_users(tmp_path / "run", None, log) == 1
    assert "expected the finished stage 'embeddings'" in capsys.readouterr().err
    finish_embeddings(tmp_path / "run", vectors_of())
    part = tmp_path / "run" / "embeddings" / "part-00000-of-00001.parquet"
    write_vectors(part, vectors_of(dim=16) | {"item-000": -vectors_of()["item-000"]})
    assert run_users(tmp_path / "run", None, log) == 1
    assert "expected sha256" in capsys.readouterr().err
    finish_embeddings(tmp_path / "run", vectors_of())
    write_vectors(part.with_name("stray.parquet"), vectors_of(["item-999"]))
    assert run_users(tmp_path / "run", None, log) == 1
    assert "expected the files of manifests/embeddings.json" in capsys.readouterr().err


def test_a_published_run_is_not_touched(tmp_path, vectors, capsys):
    job(tmp_path, vectors, [row("u", "item-001")])
    (tmp_path / "run" / "COMPLETED").write_text("")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert run_users(tmp_path / "run", vectors, tmp_path / "log", "--alpha", "0.3") == 2
    assert "expected a run that is not published yet" in capsys.readouterr().err
    assert run_users(tmp_path / "run", vectors, tmp_path / "log") == 0  # nothing to do
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}


def test_calibrating_writes_no_users(tmp_path, vectors, capsys):
    log = write_log(tmp_path / "log", [row("u", "item-001")])
    assert run_users(tmp_path / "run", vectors, log, "--calibrate") == 2  # one action calibrates nothing
    assert "user-days" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--actions", "click,impression"], "expected --actions of click, save"),
        (["--actions", "return"], "expected --actions of click, save"),
        (["--actions", " , "], "expected --actions of click, save"),
        (["--actions", "save,chekout"], "got 'chekout' in 'save,chekout'"),
        (["--actions", "impression"], "impressions and returns say nothing"),
        (["--alpha", "-1"], "expected --alpha of at least 0, got -1.0"),
        (["--alpha", "nan"], "expected --alpha of at least 0, got nan"),
        (["--decay-per-day", "inf"], "expected --decay-per-day of at least 0, got inf"),
        (["--window-days", "0"], "expected --window-days from 1 to 36500, got 0"),
        (["--max-actions", "10001"], "expected --max-actions from 1 to 10000, got 10001"),
        (["--num-user-buckets", "1025"], "expected --num-user-buckets from 0 to 1024, got 1025"),
        (["--date", "2026-6-1"], "expected --date YYYY-MM-DD"),
        (["--engagements", "nowhere"], "nothing is found"),
        (["--embeddings", "nowhere"], "nothing is found"),
    ],
)
def test_a_wrong_call_exits_2(tmp_path, vectors, capsys, flags, told):
    argv = ["--run", str(tmp_path / "run"), "--engagements", str(write_log(tmp_path / "log", [row("u", "item-001")]))]
    assert main([*argv, "--date", "2026-06-30", "--embeddings", str(vectors), *flags]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_log_that_outgrows_its_buckets_is_told_of(tmp_path, vectors, capsys, monkeypatch):
    log = write_log(tmp_path / "log", [row("u", "item-001", age_days=number) for number in range(1, 30)])
    flags = ("--num-user-buckets", "2")
    assert run_users(tmp_path / "roomy", vectors, log, *flags) == 0
    assert "WARNING" not in capsys.readouterr().out
    monkeypatch.setattr(users, "LARGE_BUCKET", 10)
    assert run_users(tmp_path / "tight", vectors, log, *flags) == 0
    told = capsys.readouterr().out
    assert "WARNING: 29 engagements in 2 buckets, more than 10 each: --num-user-buckets 4 needs less memory" in told
    assert data_of(tmp_path / "roomy") == data_of(tmp_path / "tight")
