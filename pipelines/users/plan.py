"""The plan of the users job, made from its config without reading a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.machine.library_versions import versions_of
from model.users.bucket_users import UserRules
from pipelines.run.item_vectors import VectorsSource, vectors_source
from pipelines.run.units import Unit, bucket_name
from pipelines.users.alpha import Alpha, alpha_of
from pipelines.users.config import ROWS_A_BUCKET, UsersConfig, check_users_input
from pipelines.users.earlier import EarlierRun, earlier_num_buckets, open_earlier_users
from pipelines.users.read_actions import ActionsSource
from schemas.columns.raw_rows import FileSlice
from schemas.columns.spec import ColumnsOfTable
from schemas.hashing import fingerprint
from schemas.reading.input_files import count_rows, input_identity
from schemas.reading.rows import plan_slices
from schemas.records.user_rows import MAX_USER_BUCKETS, USERS_STAGE

#: Part of the fingerprint, and of what is compared before clusters are taken over: raise it when the same actions give
#: other users.
CODE_VERSION = 1
#: Part of the fingerprint alone: raise it when the same actions give other counts.
COUNTS_VERSION = 6
MIN_BUCKETS = 4


@dataclass(frozen=True, kw_only=True)
class UsersPlan:
    """What a run of the stage reads and how; made from manifests and file footers alone. facts: of the manifest."""

    run: str
    source: ActionsSource
    slices: Sequence[FileSlice]
    num_rows: int
    rules: UserRules
    alpha: Alpha
    earlier: EarlierRun | None
    facts: dict[str, Any]

    @property
    def buckets(self) -> list[Unit]:
        """The units that write users, by number of bucket."""
        num_buckets = self.source.num_buckets
        return [Unit(USERS_STAGE, bucket_name(b, num_buckets), self.source.fingerprint) for b in range(num_buckets)]


def plan(config: UsersConfig) -> UsersPlan:
    """Raises UsageError for inputs that are not there or lack a column, CorruptFileError for damaged ones."""
    vectors = vectors_source(config.run, config.embeddings, config.vectors)
    files, columns = check_users_input(config)
    num_rows = count_rows(files)
    num_buckets = config.num_user_buckets or earlier_num_buckets(config.reuse_from) or choose_num_buckets(num_rows)
    chosen = alpha_of(config, vectors.vectors_id)
    settings = _settings(config, chosen.alpha)
    made_with = {"alpha": chosen.alpha, "code_version": CODE_VERSION, "libraries": versions_of("numpy", "scipy")}
    identity = fingerprint([COUNTS_VERSION, made_with, settings, columns, input_identity(files), vectors.identity])
    return UsersPlan(
        run=config.run,
        source=_source(config, columns, num_buckets, vectors, identity),
        slices=plan_slices(files),
        num_rows=num_rows,
        rules=UserRules(
            alpha=chosen.alpha,
            decay_per_day=config.decay_per_day,
            max_actions=config.max_actions,
            now_us=config.now_us,
        ),
        alpha=chosen,
        earlier=open_earlier_users(config.reuse_from, config.run, num_buckets, made_with),
        facts={
            **settings,
            **_facts_of_alpha(chosen),
            **_facts_of_vectors(vectors),
            "fingerprint": identity,
            "made_with": made_with,
            "num_user_buckets": num_buckets,
        },
    )


def choose_num_buckets(num_rows: int) -> int:
    """
    >>> choose_num_buckets(10), choose_num_buckets(1_000_001), choose_num_buckets(10**9)
    (4, 11, 1024)
    """
    return min(max(MIN_BUCKETS, -(-num_rows // ROWS_A_BUCKET)), MAX_USER_BUCKETS)


def _settings(config: UsersConfig, alpha: float) -> dict[str, Any]:
    """What users depend on, beside the log and the vectors."""
    return {
        "actions": list(config.action_kinds),
        "alpha": alpha,
        "decay_per_day": config.decay_per_day,
        "max_actions": config.max_actions,
        "now_us": config.now_us,
        "time_zone": config.time_zone,
        "window_days": config.window_days,
    }


def _facts_of_alpha(chosen: Alpha) -> dict[str, Any]:
    """What recommendations are asked for by."""
    facts = {"popularity_weight": chosen.popularity_weight, "samples": chosen.samples}
    return facts if chosen.sampled else {**facts, "sampled": False}


def _facts_of_vectors(vectors: VectorsSource) -> dict[str, Any]:
    """Of which vectors the medoids are."""
    return {"dimension": vectors.dimension, "model_id": vectors.model_id, **dict(vectors.facts)}


def _source(
    config: UsersConfig, columns: ColumnsOfTable, num_buckets: int, vectors: VectorsSource, identity: str
) -> ActionsSource:
    return ActionsSource(
        run=config.run,
        columns=columns,
        actions=config.action_kinds,
        start_us=config.calendar.start_us(config.next_day - config.window_days),
        end_us=config.now_us,
        num_buckets=num_buckets,
        vectors=vectors,
        fingerprint=identity,
    )
