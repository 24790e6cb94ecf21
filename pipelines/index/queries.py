"""What people will ask an index: the queries, beside its own items, that it is chosen for and measured with.

    text       queries of the log that the model was not trained on; where these are few, queries made from items' text
    picture    a picture of an item, alone; that item is left out of the answers

Both are encoded by the towers of the run's model, as searches do; a tower without training pairs answers no search, so
nothing is asked of it. Items come from whole buckets, which are random parts of the catalogue.

People ask with pictures that no item has. A picture of the catalogue is part of its item's vector, the whole of its
looks where it is the only one, and that item would be found too easily. So nothing counts but the other items, for
which it is a picture from elsewhere. A flipped or cropped copy would be nearly as near to its item, and files of
pictures are not at hand when a run is indexed; the mean of two items' pictures is a picture of nothing. Photos of a
log are asked by `itemsage evaluate`, through the index too.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.items.query_encoder import QueryEncoder
from model.measures.drift import sample_rows
from model.nearest.index import QueryKind
from model.nearest.recall import MAX_QUERIES, RecallQueries
from model.split.split import Split
from model.split.split_labels import assign
from model.text.pseudo_queries import pseudo_queries
from pipelines.evaluate.inputs import read_query_rows, sample_queries
from pipelines.run.opened import Run
from schemas.columns.mapping import table_columns
from schemas.days import UTC_NAME
from schemas.errors import CorruptFileError, UsageError
from schemas.hashing import stable_hash
from schemas.tables import TEXT_FIELDS

#: Fewer queries of the log say little: queries made from items' text are asked beside them.
MIN_LOG_QUERIES = 100
#: Items of which queries are made are drawn out of this many times as many.
_POOL = 4


@dataclass(frozen=True, kw_only=True)
class AskedQueries:
    """Queries that are settled and not encoded. model: folder of the towers, None: there are no queries; texts_are: in
    words; pictures_QD: float16 CNN vectors, different ones; picture_items: the item of each."""

    model: str | None = None
    texts: tuple[str, ...] = ()
    texts_are: str = ""
    pictures_QD: np.ndarray | None = None
    picture_items: tuple[str, ...] = ()

    def identity(self) -> list[Any]:
        """What an index depends on, beside the model."""
        pictures = None
        if self.pictures_QD is not None:
            pictures = [hashlib.sha256(self.pictures_QD.tobytes()).hexdigest(), self.picture_items]
        return [self.texts, self.texts_are, pictures]

    def encoded(self, item_ids: pa.Array) -> dict[QueryKind, RecallQueries]:
        """By the towers, for an index of these items; texts without a word that the model knows are left out, as
        searches refuse them, and pictures of items that are not in the index."""
        found: dict[QueryKind, RecallQueries] = {}
        if self.model is None:
            return found
        encoder = QueryEncoder(self.model, device="cpu")
        if self.texts:
            vectors_QD, num_tokens_Q = encoder.texts_and_inputs(self.texts)
            if (known_Q := num_tokens_Q > 0).any():
                found["text"] = RecallQueries(vectors_QD=vectors_QD[known_Q], source=self.texts_are)
        if self.pictures_QD is not None:
            rows_Q = pc.fill_null(pc.index_in(pa.array(self.picture_items), value_set=item_ids), -1).to_numpy()
            if (indexed_Q := rows_Q >= 0).any():
                found["picture"] = RecallQueries(
                    vectors_QD=encoder.picture_vectors(self.pictures_QD[indexed_Q]),
                    source="pictures of other items",
                    own_rows_Q=rows_Q[indexed_Q],
                )
        return found


def plan_queries(
    run: str,
    model_id: str,
    model: str | None,
    *,
    engagements: str | None = None,
    date: str | None = None,
    time_zone: str = UTC_NAME,
    columns: Mapping[str, Any],
) -> AskedQueries:
    """Settles the queries of a run whose embeddings are of `model_id`; loads no tower. model: its folder, None: that of
    the store that the run lies in, if there is one. engagements, date, time_zone, columns: the log, as evaluations take
    it.

    Raises UsageError for the folder of another model, CorruptFileError for one that is named and holds no model.
    """
    folder = Path(model) if model is not None else Path(run).absolute().parents[2] / "models" / model_id
    try:
        encoder = QueryEncoder(folder)
    except CorruptFileError as error:
        if model is not None:
            raise
        print(f"index: text and picture queries are not measured, give --model: {error}")
        return AskedQueries()
    if encoder.manifest["model_id"] != model_id:
        raise UsageError(f"expected --model {model_id}, which made the embeddings, got {encoder.manifest['model_id']}")
    opened = Run(run)
    texts: tuple[str, ...] = ()
    texts_are, pictures = "", {}
    if encoder.has_tower("text"):
        held_out = () if engagements is None else _held_out(folder, engagements, date, time_zone, columns)
        texts, texts_are = held_out, f"{len(held_out)} of the log"
        if len(held_out) < MIN_LOG_QUERIES:
            made = _made_of_text(opened) if opened.has("items") else set()
            texts = tuple(sorted({*held_out, *made}))
            texts_are = " and ".join([texts_are] * bool(held_out) + ["made from the text of items"])
    if encoder.has_tower("picture") and opened.has("features"):
        pictures = _pictures(opened)
    return AskedQueries(
        model=str(folder),
        texts=texts,
        texts_are=texts_are,
        pictures_QD=np.stack(list(pictures.values())) if pictures else None,
        picture_items=tuple(pictures),
    )


def _held_out(
    model: Path, engagements: str, date: str | None, time_zone: str, columns: Mapping[str, Any]
) -> tuple[str, ...]:
    """Text queries of the log of which no row was in the training part of the model's split."""
    rows, _, _ = read_query_rows(engagements, date, time_zone, table_columns(columns, "engagements"))
    rows = rows.filter(pc.equal(rows["surface"], "search"))
    is_new = pc.equal(assign(Split.load(model), rows), "test")
    known = set(rows.filter(pc.invert(is_new))["query"].to_pylist())
    return sample_queries(set(rows.filter(is_new)["query"].to_pylist()) - known, MAX_QUERIES)


def _made_of_text(run: Run) -> set[str]:
    """A query made from the text of each of some items."""
    rows: dict[str, dict[str, str | None]] = {}
    for bucket in range(run.num_buckets):
        rows |= {row["item_id"]: row for row in run.items(bucket, ["item_id", *TEXT_FIELDS]).to_pylist()}
        if len(rows) >= _POOL * MAX_QUERIES:
            break
    ids = sorted(rows)
    drawn = [rows[ids[row]] for row in sample_rows(ids, "index/text", MAX_QUERIES)]
    return {query for row in drawn for query in pseudo_queries(row, 1, seed=0)}


def _pictures(run: Run) -> dict[str, np.ndarray]:
    """By item the CNN vector, float16 [D], of one picture of each of some items, each different vector once."""
    vectors = dict(_first_pictures(run))
    different = {vector_D.tobytes(): item_id for item_id, vector_D in sorted(vectors.items(), reverse=True)}
    ids = sorted(different.values())
    return {ids[row]: vectors[ids[row]] for row in sample_rows(ids, "index/picture", MAX_QUERIES)}


def _first_pictures(run: Run) -> Iterator[tuple[str, np.ndarray]]:
    """Items and a picture of each, from as many whole buckets as it takes for enough."""
    count = 0
    for bucket in range(run.num_buckets):
        for item in run.records(bucket):
            if len(item.pictures):
                yield item.item_id, item.pictures[stable_hash(item.item_id) % len(item.pictures)]
                count += 1
        if count >= MAX_QUERIES:
            return
