"""Engagement files to rows that can train a model, by bucket of their item.

    slices -> {rows: (bucket, IPC bytes of SESSION_ROWS), spans: TimeSpan of those rows}

A slice is a unit of the stage "pairs" that only counts; it is read again on a rerun.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from model.split.split import TimeSpan
from pipelines.console.progress import Progress
from pipelines.log.training_rows import SESSION_ROWS, query_rows
from pipelines.run.bucket_rows import pack
from pipelines.run.counted import CountedDoFn
from pipelines.run.units import Unit, UnitWriter
from schemas.columns.raw_rows import FileSlice
from schemas.columns.spec import ColumnsOfTable
from schemas.hashing import bucket_of
from schemas.reading.rows import read_slice
from schemas.tables import ENGAGEMENTS
from schemas.validation.log import validate_engagements

#: Rows that are bucketed together: bounds the memory of a worker that reads a large slice.
MAX_ROWS_AT_ONCE = 500_000


@dataclass(frozen=True, kw_only=True)
class EngagementsSource:
    """What reading depends on. columns: our name -> the shop's; end_us: rows at or after it (microseconds since 1970,
    UTC) are left out, None: none are."""

    run: str
    columns: ColumnsOfTable
    end_us: int | None
    num_buckets: int
    fingerprint: str


def slice_unit(file_slice: FileSlice, fingerprint: str, stage: str = "pairs") -> Unit:
    """The unit that counts what was read from a slice."""
    return Unit(stage, f"read-{file_slice.file_number:05d}-{file_slice.part:05d}", fingerprint)


def by_bucket(rows: pa.Table, num_buckets: int, key: str = "item_id") -> Iterator[tuple[int, pa.Table]]:
    """(bucket of the key, its rows), buckets rising."""
    items = rows.column(key).combine_chunks().dictionary_encode()
    bucket_of_item = np.array([bucket_of(item, num_buckets) for item in items.dictionary.to_pylist()], np.int64)
    if len(bucket_of_item) == 0:
        return
    buckets = bucket_of_item[items.indices.to_numpy()]
    order = np.argsort(buckets, kind="stable")
    grouped = rows.take(pa.array(order))
    present, starts = np.unique(buckets[order], return_index=True)
    for bucket, start, end in zip(present.tolist(), starts, [*starts[1:], len(order)], strict=True):
        yield bucket, grouped.slice(start, end - start)


def read_and_seal(
    file_slice: FileSlice,
    columns: ColumnsOfTable,
    writer: UnitWriter,
    progress: Progress,
    select: Callable[[pa.Table], tuple[pa.Table, Counter[str]]],
    rows_at_once: int = 1,
) -> Iterator[pa.Table]:
    """What `select` takes of a slice's valid ENGAGEMENTS, batch by batch. Counts, and seals the slice's unit at the
    end; the rejected rows are in the quarantine of the log stage. rows_at_once: batches wait until they have as many;
    a `select` that looks items up in the whole catalogue wants many."""
    waiting: list[pa.Table] = []

    def selected() -> pa.Table:
        rows, counts = select(pa.concat_tables(waiting))
        writer.counts.update(counts)
        waiting.clear()
        return rows

    for raw in read_slice(file_slice, columns, ENGAGEMENTS):
        valid, rejected, read = validate_engagements(raw, file_slice)
        writer.counts.update(rows_read=read["rows_read"], rows_quarantined=len(rejected))
        progress.advance(read["rows_read"])
        waiting.append(valid)
        if sum(map(len, waiting)) >= rows_at_once:
            yield selected()
    if waiting:
        yield selected()
    writer.seal()


class _ReadSlice(CountedDoFn):
    def __init__(self, source: EngagementsSource, total: int | None):
        self.source, self.total = source, total

    def process(self, file_slice: FileSlice) -> Iterable[Any]:
        writer = UnitWriter(self.source.run, slice_unit(file_slice, self.source.fingerprint))
        progress = Progress.shared("pairs", "engagements", self.total)
        waiting: list[pa.Table] = []
        span = TimeSpan()
        read = partial(query_rows, end_us=self.source.end_us, schema=SESSION_ROWS)
        for rows in read_and_seal(file_slice, self.source.columns, writer, progress, read):
            span += TimeSpan.of(rows.column("timestamp"))
            waiting.append(rows)
            if sum(map(len, waiting)) >= MAX_ROWS_AT_ONCE:
                yield from self._flush(waiting)
                waiting = []
        yield from self._flush(waiting)
        yield beam.pvalue.TaggedOutput("spans", span)

    def _flush(self, tables: list[pa.Table]) -> Iterator[tuple[int, bytes]]:
        if tables:
            for bucket, rows in by_bucket(pa.concat_tables(tables), self.source.num_buckets):
                yield bucket, pack(rows)


class ReadEngagements(beam.PTransform):
    """Slices in; `rows` (bucket, IPC bytes of SESSION_ROWS) and `spans` (TimeSpan) out, as a tuple with these names."""

    def __init__(self, source: EngagementsSource, total: int | None = None):
        super().__init__(label="Read engagements")
        self.source, self.total = source, total

    def expand(self, slices: beam.PCollection[FileSlice]) -> Any:
        return (
            slices
            | "Spread" >> beam.Reshuffle()
            | "Read slice" >> beam.ParDo(_ReadSlice(self.source, self.total)).with_outputs("spans", main="rows")
        )
