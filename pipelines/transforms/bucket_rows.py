"""The one shuffle of the catalogue: slices of input files in, the validated rows of each bucket out.

Rows travel as slices of Arrow batches (LZ4-compressed IPC bytes), rejections likewise: each goes to exactly one bucket,
so the unit that writes the bucket writes each of them once on any runner, however often a worker is retried.
"""

from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipelines.console.progress import Progress
from schemas.column_spec import Columns
from schemas.hashing import bucket_of
from schemas.quarantine import Rejection, rejections_to_table
from schemas.reading import FileSlice, read_slice
from schemas.tables import REJECTIONS
from schemas.validation import VALIDATED_CATALOGUE, Limits, validate_catalogue

#: A worker holds about this much of validated rows before it cuts them into buckets: large enough that the pieces are
#: not mostly headers, small enough for any worker.
FLUSH_BYTES = 64 << 20
_CODEC = pa.ipc.IpcWriteOptions(compression="lz4")


def pack(table: pa.Table) -> bytes:
    """A table as LZ4-compressed Arrow IPC bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_CODEC) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def unpack(packed: Iterable[bytes]) -> tuple[pa.Table, list[Rejection]]:
    """(validated rows, rejections) of a bucket from its pieces, in their order; an empty piece holds nothing."""
    tables = [pa.ipc.open_stream(piece).read_all() for piece in packed if piece]
    rows = [table for table in tables if table.schema.names == VALIDATED_CATALOGUE.names]
    rejected = [table for table in tables if table.schema.names == REJECTIONS.names]
    assert len(rows) + len(rejected) == len(tables), "a piece is neither rows nor rejections"
    return (
        pa.concat_tables([VALIDATED_CATALOGUE.empty_table(), *rows]),
        [Rejection(**row) for table in rejected for row in table.to_pylist()],
    )


def split_by_bucket(table: pa.Table, keys: Iterable[str], num_buckets: int) -> Iterator[tuple[int, pa.Table]]:
    """(bucket of the key, its rows in input order) for each bucket that has rows, ascending."""
    buckets = np.array([bucket_of(key, num_buckets) for key in keys], np.int64)
    order = np.argsort(buckets, kind="stable")
    ordered = table.combine_chunks().take(pa.array(order))
    counts = np.bincount(buckets, minlength=num_buckets)
    starts = np.cumsum(counts) - counts
    for bucket in np.flatnonzero(counts).tolist():
        yield bucket, ordered.slice(int(starts[bucket]), int(counts[bucket]))


class BucketRows(beam.PTransform):
    """FileSlice in, (bucket, pieces for `unpack`) out, for every bucket of `buckets`, also those without any row."""

    def __init__(self, columns: Columns, limits: Limits, num_buckets: int, buckets: Iterable[int], num_rows: int):
        super().__init__(label="Bucket rows")
        self.columns, self.limits, self.num_buckets = dict(columns), limits, num_buckets
        self.buckets, self.num_rows = sorted(buckets), num_rows

    def expand(self, slices: beam.PCollection[FileSlice]) -> beam.PCollection[tuple[int, Iterable[bytes]]]:
        pieces = (
            slices
            | "Spread slices" >> beam.Reshuffle()
            | "Read and validate"
            >> beam.ParDo(_ReadSlice(self.columns, self.limits, self.num_buckets, self.buckets, self.num_rows))
        )
        empty = slices.pipeline | "Every bucket" >> beam.Create([(bucket, b"") for bucket in self.buckets])
        return (pieces, empty) | "Rows and buckets" >> beam.Flatten() | "Group by bucket" >> beam.GroupByKey()


class _ReadSlice(beam.DoFn):
    def __init__(self, columns: Columns, limits: Limits, num_buckets: int, buckets: list[int], num_rows: int):
        self.columns, self.limits, self.num_buckets = columns, limits, num_buckets
        self.wanted, self.num_rows = frozenset(buckets), num_rows

    def process(self, file_slice: FileSlice) -> Iterator[tuple[int, bytes]]:
        progress = Progress.shared("items", "rows", self.num_rows)
        tables: list[pa.Table] = []
        rejections: list[Rejection] = []
        for raw in read_slice(file_slice, self.columns):
            good, rejected, counts = validate_catalogue(raw, file_slice, self.limits)
            tables.append(good)
            rejections += rejected
            progress.advance(counts["rows_read"])
            if sum(table.nbytes for table in tables) + len(rejections) * 1_000 >= FLUSH_BYTES:
                yield from self._pieces(tables, rejections)
                tables, rejections = [], []
        yield from self._pieces(tables, rejections)

    def _pieces(self, tables: list[pa.Table], rejections: list[Rejection]) -> Iterator[tuple[int, bytes]]:
        """A rejection goes to the bucket of its place, for its id may be null."""
        if tables:
            rows = pa.concat_tables(tables)
            yield from self._wanted(rows, rows["item_id"].to_pylist())
        if rejections:
            rejected = rejections_to_table(rejections)
            yield from self._wanted(rejected, rejected["where"].to_pylist())

    def _wanted(self, table: pa.Table, keys: list[str]) -> Iterator[tuple[int, bytes]]:
        for bucket, part in split_by_bucket(table, keys, self.num_buckets):
            if bucket in self.wanted:
                yield bucket, pack(part)
