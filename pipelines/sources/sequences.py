"""What sources learn from, made of an engagement log: sequences of sessions and of lives, and users with their items.

    slices -> rows of use (log_rows) -> by bucket of the session -> sequences/        SEQUENCES
                                     -> by bucket of the user    -> lifetimes/        SEQUENCES
                                                                 -> interactions/     INTERACTIONS

Each is a stage that reads the log for itself, so that a run makes only what its sources ask for. Counts beside those
of log_rows: sequences_written, tokens_written (items at their places), sequences_of_one_item and tokens_over_the_cap,
which are left out; interactions_written.
"""

import abc
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from model.sources.engaged_rows import ACTION_WEIGHTS, RowsConfig, interactions_of
from model.sources.sequences import LIFETIME, SequencesConfig, sequences_of
from pipelines.console.jobs import flag
from pipelines.console.terminal import found_in_words
from pipelines.log.read_engagements import slice_unit
from pipelines.run.stage import Stage
from pipelines.run.units import Unit, bucket_name, finished_sidecar
from pipelines.sources.log_rows import (
    BY_SESSION,
    BY_USER,
    LEFT_OUT,
    ReadEngaged,
    RowsSource,
    WriteBuckets,
    read_progress,
)
from pipelines.sources.run_tables import counts_of, num_buckets_of, run_table
from schemas.columns.mapping import table_columns
from schemas.columns.raw_rows import FileSlice
from schemas.columns.spec import ColumnsOfTable
from schemas.days import UTC_NAME, end_of_day_us
from schemas.errors import ThresholdError, printable
from schemas.files import expand_inputs
from schemas.hashing import fingerprint
from schemas.log_ends import LOG_END
from schemas.reading.input_files import check_columns, count_rows, input_identity
from schemas.reading.rows import plan_slices
from schemas.tables import ENGAGEMENTS

#: What Prod2Vec is of in One Embedding To Do Them All: what is bought, or put into a cart.
_OF_CARTS = tuple((name, weight) for name, weight in ACTION_WEIGHTS if name in ("add_to_cart", "checkout"))


@dataclass(frozen=True, kw_only=True)
class FromLogConfig:
    """Reads the engagements up to the end of `date` in `time_zone` on the items of a run."""

    run: str
    engagements: str
    date: str | None = None
    time_zone: str = UTC_NAME
    columns: dict[str, Any] = flag(default={}, help="[columns.engagements]: our column name -> the shop's")


class FromLog(Stage[FromLogConfig], abc.ABC):
    """A table by bucket of a session or a user. by: which; made_is: what there must be one of at least."""

    config_class = FromLogConfig
    by: ClassVar[str]
    made_is: ClassVar[str]

    @staticmethod
    @abc.abstractmethod
    def make(rows: pa.Table) -> tuple[pa.Table, dict[str, int]]:
        """The table of a bucket, of its rows that are of use, and counts."""

    @functools.cached_property
    def columns(self) -> ColumnsOfTable:
        return ColumnsOfTable(table_columns(self.config.columns, "engagements"), self.files)

    @functools.cached_property
    def files(self) -> list[str]:
        return expand_inputs(self.config.engagements, self.config.date)

    @functools.cached_property
    def source(self) -> RowsSource:
        """Raises UsageError for inputs that are not there or lack a column, CorruptFileError if the items are not
        finished."""
        check_columns(self.files, self.columns, ENGAGEMENTS)
        items, num_buckets = run_table(self.run, "items"), num_buckets_of(self.run)
        end_us = end_of_day_us(self.config.date, self.config.time_zone)
        made_of = [self.columns, input_identity(self.files), end_us, items.sha256, num_buckets]
        return RowsSource(
            run=self.run,
            stage=self.name,
            columns=self.columns,
            item_files=items.paths,
            end_us=end_us,
            by=self.by,
            num_buckets=num_buckets,
            fingerprint=fingerprint([self.code_versions, *made_of]),
        )

    @functools.cached_property
    def slices(self) -> dict[Unit, FileSlice]:
        """By the unit that counts them."""
        identity = self.source.fingerprint
        return {slice_unit(part, identity, self.name): part for part in plan_slices(self.files)}

    @property
    def buckets(self) -> list[Unit]:
        number = self.source.num_buckets
        return [Unit(self.name, bucket_name(bucket, number), self.source.fingerprint) for bucket in range(number)]

    @property
    def units(self) -> list[Unit]:
        return [*self.slices, *self.buckets]

    @functools.cached_property
    def todo(self) -> Sequence[Unit]:
        """All slices if there is a bucket to write, else those that are not counted yet."""
        buckets = [unit for unit in self.buckets if finished_sidecar(self.run, unit, check_content=True) is None]
        return [unit for unit in self.slices if buckets or finished_sidecar(self.run, unit) is None] + buckets

    def prepare(self, options: PipelineOptions) -> None:
        _ = self.source

    def define(self, root: beam.Pipeline) -> beam.PCollection[dict[str, Any]]:
        todo = frozenset(self.todo)
        wanted = [bucket for bucket, unit in enumerate(self.buckets) if unit in todo]
        num_rows = count_rows(self.files, self.columns, ENGAGEMENTS)
        return (
            root
            | "Slices" >> beam.Create([part for unit, part in self.slices.items() if unit in todo], reshuffle=False)
            | ReadEngaged(self.source, wanted, num_rows)
            | WriteBuckets(self.run, self.buckets, self.make)
        )

    def facts(self) -> dict[str, Any]:
        """Raises ThresholdError if nothing was made."""
        counts = counts_of(self.run, self.units)
        if not counts[self.makes]:
            shown = {name: counts[name] for name in ("rows_read", "rows_quarantined", *LEFT_OUT, "rows_used")}
            raise ThresholdError(
                f"expected at least one {self.made_is} in {printable(self.config.engagements)}, got none: "
                f"{found_in_words(shown) or 'no rows'}; see that the log names users or sessions and the catalogue's "
                "items, and that --date is inside it"
            )
        return {"num_buckets": self.source.num_buckets, LOG_END: self.source.end_us}

    def shown(self, counts: dict[str, int]) -> dict[str, int]:
        always = ("rows_read", "rows_quarantined", "rows_used")
        return {name: count for name, count in counts.items() if name in always or count}


class Sequences(FromLog):
    """Items that were engaged with in one session; rows without a session belong to their user's day (UTC)."""

    name = "sequences"
    code_versions = (2,)
    bars = (read_progress(name),)
    by = BY_SESSION
    makes = "sequences_written"
    made_is = "session with two items"

    @staticmethod
    def make(rows: pa.Table) -> tuple[pa.Table, dict[str, int]]:
        return _sequences(rows, SequencesConfig())


class Lifetimes(FromLog):
    """Items that a user has bought or put into a cart in all their time, each once a day (UTC)."""

    name = "lifetimes"
    code_versions = (1,)
    bars = (read_progress(name),)
    by = BY_USER
    makes = "sequences_written"
    made_is = "user who has bought two items, or put them into a cart"

    @staticmethod
    def make(rows: pa.Table) -> tuple[pa.Table, dict[str, int]]:
        return _sequences(rows, SequencesConfig(kind=LIFETIME, rows=RowsConfig(action_weights=_OF_CARTS)))


class Interactions(FromLog):
    """Users and how much they engaged with each item, weighted by action."""

    name = "interactions"
    code_versions = (2,)
    bars = (read_progress(name),)
    by = BY_USER
    makes = "interactions_written"
    made_is = "user with an item"

    @staticmethod
    def make(rows: pa.Table) -> tuple[pa.Table, dict[str, int]]:
        table = interactions_of(rows, RowsConfig())
        return table, {"interactions_written": len(table)}


def _sequences(rows: pa.Table, config: SequencesConfig) -> tuple[pa.Table, dict[str, int]]:
    table, facts = sequences_of(rows, config)
    left_out = {name: facts[name] for name in ("sequences_of_one_item", "tokens_over_the_cap")}
    return table, {"sequences_written": facts["sequences"], "tokens_written": facts["tokens"], **left_out}
