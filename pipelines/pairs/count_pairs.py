"""Rows of a bucket of items to its distinct pairs, labelled with the part of the split they fall into.

rows of a bucket --+-- items without features are left out
                   +-- part of the split, gap left out (of a query_item split: rows that a held-out session tells)
                   +-- one row a (task, query, item, part) with its count: PAIRS
                   +-- queries made from the items' own text (text_pairs)
                   +-- cap an item
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.split.item_cutoffs import fit_item_cutoffs
from model.split.split import PARTS, Split
from model.split.split_labels import assign
from pipelines.log.equal_rows import ROWS_EQUAL, without_equal
from pipelines.log.training_rows import SESSION_ROWS
from pipelines.pairs.cap_pairs import cap_pairs
from pipelines.pairs.distinct_pairs import SORTED, PairRules, with_query_ids
from pipelines.pairs.embed_queries import pictures_by_unit
from pipelines.pairs.few_pairs import first_pseudo_queries
from pipelines.pairs.text_pairs import text_pairs
from pipelines.run.bucket_rows import pack, unpack_table
from pipelines.run.counted import CountedDoFn
from pipelines.run.opened_models import open_query_table, open_vocabulary
from pipelines.run.units import bucket_name
from schemas import storage
from schemas.records.tfrecords import decode_features, read_records
from schemas.tables import DISTILLATION, PSEUDO_TASK, TEXT_FIELDS


@dataclass
class BucketPairs:
    """pairs: PAIRS; item_cutoffs: of an item_time split; counts: rows and pairs left out, by reason."""

    pairs: pa.Table
    item_cutoffs: pa.Table | None = None
    counts: Counter[str] = field(default_factory=Counter)


def count_pairs(rows: pa.Table, split: Split, known_items: pa.Array) -> BucketPairs:
    """Distinct pairs of SESSION_ROWS whose item is among `known_items`; rows must hold all rows of their items.

    counts: rows_item_unknown, rows_gap.
    """
    known = rows.filter(pc.is_in(rows.column("item_id"), value_set=known_items))
    cutoffs = None
    if split.kind == "item_time":
        cutoffs = fit_item_cutoffs(known, split.test_fraction, split.validation_fraction)
        split = split.with_table(cutoffs)
    parts = assign(split, known)
    if split.kind == "query_item":
        parts = without_told(parts, known)
    labelled = known.append_column("part", parts)
    kept = labelled.filter(pc.not_equal(labelled.column("part"), "gap"))
    task = pc.binary_join_element_wise(kept.column("surface"), kept.column("action"), "/")
    grouped = kept.append_column("task", task).group_by(["task", "query", "item_id", "part"])
    pairs = grouped.aggregate([([], "count_all")]).rename_columns({"count_all": "count"})
    counts = Counter(rows_item_unknown=rows.num_rows - known.num_rows, rows_gap=known.num_rows - kept.num_rows)
    return BucketPairs(with_query_ids(pairs), cutoffs, counts)


def without_told(parts: pa.Array, rows: pa.Table) -> pa.Array:
    """The parts of SESSION_ROWS, "gap" for rows whose session led to the same item in a harder part, too: they would
    tell it (another spelling, another photo, then the same product). rows must hold all rows of their items."""
    codes = pc.index_in(parts, value_set=pa.array(PARTS)).to_numpy()
    session = rows.column("session_id").combine_chunks().dictionary_encode()
    item = rows.column("item_id").combine_chunks().dictionary_encode()
    has_session = session.is_valid().to_numpy(zero_copy_only=False)
    visit = pc.fill_null(session.indices, 0).to_numpy().astype(np.int64) * (len(item.dictionary) + 1)
    _, number = np.unique(visit + item.indices.to_numpy(), return_inverse=True)
    hardest = np.zeros(len(codes), np.int64)
    np.maximum.at(hardest, number[has_session], codes[has_session])
    return pc.if_else(pa.array(has_session & (codes < hardest[number])), "gap", parts)


def bucket_pairs(
    rows: pa.Table, bucket: int, split: Split, rules: PairRules, is_known: Callable[[str], bool]
) -> BucketPairs:
    """All pairs of a bucket. is_known: whether a query text has any token in the vocabulary, or a vector of the shop's.

    counts: as count_pairs, and rows_without_picture_encoder, rows_query_without_tokens, rows_capped,
    pseudo_pairs_without_tokens, distillation_pairs_without_tokens.
    """
    name = bucket_name(bucket, rules.num_buckets)
    known = known_items(Path(rules.run, "features", f"{name}.tfrecord"))
    found = count_pairs(rows, split, known)

    def keep(mask: pa.Array | pa.ChunkedArray, reason: str) -> None:
        dropped = found.pairs.filter(pc.invert(mask))
        found.counts[reason] += pc.sum(dropped["count"]).as_py() or 0
        found.pairs = found.pairs.filter(mask)

    if not rules.has_pictures:
        is_text = pc.starts_with(found.pairs.column("task"), "search/")
        keep(is_text, "rows_without_picture_encoder")
    keep(_known_mask(found.pairs, is_known), "rows_query_without_tokens")
    num_rows = pc.sum(found.pairs["count"]).as_py() or 0
    found.pairs = cap_pairs(found.pairs, rules.max_pairs_per_item, rules.seed)
    found.counts["rows_capped"] += num_rows - (pc.sum(found.pairs["count"]).as_py() or 0)
    if rules.pseudo_queries or rules.distillation.queries:
        items = pq.read_table(Path(rules.run, "items", f"{name}.parquet"), columns=["item_id", *TEXT_FIELDS])
        items = items.filter(pc.is_in(items.column("item_id"), value_set=known))
        made = text_pairs(items, rules, split)
        has_tokens = _known_mask(made, is_known)
        without = pairs_by_part(made.filter(pc.invert(has_tokens)))
        num_distillation = without[f"{DISTILLATION}:{PSEUDO_TASK}"]
        found.counts["distillation_pairs_without_tokens"] += num_distillation
        found.counts["pseudo_pairs_without_tokens"] += without.total() - num_distillation
        found.pairs = pa.concat_tables([found.pairs, made.filter(has_tokens)]).sort_by(SORTED)
    return found


def known_items(features_file: Path) -> pa.Array:
    """Ids of the items with features; a bucket without a file has none."""
    if not storage.has_file(features_file):
        return pa.array([], pa.string())
    return pa.array([decode_features(payload).item_id for payload in read_records(features_file)], pa.string())


class _CountBucket(CountedDoFn):
    """(bucket, IPC bytes) to BucketPairs, see CountPairs."""

    def __init__(self, rules: PairRules):
        self.rules = rules

    def process(self, element: tuple[int, Iterable[bytes]], split: Split) -> Iterable[Any]:
        bucket, payloads = element
        rows, num_equal = without_equal(
            pa.concat_tables([SESSION_ROWS.empty_table(), *map(unpack_table, payloads)]), "timestamp"
        )
        found = bucket_pairs(rows, bucket, split, self.rules, self._knows())
        found.counts.update({ROWS_EQUAL: num_equal} if num_equal else {})
        yield bucket, pack(found.pairs), dict(found.counts)
        yield beam.pvalue.TaggedOutput("parts", pairs_by_part(found.pairs))
        yield beam.pvalue.TaggedOutput("pseudo", first_pseudo_queries(found.pairs))
        if found.item_cutoffs is not None:
            yield beam.pvalue.TaggedOutput("item_cutoffs", pack(found.item_cutoffs))
        pictures = found.pairs.filter(pc.starts_with(found.pairs.column("task"), "closeup/"))
        for unit, queries in pictures_by_unit(pictures, self.rules.num_buckets).items():
            yield beam.pvalue.TaggedOutput("pictures", (unit, queries))

    def _knows(self) -> Callable[[str], bool]:
        """is_known of bucket_pairs."""
        vocabulary = open_vocabulary(self.rules.vocabulary_folder)
        if self.rules.query_table_folder is None:
            return lambda text: len(vocabulary.encode(text)) > 0
        table = open_query_table(self.rules.query_table_folder)
        return lambda text: len(vocabulary.encode(text)) > 0 or bool(table.vectors([text]).any())


class CountPairs(beam.PTransform):
    """(bucket, IPC bytes of SESSION_ROWS), at least one for each bucket, and a Split as side input, in. Out:

    pairs         (bucket, IPC bytes of PAIRS, counts)
    parts         Counter: pairs by part and task
    pseudo        [query_id, ...]: first_pseudo_queries
    item_cutoffs  IPC bytes of ITEM_CUTOFFS, for an item_time split
    pictures      (query unit, [(query_id, URI), ...]) of closeup queries
    """

    def __init__(self, rules: PairRules, split: beam.pvalue.AsSideInput):
        super().__init__(label="Count pairs")
        self.rules, self.split = rules, split

    def expand(self, rows: beam.PCollection[tuple[int, bytes]]) -> Any:
        outputs = ("parts", "pseudo", "item_cutoffs", "pictures")
        return (
            rows
            | "Group by bucket" >> beam.GroupByKey()
            | "Count bucket" >> beam.ParDo(_CountBucket(self.rules), self.split).with_outputs(*outputs, main="pairs")
        )


def pairs_by_part(pairs: pa.Table) -> Counter[str]:
    """How many pairs each part has of each task, by "part:task"."""
    counted = pc.value_counts(pc.binary_join_element_wise(pairs.column("part"), pairs.column("task"), ":")).to_pylist()
    return Counter({entry["values"]: entry["counts"] for entry in counted})


def _known_mask(pairs: pa.Table, is_known: Callable[[str], bool]) -> pa.Array:
    """False for text queries of which nothing is known."""
    encoded = pairs.column("query").combine_chunks().dictionary_encode()
    is_text = pc.starts_with(pairs.column("task"), "search/").to_numpy()
    codes = encoded.indices.to_numpy()
    used = set(codes[is_text].tolist())
    known = np.array([i not in used or is_known(text) for i, text in enumerate(encoded.dictionary.to_pylist())], bool)
    return pa.array(~is_text | known[codes] if len(codes) else np.zeros(0, bool))
