"""Whether the users of a run are what readers may rely on: what each file of users/ and user_actions/ must be."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import CorruptFileError
from schemas.hashing import bucket_of
from schemas.quarantine import quote
from schemas.records.user_rows import UserActionRows, UserRows
from schemas.records.users import read_users


def check_users_file(
    path: Path, item_ids: pa.Array, matrix_ND: np.ndarray, model_id: str, bucket: int, num_buckets: int
) -> UserRows:
    """The users of a file of users/. Raises CorruptFileError unless they are those of the bucket, ascending, each with
    clusters by falling importance, whose medoids are items with exactly these vectors.

    item_ids: string [N], ascending; matrix_ND: float32, their vectors.
    """
    rows, made_by = read_users(path)
    if made_by != model_id:
        raise CorruptFileError(f"expected users of model {model_id}, got {quote(made_by)} in {path}")
    ids = rows.ids.to_pylist()
    if not all(a < b for a, b in pairwise(ids)):
        raise CorruptFileError(f"expected unique users in ascending order, got others in {path}")
    if strangers := [name for name in ids if bucket_of(name, num_buckets) != bucket]:
        raise CorruptFileError(f"expected users of bucket {bucket}, got {quote(strangers[0])} in {path}")
    _check_clusters(rows, path)
    found = pc.index_in(rows.medoid_ids, value_set=item_ids)
    if found.null_count:
        name = rows.medoid_ids[found.is_null().index(True).as_py()].as_py()
        raise CorruptFileError(f"expected medoids that are items with a vector, got {quote(name)} in {path}")
    if not np.array_equal(matrix_ND[found.to_numpy()], rows.medoids_CD):
        raise CorruptFileError(f"expected the items' own vectors as medoids, got others in {path}: another day's?")
    return rows


def _check_clusters(rows: UserRows, path: Path) -> None:
    """Every user has clusters, by falling importance, and their sizes are the actions used."""
    num_U = np.diff(rows.cluster_offsets)
    user_C = np.repeat(np.arange(len(num_U)), num_U)
    falling = (np.diff(rows.importance_C) <= 0) | (np.diff(user_C) != 0)
    good = bool((num_U > 0).all() and falling.all() and (rows.size_C > 0).all())
    good = good and bool((np.isfinite(rows.importance_C) & (rows.importance_C >= 0)).all())
    if not good or not np.array_equal(np.bincount(user_C, rows.size_C, len(num_U)).astype(np.int64), rows.used_U):
        raise CorruptFileError(
            f"expected clusters by falling importance whose sizes sum to actions_used, got others in {path}"
        )


def check_user_actions(rows: UserActionRows, where: str) -> None:
    """Raises CorruptFileError unless users ascend and every medoid is an action of the cluster that it stands for."""
    num_U, num_medoids_U = np.diff(rows.action_offsets), np.diff(rows.medoid_offsets)
    ids = rows.ids.to_pylist()
    sound = all(a < b for a, b in pairwise(ids)) and bool((num_U > 0).all())
    user_C = np.repeat(np.arange(len(ids)), num_medoids_U)
    number_C = np.arange(len(user_C)) - rows.medoid_offsets[:-1][user_C]
    in_range_C = (rows.medoid_C >= 0) & (rows.medoid_C < num_U[user_C])
    in_range_M = (rows.labels_M >= 0) & (rows.labels_M < np.repeat(num_medoids_U, num_U))
    if sound and in_range_C.all() and in_range_M.all():
        sound = bool((rows.labels_M[rows.action_offsets[:-1][user_C] + rows.medoid_C] == number_C).all())
        if sound:
            return
    raise CorruptFileError(f"expected users in ascending order, medoids inside their clusters, got others in {where}")
