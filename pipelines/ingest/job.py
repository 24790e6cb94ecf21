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
from collections import Counter
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.ingest.config import IngestConfig
from pipelines.ingest.plan import CODE_VERSION, IngestPlan, choose_num_buckets, ingest_fingerprint, plan_ingest
from pipelines.ingest.table_pictures import lacks_pictures, remove_unlisted_pictures, share_pictures
from pipelines.ingest.told import check_some_valid, print_warnings
from pipelines.ingest.write_items import STAGE, WriteItems
from pipelines.run.bucket_rows import BucketRows, Buckets
from pipelines.run.stage import RunCall, Stage, job_of
from pipelines.run.units import Unit, check_not_published, finished_sidecar, read_stage_manifest
from pipelines.stages import with_needs
from pipelines.store import store
from schemas.columns.leave_out import leave_out_texts
from schemas.columns.raw_rows import BLANK_ROWS, NONE_OF_TEXT, REPEATED_HEADERS
from schemas.errors import CorruptFileError
from schemas.records.manifests import Sidecar
from schemas.tables import LEAVE_OUT
from schemas.validation.left_out_rows import ROWS_LEFT_OUT

EXAMPLE = (
    "python -m pipelines.ingest --run=store/runs/2026-06-30/0123456789abcdef "
    "--catalog='catalog/{date}/' --date=2026-06-30"
)


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
        counts = sum((Counter(sidecar.counts) for sidecar in sidecars), Counter[str]())
        check_some_valid(counts, self.config.catalog, self.run)
        remove_unlisted_pictures(self.run, sidecars)
        return super().seal()

    def tell(self, manifest: dict[str, Any], started_s: float) -> None:
        super().tell(manifest, started_s)
        print_warnings(self.config, manifest, made_now=self.finished is None)

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


build, run, main = job_of(Ingest, EXAMPLE)
