"""Items to the most frequent tokens, as a Beam combine over partial counts.

    files ──▶ count ──(partition, lz4 TOKENS bytes)──▶ group ──▶ sum, cut ──▶ most frequent of all
              one Counter a group of files,             a partition holds all counts of its tokens,
              flushed when it grows large               so its sums are final and can be cut to the sizes

Integer sums and a total order of tokens: the result does not depend on files, bundles, partitions or runner.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.text.vocabulary import TOKENS, TokenCounts, most_frequent, sum_counts
from pipelines.console.progress import Progress
from pipelines.run.counted import CountedDoFn
from schemas.hashing import stable_hash
from schemas.tables import TEXT_FIELDS

NUM_PARTITIONS = 32
#: A counter is sent on when it holds this many tokens: about 200 MB.
MAX_TOKENS_IN_MEMORY = 1_000_000
#: Rows that the last combine gathers before it cuts them to the sizes again.
_MAX_ROWS_UNCUT = 4_000_000
_ROWS_A_BATCH = 1024


def count_files(
    paths: Iterable[str], max_tokens_in_memory: int = MAX_TOKENS_IN_MEMORY
) -> Iterator[tuple[pa.Table, int]]:
    """Counts the tokens of all text fields of ITEMS files: yields (partial TOKENS table, items counted in it)."""
    counts, num_items = TokenCounts(), 0
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_A_BATCH, columns=list(TEXT_FIELDS)):
                for column in batch.columns:
                    for text in column.to_pylist():
                        counts.add_text(text)
                num_items += batch.num_rows
                if len(counts) >= max_tokens_in_memory:
                    yield counts.table(), num_items
                    counts, num_items = TokenCounts(), 0
    yield counts.table(), num_items


def partition(tokens: pa.Table, num_partitions: int = NUM_PARTITIONS) -> Iterator[tuple[int, pa.Table]]:
    """Splits a TOKENS table by the hash of the token; empty partitions are left out."""
    owner = np.array([stable_hash(token) % num_partitions for token in tokens["token"].to_pylist()], np.int64)
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(num_partitions + 1))
    ordered = tokens.take(pa.array(order))
    for number in range(num_partitions):
        if bounds[number] < bounds[number + 1]:
            yield number, ordered.slice(bounds[number], bounds[number + 1] - bounds[number])


class CountTokens(beam.PTransform):
    """Groups of paths of ITEMS files in; one element out: (TOKENS table of the most frequent tokens, kinds in order,
    each by rank; number of items)."""

    def __init__(self, sizes: Mapping[str, int], min_count: int, num_items: int | None = None):
        super().__init__(label="Count tokens")
        self.sizes, self.min_count, self.num_items = dict(sizes), min_count, num_items

    def expand(self, groups: beam.PCollection[tuple[str, ...]]) -> beam.PCollection[tuple[pa.Table, int]]:
        sizes, min_count = self.sizes, self.min_count
        partial = (
            groups
            | "Spread" >> beam.Reshuffle()
            | "Count files" >> beam.ParDo(_CountFiles(self.num_items)).with_outputs("num_items", main="partial")
        )
        num_items = partial.num_items | "Sum items" >> beam.CombineGlobally(sum)
        return (
            partial.partial
            | "Group partitions" >> beam.GroupByKey()
            | "Sum and cut" >> beam.Map(lambda group: _to_bytes(sum_and_cut(group[1], sizes, min_count)))
            | "Most frequent" >> beam.CombineGlobally(MostFrequent(sizes))
            | "With items" >> beam.Map(lambda tokens, number: (tokens, number), beam.pvalue.AsSingleton(num_items))
        )


def sum_and_cut(partials: Iterable[bytes], sizes: Mapping[str, int], min_count: int) -> pa.Table:
    """The most frequent tokens of one partition from all its partial counts."""
    return most_frequent(sum_counts(_from_bytes(partial) for partial in partials), sizes, min_count)


class MostFrequent(beam.CombineFn):
    """Tables with disjoint tokens (as IPC bytes) to the most frequent tokens of all (a TOKENS table)."""

    def __init__(self, sizes: Mapping[str, int]):
        super().__init__()
        self.sizes = dict(sizes)

    def create_accumulator(self) -> list[pa.Table]:
        return []

    def add_input(self, accumulator: list[pa.Table], element: bytes) -> list[pa.Table]:
        return self._bounded([*accumulator, _from_bytes(element)])

    def merge_accumulators(self, accumulators: Iterable[list[pa.Table]]) -> list[pa.Table]:
        merged: list[pa.Table] = []
        for accumulator in accumulators:
            merged = self._bounded(merged + accumulator)
        return merged

    def extract_output(self, accumulator: list[pa.Table]) -> pa.Table:
        return most_frequent(pa.concat_tables([TOKENS.empty_table(), *accumulator]), self.sizes)

    def _bounded(self, accumulator: list[pa.Table]) -> list[pa.Table]:
        if len(accumulator) < 2 or sum(table.num_rows for table in accumulator) < _MAX_ROWS_UNCUT:
            return accumulator
        return [self.extract_output(accumulator)]


class _CountFiles(CountedDoFn):
    def __init__(self, num_items: int | None):
        self.num_items = num_items

    def process(self, paths: Sequence[str]) -> Iterable[tuple[int, bytes]]:
        for counted, num_items in count_files(paths):
            Progress.shared("vocabulary", "items", self.num_items).advance(num_items)
            counted_items: Any = beam.pvalue.TaggedOutput("num_items", num_items)  # of another type than the rest
            yield counted_items
            for number, part in partition(counted):
                yield number, _to_bytes(part)


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, TOKENS, options=pa.ipc.IpcWriteOptions(compression="lz4")) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def _from_bytes(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()
