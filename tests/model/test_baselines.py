import numpy as np
import pytest

from model.baselines import BM25, Tfidf, mean_picture_vectors, popularity_scores

TEXTS = ["red wooden chair", "blue chair", "Red sofa, red cushions", ""]


def test_tfidf_prefers_the_item_with_both_words_and_ignores_unknown_ones():
    scores = Tfidf(TEXTS).scores(["red chair", "spaceship"])
    assert scores.shape == (2, 4)
    assert scores[0].argmax() == 0
    assert (scores[1] == 0).all()


def test_bm25_equals_the_formula():
    scores = BM25(TEXTS).scores(["red"])
    lengths = np.array([3, 2, 4, 0])
    idf = np.log1p((4 - 2 + 0.5) / (2 + 0.5))
    counts = np.array([1, 0, 2, 0])
    expected = idf * counts * 2.2 / (counts + 1.2 * (0.25 + 0.75 * lengths / lengths.mean()))
    assert scores[0] == pytest.approx(expected, rel=1e-5)


def test_popularity_counts_known_items_only():
    assert popularity_scores(["a", "b"], ["b", "x", "b"]).tolist() == [0, 2]


def test_mean_picture_vectors_are_unit_means_of_unit_vectors():
    pictures = [np.array([[2, 0], [0, 5]], np.float16), np.zeros((0, 2), np.float16)]
    assert mean_picture_vectors(pictures, 2) == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [0, 0]]))
