"""The items and queries of a run to the parts of a query_item split.

    bucket of items   -> texts, pictures' hashes and looks --+
                                                             +-> groups of near-duplicates -> HELD_OUT
    rows -> bucket of queries -> sessions, pictures' looks --+

What comes together in one place are hashes and looks (64 bytes a picture), no texts, pictures or rows. Pictures are
read once more here: the features keep vectors, and those of another picture may be as near as those of a copy.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.pictures.faults import PictureError, PictureLimits
from model.pictures.files import read_picture
from model.pictures.looks import picture_look
from model.pictures.root import PictureRoot
from model.split.held_out import fit_held_out, item_node, picture_mark, query_node, session_mark, text_mark
from model.split.near_groups import LOOKS, MARKS, NODES
from model.split.split import Split
from pipelines.console.progress import Progress
from pipelines.run.bucket_rows import pack, unpack_table
from pipelines.run.counted import CountedDoFn
from pipelines.run.units import bucket_name
from schemas import storage
from schemas.records.tfrecords import decode_features, read_records
from schemas.tables import TEXT_FIELDS

#: How `Progress` calls this step.
PROGRESS = "pairs: near-duplicates"
#: Queries of a bucket of them, uri: of a picture, null for a text.
_QUERIES = NODES.append(pa.field("uri", pa.string()))


@dataclass(frozen=True, kw_only=True)
class HoldOutRules:
    """What near-duplicates are found by. image_root: of items' and queries' pictures, None: pictures do not count."""

    run: str
    num_buckets: int
    image_root: str | None
    limits: PictureLimits


#: IPC bytes of NODES, MARKS and LOOKS, and the number of pictures that could not be compared.
Packed = tuple[bytes, bytes, bytes, int]


@dataclass
class Described:
    """Rows of NODES, MARKS and LOOKS; num_unread: pictures that could not be compared."""

    nodes: dict[int, tuple[bool, int, int]] = field(default_factory=dict)
    marks: list[tuple[int, int, bool]] = field(default_factory=list)
    looks: list[tuple[int, bytes]] = field(default_factory=list)
    num_unread: int = 0

    def packed(self) -> Packed:
        nodes = [(node, *values) for node, values in self.nodes.items()]
        packed = (pack(_table(nodes, NODES)), pack(_table(self.marks, MARKS)), pack(_table(self.looks, LOOKS)))
        return *packed, self.num_unread


def describe_items(bucket: int, rules: HoldOutRules) -> Described:
    """The items of a bucket that have features. A picture that is no longer the one of the features has no look."""
    name = bucket_name(bucket, rules.num_buckets)
    features_file = Path(rules.run, "features", f"{name}.tfrecord")
    found = Described()
    if not storage.has_file(features_file):
        return found
    digests = {
        features.item_id: set(features.picture_sha256) for features in map(decode_features, read_records(features_file))
    }
    looks = _Looks(rules)
    columns = ["item_id", *TEXT_FIELDS, "images"]
    for item in pq.read_table(Path(rules.run, "items", f"{name}.parquet"), columns=columns).to_pylist():
        if item["item_id"] not in digests:
            continue
        node = item_node(item["item_id"])
        found.nodes[node] = (True, 0, 0)
        if (mark := text_mark(item)) is not None:
            found.marks.append((node, mark, False))
        found.marks += [(node, picture_mark(sha256), True) for sha256 in sorted(digests[item["item_id"]])]
        for uri in dict.fromkeys(item["images"]) if digests[item["item_id"]] else ():
            sha256, look = looks.of(uri)
            if sha256 in digests[item["item_id"]] and look is not None:
                found.looks.append((node, look))
    found.num_unread = looks.num_unread
    return found


def queries_of(rows: pa.Table) -> pa.Table:
    """_QUERIES of SESSION_ROWS, distinct."""
    distinct = (
        rows.select(["surface", "query", "session_id"]).group_by(["surface", "query", "session_id"]).aggregate([])
    )
    found: dict[int, tuple[int, int, str | None]] = {}
    for row in distinct.to_pylist():
        node, session = query_node(row["surface"], row["query"] or ""), session_mark(row["session_id"])
        first, last, _ = found.get(node, (session, session, None))
        uri = row["query"] if row["surface"] == "closeup" else None
        found[node] = (min(first, session), max(last, session), uri)
    return _table([(node, False, *values) for node, values in found.items()], _QUERIES)


def describe_queries(tables: Iterable[bytes], rules: HoldOutRules) -> Described:
    """The queries of a bucket from its tables of _QUERIES, as IPC bytes."""
    rows = pa.concat_tables(map(unpack_table, tables)).group_by(["node", "uri"])
    looks = _Looks(rules)
    found = Described()
    for row in rows.aggregate([("first_session", "min"), ("last_session", "max")]).sort_by("node").to_pylist():
        node = row["node"]
        found.nodes[node] = (False, row["first_session_min"], row["last_session_max"])
        if row["uri"] is None or rules.image_root is None:
            continue
        sha256, look = looks.of(row["uri"])
        if sha256 is not None:
            found.marks.append((node, picture_mark(sha256), True))
        if look is not None:
            found.looks.append((node, look))
    found.num_unread = looks.num_unread
    return found


def with_held_out(split: Split, pieces: list[Packed]) -> tuple[Split, Counter[str]]:
    """The split with its table, and its counts: those of fit_held_out, and split_pictures_unread. A split of another
    kind (of no engagements) as it is."""
    if split.kind != "query_item":
        return split, Counter()
    nodes, marks, looks = (
        pa.concat_tables([schema.empty_table(), *map(unpack_table, packed)])
        for schema, packed in (
            (NODES, [nodes for nodes, _, _, _ in pieces]),
            (MARKS, [marks for _, marks, _, _ in pieces]),
            (LOOKS, [looks for _, _, looks, _ in pieces]),
        )
    )
    held_out, counts = fit_held_out(nodes, marks, looks, split.shares, split.seed)
    counts["split_pictures_unread"] = sum(num_unread for _, _, _, num_unread in pieces)
    return split.with_table(held_out), counts


class _Looks:
    """Looks of pictures by URI, each file of equal content decoded once."""

    def __init__(self, rules: HoldOutRules):
        self._rules, self._looks = rules, dict[bytes, bytes | None]()
        self.num_unread = 0

    def of(self, uri: str) -> tuple[bytes | None, bytes | None]:
        """(sha256 of the file, its look): None for what cannot be read or decoded."""
        if self._rules.image_root is None:
            return None, None
        Progress.shared(PROGRESS, "pictures").advance()
        try:
            root = PictureRoot.of(self._rules.image_root, self._rules.run)
            data = read_picture(root, uri, self._rules.limits)
        except PictureError:
            self.num_unread += 1
            return None, None
        sha256 = hashlib.sha256(data).digest()
        if sha256 not in self._looks:
            try:
                self._looks[sha256] = picture_look(data, self._rules.limits)
            except PictureError:
                self._looks[sha256] = None
        self.num_unread += self._looks[sha256] is None
        return sha256, self._looks[sha256]


class _QueriesOfRows(CountedDoFn):
    """(bucket of items, IPC bytes of SESSION_ROWS) to (bucket of queries, IPC bytes of _QUERIES)."""

    def __init__(self, num_buckets: int):
        self.num_buckets = num_buckets

    def process(self, element: tuple[int, bytes]) -> Iterator[tuple[int, bytes]]:
        queries = queries_of(unpack_table(element[1]))
        bucket = queries["node"].to_numpy() % np.uint64(self.num_buckets)
        for number in np.unique(bucket).tolist():
            yield number, pack(queries.filter(pc.equal(pa.array(bucket), number)))


def _described_items(bucket: int, rules: HoldOutRules) -> Packed:
    return describe_items(bucket, rules).packed()


def _described_queries(tables: Iterable[bytes], rules: HoldOutRules) -> Packed:
    return describe_queries(tables, rules).packed()


class HoldOut(beam.PTransform):
    """(bucket, IPC bytes of SESSION_ROWS) in; one (Split with its held_out, counts) out.

    split: the fitted split without its table, a PCollection of one.
    """

    def __init__(self, rules: HoldOutRules, split: beam.PCollection[Split]):
        super().__init__(label="Hold out")
        self.rules, self.split = rules, split

    def expand(self, rows: beam.PCollection[tuple[int, bytes]]) -> beam.PCollection[tuple[Split, Counter[str]]]:
        rules = self.rules
        items = (
            rows.pipeline
            | "Buckets of items" >> beam.Create(range(rules.num_buckets))
            | "Spread buckets" >> beam.Reshuffle()
            | "Describe items" >> beam.Map(_described_items, rules)
        )
        queries = (
            rows
            | "Queries of rows" >> beam.ParDo(_QueriesOfRows(rules.num_buckets))
            | "Group queries" >> beam.GroupByKey()
            | "Without bucket" >> beam.Values()
            | "Describe queries" >> beam.Map(_described_queries, rules)
        )
        described = (items, queries) | "Items and queries" >> beam.Flatten()
        return self.split | "Part of each" >> beam.Map(with_held_out, beam.pvalue.AsList(described))


def _table(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    return pa.table([pa.array(column, f.type) for column, f in zip(columns, schema, strict=True)], schema=schema)
