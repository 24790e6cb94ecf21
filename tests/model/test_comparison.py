"""The model beside its baselines: paired intervals, the best baseline, the four cells."""

import numpy as np
import pytest

from model.measures.comparison import CELLS, compare, compare_cells, compare_new_queries, is_shown
from model.measures.evaluation import METRICS, HeldOutTask, summarize_ranks

NUM = 200


def one_pair_a_query(num: int = NUM) -> HeldOutTask:
    return HeldOutTask("search/click", tuple(f"q{n}" for n in range(num)), np.arange(num), np.arange(num))


def test_a_small_but_steady_difference_is_shown_where_intervals_overlap():
    """The model finds what the baseline finds, and 12 of 200 more: pairing sees it, two intervals do not."""
    baseline = np.where(np.arange(NUM) < 100, 1, 99)
    model = np.where(np.arange(NUM) < 112, 1, 99)
    found = compare(one_pair_a_query(), {"itemsage": model, "bm25": baseline})
    difference = found["differences"]["bm25"]
    assert found["best_baseline"] == "bm25"
    assert difference["recall@10"] == pytest.approx(0.06)
    assert 0.02 < difference["recall@10_low"] < 0.06 < difference["recall@10_high"] < 0.1
    assert is_shown(difference, "recall@10")
    alone = [summarize_ranks(one_pair_a_query(), ranks) for ranks in (model, baseline)]
    assert alone[0]["recall@10_low"] < alone[1]["recall@10_high"]


def test_every_metric_is_compared_with_every_baseline():
    """All first in 30 of 200 more; only the first place tells."""
    baseline = np.where(np.arange(NUM) < 100, 1, 2)
    model = np.where(np.arange(NUM) < 130, 1, 2)
    difference = compare(one_pair_a_query(), {"itemsage": model, "bm25": baseline})["differences"]["bm25"]
    assert set(difference) == {f"{name}{bound}" for name in METRICS for bound in ("", "_low", "_high")}
    assert difference["recall@1"] == pytest.approx(0.15)
    assert is_shown(difference, "recall@1")
    assert is_shown(difference, "mrr")
    assert not is_shown(difference, "recall@10")


def test_the_best_baseline_is_that_of_the_highest_recall_and_no_difference_is_no_win():
    ranks = {
        "itemsage": np.where(np.arange(NUM) % 2, 1, 99),
        "popularity": np.full(NUM, 99),
        "bm25": np.where(np.arange(NUM) % 2, 99, 1),
    }
    found = compare(one_pair_a_query(), ranks)
    assert found["best_baseline"] == "bm25"
    assert list(found["differences"]) == ["popularity", "bm25"]
    assert not is_shown(found["differences"]["bm25"], "recall@10")
    assert is_shown(found["differences"]["popularity"], "recall@10")
    of_start = compare(one_pair_a_query(), ranks | {"start": np.ones(NUM)})
    assert of_start["best_baseline"] == "start", "a model that is below its start has not won"
    assert compare(one_pair_a_query(), {"itemsage": ranks["bm25"]}) == {"best_baseline": None, "differences": {}}


def test_a_query_with_many_pairs_is_drawn_whole():
    """One query of 100 pairs and one of 1: the interval of two queries is wide, whatever the pairs say."""
    task = HeldOutTask("search/click", ("a", "b"), np.repeat([0, 1], [100, 1]), np.arange(101))
    found = compare(task, {"itemsage": np.repeat([1, 99], [100, 1]), "bm25": np.repeat([99, 1], [100, 1])})
    assert found["differences"]["bm25"]["recall@10"] == pytest.approx(99 / 101)
    assert found["differences"]["bm25"]["recall@10_low"] == -1
    assert not is_shown(found["differences"]["bm25"], "recall@10")


def test_differences_by_query_are_those_of_its_first_item():
    """The model finds one of each query's two items at once, the baseline both at the second place."""
    task = HeldOutTask("search/click", ("a", "b", "c"), np.repeat([0, 1, 2], 2), np.arange(6))
    ranks = {"itemsage": np.array([1, 99, 99, 1, 50, 99]), "bm25": np.array([2, 2, 2, 2, 11, 40])}
    difference = compare(task, ranks)["differences"]["bm25"]
    assert difference["recall@10"] == pytest.approx(2 / 6 - 4 / 6)
    assert difference["hit@10"] == difference["hit@10_low"] == difference["hit@10_high"] == 0
    assert difference["mrr"] == pytest.approx((0.5 + 0.5 + 1 / 50 - 1 / 11) / 3)
    assert difference["mrr_low"] == pytest.approx(1 / 50 - 1 / 11)
    assert difference["mrr_high"] == pytest.approx(0.5)


def test_new_queries_are_compared_alone_where_some_are_seen():
    task = one_pair_a_query(4)
    ranks = {"itemsage": np.array([1, 99, 2, 4]), "bm25": np.array([1, 1, 99, 99])}
    seen_Q = np.array([True, True, False, False])
    found = compare_new_queries(task, ranks, seen_Q)
    assert found["queries"] == 2
    assert [found["methods"]["itemsage"][name] for name in ("recall@1", "hit@10", "mrr")] == [0, 1, 0.375]
    assert found["differences"]["bm25"]["hit@10"] == found["differences"]["bm25"]["hit@10_low"] == 1
    assert found["differences"]["bm25"]["mrr"] == pytest.approx(0.375 - 1 / 99)
    assert compare_new_queries(task, ranks, np.ones(4, bool)) == compare_new_queries(task, ranks, seen_Q & False) == {}


def test_every_pair_is_in_one_of_the_four_cells_with_the_best_baseline_of_that_cell():
    """Queries 0 and 1 are seen, items 0 and 2."""
    task = HeldOutTask("search/click", ("a", "b", "c"), np.array([0, 0, 1, 2, 2]), np.array([0, 1, 2, 2, 3]))
    ranks = {
        "itemsage": np.array([1, 99, 99, 1, 1]),
        "x": np.array([1, 1, 1, 99, 99]),
        "y": np.array([99, 99, 1, 1, 99]),
    }
    cells = compare_cells(task, ranks, np.array([True, True, False]), np.array([True, False, True, False]))
    assert [cell["cell"] for cell in cells] == list(CELLS.values())
    assert [(cell["pairs"], cell["queries"]) for cell in cells] == [(2, 2), (1, 1), (1, 1), (1, 1)]
    assert [cell["recall@10"] for cell in cells] == [0.5, 0, 1, 1]
    assert [cell["best_baseline"] for cell in cells] == ["x", "x", "y", "x"]
    assert [cell["recall@10_baseline"] for cell in cells] == [1, 1, 1, 0]
    assert [cell["difference"]["recall@10"] for cell in cells] == [-0.5, -1, 0, 1]
    whole = HeldOutTask("search/click", ("a",), np.array([0]), np.array([0]))
    cells = compare_cells(whole, {"itemsage": np.array([1])}, np.array([True]), np.array([True]))
    assert cells[0] == {"cell": CELLS[True, True], "pairs": 1, "queries": 1, "recall@10": 1.0, "best_baseline": None}
    assert cells[1] == {"cell": CELLS[True, False], "pairs": 0, "queries": 0}
