"""How often queries, items and pairs occur in the training part: what logQ needs.

C counts engagement rows of the training part (1 for a pseudo-query) over all tasks of a surface, for a query id is the
query on its surface: P(p|q) = C(q, p) / C(q) is how often an item is met behind a query, by whatever action. Pairs of
the other parts carry the training counts too: 0 if they do not occur there.

C(q, p) and C(p) lie within the item's bucket. C(q) does not: it is summed over all buckets, exactly in 16 bytes a
distinct query, or by count-min sketches whose size does not grow with the log.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.training.frequencies import CountMinSketch
from schemas.hashing import seed_of, stable_hash

#: Counters a row of the sketches, 8 bytes each in 4 rows. There are many more pairs than queries or items.
SKETCH_WIDTH = 1 << 18
PAIR_SKETCH_WIDTH = 1 << 20


@dataclass(frozen=True, eq=False)
class PairFrequencies:
    """Training counts, one for each pair of a table: C(q, p), C(q) and C(p), float64 [P]."""

    query_item_P: np.ndarray
    query_P: np.ndarray
    item_P: np.ndarray


class Frequencies(Protocol):
    """Training counts of the whole log. A monoid: one made of each bucket, then merged."""

    def merge(self, others: Iterable["Frequencies"]) -> "Frequencies":
        """The counts of all."""

    def of(self, pairs: pa.Table) -> PairFrequencies:
        """The counts of a bucket's PAIRS, which hold all pairs of their items."""


@dataclass(frozen=True, eq=False)
class ExactFrequencies:
    """ids_Q int64, rising, and counts_Q float64: C(q) of each query of the training part."""

    ids_Q: np.ndarray
    counts_Q: np.ndarray

    @classmethod
    def of_bucket(cls, pairs: pa.Table) -> "ExactFrequencies":
        """Counts of a bucket's PAIRS."""
        ids = pairs.column("query_id").to_numpy()
        return cls(np.zeros(0, np.int64), np.zeros(0)).merge([cls(ids, training_counts(pairs))])

    def merge(self, others: Iterable["ExactFrequencies"]) -> "ExactFrequencies":
        everything = [self, *others]
        ids = np.concatenate([part.ids_Q for part in everything])
        counts = np.concatenate([part.counts_Q for part in everything])
        ids_Q, inverse = np.unique(ids, return_inverse=True)
        return ExactFrequencies(ids_Q, np.bincount(inverse, counts, len(ids_Q)))

    def of(self, pairs: pa.Table) -> PairFrequencies:
        ids, counts = pairs.column("query_id").to_numpy(), training_counts(pairs)
        if len(ids) == 0:
            return PairFrequencies(counts, counts, counts)
        place = np.minimum(np.searchsorted(self.ids_Q, ids), len(self.ids_Q) - 1)
        query_P = np.where(self.ids_Q[place] == ids, self.counts_Q[place], 0.0)
        item = pairs.column("item_id").combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
        query = np.unique(ids, return_inverse=True)[1].reshape(-1)
        pair = np.unique(query * (item.max() + 1) + item, return_inverse=True)[1].reshape(-1)
        return PairFrequencies(np.bincount(pair, counts)[pair], query_P, np.bincount(item, counts)[item])


@dataclass(frozen=True, eq=False)
class SketchedFrequencies:
    """Three sketches, of C(q, p), C(q) and C(p); each estimate is at least the exact count."""

    query_items: CountMinSketch
    queries: CountMinSketch
    items: CountMinSketch

    @classmethod
    def of_bucket(cls, pairs: pa.Table, seed: int) -> "SketchedFrequencies":
        """Counts of a bucket's PAIRS."""
        widths = {"query_item": PAIR_SKETCH_WIDTH, "query": SKETCH_WIDTH, "item": SKETCH_WIDTH}
        sketches = [CountMinSketch(width=w, seed=seed_of("frequencies", seed, name)) for name, w in widths.items()]
        counts = training_counts(pairs)
        in_training = np.flatnonzero(counts)
        for sketch, keys in zip(sketches, _keys(pairs), strict=True):
            sketch.add(keys[in_training], counts[in_training])
        return cls(*sketches)

    def merge(self, others: Iterable["SketchedFrequencies"]) -> "SketchedFrequencies":
        merged = self
        for other in others:
            merged = SketchedFrequencies(
                merged.query_items.merge(other.query_items),
                merged.queries.merge(other.queries),
                merged.items.merge(other.items),
            )
        return merged

    def of(self, pairs: pa.Table) -> PairFrequencies:
        sketches = (self.query_items, self.queries, self.items)
        query_item_P, query_P, item_P = (
            sketch.count(keys) for sketch, keys in zip(sketches, _keys(pairs), strict=True)
        )
        return PairFrequencies(np.minimum(query_item_P, query_P), query_P, item_P)  # C(q, p) <= C(q) <= its estimate


def training_counts(pairs: pa.Table) -> np.ndarray:
    """float64 [P]: the count of training pairs, 0 for the others."""
    is_training = pc.equal(pairs.column("part"), "train").to_numpy()
    return np.where(is_training, pairs.column("count").to_numpy(), 0).astype(np.float64)


def _keys(pairs: pa.Table) -> list[np.ndarray]:
    """Keys of (query, item), query and item, uint64 [P] each."""
    queries = pairs.column("query_id").to_numpy()
    ids = pairs.column("item_id").combine_chunks().dictionary_encode()
    item_hashes = np.array([stable_hash(item) for item in ids.dictionary.to_pylist()], np.uint64)
    items = item_hashes[ids.indices.to_numpy()] if len(queries) else np.zeros(0, np.uint64)
    both = [stable_hash(f"{query}\n{item}") for query, item in zip(queries.tolist(), items.tolist(), strict=True)]
    return [np.array(both, np.uint64), queries.view(np.uint64), items]


class MergeFrequencies(beam.CombineFn):
    """Frequencies of buckets to those of the log."""

    def create_accumulator(self) -> list[Frequencies]:
        return []

    def add_input(self, accumulator: list[Frequencies], frequencies: Frequencies) -> list[Frequencies]:
        return self.compact([*accumulator, frequencies]) if len(accumulator) >= 3 else [*accumulator, frequencies]

    def merge_accumulators(self, accumulators: Iterable[list[Frequencies]]) -> list[Frequencies]:
        return self.compact([part for accumulator in accumulators for part in accumulator])

    def compact(self, accumulator: list[Frequencies]) -> list[Frequencies]:
        return [accumulator[0].merge(accumulator[1:])] if accumulator else []

    def extract_output(self, accumulator: list[Frequencies]) -> Frequencies | None:
        merged = self.compact(accumulator)
        return merged[0] if merged else None
