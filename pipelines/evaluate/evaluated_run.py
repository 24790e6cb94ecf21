"""A run's items as evaluation sees them: vectors, texts and pictures, each loaded when first needed."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from model.items.query_encoder import QueryEncoder
from model.measures.baselines import BM25, CharacterTfidf, Tfidf, why_no_character_tfidf
from model.measures.evaluation import ScoreBlock
from model.measures.picture_baselines import mean_picture_vectors
from model.split.held_out import groups_of, query_node
from model.split.split import Split
from pipelines.evaluate.run_index import RunIndex
from pipelines.run.opened import Run
from schemas.cells.markup import without_markup
from schemas.records.tfrecords import ItemFeatures
from schemas.tables import TEXT_FIELDS


class EvaluatedRun:
    """A run's items (N, in the order of its embeddings) as the model and the baselines see them; loaded when needed."""

    def __init__(self, run: Path, model: Path):
        self.run, self.opened, self.encoder = run, Run(run), QueryEncoder(model)
        self._sentence_of: dict[str, np.ndarray] = {}

    @property
    def item_ids(self) -> list[str]:
        """Sorted; no vector is read for them."""
        return self.opened.item_ids

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each item id."""
        return {name: row for row, name in enumerate(self.item_ids)}

    @cached_property
    def split(self) -> Split:
        """That of the model's training."""
        return Split.load(self.encoder.folder)

    def groups_of_queries(self, surface: str, queries: Sequence[str]) -> np.ndarray:
        """uint64 [Q], equal for near-duplicates as the split groups them, spellings of one text among them."""
        return groups_of(self.split.held_out, np.array([query_node(surface, query) for query in queries], np.uint64))

    @property
    def vectors_ND(self) -> np.ndarray:
        """float32 [N, O], unit rows."""
        return self.opened.embeddings.matrix_ND

    @cached_property
    def item_texts(self) -> list[str]:
        """All text of each item, joined; what is unfinished in one field hides nothing of the next."""
        texts = [""] * len(self.item_ids)
        for bucket in range(self.opened.num_buckets):
            for row in self.opened.items(bucket, ["item_id", *TEXT_FIELDS]).to_pylist():
                if (place := self.row_of.get(row["item_id"])) is not None:
                    texts[place] = " ".join(without_markup(row[name]) for name in TEXT_FIELDS if row[name])
        return texts

    @cached_property
    def tfidf(self) -> Tfidf:
        return Tfidf(self.item_texts)

    @cached_property
    def character_tfidf(self) -> CharacterTfidf:
        return CharacterTfidf(self.item_texts)

    @property
    def why_no_character_tfidf(self) -> str | None:
        """None if `character_tfidf` can be had."""
        return why_no_character_tfidf(self.item_texts)

    @cached_property
    def bm25(self) -> BM25:
        return BM25(self.item_texts)

    @cached_property
    def picture_means_ND(self) -> np.ndarray:
        """float32 [N, D]: each item's mean CNN vector, unit or zero."""
        dim = self.encoder.manifest["picture_dim"]
        means_ND = np.zeros((len(self.item_ids), dim), np.float32)
        for row, item in self.features():
            means_ND[row] = mean_picture_vectors([item.pictures], dim)[0]
        return means_ND

    @cached_property
    def catalogue_pictures(self) -> tuple[np.ndarray, np.ndarray]:
        """(CNN vectors float16 [P, D] of all items' pictures, the row of each one's item int64 [P])."""
        found = [(row, item.pictures) for row, item in self.features() if len(item.pictures)]
        blank_0D = np.zeros((0, self.encoder.manifest["picture_dim"]), np.float16)
        rows_P = np.repeat([row for row, _ in found], [len(vectors_PD) for _, vectors_PD in found])
        return np.concatenate([blank_0D, *(vectors_PD for _, vectors_PD in found)]), rows_P.astype(np.int64)

    @property
    def has_text_encoder(self) -> bool:
        """Whether items and queries have vectors of a frozen text encoder, which `text_encoder_scores` compares."""
        return self.encoder.manifest["text_dim"] > 0

    @cached_property
    def _sentences_ND(self) -> np.ndarray:
        """float32 [N, text_dim]: each item's vector of the text encoder, unit or zero."""
        vectors_ND = np.zeros((len(self.item_ids), self.encoder.manifest["text_dim"]), np.float32)
        for row, item in self.features():
            if len(item.text_vector):
                vectors_ND[row] = item.text_vector
        return vectors_ND

    def text_encoder_scores(self, queries: Sequence[str]) -> ScoreBlock:
        """Cosines of the queries with all items' text, by the frozen text encoder alone."""
        queries_QD = self._sentences_of(queries)
        return lambda rows: queries_QD[rows] @ self._sentences_ND.T

    def _sentences_of(self, queries: Sequence[str]) -> np.ndarray:
        """QueryEncoder.sentence_vectors of different queries, each encoded once an evaluation: tasks share queries."""
        new = [query for query in queries if query not in self._sentence_of]
        if new:
            self._sentence_of |= dict(zip(new, self.encoder.sentence_vectors(new), strict=True))
        return np.stack([self._sentence_of[query] for query in queries])

    @cached_property
    def index(self) -> RunIndex | None:
        """What searches of this run go through; None while it has none."""
        return RunIndex.of(self.opened, self.encoder.manifest["model_id"])

    def features(self) -> Iterator[tuple[int, ItemFeatures]]:
        """Row and features of every item that has an embedding."""
        for bucket in range(self.opened.num_buckets):
            for item in self.opened.records(bucket):
                if (row := self.row_of.get(item.item_id)) is not None:
                    yield row, item

    def text_queries(
        self, queries: tuple[str, ...], encoder: QueryEncoder | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """float32 [Q, O], a unit vector a query or zero for one without a known token, and which those are, bool [Q].
        encoder: with other towers; None: the model's.

        The tower's own answer to such a query is one constant vector; zero scores all items alike, which counts as a
        miss, as it does for the words that TF-IDF and BM25 do not know.
        """
        vectors_QE, num_tokens_Q = (encoder or self.encoder).texts_and_inputs(queries, self._sentences_of(queries))
        unknown_Q = num_tokens_Q == 0
        return np.where(unknown_Q[:, None], np.float32(0), vectors_QE), unknown_Q
