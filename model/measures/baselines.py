"""What a trained model must beat, where queries are text: popularity, TF-IDF of words and of letters, BM25, and what a
log of training engagements gives without any model: remembered as it is, or as more text of its items; and the ranks of
several of them fused.

Each gives float32 scores [Q, N] of queries against all items, larger is better, so that evaluation ranks all alike.
Those of pictures are in model/measures/picture_baselines.py.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from model.text.tokenizer import normalize, only_words, words
from model.text.vocabulary import inverse_document_frequencies

#: Of all items' text: a minute on one core, a GB.
MAX_NGRAM_LETTERS = 20_000_000
_NGRAM_LENGTHS = (3, 5)
#: What Cormack, Clarke and Büttcher (SIGIR 2009) add to every rank, and search engines after them.
_FUSION_K = 60


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


class CharacterTfidf:
    """Cosine of TF-IDF vectors of the 3 to 5 letters side by side in a word and its borders (scikit-learn's "char_wb",
    else its defaults): half a word, a typo and another ending still match.

    Memory grows with the letters of all texts, some 40 bytes each: see `why_no_character_tfidf`.
    """

    def __init__(self, item_texts: Sequence[str]):
        from sklearn.feature_extraction.text import TfidfVectorizer  # as above

        self._vectorizer = TfidfVectorizer(
            preprocessor=normalize, analyzer="char_wb", ngram_range=_NGRAM_LENGTHS, dtype=np.float32
        )
        self._items_VN = self._vectorizer.fit_transform(item_texts).T.tocsr()

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """float32 [Q, N], cosines."""
        return (self._vectorizer.transform(queries) @ self._items_VN).toarray()


def why_no_character_tfidf(item_texts: Sequence[str]) -> str | None:
    """None if CharacterTfidf can be had of these texts."""
    num_letters = sum(map(len, item_texts))
    if num_letters > MAX_NGRAM_LETTERS:
        return f"expected at most {MAX_NGRAM_LETTERS:,} letters of text, got {num_letters:,}"
    return None


class BM25:
    """Okapi BM25 (Robertson & Zaragoza 2009, eq. 3.15): k1 = 1.2, b = 0.75, idf = log(1 + (N - n + .5)/(n + .5)).

    The package bm25s (its method "lucene") gives these very scores but for the constant factor k1 + 1, so the same
    order: these lines spare a package.
    """

    def __init__(self, item_texts: Sequence[str], k1: float = 1.2, b: float = 0.75):
        import scipy.sparse  # as above
        from sklearn.feature_extraction.text import CountVectorizer

        self._vectorizer = CountVectorizer(analyzer=_analyze, dtype=np.float32)
        counts_NV = self._vectorizer.fit_transform(item_texts).tocsr()
        lengths_N = np.asarray(counts_NV.sum(axis=1)).ravel()
        containing_V = np.bincount(counts_NV.indices, minlength=counts_NV.shape[1])
        idf_V = inverse_document_frequencies(containing_V, counts_NV.shape[0])
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


def expanded_texts(item_texts: Sequence[str], pairs: Iterable[tuple[str, int]]) -> list[str]:
    """Each item's text and, once each, the queries that it was engaged after. pairs: (query, row of the item).

    >>> expanded_texts(["sofa", "lamp"], [("couch", 0), ("red", 0), ("couch", 0)])
    ['sofa couch red', 'lamp']
    """
    queries: list[dict[str, None]] = [{} for _ in item_texts]
    for query, row in sorted(pairs):
        queries[row][query] = None
    return [" ".join([text, *asked]) for text, asked in zip(item_texts, queries, strict=True)]


class RememberedLog:
    """Items by how often they were engaged after this very query, below them, and for a query that the log does not
    know, as `otherwise` has them (float32 [Q, N] of queries). key: equal for queries that are one."""

    def __init__(
        self,
        counts: Mapping[tuple[str, int], int],
        otherwise: Callable[[Sequence[str]], np.ndarray],
        key: Callable[[str], str] = only_words,
    ):
        """counts: (query, row of the item) -> engagements."""
        self._otherwise, self._key = otherwise, key
        self._counts: dict[str, dict[int, int]] = {}
        for (query, row), count in counts.items():
            of_query = self._counts.setdefault(key(query), {})
            of_query[row] = of_query.get(row, 0) + count

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """float32 [Q, N]: counts plus the other's score, scaled to below .5; of an unknown query the other's alone."""
        scores_QN = self._otherwise(queries)
        for query, scores_N in zip(queries, scores_QN, strict=True):
            if of_query := self._counts.get(self._key(query)):
                scores_N /= 1 + 2 * np.abs(scores_N).max()
                scores_N[list(of_query)] += list(of_query.values())
        return scores_QN


def fused_by_rank(scores: Sequence[np.ndarray]) -> np.ndarray:
    """float32 [Q, N]: reciprocal rank fusion of several methods' scores [Q, N], the sum of (60 + N) / (60 + rank).

    Equal scores have the last rank of theirs: what a method does not find, all of score 0, is last. The factor 60 + N
    changes no order; with it no addend is below 1, so that neighbours far down are no ties within 1e-6.

    >>> fused_by_rank([np.array([[9, 7, 0, 0]])]).astype(float).round(3).tolist()        # 64 / 61, 64 / 62, 64 / 64
    [[1.049, 1.032, 1.0, 1.0]]
    """
    fused_QN = np.zeros(scores[0].shape)
    for scores_QN in scores:
        for fused_N, scores_N in zip(fused_QN, scores_QN, strict=True):
            fused_N += (_FUSION_K + len(scores_N)) / (_FUSION_K + _last_ranks(scores_N))
    return fused_QN.astype(np.float32)


def _last_ranks(scores_N: np.ndarray) -> np.ndarray:
    """int64 [N]: how many scores are at least as large as each. 3 ms for 100,000, a search for each among all 12."""
    order_N = np.argsort(scores_N)
    ascending_N = scores_N[order_N]
    is_larger_N = np.ones(len(scores_N), bool)  # than the one before
    is_larger_N[1:] = ascending_N[1:] != ascending_N[:-1]
    rank_N = np.empty(len(scores_N), np.int64)
    rank_N[order_N] = len(scores_N) - np.flatnonzero(is_larger_N)[np.cumsum(is_larger_N) - 1]
    return rank_N


def popularity_scores(item_ids: Sequence[str], engaged_ids: Sequence[str]) -> np.ndarray:
    """float32 [N]: how often each item occurs in `engaged_ids` (the training part), equal for all queries."""
    row_of = {name: row for row, name in enumerate(item_ids)}
    counts = np.zeros(len(item_ids), np.float32)
    for name in engaged_ids:
        if (row := row_of.get(name)) is not None:
            counts[row] += 1
    return counts
