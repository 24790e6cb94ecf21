"""The sentences of one bucket's items to vectors: what an earlier run has made is not computed, equal sentences are
computed once."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from model.text.text_encoder import TextEncoder
from model.text.text_encoder_spec import item_sentences
from pipelines.console.progress import Progress
from pipelines.features.known_features import KnownFeatures
from pipelines.features.picture_vectors import VectorCache, VectorFile
from schemas.records.fingerprints import text_hash

PROGRESS = "features: texts"
#: Sentences encoded together: enough to fill the batches of every length, little memory.
_SENTENCES_A_CALL = 2048
_NONE = np.zeros(0, np.float16)


class BucketTexts:
    """The text vectors of a bucket. `resolve` all items, then `vector` is that of each.

    Memory: some thousand sentences, some hundred bytes for each that is encoded. Vectors lie in a scratch file.
    """

    def __init__(
        self,
        known: KnownFeatures,
        vectors: VectorFile,
        cache: VectorCache,
        open_encoder: Callable[[], TextEncoder],
        counts: Counter[str],
    ):
        self.known, self.vectors, self.cache = known, vectors, cache
        self.open_encoder, self.counts = open_encoder, counts

    def resolve(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Makes the vectors of all items that neither run knows, of rows with item_id and text fields. Counts the
        different ones that the earlier run lacks as texts_computed, whenever this run computed them."""
        computed: set[bytes] = set()
        waiting: dict[bytes, tuple[str, ...]] = {}
        for row in rows:
            item_id, text, sentences = row["item_id"], text_hash(row), item_sentences(row)
            if not sentences or self.known.is_text_reused(item_id, text):
                continue
            digest = _digest(sentences)
            computed.add(digest)
            if not self.known.has_text_vector(item_id, text):
                waiting[digest] = sentences
            if len(waiting) == _SENTENCES_A_CALL:
                self._encode(waiting)
                waiting.clear()
        self._encode(waiting)
        self.counts["texts_computed"] += len(computed)

    def vector(self, row: Mapping[str, Any], text: bytes) -> np.ndarray:
        """The vector of a resolved item whose text has this hash, as in ItemFeatures."""
        if self.known.has_text_vector(row["item_id"], text):
            return self.known.text_vector(row["item_id"], text)
        sentences = item_sentences(row)
        vector_D = self.vectors.get(_digest(sentences)) if sentences else _NONE
        return vector_D if vector_D.any() else _NONE  # zeros: no token in it

    def _encode(self, items: Mapping[bytes, tuple[str, ...]]) -> None:
        """Puts the vector of each item's sentences into the scratch file, through the encoder unless it is at hand."""
        new = {}
        for digest, sentences in items.items():
            cached_D = self.cache.get(digest)
            if cached_D is not None:
                self.vectors.add(digest, cached_D)
            elif digest not in self.vectors:
                new[digest] = sentences
        if not new:
            return
        progress = Progress.shared(PROGRESS, "sentences")
        vectors_ND = self.open_encoder().encode_means(list(new.values()), progress.advance).astype(np.float16)
        for digest, vector_D in zip(new, vectors_ND, strict=True):
            self.vectors.add(digest, vector_D)
            self.cache.add(digest, vector_D)


def _digest(sentences: tuple[str, ...]) -> bytes:
    """sha256: sellers write the texts, and none may take the place of another's."""
    return hashlib.sha256(json.dumps(sentences).encode()).digest()
