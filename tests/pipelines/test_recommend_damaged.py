"""Recommendations from users that are not what was published, or were forged together with what vouches for them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from published_users import write_published_users
from recommend_store import MODEL, NOW_US, NUM_ITEMS, USERS, actions, make_store, reseal, vectors

from pipelines import recommend
from pipelines.serving.recommender import Recommender
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json, read_sealed_json, sha256_of_file, write_json, write_sealed_json, write_text
from schemas.records.users import read_popularity, read_users, write_popularity, write_users

POPULARITY = "item_popularity/items.parquet"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """Published; read it, do not change it."""
    folder = tmp_path_factory.mktemp("store")
    make_store(folder)
    return folder


@pytest.fixture
def own_run(store, tmp_path) -> Path:
    """The run of a copy of the store to damage."""
    return Path(shutil.copytree(store, tmp_path / "store")) / "runs" / "2026-06-30" / "0123456789abcdef"


def ask(run: Path) -> None:
    Recommender(str(run.parents[2])).recommend("user-001")


def files_of(run: Path, folder: str) -> list[Path]:
    return sorted((run / folder).iterdir())


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.medium
@pytest.mark.parametrize("folder", ["users", "user_actions", "item_popularity"])
def test_files_that_were_not_published_are_refused(own_run, folder):
    manifest = read_json(own_run / "manifest.json")
    files = [entry for entry in manifest["files"] if not entry["path"].startswith(f"{folder}/")]
    write_json(own_run / "manifest.json", manifest | {"files": files})
    write_text(own_run / "COMPLETED", sha256_of_file(own_run / "manifest.json") + "\n")
    with pytest.raises(CorruptFileError, match=f"expected {folder}/.* among the published files"):
        ask(own_run)


def with_fact(run: Path, **fact: object) -> None:
    path = run / "manifests" / "users.json"
    write_sealed_json(path, read_sealed_json(path) | fact)


def without_users(run: Path) -> None:
    (run / "manifests" / "users.json").unlink()


def files_of_another_model(run: Path) -> None:
    for path in files_of(run, "users"):
        table = pq.read_table(path)
        pq.write_table(table.replace_schema_metadata({"model_id": "itemsage-ffffffffffff"}), path)
    reseal(run)


def damaged_pages(run: Path) -> None:
    for path in files_of(run, "users"):
        data = bytearray(path.read_bytes())
        data[8:200] = bytes(192)
        path.write_bytes(bytes(data))
    reseal(run)


def no_actions(run: Path) -> None:
    for path in files_of(run, "user_actions"):
        path.write_bytes(b"x")
    reseal(run)


def actions_of_others(run: Path) -> None:
    for path in files_of(run, "user_actions"):
        table = pq.read_table(path)
        pq.write_table(table.slice(0, 0), path)
    reseal(run)


def unknown_medoids(run: Path) -> None:
    for folder in ("users", "user_actions", "item_popularity"):
        shutil.rmtree(run / folder)
    others = [f"other-{n:03d}" for n in range(NUM_ITEMS)]
    write_published_users(run, actions(), others, vectors(), model_id=MODEL, now_us=NOW_US)
    reseal(run)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (without_users, UsageError, "with users"),
        (lambda run: with_fact(run, model_id="itemsage-ffffffffffff"), CorruptFileError, "itemsage-ffffffffffff"),
        (lambda run: with_fact(run, decay_per_day="0.01"), CorruptFileError, "decay_per_day"),
        (lambda run: with_fact(run, alpha=10**400), CorruptFileError, "alpha"),
        (lambda run: with_fact(run, samples=0), CorruptFileError, "expected samples .*, got 0"),
        (lambda run: with_fact(run, sampled=1), CorruptFileError, "expected sampled .*, got 1"),
        (
            lambda run: with_fact(run, popularity_weight="0.1"),
            CorruptFileError,
            "popularity_weight .*, got '0.1'",
        ),
        (lambda run: with_fact(run, popularity_weight=-1), CorruptFileError, "popularity_weight .*, got -1"),
        (
            lambda run: with_fact(run, popularity_weight=True),
            CorruptFileError,
            "popularity_weight .*, got True",
        ),
        (files_of_another_model, CorruptFileError, "itemsage-ffffffffffff"),
        (damaged_pages, CorruptFileError, "expected readable users"),
        (no_actions, CorruptFileError, "expected a Parquet file of users"),
        (actions_of_others, CorruptFileError, "expected the actions of user 'user-001', got none"),
        (unknown_medoids, CorruptFileError, "'other-"),
    ],
)
def test_what_does_not_belong_together_is_refused(own_run, damage, error, message):
    damage(own_run)
    with pytest.raises(error, match=message):
        ask(own_run)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("importance_C", np.nan, "got nan,"),
        ("importance_C", np.inf, "got inf,"),
        ("importance_C", -0.5, r"got -0\.5,"),
        ("size_C", 0, "got .*, 0 and"),
        ("last_us_C", -1, "and -1 of"),
        ("last_us_C", NOW_US + 1, f"and {NOW_US + 1} of"),
    ],
)
def test_forged_clusters_are_refused(own_run, column, value, message):
    for path in files_of(own_run, "users"):
        rows, model_id = read_users(path)
        values = getattr(rows, column).copy()
        values[-1] = value
        write_users(path, replace(rows, **{column: values}), model_id)
    reseal(own_run)
    with pytest.raises(CorruptFileError, match=f"expected importances of at least 0.*{message}"):
        ask(own_run)


def more_users_than_actions(table: pa.Table) -> list[int]:
    return [int(count) + 1 for count in table["num_actions"].to_pylist()]


@pytest.mark.parametrize(
    ("forged", "message"),
    [
        (lambda table: [0] * len(table), "got 0 users"),
        (lambda table: [-1] * len(table), "got -1 users"),
        (more_users_than_actions, r"got (\d+) users and (\d+) actions of 'item"),
    ],
)
def test_a_forged_popularity_is_refused(own_run, forged: Callable[[pa.Table], list[int]], message):
    table = read_popularity(own_run / POPULARITY)
    write_popularity(own_run / POPULARITY, table.set_column(1, "num_users", pa.array(forged(table), pa.int32())))
    reseal(own_run)
    with pytest.raises(CorruptFileError, match=f"expected from 1 user.*{message}"):
        ask(own_run)


def test_a_damaged_file_ends_bulk_after_the_answers_before_it(own_run, tmp_path, capsys):
    """The bucket of user-001 is whole, that of another user is not."""
    asked = Recommender(str(own_run.parents[2]))
    buckets = {user: asked.users.bucket_of(user) for user in USERS[:20]}
    bad = next(user for user, bucket in buckets.items() if bucket != buckets["user-001"])
    flip(files_of(own_run, "users")[buckets[bad]])
    lines = [json.dumps({"user_id": user}) for user in ("user-001", bad, "user-001")]
    (tmp_path / "users.jsonl").write_text("\n".join(lines))
    arguments = ["--store", str(own_run.parents[2]), "--requests", str(tmp_path / "users.jsonl"), "--top", "3"]
    assert recommend.main(arguments) == 1
    captured = capsys.readouterr()
    assert [json.loads(line)["user_id"] for line in captured.out.splitlines()] == ["user-001"]
    (line,) = captured.err.splitlines()
    assert "expected sha256" in line
    assert "for line 2: from it on no line has an answer" in line
