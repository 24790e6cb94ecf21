"""One bucket of users: their actions in, the files of the bucket out.

    (bucket, pieces of ACTIONS) -> users/, user_actions/ and item_popularity/_buckets/, sealed

item_popularity/_buckets/ holds what each bucket adds to the popularity of items; readers skip names with `_`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa

from model.machine.blas_threads import one_blas_thread
from model.users.bucket_users import NOBODY, ClusteredUsers, UserRules, cluster_users
from pipelines.console.progress import Progress
from pipelines.log.equal_rows import ROWS_EQUAL, without_equal
from pipelines.run.bucket_rows import unpack_table
from pipelines.run.counted import CountedDoFn
from pipelines.run.item_vectors import VectorsSource, load_vectors
from pipelines.run.units import Unit, UnitWriter, finished_sidecar, sealed_unit
from pipelines.users.earlier import EarlierRun
from pipelines.users.read_actions import ACTIONS
from schemas.records.user_rows import POPULARITY_FILE, POPULARITY_FOLDER, USER_ACTIONS_FOLDER, USERS_FOLDER, USERS_STAGE
from schemas.records.users import read_popularity, sum_popularity, write_popularity, write_user_actions, write_users

POPULARITY_UNIT = "popularity"
_PARTS_FOLDER = f"{POPULARITY_FOLDER}/_buckets"


class ClusterUsers(beam.PTransform):
    """(bucket, pieces of IPC bytes, an empty one holds nothing) in, sidecars out."""

    def __init__(
        self, run: str, units: Sequence[Unit], vectors: VectorsSource, rules: UserRules, earlier: EarlierRun | None
    ):
        super().__init__(label="Cluster users")
        self.do_fn = _ClusterBucket(run, units, vectors, rules, earlier)

    def expand(self, pieces: beam.PCollection[tuple[int, bytes]]) -> beam.PCollection[dict[str, Any]]:
        return pieces | "Group by bucket" >> beam.GroupByKey() | "Cluster bucket" >> beam.ParDo(self.do_fn)


class _ClusterBucket(CountedDoFn):
    def __init__(
        self, run: str, units: Sequence[Unit], vectors: VectorsSource, rules: UserRules, earlier: EarlierRun | None
    ):
        self.run, self.units, self.vectors, self.rules, self.earlier = run, list(units), vectors, rules, earlier

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[dict[str, Any]]:
        bucket, pieces = element
        yield sealed_unit(self.run, self.units[bucket], lambda writer: self._compute(writer, bucket, pieces))

    def _compute(self, writer: UnitWriter, bucket: int, pieces: Iterable[bytes]) -> dict[str, Any]:
        given = pa.concat_tables([ACTIONS.empty_table(), *(unpack_table(piece) for piece in pieces if piece)])
        actions, num_equal = without_equal(given, "time_us")
        writer.counts.update({ROWS_EQUAL: num_equal} if num_equal else {})
        earlier = self.earlier.load(bucket) if self.earlier is not None else NOBODY
        progress = Progress.shared(USERS_STAGE, "users")
        with one_blas_thread():
            clustered = cluster_users(
                actions["user_id"].combine_chunks(),
                actions["item_row"].to_numpy(),
                actions["time_us"].to_numpy(),
                load_vectors(self.vectors),
                self.rules,
                earlier,
                progress.advance,
            )
        return write_bucket(writer, clustered, self.vectors.model_id)


def write_bucket(writer: UnitWriter, clustered: ClusteredUsers, model_id: str) -> dict[str, Any]:
    """Writes the files of one bucket and seals it. Returns the sidecar."""
    name = f"{writer.unit.name}.parquet"
    with writer.file(f"{USERS_FOLDER}/{name}") as temporary:
        write_users(temporary, clustered.users, model_id)
    with writer.file(f"{USER_ACTIONS_FOLDER}/{name}") as temporary:
        write_user_actions(temporary, clustered.actions)
    with writer.file(f"{_PARTS_FOLDER}/{name}") as temporary:
        write_popularity(temporary, clustered.popularity)
    writer.counts.update(clustered.counts)
    return writer.seal()


def write_popularity_sum(run: str, fingerprint: str, bucket_names: Iterable[str]) -> None:
    """Writes item_popularity/ from the buckets, unless it is there: a user is in one bucket, so numbers add up."""
    unit = Unit(USERS_STAGE, POPULARITY_UNIT, fingerprint)
    if finished_sidecar(run, unit, check_content=True) is not None:
        return
    writer = UnitWriter(run, unit)
    summed = sum_popularity([read_popularity(f"{run}/{_PARTS_FOLDER}/{name}.parquet") for name in bucket_names])
    with writer.file(f"{POPULARITY_FOLDER}/{POPULARITY_FILE}") as temporary:
        write_popularity(temporary, summed)
    writer.counts["items_with_actions"] = len(summed)
    writer.seal()
