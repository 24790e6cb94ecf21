"""Ingest: a shop's catalogue into the bucketed store, validated, without duplicates, sorted by id.

    files -> slices -> read, validate -> group by bucket -> resolve duplicates -> items/bucket-*.parquet
                             |                                    |
                             +------------ rejections ------------+----------> quarantine/items-bucket-*.parquet

Counts of the manifest: rows_read = rows_written + rows_collapsed + rows_merged (with --group-rows, which merges the
rows of an item, see schemas.validation.grouping) + rows_left_out (where there are any, see
schemas.validation.left_out_rows) + rows_quarantined. Beside them rows_blank, where there are any: rows of a delimited
text whose cells are all blank, which spreadsheets save, are not read; nor are rows_repeated_header, the header once
more, as files have that were joined.
Pictures and texts are counted in written rows: pictures_listed (kept, at most 20 a row), pictures_cut_off (listed
beyond them), pictures_empty (null or blank URIs, dropped), texts_truncated, and, where there are any, ids_trimmed,
ids_point_dropped:<column> and ids_point_kept:<column> of all rows that are read (see schemas.coercion.whole_ids),
cells_unreadable:<field> (see schemas.validation.rules), ids_not_nfc: in another Unicode form than the composed one,
items_like_totals: see schemas.validation.rows_of_totals, cells_quarantined: rows that stay, with a cell that is not
UTF-8, ids_of_partial_rows: see schemas.validation.duplicates.num_completing, pictures_in_table: bytes that came in
cells and lie in pictures/ (see schemas.pictures.stored), pictures_quarantined: cells that give no picture, and, with
--group-rows, texts_differing: see schemas.validation.grouping.MERGED.
A row with neither text nor picture is a valid row; the features stage judges it.
"""

import functools
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.console.jobs import flag
from pipelines.ingest.table_pictures import lacks_pictures, remove_unlisted_pictures, share_pictures
from pipelines.ingest.warnings import cells_in_words, forms_in_words, totals_of_run_in_words
from pipelines.ingest.write_items import STAGE, WriteItems
from pipelines.run.bucket_rows import BucketRows, Buckets, RowRules
from pipelines.run.stage import RunCall, Stage, job_of
from pipelines.run.units import (
    Unit,
    bucket_name,
    check_not_published,
    finished_sidecar,
    read_stage_manifest,
)
from pipelines.stages import with_needs
from pipelines.store import store
from schemas.columns.leave_out import leave_out_texts
from schemas.columns.mapping import catalogue_columns, catalogue_schema
from schemas.columns.raw_rows import BLANK_ROWS, NONE_OF_TEXT, REPEATED_HEADERS
from schemas.columns.spec import ColumnsOfTable
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.files import expand_inputs
from schemas.hashing import fingerprint
from schemas.reading.cut_off_files import cut_off_in_words, num_cut_off
from schemas.reading.rows import (
    FileSlice,
    check_columns,
    count_rows,
    input_identity,
    mixed_ids,
    plan_slices,
    relative_names,
    unusual_forms,
)
from schemas.reading.snapshots import catalogue_files
from schemas.records.manifests import Sidecar
from schemas.tables import LEAVE_OUT
from schemas.validation.grouping import GROUP_ROWS
from schemas.validation.left_out_rows import ROWS_LEFT_OUT
from schemas.validation.rows_of_totals import LIKE_TOTALS
from schemas.validation.rules import Limits
from schemas.validation.unmet_texts import UnmetTexts, unmet_texts

#: Part of the fingerprint: raise it when the same input gives other rows or counts.
CODE_VERSION = 17
MIN_BUCKETS = 4
ROWS_PER_BUCKET = 3_000
BUCKETS_HELP = "buckets of a new store; 0 chooses about 3,000 rows a bucket"
CATALOG_HELP = (
    "catalogue: a file, a folder of parts or a glob; {date} means --date. Several pictures in a CSV cell: a JSON list, "
    "or paths separated by |"
)
GROUP_ROWS_HELP = (
    "merge: the rows of one item_id are one item, and rows of one [columns] group complete each other; share-pictures: "
    "the items of a group have all its pictures, too"
)
EXAMPLE = (
    "python -m pipelines.ingest --run=store/runs/2026-06-30/0123456789abcdef "
    "--catalog='catalog/{date}/' --date=2026-06-30"
)


@dataclass(frozen=True, kw_only=True)
class IngestConfig:
    """Reads a catalogue, quarantines its bad rows and writes the rest into buckets sorted by item_id."""

    run: str = flag(path=True, help="run folder to write into")
    catalog: str = flag(path=True, help=CATALOG_HELP)
    date: str | None = flag(default=None, help="the day of the catalogue, YYYY-MM-DD")
    num_buckets: int = flag(default=0, help=f"buckets of the store; 0: one for {ROWS_PER_BUCKET} rows, at least 4")
    group_rows: str = flag(default="no", choices=GROUP_ROWS, help=GROUP_ROWS_HELP)
    columns: dict[str, Any] = flag(default={}, help="our column name -> the shop's, from [columns] of the config file")

    def __post_init__(self) -> None:
        if self.num_buckets < 0:
            raise UsageError(f"expected --num-buckets of 0 (choose) or more, got {self.num_buckets}")


@dataclass(frozen=True, kw_only=True)
class IngestPlan:
    """What a run of ingest will read and write; made from the inputs' metadata alone. forms: schemas.reading.rows's
    unusual_forms of the files."""

    run: str
    rules: RowRules
    forms: str
    slices: Sequence[FileSlice]
    num_rows: int
    num_buckets: int
    fingerprint: str

    @property
    def units(self) -> list[Unit]:
        names = [bucket_name(bucket, self.num_buckets) for bucket in range(self.num_buckets)]
        return [Unit(STAGE, name, self.fingerprint) for name in names]


def plan_ingest(config: IngestConfig, limits: Limits = Limits()) -> IngestPlan:  # noqa: B008 (frozen)
    """Lists, checks and fingerprints the inputs. Raises UsageError for a wrong path, file name, column or number."""
    files = catalogue_files(config.catalog, config.date)
    columns = catalogue_columns(config.columns, config.group_rows)
    check_columns(files, columns, catalogue_schema(columns))
    num_rows = count_rows(files, columns)
    return IngestPlan(
        run=config.run,
        rules=RowRules(
            run=config.run,
            columns=ColumnsOfTable(columns, files),
            group_rows=config.group_rows,
            limits=limits,
            file_names=tuple(relative_names(files)),
        ),
        forms=unusual_forms(files, columns),
        slices=plan_slices(files),
        num_rows=num_rows,
        num_buckets=config.num_buckets or choose_num_buckets(num_rows),
        fingerprint=ingest_fingerprint(config, limits),
    )


def choose_num_buckets(num_rows: int) -> int:
    """
    >>> choose_num_buckets(10), choose_num_buckets(30_001)
    (4, 11)
    """
    return max(MIN_BUCKETS, -(-num_rows // ROWS_PER_BUCKET))


def ingest_fingerprint(config: IngestConfig, limits: Limits = Limits()) -> str:  # noqa: B008 (frozen)
    """Identifies what the items depend on: inputs, mapping, grouping, limits, code. (The number of buckets is in unit
    names.)"""
    inputs = input_identity(expand_inputs(config.catalog, config.date))
    columns = catalogue_columns(config.columns, config.group_rows)
    return fingerprint([CODE_VERSION, inputs, columns, config.group_rows, asdict(limits)])


class Ingest(Stage[IngestConfig]):
    """rows_quarantined of the run are those of all stages that vectors need."""

    name = STAGE
    config_class = IngestConfig
    code_versions = (CODE_VERSION,)
    identities = ("rows_read = rows_published + rows_collapsed + rows_merged + rows_left_out + rows_quarantined",)

    @classmethod
    def given(cls, call: RunCall) -> dict[str, Any]:
        return {"num_buckets": store.buckets_for(call.config.store, getattr(call.config, "num_buckets", 0))}

    @functools.cached_property
    def finished(self) -> dict[str, Any] | None:
        """The manifest, if nothing is to be done: the inputs are not planned then, which may read them."""
        return _finished_manifest(self.config, ingest_fingerprint(self.config))

    @functools.cached_property
    def planned(self) -> IngestPlan:
        return plan_ingest(self.config)

    @property
    def units(self) -> list[Unit]:
        return self.planned.units

    @functools.cached_property
    def todo(self) -> list[Unit]:
        if self.finished is not None:
            return []
        return [unit for unit in self.planned.units if not _is_finished(self.run, unit)]

    def define(self, root: beam.Pipeline) -> beam.PCollection[dict[str, Any]]:
        plan, todo = self.planned, frozenset(self.todo)
        if todo:
            check_not_published(self.run, STAGE)
        unfinished = frozenset(bucket for bucket, unit in enumerate(plan.units) if unit in todo)
        return (
            root
            | "Slices" >> beam.Create(list(plan.slices) if todo else [], reshuffle=False)
            | BucketRows(plan.rules, Buckets(number=plan.num_buckets, wanted=unfinished), plan.num_rows)
            | "Write bucket" >> beam.ParDo(WriteItems(self.run, plan.units, plan.rules))
        )

    def prepare(self, options: PipelineOptions) -> None:
        if self.finished is None and self.planned.forms:
            print(f"{STAGE}: {self.planned.forms}", flush=True)

    def facts(self) -> dict[str, Any]:
        plan = self.planned
        return {
            "fingerprint": plan.fingerprint,
            "num_buckets": plan.num_buckets,
            "num_files": len(plan.rules.file_names),
            "num_rows_counted": plan.num_rows,
            **({"input_forms": plan.forms} if plan.forms else {}),
            **({LEAVE_OUT.name: texts} if (texts := leave_out_texts(plan.rules.columns)) else {}),
        }

    def seal(self) -> dict[str, Any]:
        """Raises ThresholdError if no row is valid: the quarantine then says why."""
        if self.finished is not None:
            return self.finished
        sidecars = [Sidecar.read(self.run, STAGE, unit.name) for unit in self.units]
        _check_some_valid(sum((Counter(sidecar.counts) for sidecar in sidecars), Counter()), self.config)
        remove_unlisted_pictures(self.run, sidecars)
        return super().seal()

    def tell(self, manifest: dict[str, Any], started_s: float) -> None:
        super().tell(manifest, started_s)
        if num_partial := manifest["counts"].get("ids_of_partial_rows"):
            self._warn(
                f"{num_partial:,} ids have rows that complete each other; of each one row stays, the others are "
                "quarantined: --group-rows merge makes one item of them"
            )
        if num_files := num_cut_off(manifest["counts"]):
            self._warn(cut_off_in_words(num_files, self.config.catalog))
        for unmet in [] if self.finished is not None else self._unmet_texts():
            warning = "WARNING: " if unmet.is_likely_wrong else ""
            print(f"{STAGE}: {warning}{unmet.in_words}", file=sys.stderr if warning else sys.stdout, flush=True)
        counts, names = manifest["counts"], list(manifest["units"])
        mapping = catalogue_columns(self.config.columns, self.config.group_rows)
        if self.finished is None:
            files = expand_inputs(self.config.catalog, self.config.date)
            for warning in mixed_ids(files, mapping, catalogue_schema(mapping), counts):
                self._warn(warning)
        if num_cells := counts.get("cells_quarantined"):
            self._warn(cells_in_words(self.run, names, num_cells))
        if counts.get(LIKE_TOTALS):
            self._warn(totals_of_run_in_words(self.run, names, mapping))
        if counts.get("ids_not_nfc") and (told := forms_in_words(self.run, names)):
            print(f"{STAGE}: WARNING: {told}", flush=True)

    def _warn(self, warning: str) -> None:
        print(f"{STAGE}: WARNING: {warning}", file=sys.stderr, flush=True)

    def _unmet_texts(self) -> list[UnmetTexts]:
        mapping = catalogue_columns(self.config.columns, self.config.group_rows)
        return unmet_texts(expand_inputs(self.config.catalog, self.config.date), mapping)

    def after(self, call: RunCall, manifest: Mapping[str, Any]) -> None:
        store.fix_num_buckets(call.config.store, manifest["num_buckets"])
        if call.model is not None:
            share_pictures(self.run, call.previous)

    @staticmethod
    def account(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
        items = counts[STAGE]
        stages = [counts.get(name, {}) for name in with_needs("embeddings")]
        if_any = {name: items[name] for name in (*NONE_OF_TEXT, ROWS_LEFT_OUT) if items.get(name)}
        return if_any | {
            **{f"rows_{name}": items.get(f"rows_{name}", 0) for name in ("read", "collapsed", "merged")},
            "rows_quarantined": sum(stage.get("rows_quarantined", 0) for stage in stages),
        }

    @staticmethod
    def told(counts: Mapping[str, int]) -> str:
        merged = " + merged {rows_merged:,}" if counts.get("rows_merged") else ""
        left_out = f" + left out {{{ROWS_LEFT_OUT}:,}}" if counts.get(ROWS_LEFT_OUT) else ""
        blank = f"; {{{BLANK_ROWS}:,}} blank rows are none" if counts.get(BLANK_ROWS) else ""
        blank += f"; {{{REPEATED_HEADERS}:,}} repeat the header" if counts.get(REPEATED_HEADERS) else ""
        told = "read {rows_read:,} = published {rows_published:,} + collapsed {rows_collapsed:,}"
        return f"rows     {told}{merged}{left_out} + quarantined {{rows_quarantined:,}}{blank}\n".format_map(counts)


def _finished_manifest(config: IngestConfig, expected: str) -> dict[str, Any] | None:
    """The stage's manifest, if it has this fingerprint and number of buckets and all its units are there."""
    try:
        manifest = read_stage_manifest(config.run, STAGE)
        num_buckets = config.num_buckets or choose_num_buckets(manifest["num_rows_counted"])
        units = [Unit(STAGE, name, expected) for name in manifest["units"]]
        same = manifest["fingerprint"] == expected and manifest["num_buckets"] == num_buckets
    except (CorruptFileError, KeyError, TypeError):
        return None
    return manifest if same and all(_is_finished(config.run, unit) for unit in units) else None


def _is_finished(run: str, unit: Unit) -> bool:
    """Whether the items of a bucket are there, with the pictures of the table."""
    sidecar = finished_sidecar(run, unit, check_content=True)
    return sidecar is not None and not lacks_pictures(run, sidecar)


def _check_some_valid(counts: Counter[str], config: IngestConfig) -> None:
    if not (counts["rows_written"] or counts["rows_read"] or any(counts[name] for name in NONE_OF_TEXT)):
        raise ThresholdError(
            f"expected at least one valid row, got none: {config.catalog} has no rows: see whether its export is "
            "whole. Nothing is published: readers see what they saw before"
        )
    if counts["rows_read"] and counts[ROWS_LEFT_OUT] == counts["rows_read"]:
        raise ThresholdError(
            f"expected at least one row that stays, got none: leave_out in [columns] of the config file leaves out all "
            f"{counts[ROWS_LEFT_OUT]:,} of {config.catalog}. To do: see whether its texts are those of products that "
            "customers do not see, and whether the export has any others. Nothing is published: readers see what they "
            "saw before"
        )
    if counts["rows_written"] == 0:
        reasons = {name.removeprefix("reason:"): n for name, n in sorted(counts.items()) if name.startswith("reason:")}
        others = (
            (ROWS_LEFT_OUT, "are left out by leave_out"),
            (BLANK_ROWS, "are blank"),
            (REPEATED_HEADERS, "repeat the header"),
        )
        told_others = [f"{counts[name]:,} {what}" for name, what in others if counts[name]]
        why = ", ".join([*(f"{count:,} {name}" for name, count in reasons.items()), *told_others]) or "there is none"
        raise ThresholdError(
            f"expected at least one valid row, got none of {counts['rows_read']:,} in {config.catalog} ({why}). To do: "
            f"see reason and remedy of each row in {config.run}/quarantine; null ids often mean that [columns] of the "
            "config file names another column. Nothing is published: readers see what they saw before"
        )


build, run, main = job_of(Ingest, EXAMPLE)
