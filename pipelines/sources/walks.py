"""Random walks over the graph of co-engagement, by bucket of the item where they start.

    co_engagements -> the adjacency of all items, once a process
    start items of a bucket + adjacency -> walks/bucket-*.parquet      WALKS

A walk depends on seed and start item alone (model.sources.walks), so equal bytes come out of any runner, any number of
workers and any rerun. Each process holds the whole adjacency: 16 bytes an edge; while it is read twice that, and the
tables of a bucket, some 300 bytes an edge of it: 0.8 GB for 92,000 items of 200 edges each in 31 buckets. Beyond
MAX_EDGES (3.2 GB and a bucket) nothing is walked: ten million items of 200 edges would take 64 GB a process.

Counts: items_read = items_rare (fewer than min_count occurrences) + items_without_edges + items_walked; walks_written,
and steps_written, the items that they came by, starts among them.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.options.pipeline_options import PipelineOptions

from model.machine.columns import gather_ragged, offsets_of
from model.machine.library_versions import versions_of
from model.sources.walks import ENDED, Adjacency, WalksConfig, adjacency_of, walk
from pipelines.console.jobs import flag
from pipelines.console.progress import Progress
from pipelines.run.process_units import UnitStage
from pipelines.run.shared import Shared
from pipelines.run.stage import Stage
from pipelines.run.units import Unit, UnitWriter
from pipelines.sources import co_engagements
from pipelines.sources.log_rows import write_bucket_table
from pipelines.sources.run_tables import RunTable, counts_of, read_table, run_table
from schemas.errors import ThresholdError
from schemas.hashing import fingerprint
from schemas.records.clickstream import CO_ENGAGEMENTS, EVIDENCE, WALKS
from schemas.records.manifests import StageManifest

STAGE = "walks"
CODE_VERSION = 1
#: Edges of a graph that a process holds.
MAX_EDGES = 100_000_000


@dataclass(frozen=True, kw_only=True)
class WalkStageConfig:
    """Walks over a run's graph of co-engagement."""

    run: str = flag(path=True, help="run folder with a finished graph")
    min_count: int = flag(default=5, help="occurrences of an item that is walked over")
    seed: int = flag(default=0, help="same seed, same walks")

    @property
    def walks(self) -> WalksConfig:
        return WalksConfig(seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class GraphSource:
    """The graph on disk, file k of edges and of items of the same bucket. Small: it travels to the workers."""

    edges: RunTable
    items: RunTable
    min_count: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """item_ids: of all items that may be walked over, ascending; adjacency: of their places there."""

    item_ids: pa.Array
    adjacency: Adjacency


def graph_of(source: GraphSource) -> Graph:
    """The graph between items of min_count occurrences, read bucket by bucket."""
    frequent = [frequent_items(read_table(path, EVIDENCE), source.min_count) for path in source.items.paths]
    item_ids = pa.concat_arrays([pa.array([], pa.string()), *frequent])
    item_ids = item_ids.take(pc.sort_indices(item_ids))
    parts = [_between(read_table(path, CO_ENGAGEMENTS), item_ids) for path in source.edges.paths]
    return Graph(item_ids=item_ids, adjacency=merged([adjacency_of(edges, item_ids) for edges in parts]))


def frequent_items(items: pa.Table, min_count: int) -> pa.Array:
    """The ids of EVIDENCE that are there often enough, in its order."""
    return items.filter(pc.greater_equal(items["count"], min_count))["item_id"].combine_chunks()


def _between(edges: pa.Table, item_ids: pa.Array) -> pa.Table:
    """The edges from one of the items to another of them."""
    is_known = [pc.is_in(edges[name], value_set=item_ids) for name in ("item_id", "neighbour_id")]
    return edges.filter(pc.and_(*is_known))


def merged(parts: Sequence[Adjacency]) -> Adjacency:
    """The adjacency of all items of several that have none in common."""
    degrees = [np.diff(part.offsets) for part in parts]
    items_N, degree_N = np.concatenate([part.items_N for part in parts]), np.concatenate(degrees)
    offsets, order = offsets_of(degree_N), np.argsort(items_N)
    neighbours_E, new_offsets = gather_ragged(np.concatenate([p.neighbours_E for p in parts]), offsets, order)
    cumulative_E, _ = gather_ragged(np.concatenate([p.cumulative_E for p in parts]), offsets, order)
    return Adjacency(items_N[order], new_offsets, neighbours_E, cumulative_E)


_GRAPHS: Shared[GraphSource, Graph] = Shared(graph_of)


def walks_from(start_ids: pa.Array, graph: Graph, config: WalksConfig) -> pa.Table:
    """WALKS from some items of the graph that have edges, ascending."""
    codes = pc.index_in(start_ids, value_set=graph.item_ids).to_numpy(zero_copy_only=False).astype(np.int64)
    walks_WL = walk(start_ids.to_pylist(), codes, graph.adjacency, config)
    is_step_WL = walks_WL != ENDED
    offsets = pa.array(offsets_of(is_step_WL.sum(axis=1)), pa.int32())
    steps = graph.item_ids.take(pa.array(walks_WL[is_step_WL]))
    lists = pa.ListArray.from_arrays(offsets, steps, type=WALKS.field("item_ids").type)
    starts = graph.item_ids.take(pa.array(walks_WL[:, 0]))
    number_W = np.tile(np.arange(config.walks_an_item, dtype=np.int32), len(start_ids))
    return pa.table([starts, pa.array(number_W), lists], schema=WALKS)


@dataclass(frozen=True)
class _Walker(UnitStage):
    """items: unit -> the file of the items of its bucket."""

    source: GraphSource
    config: WalksConfig
    items: Mapping[str, str]
    stage = STAGE
    progress_unit = "items"

    def compute(self, unit: Unit, writer: UnitWriter, progress: Progress) -> None:
        graph = _GRAPHS.get(self.source)
        items = read_table(self.items[unit.name], EVIDENCE)
        frequent = frequent_items(items, self.source.min_count)
        with_edges = graph.item_ids.take(pa.array(graph.adjacency.items_N))
        starts = frequent.filter(pc.is_in(frequent, value_set=with_edges))
        table = walks_from(starts, graph, self.config)
        write_bucket_table(writer, STAGE, table)
        writer.counts.update(
            items_read=len(items),
            items_rare=len(items) - len(frequent),
            items_without_edges=len(frequent) - len(starts),
            items_walked=len(starts),
            walks_written=len(table),
            steps_written=pc.sum(pc.list_value_length(table["item_ids"])).as_py() or 0,
        )
        progress.advance(len(items))


class Walks(Stage[WalkStageConfig]):
    """A unit a bucket of start items."""

    name = STAGE
    config_class = WalkStageConfig
    code_versions = (CODE_VERSION,)
    makes = "walks_written"

    @functools.cached_property
    def source(self) -> GraphSource:
        edges, items = (run_table(self.run, folder) for folder in (co_engagements.EDGES, co_engagements.ITEMS))
        return GraphSource(edges=edges, items=items, min_count=self.config.min_count)

    def prepare(self, options: PipelineOptions) -> None:
        """Raises ThresholdError for a graph that is larger than a process is to hold, or has no edge."""
        num_edges = StageManifest.read(self.run, co_engagements.STAGE).count("edges_written")
        if not 0 < num_edges <= MAX_EDGES:
            raise ThresholdError(
                f"expected from 1 to {MAX_EDGES:,} edges of items that are engaged with together, got {num_edges:,} "
                f"in {self.run}: give sessions with several items, or a shorter log"
            )

    @functools.cached_property
    def units(self) -> list[Unit]:
        made_of = [self.code_versions, versions_of("numpy"), asdict(self.config.walks), self.source.min_count]
        identity = fingerprint([*made_of, self.source.edges.sha256, self.source.items.sha256])
        return [Unit(STAGE, name, identity) for name in self._items]

    @property
    def worker(self) -> _Walker:
        return _Walker(self.source, self.config.walks, self._items)

    @property
    def _items(self) -> dict[str, str]:
        names = (name.rpartition("/")[2].removesuffix(".parquet") for name in self.source.items.names)
        return dict(zip(names, self.source.items.paths, strict=True))

    def facts(self) -> dict[str, Any]:
        """Raises ThresholdError if there was nothing to walk over."""
        counts, least = counts_of(self.run, self.units), self.config.min_count
        if not counts["walks_written"]:
            raise ThresholdError(
                f"expected items of at least {least} occurrences that are engaged with together, got none of "
                f"{counts['items_read']:,} in {self.run}: lower --min-count or use a longer log"
            )
        return {"walks": asdict(self.config.walks), "min_count": self.config.min_count}
