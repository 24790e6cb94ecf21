"""The engagement log as a stage: read and judged once, before anything is made of it.

    slices -> judge, equal rows once (judge_log)         units/log/, quarantine/log-*.parquet, manifests/log.json

Users, pairs, daily runs and trainings begin with it, so that a log of which nothing can be used stops them before hours
of work. Counts: see pipelines.log.rows; of the rejected rows also those of every quarantine; of the first
batch of each slice times_with_offset, times_without_offset and times_since_1970.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.console.jobs import flag, print_summary
from pipelines.console.progress import Progress
from pipelines.log.dated_log import tell_of_other_zone, zone_of
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
from pipelines.run.shared import closed_after_job
from pipelines.run.unit_files import manifest_path
from pipelines.run.units import Unit, finished_sidecar, read_stage_manifest, write_stage_manifest
from schemas.column_spec import Columns
from schemas.columns import ASSUMED, assumed_values, table_columns
from schemas.cut_off_files import cut_off_in_words, num_cut_off
from schemas.days import UTC_NAME, end_of_day_us
from schemas.errors import printable
from schemas.files import expand_inputs
from schemas.hashing import fingerprint
from schemas.log_events import NO_ROWS
from schemas.raw_rows import BLANK_ROWS
from schemas.reading import (
    check_columns,
    column_names,
    count_rows,
    input_identity,
    plan_slices,
    unusual_forms,
)
from schemas.tables import ENGAGEMENTS

#: Part of the fingerprint: raise it when the same log gives other counts.
CODE_VERSION = 8
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


def run(config: LogConfig, options: PipelineOptions) -> dict[str, Any]:
    """Judges the log's rows and returns the stage manifest. Reads nothing that was judged before.

    Raises UsageError for inputs that are not there or lack a column, CorruptFileError for damaged ones.
    """
    started_s = time.monotonic()
    files = expand_inputs(config.engagements, config.date)
    columns = table_columns(config.columns, "engagements")
    check_columns(files, columns, ENGAGEMENTS)
    item_files, item_identity = _items(config)
    end_us = end_of_day_us(config.date, config.time_zone)
    identity = fingerprint([CODE_VERSION, columns, input_identity(files), end_us, item_identity])
    slices = {slice_unit(part, "").name: part for part in plan_slices(files)}
    units = [Unit(LOG_STAGE, name, identity) for name in (*slices, DISTINCT)]
    unfinished = [unit for unit in units if finished_sidecar(config.run, unit, check_content=True) is None]
    forms = unusual_forms(files, columns, ENGAGEMENTS)
    tell_of_other_zone(f"the log of {config.run}", zone_of(manifest_path(config.run, LOG_STAGE)), config.time_zone)
    if unfinished:
        if forms:
            print(f"{LOG_STAGE}: {forms}", flush=True)
        source = LogSource(run=config.run, columns=columns, item_files=item_files, end_us=end_us, fingerprint=identity)
        with closed_after_job(), beam.Pipeline(options=options) as pipeline:
            (
                pipeline
                | "Slices" >> beam.Create(slices.values())
                | JudgeLog(source, count_rows(files, columns, ENGAGEMENTS))
            )
        Progress.close_shared(LOG_STAGE)
    facts = {"fingerprint": identity, "time_zone": config.time_zone} | ({"input_forms": forms} if forms else {})
    manifest = write_stage_manifest(config.run, LOG_STAGE, [*slices, DISTINCT], **facts)
    if unfinished:
        counts = manifest["counts"]
        left_out = {name: counts[name] for name in (BLANK_ROWS, *NO_ROWS, *LEFT_OUT, ROWS_EQUAL) if counts.get(name)}
        shown = {name: counts.get(name, 0) for name in _SHOWN} | left_out | mended(counts)
        print_summary(LOG_STAGE, shown, started_s, config.run)
        if assumed := assumed_in_words(files, columns, counts.get("rows_read", 0)):
            print(f"{LOG_STAGE}: {assumed}", flush=True)
        if num_files := num_cut_off(counts):
            print(f"{LOG_STAGE}: WARNING: {cut_off_in_words(num_files, config.engagements)}", flush=True)
        if is_empty_log(counts):
            print(f"{LOG_STAGE}: WARNING: {EMPTY_LOG}: {printable(config.engagements)}", flush=True)
        for warning in filter(None, (without_items_in_words(counts), near_in_words(counts))):
            print(f"{LOG_STAGE}: WARNING: {warning}", flush=True)
    return manifest


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
    if config.embeddings is None and manifest_path(config.run, "items").is_file():
        listed = read_stage_manifest(config.run, "items")["files"]
        entries = sorted((e["path"], e["sha256"]) for e in listed if e["path"].startswith("items/"))
        return tuple(str(Path(config.run, path)) for path, _ in entries), [sha256 for _, sha256 in entries]
    source = vectors_source(config.run, config.embeddings)
    return tuple(path for path, _ in source.files), source.identity
