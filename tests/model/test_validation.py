"""Validation while training, against counting by hand."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from small_training import SMALL

from model.items.itemsage import ItemSage
from model.training.data import TrainingData
from model.training.validation import (
    MIN_QUERIES_A_KIND,
    QueryScores,
    evaluate_cells,
    evaluate_recall,
    query_weights,
)
from schemas.errors import UsageError
from schemas.tables import PSEUDO_TASK


def test_seen_and_new_queries_weigh_a_half_each() -> None:
    weights = query_weights(np.arange(200) < 150)
    assert weights.sum() == pytest.approx(1)
    assert weights[:150].sum() == pytest.approx(0.5)
    assert weights[0] == pytest.approx(weights[150] / 3)
    few = query_weights(np.arange(200) < MIN_QUERIES_A_KIND - 1)
    assert set(few.tolist()) == {1 / 200}, "too few seen ones to speak for a half"


def test_a_score_above_another_is_paired_by_query() -> None:
    """A query of many pairs is drawn whole: one that got better says little, however many pairs it has."""
    weights = np.array([100.0, 1, 1])
    better, worse = (QueryScores(np.array(sums), weights) for sums in ([90.0, 0.2, 0.3], [60.0, 0.4, 0.5]))
    found = better.above(worse)
    assert found["score"] == pytest.approx(29.6 / 102)
    assert found["score_low"] == pytest.approx(-0.2)
    assert set(better.above(better).values()) == {0}


@pytest.mark.parametrize("with_training", [False, True])
def test_recall_equals_counting_by_hand(data: TrainingData, with_training: bool) -> None:
    """What a query is known to have engaged, by any action and in training too, is no distractor."""
    model, pairs = ItemSage(SMALL).eval(), data.validation
    known = [data.train] if with_training else []
    with torch.inference_mode():
        items = model.item_encoder(data.items.batch(np.arange(len(data.items)))).numpy()
        hits: dict[str, list[float]] = {}
        for task, query, item in zip(pairs.task_P, pairs.query_P, pairs.item_P, strict=True):
            row = np.array([query])
            is_text = bool(pairs.is_text(row)[0])
            vector = model.text_tower(*pairs.text(row)) if is_text else model.picture_tower(pairs.pictures(row))
            scores = items @ vector[0].numpy()
            engaged = set()
            for table in [pairs, *known]:
                same = table.query_id_Q[table.query_P] == pairs.query_id_Q[query]
                engaged |= set(table.item_P[same].tolist())
            others = [scores[row] for row in range(len(items)) if row not in engaged]
            rank = 1 + sum(score >= scores[item] - 1e-6 for score in others)
            hits.setdefault(pairs.tasks[task], []).append(float(rank <= 10))
    got = evaluate_recall(model, data.items, pairs, known=known)
    assert {task: recall.recall for task, recall in got.items()} == {
        k: pytest.approx(np.mean(v)) for k, v in hits.items()
    }
    assert {task: recall.num_pairs for task, recall in got.items()} == {
        task: len(values) for task, values in hits.items()
    }
    sampled = evaluate_recall(model, data.items, pairs, num_distractors=5, known=known)
    assert all(sampled[task].reciprocal_rank >= got[task].reciprocal_rank for task in got)


def test_items_that_pseudo_queries_alone_were_trained_on_are_new(data: TrainingData) -> None:
    """The training part's rarest task is taken for that of pseudo-queries: its items have no pairs of the log."""
    model, pairs = ItemSage(SMALL), data.validation
    rare = data.train.of_tasks(["search/checkout"])
    pseudo = copy.copy(rare)
    pseudo.tasks = [PSEUDO_TASK]
    _, cells = evaluate_cells(model, data, pairs, [], num_pairs=1000)
    assert cells["seen item"]["num_pairs"] == np.isin(pairs.item_P, data.train.item_P).sum() > 0
    _, cells = evaluate_cells(model, dataclasses.replace(data, train=rare), pairs, [], num_pairs=1000)
    assert cells["seen item"]["num_pairs"] == np.isin(pairs.item_P, rare.item_P).sum() > 0
    _, cells = evaluate_cells(model, dataclasses.replace(data, train=pseudo), pairs, [], num_pairs=1000)
    assert {name: cell["num_pairs"] for name, cell in cells.items()} == {"new item": len(pairs)}


def test_recall_of_a_prefix_is_that_of_a_model_which_ends_there(data: TrainingData) -> None:
    model, short = ItemSage(SMALL).eval(), ItemSage(SMALL).eval()
    assert short.picture_tower is not None
    with torch.no_grad():
        for layer in (short.item_encoder.head_out, short.text_tower.out, short.picture_tower.out):
            layer.weight[8:], layer.bias[8:] = 0, 0
    whole, cut = (evaluate_recall(m, data.items, data.validation) for m in (model, short))
    assert evaluate_recall(model, data.items, data.validation, dim=8) == cut != whole
    assert evaluate_recall(model, data.items, data.validation, dim=32) == whole
    for dim in (0, 33):
        with pytest.raises(UsageError, match=f"from 1 to the 32 of the model's vectors, got {dim}"):
            evaluate_recall(model, data.items, data.validation, dim=dim)
