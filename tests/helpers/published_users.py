"""Users of a run made by hand: the files that `itemsage users` writes, without a job, for tests and benchmarks of what
reads them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from run_builder import RunBuilder

from model.users.bucket_users import ItemVectors, UserRules, cluster_users
from pipelines.run.units import bucket_name
from schemas.hashing import bucket_of
from schemas.records.user_rows import POPULARITY_FILE, POPULARITY_FOLDER, USER_ACTIONS_FOLDER, USERS_FOLDER
from schemas.records.users import sum_popularity, write_popularity, write_user_actions, write_users

_FOLDERS = (USERS_FOLDER, USER_ACTIONS_FOLDER, POPULARITY_FOLDER)
#: More than any test's user has: no cap.
_MAX_ACTIONS = 1_000_000

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
    item_ids, time in microseconds), at least one each; item_ids: ascending. facts: others of the manifest."""
    vectors = ItemVectors(pa.array(item_ids, pa.string()), matrix_ND)
    rules = UserRules(alpha=alpha, decay_per_day=decay_per_day, max_actions=_MAX_ACTIONS, now_us=now_us)
    for folder in _FOLDERS:
        (run / folder).mkdir()
    popularity = []
    for bucket in range(num_buckets):
        done = [(user, *act) for user in actions if bucket_of(user, num_buckets) == bucket for act in actions[user]]
        users, rows, times_us = zip(*done, strict=True) if done else ((), (), ())
        made = cluster_users(
            pa.array(users, pa.string()), np.array(rows, np.int64), np.array(times_us, np.int64), vectors, rules
        )
        name = f"{bucket_name(bucket, num_buckets)}.parquet"
        write_users(run / USERS_FOLDER / name, made.users, model_id)
        write_user_actions(run / USER_ACTIONS_FOLDER / name, made.actions)
        popularity.append(made.popularity)
    write_popularity(run / POPULARITY_FOLDER / POPULARITY_FILE, sum_popularity(popularity))
    facts |= {"alpha": alpha, "decay_per_day": decay_per_day, "now_us": now_us, "num_user_buckets": num_buckets}
    RunBuilder(run, model_id).listed("users", *_FOLDERS, model_id=model_id, **facts)
