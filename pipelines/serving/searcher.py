"""The published run as something to ask: text, pictures or items in, nearest items with titles out.

    searcher = Searcher("store")
    for result in searcher.by_text(["red summer dress"])[0]:
        print(result.score, result.item_id, result.title)

A Searcher stays with the run that CURRENT named when it was made; a later publication does not change its answers.
Models are loaded when a query first needs one: item queries need none.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.items.query_encoder import QueryEncoder
from model.nearest.index import ExactIndex, ItemIndex
from model.nearest.index import QueryKind as IndexKind
from model.nearest.index_folder import read_index_manifest
from model.pictures.faults import FORMATS, PictureError
from model.pictures.files import read_picture
from pipelines.features.picture_limits import limits_of_run
from pipelines.run.listed_files import EMBEDDINGS
from pipelines.run.opened import PublishedRun
from pipelines.store.models import ITEM_MODELS
from pipelines.store.store import current_run
from schemas.errors import CorruptFileError, UsageError
from schemas.quarantine import quote
from schemas.records.embeddings import read_embeddings_metadata

QueryKind = Literal["text", "image", "item"]
QUERY_KINDS: tuple[QueryKind, ...] = ("text", "image", "item")
#: What an index calls the kinds.
_INDEX_KINDS: dict[QueryKind, IndexKind] = {"text": "text", "image": "picture", "item": "item"}
#: More results than any index has items: an index counts them in C integers.
MAX_TOP = 2**31 - 1
#: Where the remedy for a query is another than for a picture of the catalogue.
_QUERY_REMEDIES = {
    "missing": "give the path of a picture file",
    "remote_uri": "download the picture and give the path of the file",
    "not_a_picture": f"give a picture in one of the formats {', '.join(FORMATS)}",
    "truncated": "give the whole file: it ends early",
}
_NOT_A_ROW = -2  # neither an item's row nor the padding of results


class Query(NamedTuple):
    """`value`: the text, the path of a picture file, or an item id."""

    kind: QueryKind
    value: str


class Result(NamedTuple):
    """An item near a query; score: cosine; title: None if the item has none."""

    item_id: str
    score: float
    title: str | None


class Searcher:
    """Searches the published run of a store; `exact` compares with every item instead of using the index.

    Raises UsageError if nothing is published, CorruptFileError if run, index, embeddings and model do not belong
    together.
    """

    def __init__(self, store: str, exact: bool = False, device: str = "auto"):
        self.store, self.exact, self.device = store, exact, device
        self.opened = PublishedRun(current_run(store))
        self.run, self.model_id = self.opened.folder, self.opened.model_id
        self._check_model_ids()
        self.index: ItemIndex
        if exact:
            self.item_ids, matrix_ND = self.opened.searched_vectors
            self.index = ExactIndex(matrix_ND)
        else:
            self.index, self.item_ids, _ = self.opened.index

    def by_text(self, queries: Sequence[str], top: int = 10) -> list[list[Result]]:
        """The nearest items of each text, best first.

        Raises UsageError for a query that is blank or has no known token, or an untrained tower.
        """
        return self._all_or_raise([Query("text", query) for query in queries], top)

    def by_image(self, paths: Sequence[str | os.PathLike[str]], top: int = 10) -> list[list[Result]]:
        """The nearest items of each picture file. Raises UsageError for an unusable picture or an untrained tower."""
        return self._all_or_raise([Query("image", os.fspath(path)) for path in paths], top)

    def by_item(self, item_ids: Sequence[str], top: int = 10) -> list[list[Result]]:
        """The nearest other items of each item, itself left out. Raises UsageError for an id that is not published."""
        return self._all_or_raise([Query("item", item_id) for item_id in item_ids], top)

    def search(self, queries: Sequence[Query], top: int = 10) -> list[list[Result] | UsageError]:
        """Answers queries of any kinds together: for each, in order, its results (`top`, or as many as there are items)
        or why it has none. All are in memory at a time."""
        if not 1 <= top <= MAX_TOP:
            raise UsageError(f"expected top from 1 to {MAX_TOP:,}, got {top:,}")
        answers: list[list[Result] | UsageError | None] = [None] * len(queries)
        vectors_of_kind: dict[QueryKind, Callable[[Sequence[str]], list[tuple[np.ndarray, int] | UsageError]]]
        vectors_of_kind = {"text": self._texts, "image": self._images, "item": self._items}
        for kind, vectors_of in vectors_of_kind.items():
            places = [place for place, query in enumerate(queries) if query.kind == kind]
            found = dict(zip(places, vectors_of([queries[place].value for place in places]), strict=True))
            answers_of_kind = self._nearest(list(found.values()), top, _INDEX_KINDS[kind])
            for place, answer in zip(places, answers_of_kind, strict=True):
                answers[place] = answer
        return [answer for answer in answers if answer is not None]

    def titles(self, item_ids: Sequence[str]) -> list[str | None]:
        """The items' titles, None where an item has none."""
        return self.opened.titles(item_ids)

    @cached_property
    def encoder(self) -> QueryEncoder:
        """The query towers of the run's model."""
        encoder = QueryEncoder(ITEM_MODELS.folder(self.store, self.model_id), device=self.device)
        if encoder.manifest["model_id"] != self.model_id:
            raise CorruptFileError(
                f"expected model {self.model_id}, got {encoder.manifest['model_id']} in {encoder.folder}: restore it"
            )
        return encoder

    def _nearest(
        self, queries: Sequence[tuple[np.ndarray, int] | UsageError], top: int, kind: IndexKind
    ) -> Iterator[list[Result] | UsageError]:
        """`top` results a query, given by its vector and its own row, without that row."""
        good = [query for query in queries if not isinstance(query, UsageError)]
        results = self._results(good, top, kind) if good else iter(())
        for query in queries:
            yield query if isinstance(query, UsageError) else next(results)

    def _results(self, queries: Sequence[tuple[np.ndarray, int]], top: int, kind: IndexKind) -> Iterator[list[Result]]:
        own_rows_Q = np.array([own_row for _, own_row in queries], np.int64)
        extra = 1 if (own_rows_Q != _NOT_A_ROW).any() else 0
        vectors_QD = np.stack([vector_D for vector_D, _ in queries])
        rows_QK, scores_QK = self.index.search(vectors_QD, min(top + extra, self.index.num_items), kind)
        keep_QK = (rows_QK >= 0) & (rows_QK != own_rows_Q[:, None])
        keep_QK &= np.cumsum(keep_QK, axis=1) <= top
        item_ids = self.item_ids.take(pa.array(rows_QK[keep_QK])).to_pylist()
        titles = self.titles(item_ids)
        results = map(Result, item_ids, scores_QK[keep_QK].tolist(), titles)
        for count in keep_QK.sum(axis=1):
            yield [next(results) for _ in range(count)]

    def _texts(self, texts: Sequence[str]) -> list[tuple[np.ndarray, int] | UsageError]:
        usable = [text for text in texts if text.strip()]
        if usable and (refusal := self._refusal("text")) is not None:
            return [refusal] * len(texts)
        encoded = iter(zip(*self.encoder.texts_and_inputs(usable), strict=True) if usable else ())
        answers: list[tuple[np.ndarray, int] | UsageError] = []
        for text in texts:
            if not text.strip():
                answers.append(UsageError("expected a text query, got only white space"))
                continue
            vector_D, num_tokens = next(encoded)
            answers.append((vector_D, _NOT_A_ROW) if num_tokens else _unknown(text))
        return answers

    def _images(self, paths: Sequence[str]) -> list[tuple[np.ndarray, int] | UsageError]:
        if not paths:
            return []
        if (refusal := self._refusal("picture")) is not None:
            return [refusal] * len(paths)

        limits = limits_of_run(self.run)

        def read_all() -> Iterator[bytes | PictureError]:  # pulled as the encoder goes: few files are in memory
            for path in paths:
                is_local = path[:5].lower() == "file:"
                if "://" in path and not is_local:
                    yield PictureError("remote_uri", "the path of a picture file", quote(path))
                    continue
                try:
                    yield read_picture("/", path if is_local else os.path.abspath(path), limits)
                except PictureError as error:
                    yield error

        return [
            _unusable(path, vector) if isinstance(vector, PictureError) else (vector, _NOT_A_ROW)
            for path, vector in zip(paths, self.encoder.pictures(read_all(), limits), strict=True)
        ]

    def _items(self, item_ids: Sequence[str]) -> list[tuple[np.ndarray, int] | UsageError]:
        if not item_ids:
            return []
        rows = pc.index_in(pa.array(item_ids, pa.string()), value_set=self.item_ids).to_pylist()
        vectors = iter(self.index.vectors([row for row in rows if row is not None]))
        where = self.run / self.opened.searched
        return [
            UsageError(f"expected the id of a published item, got {quote(item_id)}: no row in {where}")
            if row is None
            else (next(vectors), row)
            for item_id, row in zip(item_ids, rows, strict=True)
        ]

    def _refusal(self, tower: str) -> UsageError | None:
        """Why the tower answers no query: it had no training pairs, or the index is of other vectors. None if it
        does."""
        if self.opened.searched != EMBEDDINGS:
            return UsageError(
                f"expected a query by item, got one by {tower}: the index of {self.run} is of unified vectors, which "
                "queries have none of; `itemsage daily` without --vectors unified makes one that answers it"
            )
        encoder = self.encoder
        try:
            encoder.require(tower)
        except UsageError as error:
            return error
        return None

    def _all_or_raise(self, queries: Sequence[Query], top: int) -> list[list[Result]]:
        answers: list[list[Result]] = []
        for answer in self.search(queries, top):
            if isinstance(answer, UsageError):
                raise answer
            answers.append(answer)
        return answers

    def _check_model_ids(self) -> None:
        index_id = read_index_manifest(self.run / "index")["model_id"]
        embeddings_id = read_embeddings_metadata(self.run / "embeddings")["model_id"]
        if not self.model_id == index_id == embeddings_id:
            raise CorruptFileError(
                f"expected one model id, got {self.model_id} in the manifest, {index_id} in the index and "
                f"{embeddings_id} in the embeddings of {self.run}: publish the run again"
            )


def _unknown(text: str) -> UsageError:
    return UsageError(
        f"expected a text query with words of the shop, got {quote(text)}: no word or trigram of the query is in the "
        "vocabulary"
    )


def _unusable(path: str, fault: PictureError) -> UsageError:
    remedy = _QUERY_REMEDIES.get(fault.reason, fault.remedy)
    return UsageError(f"{fault.reason}: expected {fault.expected}, got {fault.got}: {remedy} (query {quote(path)})")
