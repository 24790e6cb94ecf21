"""The rows of an engagement log that sources of item vectors learn from, by bucket of their session or their user.

    slices -> read, validate, keep what is of use -> (bucket, IPC bytes of ENGAGED) -> equal rows once -> a table

A slice is a unit that only counts; it is read again on a rerun that lacks a bucket. Rows: rows_read =
rows_quarantined + rows_after_date + rows_other_actions + rows_without_user_or_session + rows_item_unknown + rows_equal
(to another one, which counts) + rows_used; each counts where it first belongs, in this order.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.sources.engaged_rows import ACTION_WEIGHTS
from pipelines.console.progress import Progress
from pipelines.log.equal_rows import EVENT_FIELD, ROWS_EQUAL, with_events, without_equal
from pipelines.log.judge_log import ITEM_IDS
from pipelines.log.read_engagements import MAX_ROWS_AT_ONCE, by_bucket, read_and_seal, slice_unit
from pipelines.run.bucket_rows import pack, unpack_table
from pipelines.run.counted import CountedDoFn
from pipelines.run.units import Unit, UnitWriter, sealed_unit
from schemas.columns.raw_rows import FileSlice
from schemas.columns.spec import ColumnsOfTable
from schemas.tables import ENGAGEMENTS

#: How rows travel; with a column of the name of a session or user that they are together by.
ENGAGED = pa.schema(
    [*(ENGAGEMENTS.field(name) for name in ("timestamp", "user_id", "session_id", "item_id", "action")), EVENT_FIELD]
)
#: Why a row is not used.
LEFT_OUT = (
    *("rows_after_date", "rows_other_actions", "rows_without_user_or_session", "rows_item_unknown"),
    ROWS_EQUAL,
)
#: What rows are together by: a session, or, of rows without one, a user; or a user alone.
BY_SESSION, BY_USER = "session", "user"
_KEY = "key"

#: Rows whose items are looked up at once: each time all ids of the catalogue are hashed.
_ROWS_LOOKED_UP = 50_000

#: Rows of one bucket in, a table and counts out.
Make = Callable[[pa.Table], tuple[pa.Table, dict[str, int]]]


@dataclass(frozen=True, kw_only=True)
class RowsSource:
    """What reading depends on. stage: that counts; columns: our name -> the shop's; item_files: Parquet files with the
    catalogue's ids; end_us: rows at or after it (microseconds since 1970, UTC) are left out, None: none are; by:
    BY_SESSION or BY_USER."""

    run: str
    stage: str
    columns: ColumnsOfTable
    item_files: tuple[str, ...]
    end_us: int | None
    by: str
    num_buckets: int
    fingerprint: str


def engaged_rows(valid: pa.Table, source: RowsSource, item_ids: pa.Array) -> tuple[pa.Table, Counter[str]]:
    """(ENGAGED and what each row goes by, of valid ENGAGEMENTS that are of use, counts of the others)."""
    rows, counts = valid, Counter[str]()

    def keep(mask: pa.ChunkedArray, left_out: str) -> None:
        nonlocal rows
        kept = rows.filter(mask)
        counts[left_out] += len(rows) - len(kept)
        rows = kept

    if source.end_us is not None:
        keep(pc.less(rows["timestamp"].cast(pa.int64()), source.end_us), "rows_after_date")
    keep(pc.is_in(rows["action"], pa.array([name for name, _ in ACTION_WEIGHTS])), "rows_other_actions")
    keep(pc.is_valid(_keys(rows, source.by)), "rows_without_user_or_session")
    keep(pc.is_in(rows["item_id"], value_set=item_ids), "rows_item_unknown")
    return with_events(rows).select(ENGAGED.names).append_column(_KEY, _keys(rows, source.by)), counts


def _keys(rows: pa.Table, by: str) -> pa.ChunkedArray:
    """All rows of a session have one, and all rows without a session of a user: those are cut into days later."""
    return rows["user_id"] if by == BY_USER else pc.coalesce(rows["session_id"], rows["user_id"])


class ReadEngaged(beam.PTransform):
    """FileSlice in, (bucket, IPC bytes of ENGAGED) out, of the buckets of `wanted` only, every one of them at least
    once; an empty piece holds nothing."""

    def __init__(self, source: RowsSource, wanted: Iterable[int], total: int | None = None):
        super().__init__(label="Read engaged rows")
        self.source, self.wanted, self.total = source, frozenset(wanted), total

    def expand(self, slices: beam.PCollection[FileSlice]) -> beam.PCollection[tuple[int, bytes]]:
        read = _ReadSlice(self.source, self.wanted, self.total)
        pieces = slices | "Spread slices" >> beam.Reshuffle() | "Read and validate" >> beam.ParDo(read)
        every = slices.pipeline | "Every bucket" >> beam.Create([(bucket, b"") for bucket in sorted(self.wanted)])
        return (pieces, every) | "Rows and buckets" >> beam.Flatten()


class _ReadSlice(CountedDoFn):
    def __init__(self, source: RowsSource, wanted: frozenset[int], total: int | None):
        self.source, self.wanted, self.total = source, wanted, total

    def process(self, file_slice: FileSlice) -> Iterator[tuple[int, bytes]]:
        source = self.source
        writer = UnitWriter(source.run, slice_unit(file_slice, source.fingerprint, source.stage))
        progress = Progress.shared(read_progress(source.stage), "rows", self.total)
        item_ids = ITEM_IDS.get(source.item_files)
        waiting: list[pa.Table] = []
        select = partial(engaged_rows, source=source, item_ids=item_ids)
        for rows in read_and_seal(file_slice, source.columns, writer, progress, select, _ROWS_LOOKED_UP):
            waiting.append(rows)
            if sum(map(len, waiting)) >= MAX_ROWS_AT_ONCE:
                yield from self._pieces(waiting)
                waiting = []
        yield from self._pieces(waiting)

    def _pieces(self, tables: Sequence[pa.Table]) -> Iterator[tuple[int, bytes]]:
        if tables:
            for bucket, rows in by_bucket(pa.concat_tables(tables), self.source.num_buckets, _KEY):
                if bucket in self.wanted:
                    yield bucket, pack(rows.drop_columns([_KEY]))


def read_progress(stage: str) -> str:
    """The name of the bar of a stage's reading."""
    return f"{stage}: read"


class WriteBuckets(beam.PTransform):
    """(bucket, pieces of ENGAGED) in, sidecars out. make: what is written of the rows of a bucket, equal ones once."""

    def __init__(self, run: str, units: Sequence[Unit], make: Make):
        super().__init__(label="Write buckets")
        self.do_fn = _WriteBucket(run, units, make)

    def expand(self, pieces: beam.PCollection[tuple[int, bytes]]) -> beam.PCollection[dict[str, Any]]:
        return pieces | "Group by bucket" >> beam.GroupByKey() | "Write bucket" >> beam.ParDo(self.do_fn)


class _WriteBucket(CountedDoFn):
    def __init__(self, run: str, units: Sequence[Unit], make: Make):
        self.run, self.units, self.make = run, list(units), make

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[dict[str, Any]]:
        bucket, pieces = element
        yield sealed_unit(self.run, self.units[bucket], lambda writer: self._write(writer, pieces))

    def _write(self, writer: UnitWriter, pieces: Iterable[bytes]) -> dict[str, Any]:
        given = pa.concat_tables([ENGAGED.empty_table(), *(unpack_table(piece) for piece in pieces if piece)])
        rows, num_equal = without_equal(given, "timestamp")
        table, counts = self.make(rows)
        writer.counts.update({ROWS_EQUAL: num_equal, "rows_used": len(rows), **counts})
        write_bucket_table(writer, writer.unit.stage, table)
        return writer.seal()


def write_bucket_table(writer: UnitWriter, folder: str, table: pa.Table) -> None:
    """Writes the table of a unit of a bucket to a folder of the run."""
    with writer.file(f"{folder}/{writer.unit.name}.parquet") as temporary:
        pq.write_table(table, temporary, compression="zstd")
