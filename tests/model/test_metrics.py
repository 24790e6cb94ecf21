"""Metrics against worked examples, scikit-learn and the plain loops they stand for."""

import doctest
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from model.measures import metrics


def unit_rows(num_rows: int, dim: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((num_rows, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_worked_examples():
    result = doctest.testmod(metrics)
    assert result.failed == 0
    assert result.attempted >= 5


def test_ties_count_against_the_positive():
    positive = unit_rows(1, 8, seed=0)
    distractors = np.concatenate([positive] * 3 + [-positive])
    assert metrics.ranks(positive, positive, distractors).tolist() == [4]


def test_rows_left_out_are_no_distractors():
    positive = unit_rows(1, 8, seed=0)
    distractors = np.concatenate([positive] * 3 + [-positive])
    assert metrics.ranks(positive, positive, distractors, [np.array([0])]).tolist() == [3]
    assert metrics.ranks(positive, positive, distractors, [np.array([2, 0])]).tolist() == [2]
    assert metrics.ranks(positive, positive, distractors, [np.array([], np.int64)]).tolist() == [4]


@pytest.mark.parametrize("scores_per_block", [1, 50, 1 << 24])
def test_ranks_equal_the_plain_loop_for_any_block(monkeypatch, scores_per_block):
    monkeypatch.setattr(metrics, "_SCORES_PER_BLOCK", scores_per_block)
    queries, distractors = unit_rows(17, 8, seed=1), unit_rows(40, 8, seed=2)
    positive_rows = np.arange(17) * 2
    expected = []
    for query, row in zip(queries, positive_rows, strict=True):
        others = np.delete(distractors, row, axis=0)
        expected.append(1 + sum(other @ query >= distractors[row] @ query for other in others))
    got = metrics.ranks(queries, distractors[positive_rows], distractors, positive_rows[:, None])
    assert got.tolist() == expected
    assert len(set(expected)) > 5


def test_no_distractors_no_queries():
    queries = unit_rows(2, 4, seed=3)
    assert metrics.ranks(queries, queries, np.zeros((0, 4), np.float32)).tolist() == [1, 1]
    assert metrics.ranks(queries[:0], queries[:0], queries).tolist() == []
    for function in (metrics.mean_reciprocal_rank, lambda ranks: metrics.recall_at_k(ranks, 10)):
        with pytest.raises(ValueError, match="at least one query"):
            function(np.array([]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1000)), min_size=2, max_size=12, unique_by=lambda g: g[1]))
def test_ndcg_equals_scikit_learn_on_gains(judged):
    grades, scores = (np.array(column, np.float64) for column in zip(*judged, strict=True))
    got = metrics.ndcg_at_k(scores, grades, 5)
    if grades.max() == 0:
        assert got is None
    else:
        assert got == pytest.approx(ndcg_score([2**grades - 1], [scores], k=5))


def test_ndcg_of_tied_scores_is_that_of_the_worst_order():
    grades = [3.0, 0.0, 1.0]
    worst = min(metrics.ndcg_at_k(scores, grades, 3) for scores in itertools.permutations([3.0, 2.0, 1.0]))
    assert metrics.ndcg_at_k([0.5, 0.5, 0.5], grades, 3) == pytest.approx(worst)


@pytest.mark.parametrize("arguments", [([1.0], [1, 2], 3), ([np.nan], [1], 3), ([1.0], [-1], 3), ([1.0], [np.nan], 3)])
def test_ndcg_refuses_what_it_cannot_rank(arguments):
    with pytest.raises(ValueError, match="as many scores as grades"):
        metrics.ndcg_at_k(*arguments)


def test_r_precision_needs_relevant_items():
    assert metrics.r_precision([], {"a"}) == 0
    with pytest.raises(ValueError, match="relevant"):
        metrics.r_precision(["a"], set())


def test_retrieval_frequency_of_even_and_of_collapsed_results():
    even = metrics.retrieval_frequency(np.arange(100).reshape(50, 2), num_items=100)
    assert (even.p90, even.p100, even.share_of_items) == pytest.approx((0.02, 0.02, 1.0))
    collapsed = metrics.retrieval_frequency(np.zeros((50, 1), np.int64), num_items=100)
    assert (collapsed.p90, collapsed.p100, collapsed.share_of_items) == pytest.approx((0.0, 1.0, 0.01))
