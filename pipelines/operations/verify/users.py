"""Checks of a run's users: rows, buckets, medoids against the embeddings, clusters computed again for a sample, and
that items' popularity counts every action."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.machine.blas_threads import one_blas_thread
from model.users.bucket_users import ItemVectors, UserRules, cluster_users
from pipelines.operations.findings import Finding
from pipelines.operations.inspected_run import InspectedRun, sample_by_hash
from pipelines.run.opened import DAMAGE, Embeddings
from pipelines.users.job import Users
from schemas.quarantine import quote
from schemas.records.user_rows import (
    POPULARITY_FILE,
    POPULARITY_FOLDER,
    USER_ACTIONS_FOLDER,
    USERS_FOLDER,
    USERS_STAGE,
    UserActionRows,
    UserRows,
    slice_of,
)
from schemas.records.users import read_popularity

#: Users of each bucket whose clusters are computed again.
MOST_USERS = 20
#: Of them, those that are told of where they come out otherwise.
_MOST_TOLD = 5


def check_users(run: InspectedRun, embeddings: Embeddings | None) -> Finding:
    """Users lie in their buckets, with clusters by falling importance whose medoids are the items' own vectors; a
    sample is clustered again from user_actions/ and must come out the same. item_popularity/ is as the
    actions say."""
    finding = Finding("users")
    if not all(run.usable(folder, finding) for folder in (USERS_FOLDER, USER_ACTIONS_FOLDER, POPULARITY_FOLDER)):
        return finding
    if embeddings is None:
        finding.fail("not compared with the embeddings, which cannot be read")
        return finding
    num_again = 0
    vectors = ItemVectors(*embeddings)
    popularity = _Popularity(vectors.ids)
    with finding.guard(f"manifests/{USERS_STAGE}.json"):
        facts = run.stages[USERS_STAGE]
        rules, num_buckets = _rules(facts), int(facts["num_user_buckets"])
        finding.problems += Users.problems(run.opened)
        for bucket, name in enumerate(Path(path).name for path in run.listed(USERS_FOLDER)):
            with finding.guard(f"{USERS_FOLDER}/{name}"):
                try:
                    users = run.opened.users(bucket)
                except DAMAGE:
                    continue  # told above
                written = _Bucket(users, run.opened.user_actions(bucket), vectors)
                popularity.add(written)
                num_again += _cluster_again(written, rules, name, finding)
        popularity.check(run, facts["counts"], finding)
        finding.looked_at = (
            f"{facts['counts']['users_written']:,} users in {num_buckets} buckets, {num_again:,} clustered again"
        )
    return finding


def _rules(facts: Mapping[str, Any]) -> UserRules:
    """How the run made its clusters, by the manifest of the stage."""
    return UserRules(
        alpha=float(facts["alpha"]),
        decay_per_day=float(facts["decay_per_day"]),
        max_actions=int(facts["max_actions"]),
        now_us=int(facts["now_us"]),
    )


def _cluster_again(written: "_Bucket", rules: UserRules, name: str, finding: Finding) -> int:
    """Compares a sample of a bucket's users with what their actions make; how many these are. name: of its file."""
    sample = sample_by_hash(written.names, MOST_USERS, "verify users")
    with one_blas_thread():
        different = written.different(sample, rules)
    for user in different[:_MOST_TOLD]:
        finding.fail(
            "expected the clusters that the user's actions make, got others for "
            f"{quote(written.names[user])} in {USERS_FOLDER}/{name}: run the users stage again"
        )
    return len(sample)


class _Popularity:
    """Users and actions of each item, and the counts of users, summed over buckets."""

    def __init__(self, ids: pa.Array):
        self.ids = ids
        self.num_users_N, self.num_actions_N = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
        self.num_skipped = self.num_over_cap = 0

    def add(self, bucket: "_Bucket") -> None:
        """Counts the actions that the users of a bucket were made of; an item that is none is told of elsewhere."""
        found = pc.index_in(bucket.actions.item_ids, value_set=self.ids)
        rows_M = pc.fill_null(found, -1).to_numpy()
        user_M = np.repeat(np.arange(len(bucket.names)), np.diff(bucket.actions.action_offsets))
        self.num_actions_N += np.bincount(rows_M[rows_M >= 0], minlength=len(self.ids))
        pairs = np.unique(np.stack([rows_M, user_M])[:, rows_M >= 0], axis=1)
        self.num_users_N += np.bincount(pairs[0], minlength=len(self.ids))
        self.num_skipped += int(bucket.users.skipped_U.sum())
        self.num_over_cap += int(bucket.users.over_cap_U.sum())

    def check(self, run: InspectedRun, counts: dict[str, int], finding: Finding) -> None:
        """item_popularity/ against the actions: equal but for those over the cap, which it counts and no file keeps."""
        remedy = "run the users stage again"
        table = read_popularity(run.run / POPULARITY_FOLDER / POPULARITY_FILE)
        num_actions = counts["rows_used"] + counts["rows_over_cap"]
        finding.expect(
            f"actions in {POPULARITY_FOLDER}/", num_actions, pc.sum(table["num_actions"]).as_py() or 0, remedy
        )
        finding.expect("actions over the cap", counts["rows_over_cap"], self.num_over_cap, remedy)
        if self.num_skipped > counts["rows_item_unknown"]:
            finding.fail(f"expected at most {counts['rows_item_unknown']} skipped actions, got {self.num_skipped}")
        rows = pc.index_in(table["item_id"].combine_chunks(), value_set=self.ids)
        if rows.null_count:
            finding.fail(
                f"expected items with a vector in {POPULARITY_FOLDER}/, got {rows.null_count} others: {remedy}"
            )
            return
        written = {name: np.zeros(len(self.ids), np.int64) for name in ("num_users", "num_actions")}
        for name, column_N in written.items():
            column_N[rows.to_numpy()] = table[name].to_numpy()
        counted = {"num_users": self.num_users_N, "num_actions": self.num_actions_N}
        for name, column_N in counted.items():
            wrong_N = written[name] < column_N if self.num_over_cap else written[name] != column_N
            if wrong_N.any():
                row = int(np.argmax(wrong_N))
                expected = f"{'at least ' if self.num_over_cap else ''}{column_N[row]} as {name}"
                item = quote(self.ids[row].as_py())
                finding.fail(f"expected {expected} of item {item}, got {written[name][row]} in {POPULARITY_FOLDER}/")


class _Bucket:
    """The users of one bucket as they are written, with the actions that they were made from."""

    def __init__(self, users: UserRows, actions: UserActionRows, vectors: ItemVectors):
        self.users, self.actions, self.vectors = users, actions, vectors
        self.names = users.ids.to_pylist()
        if actions.ids.to_pylist() != self.names:
            raise ValueError(f"expected the users of {USERS_FOLDER}/ in {USER_ACTIONS_FOLDER}/, got others")

    def different(self, sample: Sequence[int], rules: UserRules) -> list[int]:
        """Those of the sample whose actions give other clusters than are written, or another hash, bit for bit."""
        acted = [slice_of(self.actions.action_offsets, user) for user in sample]
        num_actions = [own.stop - own.start for own in acted]
        item_ids = pa.concat_arrays([self.actions.item_ids[:0], *(self.actions.item_ids[own] for own in acted)])
        again = cluster_users(
            pa.array(np.repeat(np.array([self.names[user] for user in sample], object), num_actions), pa.string()),
            pc.fill_null(pc.index_in(item_ids, value_set=self.vectors.ids), -1).to_numpy(),
            np.concatenate([np.zeros(0, np.int64), *(self.actions.times_us_M[own] for own in acted)]),
            self.vectors,
            rules,
        )
        place = {name: number for number, name in enumerate(again.users.ids.to_pylist())}
        return [
            user
            for user in sample
            if self.names[user] not in place
            or _columns(self.users, self.actions, user) != _columns(again.users, again.actions, place[self.names[user]])
        ]


def _columns(users: UserRows, actions: UserActionRows, user: int) -> tuple[object, ...]:
    """What was computed of a user."""
    clusters, acted = slice_of(users.cluster_offsets, user), slice_of(actions.action_offsets, user)
    return (
        users.medoid_ids[clusters].to_pylist(),
        *(column_C[clusters].tolist() for column_C in (users.importance_C, users.size_C, users.last_us_C)),
        actions.hashes[user],
        actions.item_ids[acted].to_pylist(),
        *(column_M[acted].tolist() for column_M in (actions.times_us_M, actions.labels_M)),
        actions.medoid_C[slice_of(actions.medoid_offsets, user)].tolist(),
    )
