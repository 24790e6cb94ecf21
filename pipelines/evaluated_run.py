"""A run's items as evaluation sees them: vectors, texts and pictures, loaded when a method first needs them."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from model.baselines import BM25, Tfidf, mean_picture_vectors
from model.pictures import PictureError, read_picture
from model.query_encoder import QueryEncoder
from schemas.embeddings import read_embeddings
from schemas.records import decode_features, read_records
from schemas.tables import TEXT_FIELDS


class EvaluatedRun:
    """A run's items (N, in the order of its embeddings) as the model and the baselines see them; loaded when needed."""

    def __init__(self, run: Path, model: Path):
        self.run, self.encoder = run, QueryEncoder(model)
        ids, self.vectors_ND = read_embeddings(run / "embeddings")
        self.item_ids: list[str] = ids.to_pylist()
        self.row_of = {name: row for row, name in enumerate(self.item_ids)}
        self._query_pictures: dict[str, np.ndarray | None] = {}  # None for a broken one

    @cached_property
    def item_texts(self) -> list[str]:
        """All text of each item, joined."""
        texts = [""] * len(self.item_ids)
        for path in sorted((self.run / "items").glob("*.parquet")):
            for row in pq.read_table(path, columns=["item_id", *TEXT_FIELDS]).to_pylist():
                if (place := self.row_of.get(row["item_id"])) is not None:
                    texts[place] = " ".join(row[name] for name in TEXT_FIELDS if row[name])
        return texts

    @cached_property
    def tfidf(self) -> Tfidf:
        return Tfidf(self.item_texts)

    @cached_property
    def bm25(self) -> BM25:
        return BM25(self.item_texts)

    @cached_property
    def picture_means_ND(self) -> np.ndarray:
        """float32 [N, D]: each item's mean CNN vector, unit or zero."""
        dim = self.encoder.manifest["picture_dim"]
        means_ND = np.zeros((len(self.item_ids), dim), np.float32)
        for path in sorted((self.run / "features").glob("*.tfrecord")):
            for payload in read_records(path):
                item = decode_features(payload)
                if (row := self.row_of.get(item.item_id)) is not None:
                    means_ND[row] = mean_picture_vectors([item.pictures], dim)[0]
        return means_ND

    def picture_vectors(self, uris: Sequence[str], image_root: str) -> tuple[np.ndarray, np.ndarray]:
        """float32 CNN vectors [readable, D] of query pictures and which URIs were readable, bool [Q].

        Tasks share their queries: a picture is read and encoded once.
        """

        def encoded() -> Iterator[tuple[str, bytes | PictureError]]:
            for uri in uris:
                if uri not in self._query_pictures:
                    try:
                        yield uri, read_picture(image_root, uri)
                    except PictureError as error:
                        yield uri, error

        for uri, vector in self.encoder.image_encoder.encode_stream(encoded()):
            self._query_pictures[uri] = None if isinstance(vector, PictureError) else np.asarray(vector, np.float32)
        found = [vector for uri in uris if (vector := self._query_pictures[uri]) is not None]
        readable = np.array([self._query_pictures[uri] is not None for uri in uris], bool)
        dim = self.encoder.manifest["picture_dim"]
        return np.stack(found) if found else np.zeros((0, dim), np.float32), readable
