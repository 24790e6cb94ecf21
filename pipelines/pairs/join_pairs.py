"""Distinct pairs and their queries' features to training records.

pairs of a bucket --+-- pairs whose query picture is broken are left out
                    +-- frequencies of all buckets (count_frequencies)
                    +-- records, sorted by (task, query_id, item_id), one file a part
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.split.split import PARTS
from model.text.text_encoder import TextEncoder
from model.text.text_encoder_spec import TextEncoderSpec
from model.text.vocabulary import Vocabulary
from pipelines.console.progress import Progress
from pipelines.features.picture_vectors import shared_text_cache
from pipelines.pairs.count_frequencies import (
    ExactFrequencies,
    Frequencies,
    MergeFrequencies,
    PairFrequencies,
    SketchedFrequencies,
)
from pipelines.pairs.distinct_pairs import surface_of
from pipelines.pairs.embed_queries import QueryVectors
from pipelines.pairs.few_pairs import with_validating
from pipelines.run.bucket_rows import pack, unpack_table
from pipelines.run.counted import CountedDoFn
from pipelines.run.opened_models import open_query_table, open_text_encoder, open_vocabulary
from pipelines.run.units import Unit, UnitWriter, bucket_name, finished_sidecar
from schemas.records.tfrecords import Pair, encode_pair, write_records
from schemas.tables import DISTILLATION, PSEUDO_TASK

ITEM_COUNTS = pa.schema(
    [pa.field("item_id", pa.string(), nullable=False), pa.field("count", pa.float64(), nullable=False)]
)
#: Counts pairs of text queries that are in the shop's own table, by part.
IN_TABLE = "pairs_in_query_table"
#: Rows of a bucket that are Python objects at one time.
_CHUNK_ROWS = 10_000
#: Texts whose tokens a worker remembers.
_MAX_REMEMBERED_TEXTS = 100_000

BucketElement = tuple[int, bytes, dict[str, int]]


@dataclass(frozen=True, kw_only=True)
class JoinRules:
    """What the records of a bucket depend on beside its pairs; `fingerprint` identifies all of it."""

    run: str
    num_buckets: int
    vocabulary_folder: str
    text_encoder: TextEncoderSpec | None
    query_table_folder: str | None
    frequencies: str
    seed: int
    fingerprint: str


def drop_queries(pairs: pa.Table, query_ids: np.ndarray) -> tuple[pa.Table, int]:
    """PAIRS without those of the given queries, and how many engagement rows went with them."""
    broken = pc.is_in(pairs.column("query_id"), value_set=pa.array(query_ids, pa.int64()))
    return pairs.filter(pc.invert(broken)), pc.sum(pairs.filter(broken)["count"]).as_py() or 0


def pair_records(
    pairs: pa.Table,
    frequencies: PairFrequencies,
    tokens: Callable[[str], np.ndarray],
    vectors: QueryVectors,
    encode_texts: Callable[[Sequence[str]], np.ndarray],
    look_up: Callable[[Sequence[str]], np.ndarray],
) -> Iterator[Pair]:
    """The records of PAIRS in their order. encode_texts: texts -> float16 [N, text_dim]; look_up: texts -> float16
    [N, query_table_dim], zeros for what is not in the shop's own table."""
    for start in range(0, pairs.num_rows, _CHUNK_ROWS):
        columns = pairs.slice(start, _CHUNK_ROWS).to_pydict()
        texts = sorted(
            {query for task, query in zip(columns["task"], columns["query"], strict=True) if is_search(task)}
        )
        vector_of = dict(zip(texts, encode_texts(texts), strict=True))
        own_of = {text: own_D if own_D.any() else own_D[:0] for text, own_D in zip(texts, look_up(texts), strict=True)}
        counts = zip(
            frequencies.query_item_P[start : start + _CHUNK_ROWS].tolist(),
            frequencies.query_P[start : start + _CHUNK_ROWS].tolist(),
            strict=True,
        )
        names = ("task", "query_id", "query", "item_id", "count")
        for (task, query_id, query, item_id, count), (query_item_count, query_count) in zip(
            zip(*(columns[name] for name in names), strict=True), counts, strict=True
        ):
            feature: dict[str, np.ndarray] = (
                {
                    "query_token_ids": tokens(query),
                    "query_text_vector": vector_of[query],
                    "query_table_vector": own_of[query],
                }
                if is_search(task)
                else {"query_picture": vectors[query_id]}
            )
            yield Pair(
                task=task,
                query_id=query_id,
                item_id=item_id,
                count=count,
                query_item_count=query_item_count,
                query_count=query_count,
                **feature,
            )


def is_search(task: str) -> bool:
    """Whether the task's queries are text."""
    return surface_of(task) == "search"


def item_counts(pairs: pa.Table, frequencies: PairFrequencies) -> pa.Table:
    """ITEM_COUNTS of the items of a bucket that have training pairs, sorted by id."""
    in_training = pc.equal(pairs.column("part"), "train")
    table = pa.table([pairs.column("item_id"), pa.array(frequencies.item_P)], schema=ITEM_COUNTS).filter(in_training)
    distinct = table.group_by("item_id").aggregate([("count", "max")]).rename_columns(ITEM_COUNTS.names)
    return distinct.cast(ITEM_COUNTS).sort_by("item_id")


def encode_once(texts: Sequence[str], encoder: TextEncoder) -> np.ndarray:
    """float16 [N, text_dim] of different texts. A text that any part or bucket of the process has asked for is not
    encoded again, while the cache of its texts holds it: one search leads to many items, of many buckets."""
    cache = shared_text_cache(encoder.spec)
    cached = {text: cache.get(_digest(text)) for text in texts}
    vector_of = {text: vector_D for text, vector_D in cached.items() if vector_D is not None}
    new = [text for text, vector_D in cached.items() if vector_D is None]
    if new:
        for text, vector_D in zip(new, encoder.encode(new).astype(np.float16), strict=True):
            cache.add(_digest(text), vector_D)
            vector_of[text] = vector_D
    return np.stack([vector_of[text] for text in texts]) if texts else np.zeros((0, encoder.dim), np.float16)


def _digest(text: str) -> bytes:
    """sha256 of a query; another than that of the sentences of any item, whose vectors the cache may hold too."""
    return hashlib.sha256(json.dumps(text).encode()).digest()


class _DropBroken(CountedDoFn):
    def __init__(self, rules: JoinRules):
        self.rules = rules

    def process(self, element: BucketElement, broken: list[list[int]], validating: list[int]) -> Iterable[Any]:
        bucket, payload, counts = element
        query_ids = np.array([query_id for unit in broken for query_id in unit], np.int64)
        pairs, num_rows = drop_queries(with_validating(unpack_table(payload), validating), query_ids)
        yield bucket, pack(pairs), counts | {"rows_query_picture_broken": num_rows}
        if self.rules.frequencies == "exact":
            yield beam.pvalue.TaggedOutput("frequencies", ExactFrequencies.of_bucket(pairs))
        else:
            yield beam.pvalue.TaggedOutput("frequencies", SketchedFrequencies.of_bucket(pairs, self.rules.seed))


class _WriteBucket(CountedDoFn):
    def __init__(self, rules: JoinRules):
        self.rules = rules
        self.texts: dict[str, np.ndarray] = {}
        self.vocabulary: Vocabulary | None = None

    def process(self, element: BucketElement, log: Frequencies) -> Iterable[bytes]:
        bucket, payload, counts = element
        pairs = unpack_table(payload)
        frequencies = log.of(pairs)
        unit = Unit("pairs", bucket_name(bucket, self.rules.num_buckets), self.rules.fingerprint)
        if finished_sidecar(self.rules.run, unit) is None:
            writer = UnitWriter(self.rules.run, unit, counts=Counter(counts))
            self._write(writer, pairs, frequencies)
            writer.seal()
        yield pack(item_counts(pairs, frequencies))

    def _write(self, writer: UnitWriter, pairs: pa.Table, frequencies: PairFrequencies) -> None:
        vectors = QueryVectors(self.rules.run, self.rules.num_buckets)
        part_P = pairs.column("part").combine_chunks()
        for part in (*PARTS, DISTILLATION):
            rows = np.flatnonzero(pc.equal(part_P, part).to_numpy(zero_copy_only=False))
            if len(rows) == 0:
                continue
            chosen = pairs.take(pa.array(rows))
            counted = PairFrequencies(
                frequencies.query_item_P[rows], frequencies.query_P[rows], frequencies.item_P[rows]
            )
            with writer.file(f"pairs/{part}/{writer.unit.name}.tfrecord") as temporary:
                look_ups = (_none, _none) if part == DISTILLATION else (self._text_vectors, self._table_vectors)
                made = pair_records(chosen, counted, self._tokens, vectors, *look_ups)
                write_records(temporary, map(encode_pair, _counted(made, part, writer.counts)))
            _count(writer.counts, part, chosen)
            Progress.shared("pairs: write", "pairs").advance(len(rows))

    def _tokens(self, text: str) -> np.ndarray:
        found = self.texts.get(text)
        if found is None:
            if self.vocabulary is None:
                self.vocabulary = open_vocabulary(self.rules.vocabulary_folder)
            if len(self.texts) >= _MAX_REMEMBERED_TEXTS:
                self.texts.clear()
            found = self.texts[text] = self.vocabulary.encode(text)
        return found

    def _text_vectors(self, texts: Sequence[str]) -> np.ndarray:
        if self.rules.text_encoder is None:
            return _none(texts)
        return encode_once(texts, open_text_encoder(self.rules.text_encoder))

    def _table_vectors(self, texts: Sequence[str]) -> np.ndarray:
        if self.rules.query_table_folder is None:
            return _none(texts)
        return open_query_table(self.rules.query_table_folder).vectors(texts)


def _none(texts: Sequence[str]) -> np.ndarray:
    """No vectors of these texts."""
    return np.zeros((len(texts), 0), np.float16)


def _counted(records: Iterable[Pair], part: str, counts: Counter[str]) -> Iterator[Pair]:
    """The records, those whose query is in the shop's own table counted on the way."""
    for record in records:
        if len(record.query_table_vector):
            counts[f"{IN_TABLE}:{part}"] += 1
        yield record


def _count(counts: Counter[str], part: str, pairs: pa.Table) -> None:
    if part == DISTILLATION:
        counts["distillation_pairs"] += pairs.num_rows
        return
    for entry in pc.value_counts(pairs.column("task")).to_pylist():
        counts[f"pairs:{part}:{entry['values']}"] += entry["counts"]
        if entry["values"] == PSEUDO_TASK:
            counts["pseudo_pairs"] += entry["counts"]
    engaged = pairs.filter(pc.not_equal(pairs.column("task"), PSEUDO_TASK))
    counts[f"rows_{part}"] += pc.sum(engaged["count"]).as_py() or 0
    counts["pairs_written"] += pairs.num_rows


class JoinPairs(beam.PTransform):
    """(bucket, IPC bytes of PAIRS, counts) in; IPC bytes of ITEM_COUNTS, one table a bucket, out.

    Side inputs: ids of queries with broken pictures, and `checked`, which is there once the split is known to be good:
    the pseudo-queries that validate because no other pair does.
    """

    def __init__(self, rules: JoinRules, broken: beam.pvalue.AsSideInput, checked: beam.pvalue.AsSideInput):
        super().__init__(label="Join pairs")
        self.rules, self.side_inputs = rules, (broken, checked)

    def expand(self, pairs: beam.PCollection[BucketElement]) -> beam.PCollection[bytes]:
        usable = pairs | "Drop broken queries" >> beam.ParDo(_DropBroken(self.rules), *self.side_inputs).with_outputs(
            "frequencies", main="pairs"
        )
        log = usable.frequencies | "Merge frequencies" >> beam.CombineGlobally(MergeFrequencies())
        return usable.pairs | "Write bucket" >> beam.ParDo(_WriteBucket(self.rules), beam.pvalue.AsSingleton(log))
