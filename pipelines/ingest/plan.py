"""What ingest reads and how: the plan made from its config and the inputs' metadata."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pipelines.ingest.config import ROWS_PER_BUCKET, IngestConfig
from pipelines.ingest.write_items import STAGE
from pipelines.run.bucket_rows import RowRules
from pipelines.run.units import Unit, bucket_name
from schemas.columns.mapping import catalogue_columns, catalogue_schema
from schemas.columns.raw_rows import FileSlice
from schemas.columns.spec import ColumnsOfTable
from schemas.files import expand_inputs
from schemas.hashing import fingerprint
from schemas.reading.input_files import check_columns, count_rows, input_identity, relative_names, unusual_forms
from schemas.reading.rows import plan_slices
from schemas.reading.snapshots import catalogue_files
from schemas.validation.rules import Limits

#: Part of the fingerprint: raise it when the same input gives other rows or counts.
CODE_VERSION = 20
MIN_BUCKETS = 4


@dataclass(frozen=True, kw_only=True)
class IngestPlan:
    """What a run of ingest will read and write; made from the inputs' metadata alone. forms: unusual_forms of the files
    (schemas.reading.input_files)."""

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
