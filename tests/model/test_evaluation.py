import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from model.measures.evaluation import (
    METRICS,
    HeldOutTask,
    by_query,
    difference,
    rank_pairs,
    summarize_ranks,
    with_interval,
)


def task_of(pairs, num_queries):
    queries = tuple(f"q{i}" for i in range(num_queries))
    rows = np.array(pairs, np.int64)
    return HeldOutTask("search/click", queries, rows[:, 0], rows[:, 1])


def test_rank_counts_ties_against_and_leaves_other_positives_out():
    task = task_of([(0, 0), (0, 1), (1, 2)], 2)
    scores = np.array([[0.5, 0.9, 0.5, 0.9, 0.1], [0.3, 0.3, 0.3, 0.1, 0.4]], np.float32)
    # q0, item 0 (.5): item 2 ties, item 3 above; item 1 is its other positive. item 1 (.9): item 3 ties.
    # q1, item 2 (.3): items 0 and 1 tie, item 4 above.
    assert rank_pairs(task, lambda rows: scores[rows]).tolist() == [3, 2, 4]


@pytest.mark.parametrize("size", [1.0, 40.0, -40.0])
def test_scores_that_differ_by_rounding_are_ties_however_large_they_are(size):
    """float32 sums of about 40, as BM25 has them, differ by 4e-6 a bit; a difference of 1e-4 of a score is none."""
    scores = np.array([[size, size * (1 - 5e-7), size * (1 + 5e-7), size - 1e-4 * abs(size)]], np.float32)
    ranks = [rank_pairs(task_of([(0, item)], 1), lambda rows: scores[rows])[0] for item in range(4)]
    assert ranks == [3, 3, 3, 4]


def test_ranks_equal_a_plain_double_loop_over_many_blocks():
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 20, (150, 40)).astype(np.float32)
    pairs = sorted({(int(generator.integers(150)), int(generator.integers(40))) for _ in range(400)})
    task = task_of(pairs, 150)
    positives = {query: {item for q, item in pairs if q == query} for query, _ in pairs}
    expected = [
        1 + sum(scores[q, other] >= scores[q, item] for other in range(40) if other not in positives[q])
        for q, item in pairs
    ]
    assert rank_pairs(task, lambda rows: scores[rows]).tolist() == expected


def test_the_first_item_of_a_query_is_ranked_among_all_items():
    generator = np.random.default_rng(1)
    scores = generator.integers(0, 30, (80, 50)).astype(np.float32)
    pairs = sorted({(int(generator.integers(80)), int(generator.integers(50))) for _ in range(200)} | {(79, 1)})
    queries = sorted({query for query, _ in pairs})
    task = task_of([(queries.index(query), item) for query, item in pairs], len(queries))
    found = by_query(task, rank_pairs(task, lambda rows: scores[np.array(queries)[rows]]))
    for number, query in enumerate(queries):
        mine = [item for q, item in pairs if q == query]
        others = np.delete(scores[query], mine)
        first = 1 + int((others >= scores[query, mine].max()).sum())
        assert found["mrr"][number] == pytest.approx(1 / first)
        assert found["hit@10"][number] == (first <= 10)


def test_summary_by_hand_and_interval_holds_the_mean():
    task = task_of([(0, 0), (1, 1), (2, 2), (2, 3)], 3)
    summary = summarize_ranks(task, np.array([1, 10, 11, 2]))
    assert summary["recall@1"] == 0.25
    assert summary["recall@10"] == 0.75
    assert summary["mrr"] == pytest.approx((1 + 0.1 + 0.5) / 3)
    assert summary["hit@10"] == 1
    assert all(summary[f"{name}_low"] <= summary[name] <= summary[f"{name}_high"] for name in METRICS)


def test_an_interval_of_a_mean_is_fixed_and_has_the_normal_width():
    hits = (np.random.default_rng(0).random(2000) < 0.3).astype(float)
    alone = np.arange(len(hits))
    found = with_interval("hit", hits, alone)
    assert found == with_interval("hit", hits, alone)
    assert found["hit_low"] < found["hit"] < found["hit_high"]
    assert found["hit"] == pytest.approx(hits.mean())
    width = 2 * 1.96 * hits.std() / np.sqrt(len(hits))
    assert found["hit_high"] - found["hit_low"] == pytest.approx(width, rel=0.15)
    assert set(with_interval("hit", np.full(9, 0.75), np.arange(9)).values()) == {0.75}


@pytest.mark.parametrize("copies", [1, 2, 7])
def test_copies_of_a_query_make_no_interval_narrower(copies):
    """Each query as often, in one cluster: the clusters that are drawn, and so the bounds, are the same ones."""
    generator = np.random.default_rng(3)
    ours_Q, theirs_Q = generator.integers(1, 30, (2, 60))
    queries = np.arange(60 * copies)
    alone = HeldOutTask("search/click", tuple(f"q{n}" for n in range(60)), np.arange(60), np.arange(60))
    copied = HeldOutTask("search/click", tuple(f"q{n}" for n in queries), queries, queries, cluster_of_Q=queries % 60)
    ours, theirs = np.tile(ours_Q, copies), np.tile(theirs_Q, copies)
    assert difference(copied, ours, theirs) == pytest.approx(difference(alone, ours_Q, theirs_Q))
    assert summarize_ranks(copied, ours) == pytest.approx(summarize_ranks(alone, ours_Q))
    if copies > 1:
        apart = difference(dataclasses.replace(copied, cluster_of_Q=None), ours, theirs)
        assert apart["mrr_high"] - apart["mrr_low"] < 0.9 * (
            difference(copied, ours, theirs)["mrr_high"] - difference(copied, ours, theirs)["mrr_low"]
        )


def test_a_part_of_a_task_is_a_task_of_its_own():
    task = dataclasses.replace(
        task_of([(0, 5), (1, 6), (1, 7), (3, 8)], 4),
        known_K2=np.array([[0, 1], [1, 2], [2, 3], [3, 4]]),
        cluster_of_Q=np.array([9, 4, 4, 9]),
    )
    part = task.only(np.array([False, True, False, True]))
    assert part.queries == ("q1", "q3")
    assert (part.query_rows_P.tolist(), part.item_rows_P.tolist()) == ([0, 1], [6, 8])
    assert part.known_K2.tolist() == [[0, 2], [1, 4]]
    assert part.cluster_Q.tolist() == [0, 1]
    assert task.cluster_Q.tolist() == [1, 0, 0, 1]
    assert task.only(np.zeros(4, bool)).queries == ()


@st.composite
def ranked_tasks(draw):
    """(scores with many ties, the pairs of a task, what its queries are known to have engaged beside)."""
    num_queries, num_items = draw(st.integers(1, 70)), draw(st.integers(1, 12))
    rows = st.tuples(st.integers(0, num_queries - 1), st.integers(0, num_items - 1))
    pairs, known = sorted(draw(st.sets(rows, min_size=1, max_size=60))), sorted(draw(st.sets(rows, max_size=60)))
    scores = draw(hnp.arrays(np.float32, (num_queries, num_items), elements=st.integers(-3, 3).map(float)))
    return scores, pairs, known


@pytest.mark.medium
@given(ranked_tasks())
def test_known_items_are_never_among_the_distractors(made):
    """The exact slow twin: each pair is ranked among the items that its query is not known to have engaged."""
    scores, pairs, known = made
    task = dataclasses.replace(task_of(pairs, len(scores)), known_K2=np.array(known, np.int64).reshape(-1, 2))
    engaged = {*pairs, *known}
    expected = [
        1 + sum(scores[q, other] >= scores[q, item] for other in range(scores.shape[1]) if (q, other) not in engaged)
        for q, item in pairs
    ]
    assert rank_pairs(task, lambda rows: scores[rows]).tolist() == expected
