"""Users in memory: the rows of the tables USERS and USER_ACTIONS as columns of numpy arrays, and where a run has them.

    users/bucket-00003-of-00016.parquet          what readers read: several vectors a user
    user_actions/bucket-00003-of-00016.parquet   what they were made from
    item_popularity/items.parquet                who acts on what, the prior that recommendations may blend in

Legend: U users, C clusters of all users, M actions of all users, D dimension. `offsets` have one number more than there
are users: user u has the rows offsets[u] to offsets[u + 1] - 1.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

#: The stage, its folders in a run, and how many files each may have.
USERS_STAGE = "users"
USERS_FOLDER, USER_ACTIONS_FOLDER, POPULARITY_FOLDER = "users", "user_actions", "item_popularity"
POPULARITY_FILE = "items.parquet"
MAX_USER_BUCKETS = 1024


@dataclass(frozen=True, kw_only=True)
class UserRows:
    """Rows of USERS, by user_id: ids (string [U]), cluster_offsets int32 [U + 1]; of the clusters, by falling
    importance: medoid_ids (string [C]), medoids_CD float32 unit rows, importance_C float64, size_C int32, last_us_C
    int64 (microseconds since 1970); of the users: used_U, skipped_U, over_cap_U int32."""

    ids: pa.Array
    cluster_offsets: np.ndarray
    medoid_ids: pa.Array
    medoids_CD: np.ndarray
    importance_C: np.ndarray
    size_C: np.ndarray
    last_us_C: np.ndarray
    used_U: np.ndarray
    skipped_U: np.ndarray
    over_cap_U: np.ndarray


@dataclass(frozen=True, kw_only=True)
class UserActionRows:
    """Rows of USER_ACTIONS, by user_id: ids (string [U]), hashes (16 bytes each), action_offsets int32 [U + 1];
    item_ids (string [M]), times_us_M int64, labels_M int32; medoid_offsets int32 [U + 1], medoid_C int32 (position
    among the user's actions, for each cluster label in turn)."""

    ids: pa.Array
    hashes: list[bytes]
    action_offsets: np.ndarray
    item_ids: pa.Array
    times_us_M: np.ndarray
    labels_M: np.ndarray
    medoid_offsets: np.ndarray
    medoid_C: np.ndarray


def slice_of(offsets: np.ndarray, user: int) -> slice:
    """Where the rows of one user are."""
    return slice(int(offsets[user]), int(offsets[user + 1]))
