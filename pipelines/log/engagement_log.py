"""The engagement log as a stage: read and judged once, before anything is made of it.

    slices -> judge, equal rows once (judge_log)         units/log/, quarantine/log-*.parquet, manifests/log.json

Users, pairs, daily runs and trainings begin with it, so that a log of which nothing can be used stops them before hours
of work. Counts: see pipelines.log.rows; of the rejected rows also those of every quarantine; of the first
batch of each slice times_with_offset, times_without_offset and times_since_1970.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.console.jobs import flag, print_summary
from pipelines.log.dated_log import other_offsets_in_words, tell_of_other_zone, zone_of
from pipelines.log.equal_rows import ROWS_EQUAL
from pipelines.log.judge_log import DISTINCT, JudgeLog, LogSource, mended
from pipelines.log.read_engagements import slice_unit
from pipelines.log.rows import (
    EMPTY_LOG,
    LEFT_OUT,
    LOG_STAGE,
    is_empty_log,
    near_in_words,
    without_items_in_words,
)
from pipelines.run.item_vectors import vectors_source
from pipelines.run.stage import RunCall, Stage, job_of
from pipelines.run.unit_files import manifest_path
from pipelines.run.units import Unit, read_stage_manifest
from schemas import storage
from schemas.columns.mapping import ASSUMED, assumed_values, table_columns
from schemas.columns.raw_rows import NONE_OF_TEXT, FileSlice
from schemas.columns.spec import Columns, ColumnsOfTable
from schemas.days import UTC_NAME, end_of_day_us
from schemas.errors import printable
from schemas.events.paths import NO_ROWS
from schemas.files import expand_inputs
from schemas.hashing import fingerprint
from schemas.reading.cut_off_files import cut_off_in_words, num_cut_off
from schemas.reading.input_files import check_columns, column_names, count_rows, input_identity, unusual_forms
from schemas.reading.rows import mixed_ids, plan_slices
from schemas.tables import ENGAGEMENTS

#: Part of the fingerprint: raise it when the same log gives other counts.
CODE_VERSION = 16
_SHOWN = ("rows_read", "rows_quarantined", "rows_used")


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """Reads a log and judges its rows up to the end of `date` in `time_zone`. embeddings: any embeddings Parquet that
    has the ids of the items; None: the run has its own."""

    run: str
    engagements: str
    date: str | None = None
    time_zone: str = UTC_NAME
    embeddings: str | None = None
    columns: dict[str, Any] = flag(default={}, help="[columns.engagements]: our column name -> the shop's")


class Log(Stage[LogConfig]):
    """Reads nothing that was judged before, and then says nothing."""

    name = LOG_STAGE
    config_class = LogConfig
    code_versions = (CODE_VERSION,)

    @functools.cached_property
    def files(self) -> list[str]:
        return expand_inputs(self.config.engagements, self.config.date)

    @functools.cached_property
    def columns(self) -> ColumnsOfTable:
        return ColumnsOfTable(table_columns(self.config.columns, "engagements"), self.files)

    @functools.cached_property
    def forms(self) -> str:
        """What is unusual about the files."""
        return unusual_forms(self.files, self.columns, ENGAGEMENTS)

    @functools.cached_property
    def slices(self) -> dict[str, FileSlice]:
        """By the name of their unit."""
        return {slice_unit(part, "").name: part for part in plan_slices(self.files)}

    @functools.cached_property
    def source(self) -> LogSource:
        """Raises UsageError for inputs that are not there or lack a column, CorruptFileError for damaged ones."""
        check_columns(self.files, self.columns, ENGAGEMENTS)
        item_files, item_identity = _items(self.config)
        end_us = end_of_day_us(self.config.date, self.config.time_zone)
        return LogSource(
            run=self.run,
            columns=self.columns,
            item_files=item_files,
            end_us=end_us,
            fingerprint=fingerprint([CODE_VERSION, self.columns, input_identity(self.files), end_us, item_identity]),
        )

    def prepare(self, options: PipelineOptions) -> None:
        """Raises what `source` raises."""
        made_in, zone = zone_of(manifest_path(self.run, LOG_STAGE)), self.config.time_zone
        _ = self.source
        tell_of_other_zone(f"the log of {self.run}", made_in, zone)
        if self.todo and self.forms:
            print(f"{LOG_STAGE}: {self.forms}", flush=True)

    @property
    def units(self) -> list[Unit]:
        return [Unit(LOG_STAGE, name, self.source.fingerprint) for name in (*self.slices, DISTINCT)]

    @functools.cached_property
    def todo(self) -> list[Unit]:
        return self.unfinished

    def define(self, root: beam.Pipeline) -> beam.PCollection[dict[str, Any]]:
        num_rows = count_rows(self.files, self.columns, ENGAGEMENTS)
        return root | "Slices" >> beam.Create(self.slices.values()) | JudgeLog(self.source, num_rows)

    def facts(self) -> dict[str, Any]:
        forms = {"input_forms": self.forms} if self.forms else {}
        return {"fingerprint": self.source.fingerprint, "time_zone": self.config.time_zone} | forms

    def tell(self, manifest: dict[str, Any], started_s: float) -> None:
        if not self.todo:
            return
        counts = manifest["counts"]
        left_out = {name: counts[name] for name in (*NONE_OF_TEXT, *NO_ROWS, *LEFT_OUT, ROWS_EQUAL) if counts.get(name)}
        shown = {name: counts.get(name, 0) for name in _SHOWN} | left_out | mended(counts)
        print_summary(LOG_STAGE, shown, started_s, self.run)
        if assumed := assumed_in_words(self.files, self.columns, counts.get("rows_read", 0)):
            print(f"{LOG_STAGE}: {assumed}", flush=True)
        if num_files := num_cut_off(counts):
            print(f"{LOG_STAGE}: WARNING: {cut_off_in_words(num_files, self.config.engagements)}", flush=True)
        if is_empty_log(counts):
            print(f"{LOG_STAGE}: WARNING: {EMPTY_LOG}: {printable(self.config.engagements)}", flush=True)
        mixed = mixed_ids(self.files, self.columns, ENGAGEMENTS, counts)
        for warning in filter(None, (without_items_in_words(counts), near_in_words(counts), *mixed)):
            print(f"{LOG_STAGE}: WARNING: {warning}", flush=True)

    def after(self, call: RunCall, manifest: Mapping[str, Any]) -> None:
        if call.model is None:
            return
        if told := other_offsets_in_words(manifest["counts"], call.counts_before(LOG_STAGE)):
            print(f"{LOG_STAGE}: WARNING: {told}", flush=True)


def assumed_in_words(files: Sequence[str], columns: Columns, num_rows: int) -> str:
    """What the `num_rows` rows of a log are taken for that lacks a column of actions; "" of one that has it, or whose
    mapping or folders say the action."""
    named = {path: names for path in files if (names := column_names(path))}
    lacking = [path for path, names in named.items() if "action" in assumed_values(names, columns, ENGAGEMENTS, path)]
    if not lacking:
        return ""
    what = f"{ASSUMED['action']}s"
    if len(lacking) < len(named):
        return f"no column action in {len(lacking):,} of {len(named):,} files: all their rows are {what}"
    return f"no column action: all {num_rows:,} rows are {what}"


def _items(config: LogConfig) -> tuple[tuple[str, ...], Any]:
    """Parquet files with the ids of the items, and what identifies them: those of the run's items, if it has such a
    stage and no other embeddings are named, else those of item vectors."""
    if config.embeddings is None and storage.has_file(manifest_path(config.run, "items")):
        listed = read_stage_manifest(config.run, "items")["files"]
        entries = sorted((e["path"], e["sha256"]) for e in listed if e["path"].startswith("items/"))
        return tuple(str(Path(config.run, path)) for path, _ in entries), [sha256 for _, sha256 in entries]
    source = vectors_source(config.run, config.embeddings)
    return tuple(path for path, _ in source.files), source.identity


build, run, _ = job_of(Log, "")
