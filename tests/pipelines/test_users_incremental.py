"""Users a day later: only those whom something touched are clustered again, and the bytes are those of a run from
scratch; what is damaged or was made otherwise is never taken over; an interrupted run goes on."""

import dataclasses
import doctest
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from users_runs import (
    MODEL_ID,
    data_of,
    random_rows,
    row,
    run_users,
    users_of,
    vector_of,
    vectors_of,
    write_log,
    write_vectors,
)

from model.users.bucket_users import ItemVectors, clustered_hashes
from pipelines.run.units import read_stage_manifest, write_stage_manifest
from pipelines.run.user_files import check_user_actions
from pipelines.users import earlier as earlier_users
from schemas.errors import CorruptFileError
from schemas.files import read_sealed_json, sha256_of_file, write_sealed_json
from schemas.records.user_rows import UserActionRows
from schemas.records.users import read_user_actions, write_user_actions

pytestmark = pytest.mark.slow

TOMORROW = ("--date", "2026-07-01")
#: Users with three old actions, and what is special of some.
NAMES = [f"user {number}" for number in range(12)]


def base_rows() -> list:
    rows = []
    for number, name in enumerate(NAMES):
        rows += [row(name, f"item-{(7 * number + 13 * step) % 50:03d}", 20 + step) for step in range(3)]
    return rows


def counts_of(run: Path) -> dict[str, int]:
    counts = read_stage_manifest(str(run), "users")["counts"]
    assert counts["users_written"] == counts["users_reused"] + counts["users_computed"]
    assert counts["users_computed"] == counts["users_changed"] + counts["users_new"]
    assert counts["users_yesterday"] == counts["users_reused"] + counts["users_changed"] + counts["users_gone"]
    names = ("written", "reused", "changed", "new", "gone", "yesterday")
    return {name: counts[f"users_{name}"] for name in names}


class Days:
    """A first day, and second days made from it and from scratch. made: of a first day of base_rows, that is copied."""

    def __init__(self, folder: Path, rows: list | None = None, made: Path | None = None):
        self.folder = folder
        self.rows = base_rows() if rows is None else rows
        self.first, self.second, self.scratch = (folder / name for name in ("first", "second", "scratch"))
        self.vectors = vectors_of()
        if made is None:
            log = write_log(folder / "log-1", self.rows)
            assert run_users(self.first, self.write(), log) == 0
        else:
            shutil.copytree(made, folder, dirs_exist_ok=True)

    def write(self, model_id: str = MODEL_ID) -> Path:
        return write_vectors(self.folder / "vectors.parquet", self.vectors, model_id)

    def go_on(self, rows: list, *flags: str, model_id: str = MODEL_ID, first: Path | None = None) -> dict[str, int]:
        """Counts of the second day, whose bytes are those from scratch."""
        log, vectors = write_log(self.folder / "log-2", rows), self.write(model_id)
        assert run_users(self.second, vectors, log, "--reuse-from", str(first or self.first), *flags) == 0
        assert run_users(self.scratch, vectors, log, *flags) == 0
        assert data_of(self.second) == data_of(self.scratch)
        assert counts_of(self.scratch)["reused"] == 0
        return counts_of(self.second)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The folder of a first day. Read it, do not change it."""
    return Days(tmp_path_factory.mktemp("made")).folder


@pytest.fixture
def days(tmp_path, made) -> Days:
    return Days(tmp_path, made=made)


def expect(written: int = 12, reused: int = 12, changed: int = 0, new: int = 0, gone: int = 0) -> dict[str, int]:
    total = reused + changed + gone
    return {"written": written, "reused": reused, "changed": changed, "new": new, "gone": gone, "yesterday": total}


def test_a_day_without_actions_clusters_nobody_but_refreshes_importance(days):
    assert days.go_on(days.rows, *TOMORROW) == expect()
    before, after = users_of(days.first), users_of(days.second)
    for name in NAMES:
        old, new = before[name]["clusters"], after[name]["clusters"]
        assert [cluster[:3] for cluster in new] == [cluster[:3] for cluster in old]
        np.testing.assert_allclose([c[3] for c in new], [c[3] * np.exp(-0.01) for c in old])


def test_new_actions_touch_their_users(days):
    rows = [*days.rows, row(NAMES[3], "item-031", -0.5), row("somebody new", "item-031", -0.5)]
    rows += [row(NAMES[4], "item-031", -0.5, "impression"), row(NAMES[5], "gone", -0.5)]
    assert days.go_on(rows, *TOMORROW) == expect(written=13, reused=11, changed=1, new=1)


def test_actions_that_leave_the_window_touch_their_users(days):
    assert days.go_on(days.rows, "--window-days", "22") == expect(reused=12)  # ages are 20, 21 and 22 days
    assert days.go_on(days.rows, "--window-days", "22", *TOMORROW) == expect(reused=0, changed=12)


def test_a_user_of_old_actions_only_is_gone(tmp_path):
    days = Days(tmp_path, [*base_rows(), row("u", "item-001", 89.5)])
    assert days.go_on(days.rows, *TOMORROW) == expect(gone=1)


def test_an_item_that_leaves_or_appears_touches_those_who_acted_on_it(days):
    removed = days.vectors.pop("item-000")
    of_item = sum(any(one["item_id"] == "item-000" and one["user_id"] == name for one in days.rows) for name in NAMES)
    assert 0 < of_item < 12
    assert days.go_on(days.rows) == expect(reused=12 - of_item, changed=of_item)
    days.vectors["item-000"] = removed
    first, days.second, days.scratch = days.second, days.folder / "third", days.folder / "third from scratch"
    assert days.go_on(days.rows, first=first) == expect(reused=12 - of_item, changed=of_item)


def test_an_item_that_nobody_acted_on_touches_nobody_though_it_moves_all_rows(days):
    days.vectors["a first item"] = vector_of("a first item")
    del days.vectors["item-059"]
    assert days.go_on(days.rows) == expect()


def test_a_changed_vector_touches_those_who_acted_on_it(days):
    days.vectors["item-007"] = vector_of("item-007", version=1)
    of_item = len({one["user_id"] for one in days.rows if one["item_id"] == "item-007"})
    assert days.go_on(days.rows) == expect(reused=12 - of_item, changed=of_item)


def test_a_new_model_touches_everybody_and_another_name_of_equal_vectors_nobody(days):
    assert days.go_on(days.rows, model_id="itemsage-ffffffffffff") == expect()
    days.vectors = {name: vector_of(name, version=1) for name in days.vectors}
    assert days.go_on(days.rows, model_id="itemsage-eeeeeeeeeeee") == expect(reused=0, changed=12)


def test_a_lower_cap_touches_those_above_it(days):
    rows = [*days.rows, row(NAMES[0], "item-031", 30)]
    first = days.folder / "four"
    assert run_users(first, days.write(), write_log(days.folder / "log-4", rows)) == 0
    assert days.go_on(rows, "--max-actions", "3", first=first) == expect(reused=11, changed=1)


@pytest.mark.parametrize("flags", [("--alpha", "0.4"), ("--num-user-buckets", "5")])
def test_other_settings_take_nobody_over(days, capsys, flags):
    counts = days.go_on(days.rows, *flags)
    assert counts["reused"] == 0
    assert counts["yesterday"] == (12 if flags[0] == "--alpha" else 0)
    told = capsys.readouterr().err
    assert "nobody" in told
    assert "taken over from" in told


def test_the_number_of_buckets_is_yesterdays(tmp_path):
    rows = base_rows()
    log, vectors = write_log(tmp_path / "log", rows), write_vectors(tmp_path / "vectors.parquet", vectors_of())
    assert run_users(tmp_path / "first", vectors, log, "--num-user-buckets", "9") == 0
    assert run_users(tmp_path / "second", vectors, log, "--reuse-from", str(tmp_path / "first"), *TOMORROW) == 0
    assert len(list((tmp_path / "second" / "users").iterdir())) == 9
    assert counts_of(tmp_path / "second")["reused"] == 12


def test_random_days_equal_days_from_scratch(tmp_path):
    days = Days(tmp_path, random_rows(600, num_users=40, oldest_days=100))
    counts = days.go_on([*days.rows, *random_rows(30, num_users=40, seed=1, oldest_days=1)], *TOMORROW)
    assert counts["reused"] > 0 < counts["changed"]


def yesterdays_files(days: Days) -> list[Path]:
    """Yesterday's buckets that have users."""
    files = sorted((days.first / "user_actions").iterdir())
    return [path for path in files if len(read_user_actions(path).ids)]


def test_a_damaged_bucket_of_yesterday_is_computed(days, capsys):
    damaged, *_ = yesterdays_files(days)
    num_users = len(read_user_actions(damaged).ids)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    assert days.go_on(days.rows, *TOMORROW) == expect(reused=12 - num_users, new=num_users)
    told = capsys.readouterr().err
    assert "an earlier file is damaged: expected sha256" in told
    assert damaged.name in told


def test_missing_files_and_manifests_of_yesterday(days, capsys):
    for path in (days.first / "user_actions").iterdir():
        path.unlink()
    assert days.go_on(days.rows) == expect(reused=0, new=12)
    for text in ("{", "[]", '{"files": [{}], "num_user_buckets": 4, "made_with": {}}', '{"files": 3}'):
        (days.first / "manifests" / "users.json").write_text(text)
        (days.second / "manifests" / "users.json").unlink()
        for path in (days.second / "units" / "users").iterdir():
            path.unlink()
        assert days.go_on(days.rows) == expect(reused=0, new=12)
    assert "all users count as new" in capsys.readouterr().err


def with_last(rows: UserActionRows, field: str, value: int) -> UserActionRows:
    """`rows` with another last value in a field."""
    changed = getattr(rows, field).copy()
    changed[-1] = value
    return dataclasses.replace(rows, **{field: changed})


def test_rows_that_do_not_fit_themselves_are_refused_although_the_manifest_vouches_for_them(days, capsys):
    path, *_ = yesterdays_files(days)
    rows = read_user_actions(path)
    rows = with_last(rows, "medoid_C", 99)
    write_user_actions(path, rows)
    sidecar_file = days.first / "units" / "users" / f"{path.stem}.json"
    sidecar = read_sealed_json(sidecar_file)
    for entry in sidecar["files"]:
        entry["sha256"] = sha256_of_file(days.first / entry["path"])
    write_sealed_json(sidecar_file, sidecar)
    manifest = read_stage_manifest(str(days.first), "users")
    facts = {name: manifest[name] for name in ("made_with", "num_user_buckets")}
    write_stage_manifest(str(days.first), "users", manifest["units"], **facts)
    assert days.go_on(days.rows)["new"] == len(rows.ids)
    assert "medoids inside their clusters" in capsys.readouterr().err


@pytest.mark.parametrize("field", ["medoid_C", "labels_M"])
@pytest.mark.parametrize("value", [-1, 99])
def test_what_is_no_clustering_is_refused(days, field, value):
    rows = read_user_actions(yesterdays_files(days)[0])
    check_user_actions(rows, "here")
    with pytest.raises(CorruptFileError, match="in here"):
        check_user_actions(with_last(rows, field, value), "here")


def test_the_hash_covers_ids_times_and_vectors_and_where_a_user_ends():
    rows = np.array([0, 1, 1, 2])
    vectors = ItemVectors(None, np.eye(4, dtype=np.float32))

    def hashes(ids=("a", "bc", "d", "e"), times=(1, 2, 3, 4), of=rows, ends=(0, 2, 4)) -> list[bytes]:
        times_us = np.array(times, np.int64)
        return clustered_hashes(pa.array(ids), times_us, vectors.hashes_N[np.array(of)], np.array(ends, np.int32))

    first, second = hashes()
    assert len(first) == 16
    assert first != second
    assert hashes() == [first, second]
    assert hashes(ids=("ab", "c", "d", "e"))[0] != first
    assert hashes(times=(1, 9, 3, 4))[0] != first
    assert hashes(of=(0, 3, 1, 2)) == [hashes(of=(0, 3, 1, 2))[0], second]
    assert hashes(of=(0, 3, 1, 2))[0] != first
    assert hashes(ends=(0, 2)) == [first]
    assert hashes(ends=(2, 4)) == [second]


def versions(run: Path) -> dict[str, tuple[int, int]]:
    """File -> what differs once it was written again."""
    files = {path.relative_to(run).as_posix(): path.stat() for path in run.rglob("*.*") if path.is_file()}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in files.items()}


def test_an_interrupted_run_goes_on(days, capsys):
    log, vectors = days.folder / "log-1", days.write()
    before, data, manifest = versions(days.first), data_of(days.first), read_stage_manifest(str(days.first), "users")
    removed = ["bucket-00001-of-00004", "bucket-00003-of-00004", "popularity"]
    for name in removed:
        (days.first / "units" / "users" / f"{name}.json").unlink()
    (days.first / "manifests" / "users.json").unlink()
    (days.first / "users" / "bucket-00003-of-00004.parquet").unlink()
    assert run_users(days.first, vectors, log) == 0
    assert data_of(days.first) == data
    assert read_stage_manifest(str(days.first), "users") == manifest
    after = versions(days.first)
    kept = [name for name in before if name.startswith("users/") and after[name] == before[name]]
    assert sorted(kept) == ["users/bucket-00000-of-00004.parquet", "users/bucket-00002-of-00004.parquet"]


def test_a_finished_run_reads_nothing_and_a_lost_count_is_counted_again(days):
    log, vectors = days.folder / "log-1", days.write()
    before = versions(days.first)
    assert run_users(days.first, vectors, log) == 0
    after = versions(days.first)
    written = {"manifests/log.json", "manifests/users.json"}
    assert {name for name in before if after[name] != before[name]} == written
    manifest = read_stage_manifest(str(days.first), "users")
    (days.first / "units" / "users" / "read-00000-00001.json").unlink()
    assert run_users(days.first, vectors, log) == 0
    assert read_stage_manifest(str(days.first), "users") == manifest
    again = versions(days.first)
    assert {name for name in after if again[name] != after[name]} == written | {"units/users/read-00000-00001.json"}


def test_what_came_in_decides_whether_a_unit_is_finished(days):
    before = json.loads((days.first / "manifests" / "users.json").read_text())
    assert run_users(days.first, days.write(), write_log(days.folder / "log-1", days.rows[:-1])) == 0
    after = json.loads((days.first / "manifests" / "users.json").read_text())
    assert before["fingerprint"] != after["fingerprint"]
    assert after["counts"]["rows_read"] == len(days.rows) - 1


def test_what_users_were_made_with_before_is_told_in_words(tmp_path, capsys):
    Days(tmp_path).go_on(base_rows(), *TOMORROW, "--alpha", "0.25")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "nobody taken over" in line]
    assert re.search(r": alpha was [0-9.]+, is 0\.25$", line)
    assert doctest.testmod(earlier_users).attempted == 1
