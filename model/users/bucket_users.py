"""The users of one bucket: from their actions to clusters, in whole arrays but for the clustering itself.

    actions in the window --skip unknown items--> --newest `max_actions` a user--> cluster, or take over --> rows

A user's clusters depend on the ids, times and vectors of the actions used and on alpha: a user whose `clustered_hash`
is what it was keeps labels and medoids. All else is derived from the labels, for every user in the same way, so what is
written does not tell who was taken over.

Legend: A actions in the window, M those used, U users that are written, C clusters of all of them, N items with a
vector, D dimension.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from model.users.pinnersage import cluster_actions, importances
from schemas.hashing import row_hashes
from schemas.records.user_rows import UserActionRows, UserRows
from schemas.tables import ITEM_POPULARITY


@dataclass(frozen=True, eq=False)
class ItemVectors:
    """ids: string [N], ascending. matrix_ND: float32 unit rows, C order."""

    ids: pa.Array
    matrix_ND: np.ndarray

    @cached_property
    def hashes_N(self) -> np.ndarray:
        """uint64 [N], of each vector's bytes."""
        return row_hashes(self.matrix_ND)


@dataclass(frozen=True, kw_only=True)
class UserRules:
    """alpha: largest squared distance of a merge. decay_per_day: of importance, at `now_us`. max_actions: the newest of
    a user that are used; of equal times those of the smaller item id."""

    alpha: float
    decay_per_day: float
    max_actions: int
    now_us: int


@dataclass(frozen=True)
class KnownClusters:
    """Clusters that were made of actions with this `clustered_hash`; labels and medoids as in USER_ACTIONS."""

    clustered_hash: bytes
    labels_M: np.ndarray
    medoid_C: np.ndarray


@dataclass(frozen=True)
class EarlierUsers:
    """All users that an earlier run had in the bucket, and the clusters of those that may be taken over."""

    ids: frozenset[str]
    clusters: Mapping[str, KnownClusters]


NOBODY = EarlierUsers(frozenset(), {})


@dataclass(frozen=True)
class ClusteredUsers:
    """users and actions: rows to write. popularity: ITEM_POPULARITY of the bucket.

    counts: users_written = users_reused + users_computed; users_computed = users_changed + users_new; users_yesterday =
    users_reused + users_changed + users_gone; A = rows_used + rows_item_unknown + rows_over_cap; clusters_written;
    users_without_items (none of their items has a vector).
    """

    users: UserRows
    actions: UserActionRows
    popularity: pa.Table
    counts: Counter[str]


def cluster_users(
    user_ids: pa.Array,
    item_rows_A: np.ndarray,
    times_us_A: np.ndarray,
    vectors: ItemVectors,
    rules: UserRules,
    earlier: EarlierUsers = NOBODY,
    on_user: Callable[[], None] = lambda: None,
) -> ClusteredUsers:
    """The users of some actions, in any order. user_ids: string [A] without nulls. item_rows_A: rows of `vectors`, -1
    for items that have none. times_us_A: int64, before `rules.now_us`. `on_user` is called for each user."""
    names, codes_A = _sorted_codes(user_ids)
    is_known_A = item_rows_A >= 0
    skipped = np.bincount(codes_A[~is_known_A], minlength=len(names))
    order = np.lexsort((times_us_A, item_rows_A, codes_A))
    order = order[is_known_A[order]]
    codes, rows, times_us = codes_A[order], item_rows_A[order], times_us_A[order]
    popularity = _popularity(codes, rows, vectors.ids)
    known = np.bincount(codes, minlength=len(names))
    if len(known) and known.max() > rules.max_actions:
        kept = _newest(codes, rows, times_us, known, rules.max_actions)
        codes, rows, times_us = codes[kept], rows[kept], times_us[kept]
    used = np.bincount(codes, minlength=len(names))
    is_written = used > 0
    ids = names.filter(pa.array(is_written))
    offsets = _offsets(used[is_written])
    actions, num_reused = _cluster(ids, offsets, rows, times_us, vectors, rules, earlier, on_user)
    users = _user_rows(actions, rows, vectors, rules, skipped[is_written], (known - used)[is_written])
    here = set(ids.to_pylist())
    counts = Counter(
        users_written=len(ids),
        users_reused=num_reused,
        users_computed=len(ids) - num_reused,
        users_changed=len(here & earlier.ids) - num_reused,
        users_new=len(here - earlier.ids),
        users_gone=len(earlier.ids - here),
        users_yesterday=len(earlier.ids),
        users_without_items=len(names) - len(ids),
        rows_used=len(rows),
        rows_item_unknown=int(skipped.sum()),
        rows_over_cap=int(known.sum()) - len(rows),
        clusters_written=len(users.size_C),
    )
    return ClusteredUsers(users, actions, popularity, counts)


def _sorted_codes(user_ids: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """(distinct ids, ascending; for each row, its id's place among them)."""
    encoded = user_ids.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    return encoded.dictionary.take(pa.array(order)), np.argsort(order)[encoded.indices.to_numpy()]


def _newest(codes: np.ndarray, rows: np.ndarray, times_us: np.ndarray, num: np.ndarray, most: int) -> np.ndarray:
    """bool: the newest `most` actions of each user, of `num` actions a user sorted by user."""
    newest_first = np.lexsort((rows, -times_us, codes))
    rank = np.arange(len(codes)) - _offsets(num)[codes]  # codes are sorted, and so are codes[newest_first]
    kept = np.zeros(len(codes), bool)
    kept[newest_first[rank < most]] = True
    return kept


def _popularity(codes: np.ndarray, rows: np.ndarray, ids: pa.Array) -> pa.Table:
    """ITEM_POPULARITY of actions sorted by user, then item."""
    is_first = (np.diff(codes, prepend=-1) != 0) | (np.diff(rows, prepend=-1) != 0)
    items, num_actions = np.unique(rows, return_counts=True)
    _, num_users = np.unique(rows[is_first], return_counts=True)
    columns = [ids.take(pa.array(items)), pa.array(num_users, pa.int32()), pa.array(num_actions, pa.int64())]
    return pa.Table.from_arrays(columns, schema=ITEM_POPULARITY)


def _cluster(
    ids: pa.Array,
    offsets: np.ndarray,
    rows_M: np.ndarray,
    times_us_M: np.ndarray,
    vectors: ItemVectors,
    rules: UserRules,
    earlier: EarlierUsers,
    on_user: Callable[[], None],
) -> tuple[UserActionRows, int]:
    """USER_ACTIONS of actions sorted by user, item and time; how many users were taken over."""
    item_ids = vectors.ids.take(pa.array(rows_M))
    hashes = clustered_hashes(item_ids, times_us_M, vectors.hashes_N[rows_M], offsets)
    labels_M = np.empty(len(rows_M), np.int32)
    medoids: list[np.ndarray] = []
    num_reused = 0
    for user, (name, (start, end)) in enumerate(zip(ids.to_pylist(), pairwise(offsets), strict=True)):
        known = earlier.clusters.get(name)
        if known is not None and known.clustered_hash == hashes[user] and len(known.labels_M) == end - start:
            labels_M[start:end], medoid_C = known.labels_M, known.medoid_C
            num_reused += 1
        else:
            found = cluster_actions(
                vectors.matrix_ND[rows_M[start:end]], rows_M[start:end], times_us_M[start:end], rules.alpha
            )
            labels_M[start:end], medoid_C = found.labels_M, found.medoid_C
        medoids.append(medoid_C)
        on_user()
    return UserActionRows(
        ids=ids,
        hashes=hashes,
        action_offsets=offsets,
        item_ids=item_ids,
        times_us_M=times_us_M,
        labels_M=labels_M,
        medoid_offsets=_offsets(np.array([len(medoid_C) for medoid_C in medoids], np.int64)),
        medoid_C=np.concatenate([np.zeros(0, np.int32), *medoids]).astype(np.int32),
    ), num_reused


def clustered_hashes(
    item_ids: pa.Array, times_us_M: np.ndarray, vector_hashes_M: np.ndarray, offsets: np.ndarray
) -> list[bytes]:
    """XXH3-128 of the ids, times and vector hashes of each user's actions, user u's being offsets[u]:offsets[u + 1]."""
    item_ids = pa.concat_arrays([item_ids])  # without an offset of its own
    _, starts_buffer, text = item_ids.buffers()
    starts = np.frombuffer(starts_buffer, np.int32, len(item_ids) + 1) if len(item_ids) else np.zeros(1, np.int32)
    lengths_M = np.diff(starts)
    texts = memoryview(text or b"")
    hashes = []
    for start, end in pairwise(offsets):
        digest = xxhash.xxh3_128(lengths_M[start:end].data)
        digest.update(texts[starts[start] : starts[end]])
        digest.update(times_us_M[start:end].data)
        digest.update(vector_hashes_M[start:end].data)
        hashes.append(digest.digest())
    return hashes


def _user_rows(
    actions: UserActionRows,
    rows_M: np.ndarray,
    vectors: ItemVectors,
    rules: UserRules,
    skipped_U: np.ndarray,
    over_cap_U: np.ndarray,
) -> UserRows:
    """USERS from the labels and medoids of USER_ACTIONS: clusters by falling importance, then medoid."""
    used_U, num_U = np.diff(actions.action_offsets), np.diff(actions.medoid_offsets)
    cluster_M = actions.labels_M + np.repeat(actions.medoid_offsets[:-1], used_U)
    by_cluster = np.argsort(cluster_M, kind="stable")
    starts = np.flatnonzero(np.diff(cluster_M[by_cluster], prepend=-1))
    importance_C = importances(cluster_M, actions.times_us_M, rules.now_us, rules.decay_per_day)
    medoid_rows_C = rows_M[actions.medoid_C + np.repeat(actions.action_offsets[:-1], num_U)]
    order = np.lexsort((medoid_rows_C, -importance_C, np.repeat(np.arange(len(num_U)), num_U)))
    medoid_rows_C = medoid_rows_C[order]
    return UserRows(
        ids=actions.ids,
        cluster_offsets=actions.medoid_offsets,
        medoid_ids=vectors.ids.take(pa.array(medoid_rows_C)),
        medoids_CD=vectors.matrix_ND[medoid_rows_C],
        importance_C=importance_C[order],
        size_C=np.diff(starts, append=len(cluster_M)).astype(np.int32)[order],
        last_us_C=np.maximum.reduceat(actions.times_us_M[by_cluster], starts)[order],
        used_U=used_U.astype(np.int32),
        skipped_U=skipped_U.astype(np.int32),
        over_cap_U=over_cap_U.astype(np.int32),
    )


def _offsets(counts: np.ndarray) -> np.ndarray:
    """int32 [len + 1]: where each of consecutive groups starts, and the end."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
