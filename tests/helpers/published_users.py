"""Users of a run made by hand: the files that `itemsage users` writes, through the same functions of model/ and
schemas/, for tests and benchmarks of what reads them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from model.pinnersage import action_order, cluster_actions, importances
from pipelines.units import bucket_name
from schemas.files import sha256_of_file, write_sealed_json
from schemas.hashing import bucket_of
from schemas.tables import ITEM_POPULARITY
from schemas.users import (
    POPULARITY_FILE,
    POPULARITY_FOLDER,
    USER_ACTIONS_FOLDER,
    USERS_FOLDER,
    UserActionRows,
    UserRows,
    write_popularity,
    write_user_actions,
    write_users,
)

Actions = Mapping[str, Sequence[tuple[int, int]]]


def write_published_users(
    run: Path,
    actions: Actions,
    item_ids: Sequence[str],
    matrix_ND: np.ndarray,
    *,
    model_id: str,
    now_us: int,
    num_buckets: int = 4,
    alpha: float = 0.4,
    decay_per_day: float = 0.01,
    **facts: object,
) -> None:
    """users/, user_actions/, item_popularity/ and manifests/users.json, which lists them. actions: user -> (row of
    item_ids, time in microseconds), at least one each. facts: others of the manifest."""
    for folder in (USERS_FOLDER, USER_ACTIONS_FOLDER, POPULARITY_FOLDER):
        (run / folder).mkdir()
    for bucket in range(num_buckets):
        own = {user: actions[user] for user in sorted(actions) if bucket_of(user, num_buckets) == bucket}
        users, user_actions = _rows(own, item_ids, matrix_ND, alpha, decay_per_day, now_us)
        name = f"{bucket_name(bucket, num_buckets)}.parquet"
        write_users(run / USERS_FOLDER / name, users, model_id)
        write_user_actions(run / USER_ACTIONS_FOLDER / name, user_actions)
    pairs = {(row, user) for user, done in actions.items() for row, _ in done}
    num_users = np.bincount([row for row, _ in pairs], minlength=len(item_ids))
    num_actions = np.bincount([row for done in actions.values() for row, _ in done], minlength=len(item_ids))
    acted = np.flatnonzero(num_users)
    columns = [[item_ids[row] for row in acted], num_users[acted].astype(np.int32), num_actions[acted]]
    write_popularity(run / POPULARITY_FOLDER / POPULARITY_FILE, pa.table(columns, schema=ITEM_POPULARITY))
    facts |= {"alpha": alpha, "decay_per_day": decay_per_day, "now_us": now_us, "num_user_buckets": num_buckets}
    folders = (USERS_FOLDER, USER_ACTIONS_FOLDER, POPULARITY_FOLDER)
    files = [
        {"bytes": path.stat().st_size, "path": path.relative_to(run).as_posix(), "sha256": sha256_of_file(path)}
        for folder in folders
        for path in sorted((run / folder).iterdir())
    ]
    write_sealed_json(run / "manifests" / "users.json", {"counts": {}, "files": files, "model_id": model_id, **facts})


def _rows(
    actions: Actions, item_ids: Sequence[str], matrix_ND: np.ndarray, alpha: float, decay_per_day: float, now_us: int
) -> tuple[UserRows, UserActionRows]:
    clusters, labels, medoids, items, times = [], [], [], [], []
    for done in actions.values():
        rows_M, times_M = (np.array(column, np.int64) for column in zip(*done, strict=True))
        order = action_order(rows_M, times_M)
        rows_M, times_M = rows_M[order], times_M[order]
        found = cluster_actions(matrix_ND[rows_M], rows_M, times_M, alpha)
        weight_C = importances(found.labels_M, times_M, now_us, decay_per_day)
        medoid_C = rows_M[found.medoid_C]
        best = np.lexsort((medoid_C, -weight_C))
        clusters.append((medoid_C[best], weight_C[best], found.size_C[best], found.last_us_C[best]))
        labels.append(found.labels_M)
        medoids.append(found.medoid_C.astype(np.int32))
        items.append(rows_M)
        times.append(times_M)
    medoid_rows, weights, sizes, lasts = (
        np.concatenate([np.zeros(0, np.int64), *column]) for column in (list(zip(*clusters, strict=True)) or [[]] * 4)
    )
    ids = pa.array(list(actions), pa.string())
    zeros = np.zeros(len(ids), np.int32)
    medoid_rows = medoid_rows.astype(np.int64)
    users = UserRows(
        ids=ids,
        cluster_offsets=_offsets([len(column[0]) for column in clusters]),
        medoid_ids=pa.array([item_ids[row] for row in medoid_rows], pa.string()),
        medoids_CD=matrix_ND[medoid_rows],
        importance_C=weights.astype(np.float64),
        size_C=sizes.astype(np.int32),
        last_us_C=lasts.astype(np.int64),
        used_U=np.array([len(done) for done in actions.values()], np.int32),
        skipped_U=zeros,
        over_cap_U=zeros,
    )
    rows = np.concatenate([np.zeros(0, np.int64), *items])
    return users, UserActionRows(
        ids=ids,
        hashes=[bytes(16)] * len(ids),
        action_offsets=_offsets(list(map(len, items))),
        item_ids=pa.array([item_ids[row] for row in rows], pa.string()),
        times_us_M=np.concatenate([np.zeros(0, np.int64), *times]),
        labels_M=np.concatenate([np.zeros(0, np.int32), *labels]),
        medoid_offsets=_offsets(list(map(len, medoids))),
        medoid_C=np.concatenate([np.zeros(0, np.int32), *medoids]),
    )


def _offsets(counts: Sequence[int]) -> np.ndarray:
    return np.cumsum([0, *counts]).astype(np.int32)
