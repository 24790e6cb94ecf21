"""What an earlier run knows of today's users: the clusters of actions that it had too.

Whether a user's actions and vectors are what they were, their `clustered_hash` tells (model.users.bucket_users).
Beyond that, clusters hold today if alpha, code and libraries are the same. A file that has not the sha256 of the
manifest, cannot be read or does not fit itself is no source of anything: its users count as new, and a line on stderr
says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.users.bucket_users import NOBODY, EarlierUsers, KnownClusters
from pipelines.run.earlier_faults import UNREADABLE, say
from pipelines.run.opened import Run
from schemas import storage
from schemas.quarantine import quote
from schemas.records.user_rows import MAX_USER_BUCKETS, USERS_STAGE, UserActionRows, slice_of


@dataclass(frozen=True)
class EarlierRun:
    """An earlier run's users, in as many buckets as today's. has_clusters: whether they were made with today's settings
    and code; else its users are only counted."""

    opened: Run
    has_clusters: bool

    def load(self, bucket: int) -> EarlierUsers:
        """The users of a bucket."""
        try:
            rows = self.opened.user_actions(bucket)
        except UNREADABLE as error:
            say(USERS_STAGE, f"its users count as new, for an earlier file is damaged: {error}")
            return NOBODY
        ids = rows.ids.to_pylist()
        return EarlierUsers(frozenset(ids), _clusters(ids, rows) if self.has_clusters else {})


def open_earlier_users(folder: str | None, run: str, num_buckets: int, made_with: dict[str, Any]) -> EarlierRun | None:
    """The run to take clusters from; None, with a line on stderr, if it cannot be used: then there is no yesterday.
    Where users can be counted but no clusters taken, a line says why. made_with: what clusters of equal actions depend
    on, as today's stage manifest will have it."""
    if folder is None or storage.is_same_place(folder, run):
        return None
    try:
        opened = Run(folder)
        there, made_before = opened.num_user_buckets, opened.manifest(USERS_STAGE).facts.get("made_with")
    except UNREADABLE as error:
        say(USERS_STAGE, f"nobody is taken over from {folder}, all users count as new: {error}")
        return None
    if there != num_buckets:
        say(
            USERS_STAGE,
            f"nobody is taken over from {folder}: it has {there} user buckets, this run {num_buckets}",
        )
        return None
    if made_before != made_with:
        say(
            USERS_STAGE,
            f"all users are computed, nobody taken over from {folder}: {_differing(made_before, made_with)}",
        )
    return EarlierRun(opened, has_clusters=made_before == made_with)


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
        found = Run(folder).num_user_buckets
    except UNREADABLE:
        return None
    return found if found <= MAX_USER_BUCKETS else None


def _clusters(ids: list[str], rows: UserActionRows) -> dict[str, KnownClusters]:
    return {
        name: KnownClusters(
            rows.hashes[user],
            rows.labels_M[slice_of(rows.action_offsets, user)],
            rows.medoid_C[slice_of(rows.medoid_offsets, user)],
        )
        for user, name in enumerate(ids)
    }
