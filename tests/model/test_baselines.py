import numpy as np
import pytest

from model.measures import baselines
from model.measures.baselines import (
    BM25,
    CharacterTfidf,
    RememberedLog,
    Tfidf,
    expanded_texts,
    fused_by_rank,
    popularity_scores,
    why_no_character_tfidf,
)
from model.measures.evaluation import HeldOutTask, rank_pairs

TEXTS = ["red wooden chair", "blue chair", "Red sofa, red cushions", ""]


def test_tfidf_prefers_the_item_with_both_words_and_ignores_unknown_ones():
    scores = Tfidf(TEXTS).scores(["red chair", "spaceship"])
    assert scores.shape == (2, 4)
    assert scores[0].argmax() == 0
    assert (scores[1] == 0).all()


def test_letters_find_typos_and_other_endings_and_read_as_words_do():
    scores_N = CharacterTfidf(["red scarf", "blue lamp", "Écharpe"]).scores(["SCARVES"])[0]
    assert scores_N.argmax() == 0
    assert scores_N[1] == 0
    scores_QN = CharacterTfidf(["red scarf", "blue lamp", "Écharpe"]).scores(["echarpe", "qqq"])
    assert scores_QN[0].tolist() == pytest.approx([0, 0, 1], abs=0.2)
    assert not scores_QN[1].any()


def test_too_many_letters_are_told(monkeypatch):
    assert why_no_character_tfidf(["sofa"]) is None
    monkeypatch.setattr(baselines, "MAX_NGRAM_LETTERS", 7)
    assert why_no_character_tfidf(["sofa", "lamp"]) == "expected at most 7 letters of text, got 8"


def test_bm25_equals_the_formula():
    scores = BM25(TEXTS).scores(["red"])
    lengths = np.array([3, 2, 4, 0])
    idf = np.log1p((4 - 2 + 0.5) / (2 + 0.5))
    counts = np.array([1, 0, 2, 0])
    expected = idf * counts * 2.2 / (counts + 1.2 * (0.25 + 0.75 * lengths / lengths.mean()))
    assert scores[0] == pytest.approx(expected, rel=1e-5)


def test_what_is_remembered_is_above_the_best_of_the_rest_whatever_its_scores():
    log = RememberedLog({("x", 1): 1}, lambda queries: np.array([[1.0, -1.0, 0.5]], np.float32), key=str.upper)
    for asked in ("X", "x"):
        assert np.argsort(-log.scores([asked])[0]).tolist() == [1, 0, 2]


def test_popularity_counts_known_items_only():
    assert popularity_scores(["a", "b"], ["b", "x", "b"]).tolist() == [0, 2]


def test_expanded_texts_bring_items_whose_own_words_say_nothing():
    pairs = [("couch", 2), ("settee", 2), ("couch", 2), ("azure", 1)]
    assert expanded_texts(TEXTS, pairs)[2] == "Red sofa, red cushions couch settee"
    scores = BM25(expanded_texts(TEXTS, pairs)).scores(["couch", "azure"])
    assert scores.argmax(axis=1).tolist() == [2, 1]
    assert (BM25(TEXTS).scores(["couch"]) == 0).all()


def test_the_remembered_log_counts_and_fills_up_by_the_other():
    bm25 = BM25(TEXTS)
    log = RememberedLog({("Red  chair", 3): 2, ("red chair", 3): 1, ("red-chair", 1): 1, ("lamp", 0): 1}, bm25.scores)
    scores, other = log.scores(["red chair", "blue", "nothing"]), bm25.scores(["red chair", "blue", "nothing"])
    assert np.argsort(-scores[0]).tolist() == [3, 1, 0, 2]  # 3 engagements, 1, then as BM25 has them
    assert np.floor(scores[0]).tolist() == [0, 1, 0, 3]
    assert (scores[1:] == other[1:]).all()
    assert scores.dtype == np.float32


def test_fusion_adds_up_reciprocal_ranks():
    """By the double loop; scores of three values, so that many are equal: all of those have the last rank of theirs."""
    generator = np.random.default_rng(0)
    some, others = generator.integers(0, 3, (4, 30)), generator.normal(size=(4, 30))
    expected = [
        [
            sum(1 / (60 + sum(other >= score for other in row)) for row, score in ((a, a[n]), (b, b[n])))
            for n in range(30)
        ]
        for a, b in zip(some, others, strict=True)
    ]
    fused = fused_by_rank([some.astype(np.float32), others.astype(np.float32)])
    assert fused.dtype == np.float32
    assert fused / (60 + 30) == pytest.approx(np.array(expected), rel=1e-6)


def test_fused_ranks_far_down_are_no_ties():
    scores = np.arange(200_000, dtype=np.float32)[None]
    task = HeldOutTask("search", ("x",), np.zeros(2, np.int64), np.array([100_000, 1]))
    assert rank_pairs(task, lambda _: fused_by_rank([scores, scores])).tolist() == [100_000, 199_998]
