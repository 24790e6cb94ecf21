"""The graph of items that are engaged with together, as a table of its own.

    sequences of a bucket -> edges, how often each item is there -> (bucket of the item, pieces)
                          -> sums -> the heaviest edges of each item -> co_engagements/edges, co_engagements/items

Edges weigh whole numbers, so pieces are summed in any order with equal bytes. Counts: edges_counted (of an item to
another, both ways) = edges_written + edges_too_light + edges_over_the_cap; items_written are those of sequences, and
tokens_read the places where they stand.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from model.sources.item_graph import ItemGraphConfig, cap_degrees, count_edges, sum_edges
from pipelines.console.jobs import flag
from pipelines.console.progress import Progress
from pipelines.log.read_engagements import by_bucket
from pipelines.run.bucket_rows import pack, unpack_table
from pipelines.run.counted import CountedDoFn
from pipelines.run.stage import Stage
from pipelines.run.units import Unit, UnitWriter, bucket_name, sealed_unit
from pipelines.sources.log_rows import write_bucket_table
from pipelines.sources.run_tables import RunTable, num_buckets_of, read_table, run_table
from schemas.hashing import fingerprint
from schemas.records.clickstream import CO_ENGAGEMENTS, EVIDENCE, SEQUENCES

STAGE = "co_engagements"
EDGES, ITEMS = f"{STAGE}/edges", f"{STAGE}/items"
CODE_VERSION = 1

#: (IPC bytes of CO_ENGAGEMENTS, of EVIDENCE): what some sequences know of the items of a bucket.
Piece = tuple[bytes, bytes]


@dataclass(frozen=True, kw_only=True)
class CoEngagementsConfig:
    """Counts which items of a run's sequences are engaged with together."""

    run: str = flag(path=True, help="run folder with finished sequences")
    seed: int = flag(default=0, help="of the order of items of equal time")

    @property
    def graph(self) -> ItemGraphConfig:
        return ItemGraphConfig(seed=self.seed)


class CoEngagements(Stage[CoEngagementsConfig]):
    """A unit a bucket of items."""

    name = STAGE
    config_class = CoEngagementsConfig
    code_versions = (CODE_VERSION,)
    makes = "edges_written"

    @functools.cached_property
    def sequences(self) -> RunTable:
        return run_table(self.run, "sequences")

    @functools.cached_property
    def units(self) -> list[Unit]:
        number = num_buckets_of(self.run)
        made_of = fingerprint([self.code_versions, asdict(self.config.graph), self.sequences.sha256, number])
        return [Unit(STAGE, bucket_name(bucket, number), made_of) for bucket in range(number)]

    @functools.cached_property
    def todo(self) -> Sequence[Unit]:
        return self.unfinished

    def define(self, root: beam.Pipeline) -> beam.PCollection[dict[str, Any]]:
        todo = frozenset(self.todo)
        wanted = frozenset(bucket for bucket, unit in enumerate(self.units) if unit in todo)
        count = _CountEdges(self.config.graph, len(self.units), wanted, len(self.sequences.paths))
        pieces = (
            root
            | "Sequences" >> beam.Create(self.sequences.paths if todo else [])
            | "Spread" >> beam.Reshuffle()
            | "Count edges" >> beam.ParDo(count)
        )
        every = root | "Every bucket" >> beam.Create([(bucket, (b"", b"")) for bucket in sorted(wanted)])
        return (
            (pieces, every)
            | "Pieces and buckets" >> beam.Flatten()
            | "Group by bucket" >> beam.GroupByKey()
            | "Write bucket" >> beam.ParDo(_WriteBucket(self.run, self.units, self.config.graph))
        )

    def facts(self) -> dict[str, Any]:
        return {"graph": asdict(self.config.graph)}


def occurrences_of(sequences: pa.Table) -> pa.Table:
    """EVIDENCE of SEQUENCES: in how many of them an item is (an item is in a session once)."""
    counted = pc.value_counts(pc.list_flatten(sequences.column("item_ids").combine_chunks()))
    table = pa.table([counted.field("values"), counted.field("counts")], schema=EVIDENCE)
    return table.sort_by("item_id")


def sum_occurrences(*tables: pa.Table) -> pa.Table:
    """EVIDENCE of several parts as one."""
    whole = pa.concat_tables([EVIDENCE.empty_table(), *tables])
    summed = whole.group_by("item_id", use_threads=False).aggregate([("count", "sum")])
    return pa.table([summed["item_id"], summed["count_sum"]], schema=EVIDENCE).sort_by("item_id")


class _CountEdges(CountedDoFn):
    def __init__(self, config: ItemGraphConfig, num_buckets: int, wanted: frozenset[int], total: int):
        self.config, self.num_buckets, self.wanted, self.total = config, num_buckets, wanted, total

    def process(self, path: str) -> Iterator[tuple[int, Piece]]:
        sequences = read_table(path, SEQUENCES)
        for bucket, edges in by_bucket(count_edges(sequences, self.config), self.num_buckets):
            if bucket in self.wanted:
                yield bucket, (pack(edges), b"")
        for bucket, items in by_bucket(occurrences_of(sequences), self.num_buckets):
            if bucket in self.wanted:
                yield bucket, (b"", pack(items))
        Progress.shared(STAGE, "files", self.total).advance()


class _WriteBucket(CountedDoFn):
    def __init__(self, run: str, units: Sequence[Unit], config: ItemGraphConfig):
        self.run, self.units, self.config = run, list(units), config

    def process(self, element: tuple[int, Iterable[Piece]]) -> Iterator[dict[str, Any]]:
        bucket, pieces = element
        yield sealed_unit(self.run, self.units[bucket], lambda writer: self._write(writer, pieces))

    def _write(self, writer: UnitWriter, pieces: Iterable[Piece]) -> dict[str, Any]:
        packed_edges, packed_items = zip(*pieces, strict=True)
        counted = sum_edges(CO_ENGAGEMENTS.empty_table(), *map(unpack_table, filter(None, packed_edges)))
        items = sum_occurrences(*map(unpack_table, filter(None, packed_items)))
        edges, facts = cap_degrees(counted, self.config)
        write_bucket_table(writer, EDGES, edges)
        write_bucket_table(writer, ITEMS, items)
        writer.counts.update(
            tokens_read=pc.sum(items["count"]).as_py() or 0,
            items_written=len(items),
            edges_counted=len(counted),
            edges_written=facts.pop("edges"),
            **facts,
        )
        return writer.seal()
