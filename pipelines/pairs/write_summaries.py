"""What is known once all buckets are done: the split that was fitted, and how often each item trains."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from model.split.item_cutoffs import ITEM_CUTOFFS
from model.split.split import Split
from pipelines.pairs.join_pairs import ITEM_COUNTS
from pipelines.run.bucket_rows import unpack_table
from pipelines.run.counted import CountedDoFn
from pipelines.run.units import Unit, UnitWriter

#: Names of the units.
SUMMARIES = ("split", "item_counts")


class _WriteSummary(CountedDoFn):
    def __init__(self, run: str):
        self.run = run

    def process(
        self, unit: Unit, split: Split, split_counts: Counter[str], cutoffs: list[bytes], item_counts: list[bytes]
    ) -> Iterable[dict[str, Any]]:
        writer = UnitWriter(self.run, unit)
        if unit.name == "split":
            if split.kind == "item_time":
                split = split.with_table(_sorted_table(cutoffs, ITEM_CUTOFFS))
            writer.counts.update(split_counts)
            split.write_files(lambda name: writer.file(f"pairs/{name}"))
        else:
            table = _sorted_table(item_counts, ITEM_COUNTS)
            with writer.file("pairs/item_counts.parquet") as temporary:
                pq.write_table(table, temporary, compression="zstd")
            writer.counts["items_with_pairs"] = table.num_rows
        yield writer.seal()


def _sorted_table(payloads: list[bytes], schema: pa.Schema) -> pa.Table:
    tables = [schema.empty_table(), *map(unpack_table, payloads)]
    return pa.concat_tables(tables).sort_by("item_id").combine_chunks()


class WriteSummaries(beam.PTransform):
    """The units of SUMMARIES in, their sidecars out: split.json, split.parquet and item_counts.parquet in pairs/.
    split_counts: of how the split was fitted."""

    def __init__(
        self,
        run: str,
        split: beam.PCollection[Split],
        split_counts: beam.PCollection[Counter[str]],
        item_cutoffs: beam.PCollection[bytes],
        item_counts: beam.PCollection[bytes],
    ):
        super().__init__(label="Write summaries")
        self.run = run
        self.singletons, self.lists = (split, split_counts), (item_cutoffs, item_counts)

    def expand(self, units: beam.PCollection[Unit]) -> beam.PCollection[dict[str, Any]]:
        return units | "Write summary" >> beam.ParDo(
            _WriteSummary(self.run),
            *(beam.pvalue.AsSingleton(collection) for collection in self.singletons),
            *(beam.pvalue.AsList(collection) for collection in self.lists),
        )
