"""What a trained model must beat: popularity, TF-IDF, BM25, raw picture neighbours.

Each gives float32 scores [Q, N] of queries against all items, larger is better, so that evaluation ranks all alike.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from model.tokenizer import normalize, words


class TextScorer(Protocol):
    """Scores text queries against a fixed list of N items."""

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """float32 [Q, N]."""
        ...


def _analyze(text: str) -> list[str]:
    return words(normalize(text))


class Tfidf:
    """Cosine of TF-IDF vectors of words (scikit-learn's defaults: smoothed idf, L2 norm, raw term counts)."""

    def __init__(self, item_texts: Sequence[str]):
        from sklearn.feature_extraction.text import TfidfVectorizer  # a second that a day without change need not wait

        self._vectorizer = TfidfVectorizer(analyzer=_analyze, dtype=np.float32)
        self._items_NV = self._vectorizer.fit_transform(item_texts).T.tocsr()

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """float32 [Q, N], cosines."""
        return (self._vectorizer.transform(queries) @ self._items_NV).toarray()


class BM25:
    """Okapi BM25 (Robertson & Zaragoza 2009, eq. 3.15): k1 = 1.2, b = 0.75, idf = log(1 + (N - n + .5)/(n + .5))."""

    def __init__(self, item_texts: Sequence[str], k1: float = 1.2, b: float = 0.75):
        import scipy.sparse  # as above
        from sklearn.feature_extraction.text import CountVectorizer

        self._vectorizer = CountVectorizer(analyzer=_analyze, dtype=np.float32)
        counts_NV = self._vectorizer.fit_transform(item_texts).tocsr()
        lengths_N = np.asarray(counts_NV.sum(axis=1)).ravel()
        containing_V = np.bincount(counts_NV.indices, minlength=counts_NV.shape[1])
        idf_V = np.log1p((counts_NV.shape[0] - containing_V + 0.5) / (containing_V + 0.5))
        norm_N = k1 * (1 - b + b * lengths_N / max(lengths_N.mean(), 1e-9))
        rows = np.repeat(np.arange(counts_NV.shape[0]), np.diff(counts_NV.indptr))
        weights = counts_NV.data * (k1 + 1) / (counts_NV.data + norm_N[rows]) * idf_V[counts_NV.indices]
        weighted_NV = scipy.sparse.csr_matrix(
            (weights.astype(np.float32), counts_NV.indices, counts_NV.indptr), counts_NV.shape
        )
        self._items_VN = weighted_NV.T.tocsr()

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """float32 [Q, N]; every occurrence of a query word counts."""
        return (self._vectorizer.transform(queries) @ self._items_VN).toarray()


def popularity_scores(item_ids: Sequence[str], engaged_ids: Sequence[str]) -> np.ndarray:
    """float32 [N]: how often each item occurs in `engaged_ids` (the training part), equal for all queries."""
    row_of = {name: row for row, name in enumerate(item_ids)}
    counts = np.zeros(len(item_ids), np.float32)
    for name in engaged_ids:
        if (row := row_of.get(name)) is not None:
            counts[row] += 1
    return counts


def mean_picture_vectors(pictures: Sequence[np.ndarray], picture_dim: int) -> np.ndarray:
    """float32 [N, D]: the unit mean of each item's unit picture vectors [n, D]; zeros for an item without pictures."""
    means_ND = np.zeros((len(pictures), picture_dim), np.float32)
    for row, vectors_PD in enumerate(pictures):
        if len(vectors_PD):
            means_ND[row] = unit(vectors_PD.astype(np.float32)).mean(axis=0)
    return unit(means_ND)


def unit(matrix_ND: np.ndarray) -> np.ndarray:
    """Rows scaled to norm 1; zero rows stay zero."""
    return matrix_ND / np.maximum(np.linalg.norm(matrix_ND, axis=1, keepdims=True), 1e-12)
