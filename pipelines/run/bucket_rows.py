"""The shuffle of the catalogue: slices of input files in, the validated rows of each bucket out.

Rows travel as slices of Arrow batches (LZ4-compressed IPC bytes), rejections and counts likewise: each goes to exactly
one bucket, so the unit that writes the bucket writes each of them once on any runner, however often a worker is
retried.

A catalogue whose mapping names a group is shuffled twice: by group, whose rows complete each other, then by item.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipelines.console.progress import Progress
from pipelines.run.counted import CountedDoFn
from schemas.coercion.whole_ids import POINTS
from schemas.columns.mapping import catalogue_schema
from schemas.columns.raw_rows import NONE_OF_TEXT, FileSlice
from schemas.columns.spec import ColumnsOfTable
from schemas.hashing import bucket_of
from schemas.pictures.stored import keep_picture
from schemas.quarantine import Rejection, unsorted_rejections
from schemas.reading.rows import read_slice
from schemas.tables import REJECTIONS
from schemas.validation.catalogue import VALIDATED_CATALOGUE, validate_catalogue, validated_schema
from schemas.validation.grouping import MERGED, SHARE_PICTURES, complete_groups
from schemas.validation.left_out_rows import ROWS_LEFT_OUT, without_left_out
from schemas.validation.rules import Limits

#: A worker holds about this much of validated rows before it cuts them into buckets: large enough that the pieces are
#: not mostly headers, small enough for any worker.
FLUSH_BYTES = 64 << 20
#: Rows of which there is nothing but their number: what they are counted as.
_COUNTED = pa.schema([pa.field("counted_as", pa.string(), nullable=False), pa.field("number", pa.int64())])
_CODEC = pa.ipc.IpcWriteOptions(compression="lz4")


def pack(table: pa.Table) -> bytes:
    """A table as LZ4-compressed Arrow IPC bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_CODEC) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def unpack_table(payload: bytes) -> pa.Table:
    """Inverse of pack."""
    with pa.ipc.open_stream(payload) as reader:
        return reader.read_all()


def unpack(packed: Iterable[bytes], schema: pa.Schema = VALIDATED_CATALOGUE) -> tuple[pa.Table, pa.Table, Counter[str]]:
    """(rows of that schema, REJECTIONS in any order, counts of rows of which there is nothing else: NONE_OF_TEXT,
    ROWS_LEFT_OUT) of a bucket from its pieces, in their order; an empty piece holds nothing."""
    tables = [unpack_table(piece) for piece in packed if piece]
    rows = [table for table in tables if table.schema.names == schema.names]
    rejected = [table for table in tables if table.schema.names == REJECTIONS.names]
    counted = [table for table in tables if table.schema.names == _COUNTED.names]
    assert len(rows) + len(rejected) + len(counted) == len(tables), "a piece is neither rows nor rejections"
    counts = Counter[str]()
    for table in counted:
        counts.update(dict(zip(*(table[name].to_pylist() for name in _COUNTED.names), strict=True)))
    return (
        pa.concat_tables([schema.empty_table(), *rows]),
        pa.concat_tables([REJECTIONS.empty_table(), *rejected]),
        counts,
    )


def pack_counts(counts: Mapping[str, int]) -> bytes:
    """A piece for `unpack` of rows of which there is nothing but their number."""
    return pack(pa.table([list(counts), list(counts.values())], schema=_COUNTED))


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

    def pieces(self, rows: pa.Table, rejected: pa.Table, key: str = "item_id") -> Iterator[tuple[int, bytes]]:
        """(bucket, piece for `unpack`) of what goes to a wanted bucket: rows by their key, one of REJECTIONS by its
        place, for its id may be null. All buckets are wanted of a group, whose items may be in any."""
        wanted = self.wanted if key == "item_id" else range(self.number)
        for bucket, part in split_by_bucket(rows, rows[key].to_pylist(), self.number):
            if bucket in wanted:
                yield bucket, pack(part)
        for bucket, part in split_by_bucket(rejected, rejected["where"].to_pylist(), self.number):
            if bucket in self.wanted:
                yield bucket, pack(part)

    def piece_of_counts(self, counts: Mapping[str, int], bucket: int) -> Iterator[tuple[int, bytes]]:
        """(bucket, piece for `unpack`) of rows of which there is nothing but their number, if there are any and the
        bucket is wanted."""
        counts = {name: number for name, number in sorted(counts.items()) if number}
        if counts and bucket in self.wanted:
            yield bucket, pack_counts(counts)


@dataclass(frozen=True, kw_only=True)
class RowRules:
    """How the rows of a catalogue are read, and what becomes of those that belong together.

    columns: the mapping. group_rows: one of schemas.validation.grouping.GROUP_ROWS. file_names: what `where` calls file
    k. run: where pictures go that are in the table."""

    run: str
    columns: ColumnsOfTable
    group_rows: str
    limits: Limits
    file_names: Sequence[str]

    @property
    def is_grouped(self) -> bool:
        """Whether a column says which rows belong together; else their ids do."""
        return "group" in catalogue_schema(self.columns).names

    @property
    def validated_schema(self) -> pa.Schema:
        """Of the rows as they are read."""
        return validated_schema(catalogue_schema(self.columns))

    @property
    def row_schema(self) -> pa.Schema:
        """Of what comes out of BucketRows."""
        return MERGED if self.is_grouped else self.validated_schema


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


class _ReadSlice(CountedDoFn):
    def __init__(self, rules: RowRules, buckets: Buckets, num_rows: int):
        self.rules, self.buckets, self.num_rows = rules, buckets, num_rows
        self.key = "group" if rules.is_grouped else "item_id"

    def process(self, file_slice: FileSlice) -> Iterator[tuple[int, bytes]]:
        progress = Progress.shared("items", "rows", self.num_rows)
        tables: list[pa.Table] = []
        rejections: list[Rejection] = []
        others = Counter[str]()
        for raw in read_slice(file_slice, self.rules.columns, catalogue_schema(self.rules.columns)):
            keep = partial(keep_picture, run=self.rules.run)
            good, rejected, counts = validate_catalogue(raw, file_slice, self.rules.limits, keep)
            tables.append(good)
            rejections += rejected
            others.update({name: raw.no_rows[name] for name in NONE_OF_TEXT if name in raw.no_rows})
            others[ROWS_LEFT_OUT] += counts[ROWS_LEFT_OUT]
            others.update({name: count for name, count in counts.items() if name.startswith(POINTS)})
            progress.advance(counts["rows_read"])
            if sum(table.nbytes for table in tables) + len(rejections) * 1_000 >= FLUSH_BYTES:
                yield from self.buckets.pieces(pa.concat_tables(tables), unsorted_rejections(rejections), self.key)
                tables, rejections = [], []
        if tables:
            yield from self.buckets.pieces(pa.concat_tables(tables), unsorted_rejections(rejections), self.key)
        place = bucket_of(file_slice.where(file_slice.first_row), self.buckets.number)
        yield from self.buckets.piece_of_counts(others, place)


class _CompleteGroups(CountedDoFn):
    """The pieces of whole groups in, those of their items out."""

    def __init__(self, rules: RowRules, buckets: Buckets):
        self.rules, self.buckets = rules, buckets

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        bucket, pieces = element
        rows, rejections, counts = unpack(pieces, self.rules.validated_schema)
        rows, num_left_out = without_left_out(rows, self.rules.group_rows)
        counts[ROWS_LEFT_OUT] += num_left_out
        items, rejected = complete_groups(
            rows,
            self.rules.file_names,
            share_pictures=self.rules.group_rows == SHARE_PICTURES,
            max_pictures=self.rules.limits.max_pictures,
        )
        yield from self.buckets.pieces(items, pa.concat_tables([rejections, unsorted_rejections(rejected)]))
        yield from self.buckets.piece_of_counts(counts, bucket)
