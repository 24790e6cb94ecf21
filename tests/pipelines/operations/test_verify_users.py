"""Published users: verify passes sound ones and finds every damage, also where all checksums were made to fit."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import verified_store
from verified_store import current, problems

from pipelines.operations.findings import OK
from pipelines.operations.verify.job import main, verify_run
from pipelines.run.units import read_stage_manifest
from schemas.files import read_json, read_sealed_json, sha256_of_file, write_json, write_sealed_json, write_text
from schemas.quarantine import quote
from schemas.records.embeddings import read_embeddings
from schemas.records.user_rows import UserActionRows, UserRows
from schemas.records.users import (
    read_popularity,
    read_user_actions,
    read_users,
    write_popularity,
    write_user_actions,
    write_users,
)

pytestmark = pytest.mark.medium

FOLDERS = ("users", "user_actions", "item_popularity")
POPULARITY = "item_popularity/items.parquet"


@pytest.fixture
def own_store(users_store, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(users_store, tmp_path / "store"))


def reseal(run: Path, **facts: object) -> None:
    verified_store.reseal(run, "users", FOLDERS, **facts)


def bucket_of_many(run: Path) -> str:
    """The name of the bucket with most users: one of them has several clusters."""
    return max(
        (path.name for path in (run / "users").iterdir()), key=lambda n: len(read_users(run / "users" / n)[0].ids)
    )


def change_users(run: Path, change: Callable[[UserRows], UserRows]) -> None:
    path = run / "users" / bucket_of_many(run)
    rows, model_id = read_users(path)
    write_users(path, change(rows), model_id)


def change_actions(run: Path, change: Callable[[UserActionRows], UserActionRows]) -> None:
    path = run / "user_actions" / bucket_of_many(run)
    write_user_actions(path, change(read_user_actions(path)))


def changed(array: np.ndarray, place: int, value: object) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


def test_published_users_pass_and_their_line_is_shown(users_store, capsys):
    assert problems(users_store) == {}
    found = {each.check: each for each in verify_run(users_store, current(users_store))}
    assert found["users"].looked_at == "8 users in 2 buckets, 8 clustered again"
    assert [each.check for each in found.values() if each.warnings] == []
    assert main(["--store", str(users_store)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^ok +users +8 users in 2 buckets, 8 clustered again$", shown, re.MULTILINE)
    assert "17 checks passed" in shown
    assert main(["--store", str(users_store), "--run", "2026-06-29"]) == 0
    assert "9 users in 2 buckets, 9 clustered again" in capsys.readouterr().out


def test_the_store_shows_reuse_change_and_loss(users_store):
    """Else the tests below look at less than they say."""
    counts = read_json(current(users_store) / "manifest.json")["counts"]
    assert (counts["users"], counts["users_yesterday"], counts["users_gone"]) == (8, 9, 1)
    assert counts["users_reused"] > 0 < counts["users_changed"]
    rows = read_user_actions(current(users_store) / "user_actions" / bucket_of_many(current(users_store)))
    assert max(np.diff(rows.medoid_offsets)) >= 2
    assert len(rows.medoid_C) < len(rows.labels_M)
    assert counts["actions_item_unknown"] >= 1


def test_users_counted_by_an_earlier_version_are_not_added_up(own_store):
    path = current(own_store) / "manifests" / "users.json"
    manifest = read_sealed_json(path)
    manifest["counts"]["rows_in_future"] = manifest["counts"].pop("rows_after_date")
    write_sealed_json(path, manifest)
    (found,) = [each for each in verify_run(own_store, current(own_store)) if each.check == "counts"]
    assert (found.problems, "users made by an earlier version" in found.warnings[0]) == ([], True)


def test_users_of_a_run_that_is_not_published_yet_are_checked(own_store):
    run = current(own_store)
    for name in ("COMPLETED", "manifest.json"):
        (run / name).unlink()
    looked_at = {each.check: (each.status, each.looked_at) for each in verify_run(own_store, run)}
    assert looked_at["users"] == (OK, "8 users in 2 buckets, 8 clustered again")


def other_medoid(run: Path) -> None:
    """Another item of the embeddings, with its own vector."""
    ids, matrix = read_embeddings(run / "embeddings")

    def change(rows: UserRows) -> UserRows:
        there = rows.medoid_ids.to_pylist()
        name = next(name for name in ids.to_pylist() if name not in there)
        medoids = changed(rows.medoids_CD, 0, matrix[ids.index(name).as_py()])
        return replace(rows, medoid_ids=pa.array([name, *there[1:]]), medoids_CD=medoids)

    change_users(run, change)


def other_importance(run: Path) -> None:
    """The next number after the right one."""
    change_users(
        run,
        lambda rows: replace(rows, importance_C=changed(rows.importance_C, 0, np.nextafter(rows.importance_C[0], 9))),
    )


def other_last_action(run: Path) -> None:
    change_users(run, lambda rows: replace(rows, last_us_C=changed(rows.last_us_C, 0, rows.last_us_C[0] - 1)))


def other_label(run: Path) -> None:
    """An action of the user with most clusters is in another of them."""

    def change(rows: UserActionRows) -> UserActionRows:
        user = int(np.argmax(np.diff(rows.medoid_offsets)))
        place = rows.action_offsets[user]
        return replace(rows, labels_M=changed(rows.labels_M, place, 1 - min(rows.labels_M[place], 1)))

    change_actions(run, change)


def other_medoid_place(run: Path) -> None:
    """A cluster's medoid is another of its actions: the next run would take it over."""

    def change(rows: UserActionRows) -> UserActionRows:
        for cluster, place in enumerate(rows.medoid_C):
            user = int(np.searchsorted(rows.medoid_offsets, cluster, side="right")) - 1
            start, end = rows.action_offsets[user : user + 2]
            others = np.flatnonzero(rows.labels_M[start:end] == rows.labels_M[start + place])
            if len(others) > 1:
                return replace(rows, medoid_C=changed(rows.medoid_C, cluster, others[others != place][0]))
        raise AssertionError("no cluster of two actions")

    change_actions(run, change)


def other_hash(run: Path) -> None:
    change_actions(run, lambda rows: replace(rows, hashes=[bytes(16), *rows.hashes[1:]]))


def other_time(run: Path) -> None:
    change_actions(run, lambda rows: replace(rows, times_us_M=changed(rows.times_us_M, 0, rows.times_us_M[0] + 1)))


def unknown_item(run: Path) -> None:
    change_actions(run, lambda rows: replace(rows, item_ids=pa.array(["a stranger", *rows.item_ids.to_pylist()[1:]])))


def removed_action(run: Path) -> None:
    """A user lacks an action that is no medoid."""

    def change(rows: UserActionRows) -> UserActionRows:
        medoids = [set(rows.medoid_C[start:end].tolist()) for start, end in pairwise(rows.medoid_offsets)]
        user, place = next(
            (user, place)
            for user, count in enumerate(np.diff(rows.action_offsets))
            for place in range(count)
            if place not in medoids[user]
        )
        kept = np.delete(np.arange(len(rows.item_ids)), rows.action_offsets[user] + place)
        offsets, medoid_C = rows.action_offsets.copy(), rows.medoid_C.copy()
        offsets[user + 1 :] -= 1
        of_user = medoid_C[rows.medoid_offsets[user] : rows.medoid_offsets[user + 1]]
        of_user[of_user > place] -= 1
        return replace(
            rows,
            action_offsets=offsets,
            item_ids=rows.item_ids.take(pa.array(kept)),
            times_us_M=rows.times_us_M[kept],
            labels_M=rows.labels_M[kept],
            medoid_C=medoid_C,
        )

    change_actions(run, change)


def other_order(run: Path) -> None:
    """The actions of the user who has most are in another order than the canonical one."""

    def change(rows: UserActionRows) -> UserActionRows:
        order = np.arange(len(rows.item_ids))
        user = int(np.argmax(np.diff(rows.action_offsets)))
        own = slice(*rows.action_offsets[user : user + 2])
        order[own] = order[own][::-1]
        picked = {"item_ids": rows.item_ids.take(pa.array(order)), "times_us_M": rows.times_us_M[order]}
        return replace(rows, labels_M=rows.labels_M[order], **picked)

    change_actions(run, change)


def of_the_day_before(run: Path) -> None:
    """user_actions/ of yesterday."""
    (yesterday,) = (run.parents[1] / "2026-06-29").iterdir()
    for path in (run / "user_actions").iterdir():
        shutil.copy(yesterday / "user_actions" / path.name, path)


SAME = "expected the clusters that the user's actions make, got others for"
UNFIT = "medoids inside their clusters, got others in "


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (other_medoid, SAME),
        (other_importance, SAME),
        (other_last_action, SAME),
        (other_label, UNFIT),
        (other_medoid_place, SAME),
        (other_hash, SAME),
        (other_time, SAME),
        (unknown_item, SAME),
        (removed_action, SAME),
        (other_order, UNFIT),
        (of_the_day_before, "expected the users of users/ in user_actions/, got others"),
    ],
)
def test_wrong_content_is_found_though_its_checksums_fit(own_store, damage, message):
    run = current(own_store)
    damage(run)
    reseal(run)
    found = problems(own_store)
    assert found.keys() == {"users"}
    assert message in found["users"]


def test_what_the_gate_refuses_verify_refuses_too(own_store):
    run = current(own_store)
    change_users(run, lambda rows: replace(rows, size_C=changed(rows.size_C, 0, 99)))
    reseal(run)
    assert "expected clusters by falling importance whose sizes sum to actions_used" in problems(own_store)["users"]
    change_users(run, lambda rows: replace(rows, ids=rows.ids[::-1]))
    reseal(run)
    assert "expected unique users in ascending order" in problems(own_store)["users"]


def test_a_popularity_that_misses_actions_is_found(own_store):
    run = current(own_store)
    table = read_popularity(run / POPULARITY)
    total = pc.sum(table["num_actions"]).as_py()
    write_popularity(run / POPULARITY, table.slice(1))
    reseal(run)
    left = total - table["num_actions"][0].as_py()
    assert f"expected actions in item_popularity/ {total}, got {left}" in problems(own_store)["users"]


def test_a_popularity_of_other_items_is_found(own_store):
    """Two items' numbers change places: the sums stay."""
    run = current(own_store)
    table = read_popularity(run / POPULARITY)
    actions = table["num_actions"].to_pylist()
    second = next(place for place, number in enumerate(actions) if number != actions[0])
    order = [second, *range(1, second), 0, *range(second + 1, len(actions))]
    swapped = table.take(order)
    write_popularity(run / POPULARITY, pa.table([table["item_id"], *swapped.columns[1:]], schema=table.schema))
    reseal(run)
    item = quote(table["item_id"][0].as_py())
    told = problems(own_store)["users"]
    assert f"expected {actions[0]} as num_actions of item {item}, got {actions[second]} in item_popularity/" in told


@pytest.mark.parametrize("fact", [{"alpha": 0.1}, {"decay_per_day": 0.02}, {"now_us": 1_782_950_400_000_000}])
def test_facts_that_did_not_make_the_users_are_found(own_store, fact):
    reseal(current(own_store), **fact)
    assert SAME in problems(own_store)["users"]


def test_a_hostile_name_is_quoted(own_store, capsys):
    """Every user is wrong, the hostile one too."""
    reseal(current(own_store), now_us=1_782_950_400_000_000)
    assert main(["--store", str(own_store)]) == 1
    shown = capsys.readouterr().out
    assert r"item-\x1b[31m-" in shown
    assert "\x1b" not in shown


def test_counts_that_do_not_add_up_are_found(own_store):
    run = current(own_store)
    counts = read_stage_manifest(str(run), "users")["counts"]
    reseal(run, counts=counts | {"users_written": counts["users_written"] + 1})
    found = problems(own_store)
    assert "expected users = users_reused + users_computed" in found["counts"]
    assert "expected 9 users, got 8" in found["users"]


def test_rejected_rows_that_the_log_has_not_are_found(own_store):
    run = current(own_store)
    units = read_stage_manifest(str(run), "users")["units"]
    name = next(name for name in units if name.startswith("read-"))
    rejected = units[name]["counts"]["rows_quarantined"]
    units[name]["counts"]["rows_quarantined"] += 1
    reseal(run, units=units)
    told = f"rows_quarantined in units/users/{name}.json as in units/log/{name}.json, {rejected}, got {rejected + 1}"
    assert told in problems(own_store)["quarantine"]


def test_a_stage_that_is_not_in_the_runs_manifest_is_found(own_store):
    """Readers would not be told of files that are there."""
    run = current(own_store)
    value = read_json(run / "manifest.json")
    kept = [entry for entry in value["files"] if not entry["path"].startswith("users/")]
    write_json(run / "manifest.json", value | {"files": kept})
    write_text(run / "COMPLETED", sha256_of_file(run / "manifest.json") + "\n")
    assert "expected the files of embeddings, index and users in manifest.json, got others" in "\n".join(
        problems(own_store).values()
    )
