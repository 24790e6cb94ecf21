"""One user of a run, found by bucket and row group: what recommendations know of a user."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.run.opened import PublishedRun
from pipelines.run.units import bucket_name
from pipelines.users.alpha import DEFAULT_SAMPLES, MAX_SAMPLES
from schemas.errors import CorruptFileError, UsageError
from schemas.hashing import bucket_of
from schemas.parquet.files import PARQUET_ERRORS
from schemas.quarantine import quote
from schemas.records.user_rows import MAX_USER_BUCKETS, USER_ACTIONS_FOLDER, USERS_FOLDER, USERS_STAGE, slice_of
from schemas.records.users import read_acted_items

#: Row groups held, of each kind: callers who ask in the order of the files read each once.
_GROUPS = 8
_CLUSTER_FIELDS = ("medoid_item_id", "importance", "size", "last_action")
#: Without the vectors, which are most of a file and in the index too.
_COLUMNS = ["user_id", *(f"clusters.list.element.{name}" for name in _CLUSTER_FIELDS)]


@dataclass(frozen=True, kw_only=True)
class UserRecord:
    """A user's clusters by falling importance, and the distinct items of the actions that they were made from.
    importance_C: float64; size_C: int32; last_us_C: int64."""

    medoid_ids: list[str]
    importance_C: np.ndarray
    size_C: np.ndarray
    last_us_C: np.ndarray
    seen_ids: list[str]


@dataclass(frozen=True, kw_only=True)
class _ClusterRows:
    """A row group of USERS without the medoids' vectors, which are in the index too."""

    places: dict[str, int]
    offsets: np.ndarray
    medoid_ids: pa.Array
    importance_C: np.ndarray
    size_C: np.ndarray
    last_us_C: np.ndarray


class PublishedUsers:
    """The users of a run and what they were made with: alpha, decay_per_day, now_us (microseconds since 1970); samples:
    the medoids to ask with, which alpha was calibrated for; sampled: drawn by importance, or else the most important
    ones; popularity_weight: calibrated with them, None if it was
    not. A file is hashed when it is first opened.

    Raises UsageError if the run has no users, CorruptFileError if they are of another model or not as promised.
    """

    def __init__(self, run: PublishedRun):
        self.run, self.model_id = run, run.model_id
        if not run.has(USERS_STAGE):
            raise UsageError(
                f"expected a published run with users, got none in {run.folder}, made without --engagements or with "
                "--no-users: run `itemsage daily` with them, or take readers back with `itemsage rollback`"
            )
        made = run.manifest(USERS_STAGE)
        if (made_by := made.text("model_id")) != run.model_id:
            raise CorruptFileError(f"expected users of model {run.model_id}, got {quote(made_by)} in {made.where}")
        self.alpha, self.decay_per_day = made.number("alpha"), made.number("decay_per_day")
        self.samples = made.whole("samples", 1, MAX_SAMPLES, default=DEFAULT_SAMPLES)
        self.sampled = made.truth("sampled", default=True)
        has_weight = made.facts.get("popularity_weight") is not None
        self.popularity_weight = made.number("popularity_weight") if has_weight else None
        self.now_us = made.whole("now_us")
        self.num_buckets = made.whole("num_user_buckets", 1, MAX_USER_BUCKETS)
        self._bounds = lru_cache(2 * MAX_USER_BUCKETS)(self._read_bounds)
        self._clusters = lru_cache(_GROUPS)(self._read_clusters)
        self._actions = lru_cache(_GROUPS)(self._read_actions)

    def find(self, user_id: str) -> UserRecord | None:
        """The user's row; None for a user without a usable action in the window."""
        bucket = self.bucket_of(user_id)
        for group in self._groups(USERS_FOLDER, bucket, user_id):
            rows = self._clusters(bucket, group)
            place = rows.places.get(user_id)
            if place is not None:
                own = slice_of(rows.offsets, place)
                return UserRecord(
                    medoid_ids=rows.medoid_ids[own].to_pylist(),
                    importance_C=rows.importance_C[own],
                    size_C=rows.size_C[own],
                    last_us_C=rows.last_us_C[own],
                    seen_ids=self._seen(bucket, user_id),
                )
        return None

    def bucket_of(self, user_id: str) -> int:
        """The number of the files that would have the user."""
        return bucket_of(user_id, self.num_buckets)

    def forget(self) -> None:
        """Empties the caches."""
        for cached in (self._bounds, self._clusters, self._actions):
            cached.cache_clear()

    def path(self, folder: str, bucket: int) -> Path:
        """A bucket's file in `users` or `user_actions`."""
        return self.run.folder / folder / f"{bucket_name(bucket, self.num_buckets)}.parquet"

    def _seen(self, bucket: int, user_id: str) -> list[str]:
        for group in self._groups(USER_ACTIONS_FOLDER, bucket, user_id):
            places, offsets, item_ids = self._actions(bucket, group)
            if (place := places.get(user_id)) is not None:
                return item_ids[slice_of(offsets, place)].unique().to_pylist()
        where = self.path(USER_ACTIONS_FOLDER, bucket)
        raise CorruptFileError(f"expected the actions of user {quote(user_id)}, got none in {where}: run users again")

    def _groups(self, folder: str, bucket: int, user_id: str) -> list[int]:
        """The row groups whose statistics allow for the user: one, unless statistics are missing."""
        return [
            group
            for group, bounds in enumerate(self._bounds(folder, bucket))
            if bounds is None or bounds[0] <= user_id <= bounds[1]
        ]

    def _read_bounds(self, folder: str, bucket: int) -> list[tuple[str, str] | None]:
        """The first and the last user_id of each row group, of a file that is the published one."""
        path = self.run.checked(f"{folder}/{self.path(folder, bucket).name}")
        try:
            with pq.ParquetFile(path) as file:
                place = file.schema_arrow.names.index("user_id")
                columns = [file.metadata.row_group(n).column(place) for n in range(file.num_row_groups)]
                found = [column.statistics for column in columns]
                return [(s.min, s.max) if s is not None and s.has_min_max else None for s in found]
        except PARQUET_ERRORS as error:
            raise CorruptFileError(f"expected a Parquet file of users at {path}, got {quote(str(error))}") from error

    def _read_clusters(self, bucket: int, group: int) -> _ClusterRows:
        path = self.path(USERS_FOLDER, bucket)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                model_id = (file.schema_arrow.metadata or {}).get(b"model_id", b"").decode(errors="replace")
                table = file.read_row_group(group, columns=_COLUMNS)
            table.validate(full=True)
            lists = table["clusters"].combine_chunks()
            struct = lists.flatten()
            columns = {name: struct.field(name) for name in _CLUSTER_FIELDS}
            nulls = table["user_id"].null_count + lists.null_count + sum(c.null_count for c in columns.values())
        except (*PARQUET_ERRORS, KeyError) as error:
            raise CorruptFileError(f"expected readable users in {path}, got {quote(str(error))}") from error
        if nulls or model_id != self.model_id:
            got = f"{nulls:,} nulls of model {quote(model_id)}"
            raise CorruptFileError(f"expected users of model {self.model_id} without nulls, got {got} in {path}")
        rows = _ClusterRows(
            places=_places(table["user_id"]),
            offsets=lists.offsets.to_numpy() - lists.offsets[0].as_py(),
            medoid_ids=columns["medoid_item_id"],
            importance_C=columns["importance"].to_numpy(zero_copy_only=False),
            size_C=columns["size"].to_numpy(zero_copy_only=False),
            last_us_C=columns["last_action"].cast(pa.int64()).to_numpy(zero_copy_only=False),
        )
        self._check_range(rows, path)
        return rows

    def _check_range(self, rows: _ClusterRows, path: Path) -> None:
        good_C = np.isfinite(rows.importance_C) & (rows.importance_C >= 0) & (rows.size_C > 0)
        good_C &= (rows.last_us_C >= 0) & (rows.last_us_C <= self.now_us)
        if not good_C.all():
            wrong = int(np.argmin(good_C))
            got = f"{rows.importance_C[wrong]}, {rows.size_C[wrong]} and {rows.last_us_C[wrong]} of cluster {wrong:,}"
            raise CorruptFileError(
                "expected importances of at least 0, sizes of at least 1, last actions from 0 to the end of the day "
                f"{self.now_us}, got {got} in {path}: run the users stage again"
            )

    def _read_actions(self, bucket: int, group: int) -> tuple[dict[str, int], np.ndarray, pa.Array]:
        ids, offsets, item_ids = read_acted_items(self.path(USER_ACTIONS_FOLDER, bucket), group)
        return _places(ids), offsets, item_ids


def _places(ids: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    return {user_id: place for place, user_id in enumerate(ids.to_pylist())}
