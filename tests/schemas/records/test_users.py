"""Users as Parquet: what was written comes back, in whole or one row group, other tools read it, damage is refused."""

import datetime as dt
import doctest
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import CorruptFileError
from schemas.records import users
from schemas.records.user_rows import UserActionRows, UserRows
from schemas.records.users import (
    USERS_A_GROUP,
    read_acted_items,
    read_popularity,
    read_user_actions,
    read_users,
    users_schema,
    write_popularity,
    write_user_actions,
    write_users,
)
from schemas.tables import ITEM_POPULARITY, USER_ACTIONS, USERS

MODEL_ID = "itemsage-0123456789ab"
NOON_US = 1_700_000_000_000_000


def offsets(counts: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


def user_rows(num_users: int, dim: int = 8, seed: int = 0) -> UserRows:
    """Users of 1 to 5 clusters."""
    random = np.random.default_rng(seed)
    num_C = random.integers(1, 6, num_users)
    total = int(num_C.sum())
    vectors = random.standard_normal((total, dim)).astype(np.float32)
    return UserRows(
        ids=pa.array([f"user-{number:05d}" for number in range(num_users)], pa.string()),
        cluster_offsets=offsets(num_C.tolist()),
        medoid_ids=pa.array([f"item-{number % 97}" for number in range(total)], pa.string()),
        medoids_CD=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        importance_C=random.random(total),
        size_C=random.integers(1, 50, total).astype(np.int32),
        last_us_C=NOON_US - random.integers(0, 10**12, total),
        used_U=random.integers(1, 99, num_users).astype(np.int32),
        skipped_U=random.integers(0, 9, num_users).astype(np.int32),
        over_cap_U=random.integers(0, 9, num_users).astype(np.int32),
    )


def action_rows(num_users: int, seed: int = 0) -> UserActionRows:
    random = np.random.default_rng(seed)
    num_M = random.integers(1, 8, num_users)
    total = int(num_M.sum())
    return UserActionRows(
        ids=pa.array([f"user-{number:05d}" for number in range(num_users)], pa.string()),
        hashes=[random.bytes(16) for _ in range(num_users)],
        action_offsets=offsets(num_M.tolist()),
        item_ids=pa.array([f"item-{number % 97}" for number in range(total)], pa.string()),
        times_us_M=NOON_US - random.integers(0, 10**12, total),
        labels_M=np.zeros(total, np.int32),
        medoid_offsets=offsets([1] * num_users),
        medoid_C=random.integers(0, num_M).astype(np.int32),
    )


def assert_equal(found: UserRows | UserActionRows, expected: UserRows | UserActionRows) -> None:
    for name, value in vars(expected).items():
        got = getattr(found, name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(got, value, err_msg=name)
            assert got.dtype == value.dtype, name
        elif isinstance(value, pa.Array):
            assert got.to_pylist() == value.to_pylist(), name
        else:
            assert got == value, name


@pytest.mark.parametrize("num_users", [0, 1, 5, 2 * USERS_A_GROUP + 3])
def test_rows_come_back_as_they_were_written(tmp_path, num_users):
    write_users(tmp_path / "users.parquet", user_rows(num_users), MODEL_ID)
    found, model_id = read_users(tmp_path / "users.parquet")
    assert_equal(found, user_rows(num_users))
    assert model_id == MODEL_ID
    write_user_actions(tmp_path / "actions.parquet", action_rows(num_users))
    assert_equal(read_user_actions(tmp_path / "actions.parquet"), action_rows(num_users))
    assert pq.read_schema(tmp_path / "actions.parquet").equals(USER_ACTIONS)


def test_one_row_group_is_its_users(tmp_path):
    rows = user_rows(2 * USERS_A_GROUP + 3)
    write_users(tmp_path / "users.parquet", rows, MODEL_ID)
    write_user_actions(tmp_path / "actions.parquet", action_rows(2 * USERS_A_GROUP + 3))
    last, _ = read_users(tmp_path / "users.parquet", row_group=2)
    assert last.ids.to_pylist() == rows.ids.to_pylist()[-3:]
    start = rows.cluster_offsets[-4]
    np.testing.assert_array_equal(last.cluster_offsets, rows.cluster_offsets[-4:] - start)
    np.testing.assert_array_equal(last.medoids_CD, rows.medoids_CD[start:])
    middle = read_user_actions(tmp_path / "actions.parquet", row_group=1)
    assert len(middle.ids) == USERS_A_GROUP
    assert middle.action_offsets[0] == 0
    assert middle.action_offsets[-1] == len(middle.item_ids) == len(middle.labels_M)
    statistics = pq.read_metadata(tmp_path / "users.parquet").row_group(1).column(0).statistics
    assert (statistics.min, statistics.max) == (f"user-{USERS_A_GROUP:05d}", f"user-{2 * USERS_A_GROUP - 1:05d}")


def of_counts(counts: list[int]) -> tuple[UserRows, UserActionRows]:
    """Users with so many clusters, and actions, each."""
    total, users = sum(counts), len(counts)
    rows, actions = user_rows(users), action_rows(users)
    medoid_ids, zeros = pa.array([f"item-{n}" for n in range(total)], pa.string()), np.zeros(total, np.int64)
    medoids_CD = np.tile(np.eye(8, dtype=np.float32)[0], (total, 1))
    numbers = {"importance_C": np.ones(total), "size_C": np.ones(total, np.int32), "last_us_C": zeros}
    return (
        replace(rows, cluster_offsets=offsets(counts), medoid_ids=medoid_ids, medoids_CD=medoids_CD, **numbers),
        replace(
            actions,
            action_offsets=offsets(counts),
            item_ids=medoid_ids,
            times_us_M=zeros,
            labels_M=np.zeros(total, np.int32),
            medoid_C=np.zeros(users, np.int32),
        ),
    )


@pytest.mark.parametrize(
    ("counts", "groups"),
    [
        ([10] * 25, [10, 10, 5]),
        ([99, 1, 1], [2, 1]),
        ([101, 250, 100, 1], [1, 1, 1, 1]),
        ([1] * (USERS_A_GROUP + 2), [100, 30]),
        ([0] * (USERS_A_GROUP + 2), [USERS_A_GROUP, 2]),
        ([], [0]),
    ],
)
def test_row_groups_hold_few_heavy_users_or_many_light_ones(tmp_path, monkeypatch, counts, groups):
    monkeypatch.setattr("schemas.records.users.CLUSTERS_A_GROUP", 100)
    monkeypatch.setattr("schemas.records.users.ACTIONS_A_GROUP", 100)
    rows, actions = of_counts(counts)
    write_users(tmp_path / "users", rows, MODEL_ID)
    write_user_actions(tmp_path / "actions", actions)
    for name in ("users", "actions"):
        found = pq.read_metadata(tmp_path / name)
        assert [found.row_group(n).num_rows for n in range(found.num_row_groups)] == groups
    assert_equal(read_users(tmp_path / "users")[0], rows)
    assert_equal(read_user_actions(tmp_path / "actions"), actions)
    first = 0
    for group, count in enumerate(groups):
        ids, action_offsets, item_ids = read_acted_items(tmp_path / "actions", group)
        whole = read_user_actions(tmp_path / "actions", group)
        assert ids.to_pylist() == actions.ids.to_pylist()[first : first + count] == whole.ids.to_pylist()
        np.testing.assert_array_equal(action_offsets, whole.action_offsets)
        assert item_ids.to_pylist() == whole.item_ids.to_pylist()
        first += count


def test_the_example_is_right():
    assert doctest.testmod(users).failed == 0
    assert doctest.testmod(users).attempted == 1


@pytest.mark.parametrize(
    ("num_users", "num_actions", "got"),
    [(0, 5, "0 users and 5 actions"), (-1, 5, "-1 users"), (6, 5, "6 users and 5 actions")],
)
def test_a_popularity_that_cannot_be_is_refused(tmp_path, num_users, num_actions, got):
    columns = {"item_id": ["a", "b\x1b"], "num_users": [1, num_users], "num_actions": [1, num_actions]}
    write_popularity(tmp_path / "items", pa.table(columns, schema=ITEM_POPULARITY))
    with pytest.raises(CorruptFileError, match=f"expected from 1 user up to one an action, got {got}"):
        read_popularity(tmp_path / "items")


def test_the_schema_is_the_declared_one_but_for_the_dimension():
    assert users_schema(256).equals(USERS)
    assert not users_schema(8).equals(USERS)
    assert [field.name for field in users_schema(8)] == USERS.names


def test_equal_rows_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_users(tmp_path / name, user_rows(300), MODEL_ID)
        write_user_actions(tmp_path / f"{name}-actions", action_rows(300))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a-actions").read_bytes() == (tmp_path / "b-actions").read_bytes()


def test_other_tools_read_the_files(tmp_path):
    rows, path = user_rows(200), str(tmp_path / "users.parquet")
    write_users(path, rows, MODEL_ID)
    frame = pq.read_table(path).to_pandas()
    assert frame["clusters"].map(len).tolist() == np.diff(rows.cluster_offsets).tolist()
    first = frame["clusters"][0][0]
    np.testing.assert_array_equal(np.asarray(first["medoid_vector"], np.float32), rows.medoids_CD[0])
    opened = polars.read_parquet(path).explode("clusters").unnest("clusters")
    assert opened["importance"].to_list() == rows.importance_C.tolist()
    np.testing.assert_array_equal(np.stack(opened["medoid_vector"].to_list()), rows.medoids_CD)
    asked = duckdb.sql(
        f"select c.medoid_item_id, c.size, c.last_action from (select unnest(clusters) c from '{path}')"
    ).fetchall()
    assert [(name, size) for name, size, _ in asked] == list(
        zip(rows.medoid_ids.to_pylist(), rows.size_C.tolist(), strict=True)
    )
    assert asked[0][2] == dt.datetime.fromtimestamp(rows.last_us_C[0] / 1e6, dt.UTC)
    write_user_actions(tmp_path / "actions.parquet", action_rows(200))
    count = duckdb.sql(f"select sum(len(actions)) from '{tmp_path / 'actions.parquet'}'").fetchall()
    assert count == [(action_rows(200).action_offsets[-1],)]


def test_popularity_comes_back(tmp_path):
    columns = {"item_id": ["a", "b"], "num_users": [2, 1], "num_actions": [5, 1]}
    table = pa.table(columns, schema=ITEM_POPULARITY)
    write_popularity(tmp_path / "items.parquet", table)
    assert read_popularity(tmp_path / "items.parquet").equals(table)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("at", [4, 60, 500, 3000, -300, -5])
def test_a_flipped_byte_is_told_or_changes_nothing(tmp_path, at):
    path = tmp_path / "users.parquet"
    write_users(path, user_rows(300), MODEL_ID)
    flip(path, at)
    try:
        found, model_id = read_users(path)
    except CorruptFileError:
        return
    assert_equal(found, user_rows(300))
    assert model_id == MODEL_ID


def test_pages_have_checksums(tmp_path):
    for name, write, read in (
        ("users", lambda path: write_users(path, user_rows(300), MODEL_ID), read_users),
        ("actions", lambda path: write_user_actions(path, action_rows(300)), read_user_actions),
    ):
        write(tmp_path / name)
        group = pq.read_metadata(tmp_path / name).row_group(0)
        for column in range(group.num_columns):
            write(tmp_path / name)
            flip(
                tmp_path / name, group.column(column).data_page_offset + group.column(column).total_compressed_size - 1
            )
            with pytest.raises(CorruptFileError):
                read(tmp_path / name)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("no Parquet")
    pq.write_table(pa.table({"user_id": ["a"]}), tmp_path / "narrow")
    without = pq.ParquetWriter(tmp_path / "without", users_schema(8))  # no model id
    without.close()
    for name in ("text", "narrow", "without", "missing"):
        with pytest.raises(CorruptFileError, match="expected"):
            read_users(tmp_path / name)
    for name in ("text", "narrow", "without", "missing"):
        with pytest.raises(CorruptFileError, match="expected"):
            read_user_actions(tmp_path / name)
        with pytest.raises(CorruptFileError, match="expected"):
            read_acted_items(tmp_path / name, 0)
        with pytest.raises(CorruptFileError, match="expected"):
            read_popularity(tmp_path / name)


def test_the_dimension_of_the_metadata_counts(tmp_path):
    write_users(tmp_path / "users", user_rows(3, dim=8), MODEL_ID)
    table = pq.read_table(tmp_path / "users")
    for dimension in (b"9", b"-8", b"", b"\xff"):
        metadata = {b"model_id": b"x", b"dimension": dimension, b"schema_version": b"1"}
        pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "other")
        with pytest.raises(CorruptFileError):
            read_users(tmp_path / "other")
