"""Checks of a run's users: rows, buckets, medoids against the embeddings, clusters computed again for a sample, and
that items' popularity counts every action."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.blas_threads import one_blas_thread
from model.pinnersage import cluster_actions, importances
from model.user_clusters import ItemVectors, clustered_hashes
from pipelines.gating.users import check_users_file
from pipelines.operations.findings import Finding
from pipelines.operations.inspected_run import InspectedRun, sample_by_hash
from pipelines.operations.verify_vectors import Embeddings
from pipelines.transforms.earlier_users import check_user_actions
from schemas.quarantine import quote
from schemas.users import (
    POPULARITY_FILE,
    POPULARITY_FOLDER,
    USER_ACTIONS_FOLDER,
    USERS_FOLDER,
    UserActionRows,
    UserRows,
    read_popularity,
    read_user_actions,
    read_users,
)

#: Users of each bucket whose clusters are computed again.
MOST_USERS = 20


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
    num_users = num_again = 0
    popularity = _Popularity(embeddings[0])
    with finding.guard("manifests/users.json"):
        facts = run.stages["users"]
        num_buckets = int(facts["num_user_buckets"])
        names = [Path(path).name for path in run.listed(USERS_FOLDER)]
        finding.expect("files of users/", num_buckets, len(names), "run the users stage again")
        for bucket, name in enumerate(names):
            with finding.guard(f"{USERS_FOLDER}/{name}"):
                path = run.run / USERS_FOLDER / name
                num_users += check_users_file(path, *embeddings, str(run.model_id), bucket, num_buckets)
                again = _Again(read_users(path)[0], read_user_actions(run.run / USER_ACTIONS_FOLDER / name), embeddings)
                popularity.add(again)
                sample = sample_by_hash(again.names, MOST_USERS, "verify users")
                with one_blas_thread():
                    different = [user for user in sample if not again.is_same(user, facts)]
                num_again += len(sample)
                for user in different[:5]:
                    finding.fail(
                        f"expected the clusters that the user's actions make, got others for {quote(again.names[user])}"
                        f" in {USERS_FOLDER}/{name}: run the users stage again"
                    )
        finding.expect("users", facts["counts"]["users_written"], num_users, "run the users stage again")
        popularity.check(run, facts["counts"], finding)
        finding.looked_at = f"{num_users:,} users in {num_buckets} buckets, {num_again:,} clustered again"
    return finding


class _Popularity:
    """Users and actions of each item, and the counts of users, summed over buckets."""

    def __init__(self, ids: pa.Array):
        self.ids = ids
        self.num_users_N, self.num_actions_N = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
        self.num_skipped = self.num_over_cap = 0

    def add(self, bucket: "_Again") -> None:
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


class _Again:
    """The users of one bucket, to be clustered again from their actions."""

    def __init__(self, users: UserRows, actions: UserActionRows, embeddings: Embeddings):
        self.users, self.actions = users, actions
        self.ids, self.matrix_ND = embeddings
        self.names = users.ids.to_pylist()
        if actions.ids.to_pylist() != self.names:
            raise ValueError(f"expected the users of {USERS_FOLDER}/ in {USER_ACTIONS_FOLDER}/, got others")
        check_user_actions(actions, f"{USER_ACTIONS_FOLDER}/")

    def is_same(self, user: int, facts: dict[str, object]) -> bool:
        """Whether alpha, decay and the user's actions give the clusters and the hash that are written, bit for bit."""
        start, end = self.actions.action_offsets[user : user + 2]
        rows = pc.index_in(self.actions.item_ids[start:end], value_set=self.ids)
        if rows.null_count:
            return False
        rows_M, times_us_M = rows.to_numpy(), self.actions.times_us_M[start:end]
        if list(zip(rows_M, times_us_M, strict=True)) != sorted(zip(rows_M, times_us_M, strict=True)):
            return False
        found = cluster_actions(self.matrix_ND[rows_M], rows_M, times_us_M, float(str(facts["alpha"])))
        importance_C = importances(
            found.labels_M, times_us_M, int(str(facts["now_us"])), float(str(facts["decay_per_day"]))
        )
        order = np.lexsort((rows_M[found.medoid_C], -importance_C))
        medoids = self.ids.take(pa.array(rows_M[found.medoid_C][order]))
        first, last = self.users.cluster_offsets[user : user + 2]
        first_medoid, last_medoid = self.actions.medoid_offsets[user : user + 2]
        hashes_M = ItemVectors(self.ids, self.matrix_ND[rows_M]).hashes_N
        ends = np.array([0, end - start], np.int32)
        return (
            clustered_hashes(self.actions.item_ids[start:end], times_us_M, hashes_M, ends)
            == [self.actions.hashes[user]]
            and np.array_equal(found.labels_M, self.actions.labels_M[start:end])
            and np.array_equal(found.medoid_C, self.actions.medoid_C[first_medoid:last_medoid])
            and medoids.equals(self.users.medoid_ids[first:last])
            and np.array_equal(importance_C[order], self.users.importance_C[first:last])
            and np.array_equal(found.size_C[order], self.users.size_C[first:last])
            and np.array_equal(found.last_us_C[order], self.users.last_us_C[first:last])
        )
