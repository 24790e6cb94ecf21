"""Ingest: a shop's catalogue into the bucketed store, validated, without duplicates, sorted by id.

    files -> slices -> read, validate -> group by bucket -> resolve duplicates -> items/bucket-*.parquet
                             |                                    |
                             +------------ rejections ------------+----------> quarantine/items-bucket-*.parquet

Counts of the manifest: rows_read = rows_written + rows_collapsed + rows_quarantined. Pictures and texts are counted in
written rows: pictures_listed (kept, at most 20 a row), pictures_cut_off (listed beyond them), pictures_empty (null or
blank URIs, dropped), texts_truncated, and, where there are any, ids_trimmed, cells_unreadable:<field> (see
schemas.validation) and ids_not_nfc: in another Unicode form than the composed one.
A row with neither text nor picture is a valid row; the features stage judges it.
"""

import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.console.jobs import flag, main_of, print_summary
from pipelines.console.progress import Progress
from pipelines.gating.fields import field_count
from pipelines.transforms.bucket_rows import BucketRows, unpack
from pipelines.unit_files import remove_unit, sidecar_path
from pipelines.units import (
    Unit,
    UnitWriter,
    bucket_name,
    finished_sidecar,
    read_stage_manifest,
    write_stage_manifest,
)
from schemas.column_spec import Columns
from schemas.columns import table_columns
from schemas.duplicates import resolve_duplicates
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.files import expand_inputs, read_sealed_json
from schemas.hashing import fingerprint
from schemas.quarantine import quote
from schemas.reading import (
    FileSlice,
    check_columns,
    count_rows,
    input_identity,
    plan_slices,
    relative_names,
    unusual_forms,
)
from schemas.tables import CATALOGUE, ITEMS, TEXT_FIELDS
from schemas.validation import Limits, catalogue_counts

STAGE = "items"
#: Part of the fingerprint: raise it when the same input gives other rows or counts.
CODE_VERSION = 4
#: Ids in two Unicode forms that a warning names.
_NAMED_FORMS = 5
MIN_BUCKETS = 4
ROWS_PER_BUCKET = 3_000
CATALOG_HELP = (
    "catalogue: a file, a folder of parts or a glob; {date} means --date. Several pictures in a CSV cell: a JSON list, "
    "or paths separated by |"
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
    columns: dict[str, Any] = flag(default={}, help="our column name -> the shop's, from [columns] of the config file")

    def __post_init__(self) -> None:
        if self.num_buckets < 0:
            raise UsageError(f"expected --num-buckets of 0 (choose) or more, got {self.num_buckets}")


@dataclass(frozen=True, kw_only=True)
class IngestPlan:
    """What a run of ingest will read and write; made from the inputs' metadata alone. forms: schemas.reading's
    unusual_forms of the files."""

    run: str
    columns: Columns
    limits: Limits
    file_names: Sequence[str]
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
    files = expand_inputs(config.catalog, config.date)
    columns = table_columns(config.columns, "catalogue")
    check_columns(files, columns, CATALOGUE)
    num_rows = count_rows(files)
    return IngestPlan(
        run=config.run,
        columns=columns,
        limits=limits,
        file_names=relative_names(files),
        forms=unusual_forms(files),
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
    """Identifies what the items depend on: inputs, mapping, limits, code. (The number of buckets is in unit names.)"""
    inputs = input_identity(expand_inputs(config.catalog, config.date))
    columns = table_columns(config.columns, "catalogue")
    return fingerprint([CODE_VERSION, inputs, columns, asdict(limits)])


def build(
    root: beam.Pipeline, config: IngestConfig, plan: IngestPlan | None = None
) -> beam.PCollection[dict[str, Any]]:
    """Defines the job: sidecars of the buckets that are not finished. Runs nothing. Workers in other working folders
    need absolute paths (with_absolute_paths)."""
    plan = plan or plan_ingest(config)
    unfinished = [
        bucket for bucket, unit in enumerate(plan.units) if finished_sidecar(plan.run, unit, check_content=True) is None
    ]
    return (
        root
        | "Slices" >> beam.Create(list(plan.slices) if unfinished else [], reshuffle=False)
        | BucketRows(plan.columns, plan.limits, plan.num_buckets, unfinished, plan.num_rows)
        | "Write bucket" >> beam.ParDo(_WriteBucket(plan.run, plan.units, plan.file_names))
    )


def run(config: IngestConfig, options: PipelineOptions) -> dict[str, Any]:
    """Runs ingest and returns the stage manifest. Skips all work if the run folder has it already.

    Raises ThresholdError if no row is valid: the quarantine then says why.
    """
    started_s = time.monotonic()
    manifest = _finished_manifest(config, ingest_fingerprint(config))
    if manifest is None:
        plan = plan_ingest(config)
        if plan.forms:
            print(f"{STAGE}: {plan.forms}", flush=True)
        pipeline = beam.Pipeline(options=options)
        build(pipeline, config, plan)
        pipeline.run().wait_until_finish()
        Progress.close_shared(STAGE)
        manifest = _finish(plan, config)
    print_summary(STAGE, manifest["counts"], started_s, f"{config.run}/{STAGE}")
    if manifest["counts"].get("ids_not_nfc"):
        _warn_of_forms(config.run, list(manifest["units"]))
    return manifest


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    return main_of(IngestConfig, run, argv, "itemsage ingest", EXAMPLE)


def write_bucket(writer: UnitWriter, pieces: Iterable[bytes], file_names: Sequence[str]) -> dict[str, Any]:
    """Writes one bucket from its pieces (see `unpack`), in any order, and seals it. Returns the sidecar."""
    rows, rejections = unpack(pieces)
    num_read = rows.num_rows + len(rejections)
    items, duplicates, num_collapsed = resolve_duplicates(rows, file_names)
    with writer.file(f"{STAGE}/{writer.unit.name}.parquet") as temporary:
        columns = [items[name].combine_chunks() for name in ITEMS.names]
        pq.write_table(pa.Table.from_arrays(columns, schema=ITEMS), temporary, compression="zstd")
    writer.counts.update(
        rows_read=num_read,
        rows_written=items.num_rows,
        rows_collapsed=num_collapsed,
        rows_quarantined=0,
        pictures_listed=pc.sum(pc.list_value_length(items["images"])).as_py() or 0,
        **catalogue_counts(items),
    )
    if num_other_form := len(ids_of_other_form(items["item_id"])):
        writer.counts["ids_not_nfc"] = num_other_form
    for name in TEXT_FIELDS:  # a renamed column shows here first
        writer.counts[field_count(name)] = pc.sum(pc.greater(pc.utf8_length(items[name]), 0)).as_py() or 0
    writer.quarantine([*rejections, *duplicates])
    return writer.seal()


def ids_of_other_form(ids: pa.ChunkedArray) -> list[str]:
    """The ids that are not in Unicode's composed form (NFC)."""
    others = ids.filter(pc.invert(pc.string_is_ascii(ids))).to_pylist()
    return [item_id for item_id in others if not unicodedata.is_normalized("NFC", item_id)]


def ids_in_two_forms(ids: pa.ChunkedArray) -> list[str]:
    """The composed form of ids that are there in another form, too: to a person they are one.

    >>> ids_in_two_forms(pa.chunked_array([["cafe\\u0301", "caf\\u00e9", "a"]])) == ["caf\\u00e9"]
    True
    """
    composed = {unicodedata.normalize("NFC", item_id) for item_id in ids_of_other_form(ids)}
    twice = ids.filter(pc.is_in(ids, value_set=pa.array(sorted(composed), pa.string())))
    return sorted(twice.to_pylist())


class _WriteBucket(beam.DoFn):
    def __init__(self, run: str, units: list[Unit], file_names: Sequence[str]):
        self.run, self.units, self.file_names = run, units, list(file_names)

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[dict[str, Any]]:
        bucket, pieces = element
        unit = self.units[bucket]
        sidecar = finished_sidecar(self.run, unit, check_content=True)
        if sidecar is None:
            writer = UnitWriter(self.run, unit)
            remove_unit(self.run, sidecar_path(self.run, STAGE, unit.name))
            sidecar = write_bucket(writer, pieces, self.file_names)
        yield sidecar


def _finished_manifest(config: IngestConfig, expected: str) -> dict[str, Any] | None:
    """The stage's manifest, if it has this fingerprint and number of buckets and all its units are there."""
    try:
        manifest = read_stage_manifest(config.run, STAGE)
        num_buckets = config.num_buckets or choose_num_buckets(manifest["num_rows_counted"])
        units = [Unit(STAGE, name, expected) for name in manifest["units"]]
        same = manifest["fingerprint"] == expected and manifest["num_buckets"] == num_buckets
    except (CorruptFileError, KeyError, TypeError):
        return None
    return manifest if same and all(finished_sidecar(config.run, unit, True) for unit in units) else None


def _finish(plan: IngestPlan, config: IngestConfig) -> dict[str, Any]:
    """Checks that some row is valid and writes the manifest."""
    names = [unit.name for unit in plan.units]
    sidecars = [read_sealed_json(sidecar_path(plan.run, STAGE, name)) for name in names]
    _check_some_valid(sum((Counter(sidecar["counts"]) for sidecar in sidecars), Counter()), config)
    return write_stage_manifest(
        plan.run,
        STAGE,
        names,
        fingerprint=plan.fingerprint,
        num_buckets=plan.num_buckets,
        num_files=len(plan.file_names),
        num_rows_counted=plan.num_rows,
        **({"input_forms": plan.forms} if plan.forms else {}),
    )


def _warn_of_forms(run: str, unit_names: Sequence[str]) -> None:
    tables = [pq.read_table(f"{run}/{STAGE}/{name}.parquet", columns=["item_id"]) for name in unit_names]
    twice = ids_in_two_forms(pa.concat_tables(tables)["item_id"])
    if twice:
        named = ", ".join(map(quote, twice[:_NAMED_FORMS]))
        print(
            f"{STAGE}: WARNING: {len(twice):,} ids are there in two Unicode forms, as two items: {named}; write the "
            "ids in one form in the export",
            flush=True,
        )


def _check_some_valid(counts: Counter[str], config: IngestConfig) -> None:
    if counts["rows_written"] == 0:
        reasons = {name.removeprefix("reason:"): n for name, n in sorted(counts.items()) if name.startswith("reason:")}
        why = ", ".join(f"{count:,} {name}" for name, count in reasons.items()) or "there is none"
        raise ThresholdError(
            f"expected at least one valid row, got none of {counts['rows_read']:,} in {config.catalog} ({why}). To do: "
            f"see reason and remedy of each row in {config.run}/quarantine; null ids often mean that [columns] of the "
            "config file names another column. Nothing is published: readers keep the run they see"
        )


if __name__ == "__main__":
    sys.exit(main())
