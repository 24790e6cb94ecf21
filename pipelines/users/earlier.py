"""What an earlier run knows of today's users: the clusters of actions that it had too.

Whether a user's actions and vectors are what they were, their `clustered_hash` tells (see model.users.clusters). Beyond
that, clusters hold today if alpha, code and libraries are the same. A file that has not the sha256 of the manifest,
cannot be read or does not fit itself is no source of anything: its users count as new, and a line on stderr says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from model.users.clusters import NOBODY, EarlierUsers, KnownClusters
from pipelines.run.earlier_faults import UNREADABLE, say
from pipelines.run.units import read_stage_manifest
from schemas.errors import CorruptFileError
from schemas.files import check_sha256
from schemas.quarantine import quote
from schemas.storage import resolve_inside
from schemas.user_rows import MAX_USER_BUCKETS, USER_ACTIONS_FOLDER, USERS_STAGE, UserActionRows, slice_of
from schemas.users import read_user_actions


@dataclass(frozen=True)
class EarlierRun:
    """An earlier run's users, in as many buckets as today's. sha256_of: file -> sha256. has_clusters: whether they were
    made with today's settings and code; else its users are only counted."""

    run: str
    sha256_of: dict[str, str]
    has_clusters: bool

    def load(self, bucket: str) -> EarlierUsers:
        """The users of the bucket of this name."""
        name = f"{USER_ACTIONS_FOLDER}/{bucket}.parquet"
        try:
            source = resolve_inside(self.run, name)
            if source is None or name not in self.sha256_of:
                raise CorruptFileError(f"expected {name} inside {self.run} and in its manifest, got none")
            check_sha256(source, self.sha256_of[name])
            rows = read_user_actions(source)
            check_user_actions(rows, source)
        except UNREADABLE as error:
            say(USERS_STAGE, f"its users count as new, for an earlier file is damaged: {error}")
            return NOBODY
        ids = rows.ids.to_pylist()
        return EarlierUsers(frozenset(ids), _clusters(ids, rows) if self.has_clusters else {})


def open_earlier_users(folder: str | None, run: str, num_buckets: int, made_with: dict[str, Any]) -> EarlierRun | None:
    """The run to take clusters from; None, with a line on stderr, if it cannot be used: then there is no yesterday.
    Where users can be counted but no clusters taken, a line says why. made_with: what clusters of equal actions depend
    on, as today's stage manifest will have it."""
    if folder is None or Path(folder).resolve() == Path(run).resolve():
        return None
    try:
        manifest = read_stage_manifest(folder, USERS_STAGE)
        there, sha256_of = manifest["num_user_buckets"], {str(e["path"]): str(e["sha256"]) for e in manifest["files"]}
        made_before = manifest["made_with"]
    except UNREADABLE as error:
        say(USERS_STAGE, f"nobody is taken over from {folder}, all users count as new: {error}")
        return None
    if there != num_buckets:
        say(
            USERS_STAGE,
            f"nobody is taken over from {folder}: it has {quote(there)} user buckets, this run {num_buckets}",
        )
        return None
    if made_before != made_with:
        say(
            USERS_STAGE,
            f"all users are computed, nobody taken over from {folder}: {_differing(made_before, made_with)}",
        )
    return EarlierRun(folder, sha256_of, has_clusters=made_before == made_with)


def _differing(before: Any, now: Mapping[str, Any]) -> str:
    """What users were made with before and are not now; either as `made_with` of open_earlier_users.

    >>> _differing({"alpha": 0.8, "libraries": {"numpy": "2"}}, {"alpha": 1.6, "libraries": {"numpy": "2"}})
    'alpha was 0.8, is 1.6'
    """
    then, today = _flat(before), _flat(now)
    names = [name for name in today | then if then.get(name) != today.get(name)]
    told = (f"{name} was {quote(then.get(name))}, is {quote(today.get(name))}" for name in names)
    return "; ".join(told).replace("_", " ")


def _flat(made_with: Any) -> dict[str, Any]:
    found = made_with if isinstance(made_with, dict) else {}
    libraries = found.get("libraries")
    return {**found, "libraries": None} | (libraries if isinstance(libraries, dict) else {})


def earlier_num_buckets(folder: str | None) -> int | None:
    """The number of user buckets of a run; None if it has no users that can be read."""
    if folder is None:
        return None
    try:
        found = read_stage_manifest(folder, USERS_STAGE)["num_user_buckets"]
    except UNREADABLE:
        return None
    return found if type(found) is int and 1 <= found <= MAX_USER_BUCKETS else None


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


def _clusters(ids: list[str], rows: UserActionRows) -> dict[str, KnownClusters]:
    return {
        name: KnownClusters(
            rows.hashes[user],
            rows.labels_M[slice_of(rows.action_offsets, user)],
            rows.medoid_C[slice_of(rows.medoid_offsets, user)],
        )
        for user, name in enumerate(ids)
    }
