"""Which step a training keeps: the best by its validation, the last, or none at all."""

import collections
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from small_training import SHORT, SMALL, read_curve, train_small, weights_of

from model.items.itemsage import ItemSage
from model.training import step_choice
from model.training.checkpoint import read_checkpoint
from model.training.config import TrainingStart
from model.training.data import TrainingData
from model.training.ranked_pairs import embed_rows
from model.training.tables import PairTable
from model.training.train import train
from model.training.validation import MIN_QUERIES_A_KIND, evaluate_recall
from schemas.records.tfrecords import decode_pair, encode_pair, read_records, write_records
from schemas.tables import PSEUDO_TASK

pytestmark = [pytest.mark.usefixtures("a_few_pairs_choose"), pytest.mark.medium]


@torch.inference_mode()
def _score_by_hand(model: ItemSage, data: TrainingData) -> float:
    """Pair by pair: the mean over queries, seen and new ones a half each, of the mean over a query's pairs."""
    known, trained = set(), set()
    for table in (data.train, data.validation):
        for query, item, is_pseudo in zip(table.query_P, table.item_P, table.is_pseudo(), strict=True):
            known.add((int(table.query_id_Q[query]), bool(is_pseudo), int(item)))
            if table is data.train and not is_pseudo:
                trained.add(int(table.query_id_Q[query]))
    pairs, found = data.validation, collections.defaultdict(list)
    items_NO = embed_rows(model, data.items, np.arange(len(data.items)))
    for query, item, is_pseudo in zip(pairs.query_P.tolist(), pairs.item_P.tolist(), pairs.is_pseudo(), strict=True):
        row, query_id = np.array([query]), int(pairs.query_id_Q[query])
        if pairs.is_text(row)[0]:
            cosine_N = items_NO @ model.text_tower(*pairs.text(row)).numpy()[0]
        else:
            assert model.picture_tower is not None
            cosine_N = items_NO @ model.picture_tower(pairs.pictures(row)).numpy()[0]
        others = [n for n in range(len(items_NO)) if n != item and (query_id, bool(is_pseudo), n) not in known]
        rank = 1 + int((cosine_N[others] >= cosine_N[item]).sum())
        found[query_id].append(((rank <= 10) + 1 / rank) / 2)
    kinds = [[np.mean(of) for query, of in found.items() if (query in trained) == seen] for seen in (True, False)]
    if min(map(len, kinds)) < MIN_QUERIES_A_KIND:
        return float(np.mean([*kinds[0], *kinds[1]]))
    return float(np.mean([np.mean(kind) for kind in kinds]))


@pytest.mark.parametrize("start", ["linear", "random"])
def test_it_learns_and_keeps_the_best_weights(data: TrainingData, tmp_path: Path, start: str) -> None:
    switches = dataclasses.replace(SMALL, start=start)
    model, result = train_small(data, tmp_path, switches, min_steps=60, evaluate_every=20, log_every=10)
    curve = read_curve(tmp_path)
    evaluations = {line["step"]: line for line in curve if "validation" in line}
    assert sorted(evaluations) == [0, 20, 40, 60]
    best = max(evaluations.values(), key=lambda line: line["score"])
    assert best["score"] > evaluations[0]["score"] + 0.05
    assert best["score"] == pytest.approx(_score_by_hand(model, data))
    assert result.best_step == best["step"]
    assert result.validation == best["validation"]
    assert [(v.step, v.score, v.tasks) for v in result.validations] == [
        (step, line["score"], line["validation"]) for step, line in evaluations.items()
    ]
    assert result.is_better_than_start
    assert {figures["num_items"] for figures in result.validation.values()} == {len(data.items)}
    measured = evaluate_recall(model, data.items, data.validation, known=[data.train])
    assert {task: dataclasses.asdict(recall) for task, recall in measured.items()} == best["validation"]
    (cells,) = [found.cells for found in result.validations if found.step == result.best_step]
    assert cells == best["cells"]
    is_new_P = ~np.isin(data.validation.item_P, data.train.item_P)
    assert cells["seen item"]["num_pairs"] == (~is_new_P).sum()
    assert ("new item" in cells) == is_new_P.any()
    mean = sum(cell["recall"] * cell["num_pairs"] for cell in cells.values()) / len(is_new_P)
    assert mean == pytest.approx(sum(v["recall"] * v["num_pairs"] for v in best["validation"].values()) / len(is_new_P))
    above = result.above_start
    assert above is not None
    assert above["score"] == pytest.approx(best["score"] - evaluations[0]["score"])
    assert 0 < above["score_low"] < above["score"] < above["score_high"]
    assert not result.is_within_noise
    losses = [line["loss"] for line in curve if "loss" in line]
    assert losses[-1] < losses[0]
    moved = {step: {name: part["rms"] for name, part in line["movement"].items()} for step, line in evaluations.items()}
    assert moved[0].keys() == {"table", "importances", "field_weights", "item_encoder", "text_tower", "picture_tower"}
    assert set(moved[0].values()) == {0.0}
    assert all(0 < moved[20][name] < moved[60][name] for name in moved[0])
    assert {name: found.rms for name, found in result.movement.items()} == moved[best["step"]]


def test_training_stops_early_after_patience_evaluations(data: TrainingData, tmp_path: Path) -> None:
    kinds = ("learning_rate", "table_learning_rate", "importance_learning_rate", "field_weight_learning_rate")
    rates = dict.fromkeys(kinds, 0.0)
    model, result = train_small(data, tmp_path, **rates, patience=2)
    assert (result.steps, result.planned_steps, result.best_step) == (8, 14, 0)
    assert [validation.step for validation in result.validations] == [0, 4, 8]
    assert result.is_better_than_start is False  # equal is not better
    assert weights_of(model) == weights_of(ItemSage(SMALL))


def test_where_validation_is_not_sure_the_last_step_alone_is_compared_with_the_start(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_choice, "MIN_PAIRS", len(data.validation) + 1)
    starts: list[TrainingStart] = []
    model = ItemSage(SMALL)
    result = train(model, data, SHORT, tmp_path, on_start=starts.append)
    assert [validation.step for validation in result.validations] == [0, 14]
    assert "too few to choose a step by" in starts[0].choice.line
    checkpoint = read_checkpoint(tmp_path / "checkpoint.safetensors")
    assert checkpoint is not None
    assert result.is_better_than_start
    assert {name: tensor.tolist() for name, tensor in checkpoint.model.items()} == weights_of(model)
    ruined = ItemSage(SMALL)
    result = train(ruined, data, dataclasses.replace(SHORT, learning_rate=1.0, patience=1), tmp_path / "ruined")
    assert (result.steps, result.best_step) == (14, 0)
    assert weights_of(ruined) == weights_of(ItemSage(SMALL))


@pytest.mark.parametrize("log_is_enough", [True, False])
def test_the_log_decides_and_pseudo_queries_only_in_its_place(
    training_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_is_enough: bool
) -> None:
    """Checkouts are renamed to pseudo-queries: they are measured in any case."""
    names = {"search/checkout": PSEUDO_TASK}
    for part in ("train", "validation"):
        (tmp_path / "pairs" / part).mkdir(parents=True)
        pairs = [decode_pair(p) for path in (training_run / "pairs" / part).iterdir() for p in read_records(path)]
        renamed = (dataclasses.replace(pair, task=names.get(pair.task, pair.task)) for pair in pairs)
        write_records(tmp_path / "pairs" / part / "a.tfrecord", map(encode_pair, renamed))
    (tmp_path / "features").symlink_to(training_run / "features")
    data = TrainingData.open(tmp_path, tmp_path / "cache", picture_dim=SMALL.picture_dim)
    num_pseudo = int(data.validation.is_pseudo().sum())
    num_log = len(data.validation) - num_pseudo
    assert 0 < num_pseudo < num_log
    monkeypatch.setattr(step_choice, "MIN_PAIRS", num_log if log_is_enough else num_log + 1)
    monkeypatch.setattr(step_choice, "MIN_QUERIES", 1)
    starts: list[TrainingStart] = []
    model = ItemSage(SMALL)
    result = train(model, data, SHORT, tmp_path / "trained", on_start=starts.append)
    assert starts[0].choice.by_log == log_is_enough
    for validation in result.validations:
        assert set(validation.tasks) == {"search/click", "closeup/save", PSEUDO_TASK}
        assert validation.num_pairs == (num_log if log_is_enough else len(data.validation))
    deciding = [task for task in data.validation.tasks if not (log_is_enough and task == PSEUDO_TASK)]
    alone = dataclasses.replace(data, validation=data.validation.of_tasks(deciding))
    scores = {found.step: found.score for found in result.validations}
    assert scores[result.best_step] == pytest.approx(_score_by_hand(model, alone))


def test_without_validation_pairs_the_last_weights_stay(data: TrainingData, tmp_path: Path) -> None:
    empty = PairTable.build(tmp_path, data.items, tmp_path / "cache")
    starts: list[TrainingStart] = []
    model = ItemSage(SMALL)
    result = train(model, dataclasses.replace(data, validation=empty), SHORT, tmp_path, on_start=starts.append)
    assert (result.steps, result.best_step, result.validation) == (14, 14, {})
    assert result.is_better_than_start is None
    assert starts[0].validation is None
    assert [line["step"] for line in read_curve(tmp_path) if "movement" in line] == [0, 14]
    assert result.without == {}
    checkpoint = read_checkpoint(tmp_path / "checkpoint.safetensors")
    assert checkpoint is not None
    assert {name: tensor.tolist() for name, tensor in checkpoint.model.items()} == weights_of(model)
