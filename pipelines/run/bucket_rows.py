"""The shuffle of the catalogue: slices of input files in, the validated rows of each bucket out.

Rows travel as slices of Arrow batches (LZ4-compressed IPC bytes), rejections and counts likewise: each goes to exactly
one bucket, so the unit that writes the bucket writes each of them once on any runner, however often a worker is
retried.

A catalogue whose mapping names a group is shuffled twice: by group, whose rows complete each other, then by item.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipelines.console.progress import Progress
from schemas.catalogue_validation import GROUPED, VALIDATED_CATALOGUE, validate_catalogue
from schemas.column_spec import Columns
from schemas.columns import catalogue_schema
from schemas.grouping import MERGED, SHARE_PICTURES, complete_groups
from schemas.hashing import bucket_of
from schemas.quarantine import Rejection, rejections_to_table
from schemas.raw_rows import BLANK_ROWS
from schemas.reading import FileSlice, read_slice
from schemas.stored_pictures import keep_picture
from schemas.tables import REJECTIONS
from schemas.validation import Limits

#: A worker holds about this much of validated rows before it cuts them into buckets: large enough that the pieces are
#: not mostly headers, small enough for any worker.
FLUSH_BYTES = 64 << 20
_BLANK = pa.schema([pa.field(BLANK_ROWS, pa.int64(), nullable=False)])
_CODEC = pa.ipc.IpcWriteOptions(compression="lz4")


def pack(table: pa.Table) -> bytes:
    """A table as LZ4-compressed Arrow IPC bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_CODEC) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def unpack(packed: Iterable[bytes], schema: pa.Schema = VALIDATED_CATALOGUE) -> tuple[pa.Table, list[Rejection], int]:
    """(rows of that schema, rejections, number of blank rows) of a bucket from its pieces, in their order; an empty
    piece holds nothing."""
    tables = [pa.ipc.open_stream(piece).read_all() for piece in packed if piece]
    rows = [table for table in tables if table.schema.names == schema.names]
    rejected = [table for table in tables if table.schema.names == REJECTIONS.names]
    blank = [table for table in tables if table.schema.names == _BLANK.names]
    assert len(rows) + len(rejected) + len(blank) == len(tables), "a piece is neither rows nor rejections"
    return (
        pa.concat_tables([schema.empty_table(), *rows]),
        [Rejection(**row) for table in rejected for row in table.to_pylist()],
        sum(table[BLANK_ROWS][0].as_py() for table in blank),
    )


def pack_blank(num_blank: int) -> bytes:
    """A piece for `unpack` of rows that are blank, of which there is nothing but their number."""
    return pack(pa.table({BLANK_ROWS: [num_blank]}, schema=_BLANK))


def split_by_bucket(table: pa.Table, keys: Iterable[str], num_buckets: int) -> Iterator[tuple[int, pa.Table]]:
    """(bucket of the key, its rows in input order) for each bucket that has rows, ascending."""
    buckets = np.array([bucket_of(key, num_buckets) for key in keys], np.int64)
    order = np.argsort(buckets, kind="stable")
    ordered = table.combine_chunks().take(pa.array(order))
    counts = np.bincount(buckets, minlength=num_buckets)
    starts = np.cumsum(counts) - counts
    for bucket in np.flatnonzero(counts).tolist():
        yield bucket, ordered.slice(int(starts[bucket]), int(counts[bucket]))


@dataclass(frozen=True, kw_only=True)
class Buckets:
    """The buckets of a store: how many there are, and which are wanted, also those without any row."""

    number: int
    wanted: frozenset[int]

    def pieces(self, rows: pa.Table, rejections: list[Rejection], key: str = "item_id") -> Iterator[tuple[int, bytes]]:
        """(bucket, piece for `unpack`) of what goes to a wanted bucket: rows by their key, a rejection by its place,
        for its id may be null. All buckets are wanted of a group, whose items may be in any."""
        wanted = self.wanted if key == "item_id" else range(self.number)
        for bucket, part in split_by_bucket(rows, rows[key].to_pylist(), self.number):
            if bucket in wanted:
                yield bucket, pack(part)
        rejected = rejections_to_table(rejections)
        for bucket, part in split_by_bucket(rejected, rejected["where"].to_pylist(), self.number):
            if bucket in self.wanted:
                yield bucket, pack(part)

    def blank_piece(self, num_blank: int, where: str) -> Iterator[tuple[int, bytes]]:
        """(bucket, piece for `unpack`) of a slice's blank rows, if there are any and its bucket is wanted, which is by
        the slice's place."""
        bucket = bucket_of(where, self.number)
        if num_blank and bucket in self.wanted:
            yield bucket, pack_blank(num_blank)


@dataclass(frozen=True, kw_only=True)
class RowRules:
    """How the rows of a catalogue are read, and what becomes of those that belong together.

    columns: the mapping. group_rows: one of schemas.grouping.GROUP_ROWS. file_names: what `where` calls file k. run:
    where pictures go that are in the table."""

    run: str
    columns: Columns
    group_rows: str
    limits: Limits
    file_names: Sequence[str]

    @property
    def is_grouped(self) -> bool:
        """Whether a column says which rows belong together; else their ids do."""
        return "group" in catalogue_schema(self.columns).names

    @property
    def row_schema(self) -> pa.Schema:
        """Of what comes out of BucketRows."""
        return MERGED if self.is_grouped else VALIDATED_CATALOGUE


class BucketRows(beam.PTransform):
    """FileSlice in, (bucket, pieces for `unpack`) of rows of rules.row_schema out, for every wanted bucket."""

    def __init__(self, rules: RowRules, buckets: Buckets, num_rows: int):
        super().__init__(label="Bucket rows")
        self.rules, self.buckets, self.num_rows = rules, buckets, num_rows

    def expand(self, slices: beam.PCollection[FileSlice]) -> beam.PCollection[tuple[int, Iterable[bytes]]]:
        pieces = (
            slices
            | "Spread slices" >> beam.Reshuffle()
            | "Read and validate" >> beam.ParDo(_ReadSlice(self.rules, self.buckets, self.num_rows))
        )
        if self.rules.is_grouped:
            complete = _CompleteGroups(self.rules, self.buckets)
            pieces = pieces | "Group by group" >> beam.GroupByKey() | "Complete groups" >> beam.ParDo(complete)
        none = [(bucket, b"") for bucket in sorted(self.buckets.wanted)]
        empty = slices.pipeline | "Every bucket" >> beam.Create(none)
        return (pieces, empty) | "Rows and buckets" >> beam.Flatten() | "Group by bucket" >> beam.GroupByKey()


class _ReadSlice(beam.DoFn):
    def __init__(self, rules: RowRules, buckets: Buckets, num_rows: int):
        self.rules, self.buckets, self.num_rows = rules, buckets, num_rows
        self.key = "group" if rules.is_grouped else "item_id"

    def process(self, file_slice: FileSlice) -> Iterator[tuple[int, bytes]]:
        progress = Progress.shared("items", "rows", self.num_rows)
        tables: list[pa.Table] = []
        rejections: list[Rejection] = []
        num_blank = 0
        for raw in read_slice(file_slice, self.rules.columns, catalogue_schema(self.rules.columns)):
            keep = partial(keep_picture, run=self.rules.run)
            good, rejected, counts = validate_catalogue(raw, file_slice, self.rules.limits, keep)
            tables.append(good)
            rejections += rejected
            num_blank += raw.no_rows.get(BLANK_ROWS, 0)
            progress.advance(counts["rows_read"])
            if sum(table.nbytes for table in tables) + len(rejections) * 1_000 >= FLUSH_BYTES:
                yield from self.buckets.pieces(pa.concat_tables(tables), rejections, self.key)
                tables, rejections = [], []
        if tables:
            yield from self.buckets.pieces(pa.concat_tables(tables), rejections, self.key)
        yield from self.buckets.blank_piece(num_blank, file_slice.where(file_slice.first_row))


class _CompleteGroups(beam.DoFn):
    """The pieces of whole groups in, those of their items out."""

    def __init__(self, rules: RowRules, buckets: Buckets):
        self.rules, self.buckets = rules, buckets

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        bucket, pieces = element
        rows, rejections, num_blank = unpack(pieces, GROUPED)
        items, rejected = complete_groups(
            rows,
            self.rules.file_names,
            share_pictures=self.rules.group_rows == SHARE_PICTURES,
            max_pictures=self.rules.limits.max_pictures,
        )
        yield from self.buckets.pieces(items, rejections + rejected)
        if num_blank:
            yield bucket, pack_blank(num_blank)
