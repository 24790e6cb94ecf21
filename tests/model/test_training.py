import collections
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from small_training import SHORT, SMALL
from torch import nn

from model import step_choice
from model.checkpoint import read_checkpoint
from model.itemsage import ItemSage
from model.itemsage_config import ItemSageConfig
from model.ranked_pairs import embed_rows
from model.training import train
from model.training_config import TrainingConfig, TrainingResult, TrainingStart
from model.training_data import TrainingData
from model.training_forward import encode_items, encode_text
from model.training_tables import PairTable
from model.validation import MIN_QUERIES_A_KIND, QueryScores, evaluate_recall, query_weights
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.records import decode_features, decode_pair, encode_features, encode_pair, read_records, write_records
from schemas.tables import PSEUDO_TASK


def _train(data: TrainingData, folder: Path, model: ItemSageConfig = SMALL, **changes: object) -> tuple:
    itemsage = ItemSage(model)
    result = train(itemsage, data, dataclasses.replace(SHORT, **changes), folder)
    return itemsage, result


def _curve(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def _weights(model: nn.Module) -> dict[str, list]:
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


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


def test_seen_and_new_queries_weigh_a_half_each() -> None:
    weights = query_weights(np.arange(200) < 150)
    assert weights.sum() == pytest.approx(1)
    assert weights[:150].sum() == pytest.approx(0.5)
    assert weights[0] == pytest.approx(weights[150] / 3)
    few = query_weights(np.arange(200) < MIN_QUERIES_A_KIND - 1)
    assert set(few.tolist()) == {1 / 200}, "too few seen ones to speak for a half"


@pytest.mark.parametrize("start", ["linear", "random"])
def test_it_learns_and_keeps_the_best_weights(data: TrainingData, tmp_path: Path, start: str) -> None:
    switches = dataclasses.replace(SMALL, start=start)
    model, result = _train(data, tmp_path, switches, min_steps=60, evaluate_every=20, log_every=10)
    curve = _curve(tmp_path)
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
    assert moved[0].keys() == {"table", "importances", "item_encoder", "text_tower", "picture_tower"}
    assert set(moved[0].values()) == {0.0}
    assert all(0 < moved[20][name] < moved[60][name] for name in moved[0])
    assert {name: found.rms for name, found in result.movement.items()} == moved[best["step"]]


def test_a_score_above_another_is_paired_by_query() -> None:
    """A query of many pairs is drawn whole: one that got better says little, however many pairs it has."""
    weights = np.array([100.0, 1, 1])
    better, worse = (QueryScores(np.array(sums), weights) for sums in ([90.0, 0.2, 0.3], [60.0, 0.4, 0.5]))
    found = better.above(worse)
    assert found["score"] == pytest.approx(29.6 / 102)
    assert found["score_low"] == pytest.approx(-0.2)
    assert set(better.above(better).values()) == {0}


@pytest.fixture(autouse=True)
def a_few_pairs_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are small: let their validation choose the step all the same."""
    monkeypatch.setattr(step_choice, "MIN_PAIRS", 0)
    monkeypatch.setattr(step_choice, "MIN_QUERIES", 0)


class _Killed(Exception):
    pass


@pytest.mark.parametrize(("killed_at", "dropout"), [(3, 0.0), (5, 0.0), (12, 0.2)])
def test_a_killed_run_continues_as_if_nothing_had_happened(
    data: TrainingData, tmp_path: Path, killed_at: int, dropout: float
) -> None:
    def kill(step: int, total_steps: int, loss: float) -> None:
        assert total_steps == 14
        if step == killed_at:
            raise _Killed

    switches = dataclasses.replace(SMALL, dropout=dropout)
    whole, whole_result = _train(data, tmp_path / "whole", switches)
    with pytest.raises(_Killed):
        train(ItemSage(switches), data, SHORT, tmp_path / "killed", kill)
    resumed, resumed_result = _train(data, tmp_path / "killed", switches)
    assert (tmp_path / "killed" / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    assert _weights(resumed) == _weights(whole)
    assert resumed_result == whole_result
    last = [read_checkpoint(tmp_path / name / "checkpoint.safetensors") for name in ("killed", "whole")]
    assert last[0] is not None
    assert last[0].state["finished"]
    assert {name: t.tolist() for name, t in last[0].optimizers.items()} == {
        name: t.tolist() for name, t in last[1].optimizers.items()
    }


def test_a_resumed_run_starts_at_its_checkpoint(data: TrainingData, tmp_path: Path) -> None:
    steps: list[int] = []
    starts: list[TrainingStart] = []

    def kill(step: int, total_steps: int, loss: float) -> None:
        steps.append(step)
        if len(steps) == 12:
            raise _Killed

    with pytest.raises(_Killed):
        train(ItemSage(SMALL), data, SHORT, tmp_path, kill, on_start=starts.append)
    for _ in range(2):  # the second time it is finished
        train(ItemSage(SMALL), data, SHORT, tmp_path, lambda step, *_: steps.append(step), on_start=starts.append)
    assert steps == [*range(1, 13), 11, 12, 13, 14]
    assert [start.step for start in starts] == [0, 10, 14]
    assert {(start.planned_steps, start.steps_per_epoch) for start in starts} == {(14, 26)}
    assert starts[0].validation is not None
    assert all(start.validation == starts[0].validation for start in starts)
    assert starts[0].validation.step == 0


def test_a_finished_run_is_not_trained_again(data: TrainingData, tmp_path: Path) -> None:
    first, result = _train(data, tmp_path)
    again = ItemSage(SMALL)
    repeated = train(again, data, SHORT, tmp_path, lambda *_: pytest.fail("trained again"))
    assert repeated == result
    assert _weights(again) == _weights(first)


def test_same_seed_same_weights(data: TrainingData, tmp_path: Path) -> None:
    first, _ = _train(data, tmp_path / "a")
    second, _ = _train(data, tmp_path / "b")
    other, _ = _train(data, tmp_path / "c", seed=1)
    assert _weights(first) == _weights(second)
    assert _weights(first) != _weights(other)


def test_sums_have_a_fixed_order_while_training_and_only_then(data: TrainingData, tmp_path: Path) -> None:
    """Small tensors are summed by one thread, so equal weights alone would not show it."""
    seen = []
    train(ItemSage(SMALL), data, SHORT, tmp_path, lambda *_: seen.append(torch.are_deterministic_algorithms_enabled()))
    assert seen == [True] * SHORT.min_steps
    assert not torch.are_deterministic_algorithms_enabled()


def test_training_stops_early_after_patience_evaluations(data: TrainingData, tmp_path: Path) -> None:
    rates = {"learning_rate": 0.0, "table_learning_rate": 0.0, "importance_learning_rate": 0.0}
    model, result = _train(data, tmp_path, **rates, patience=2)
    assert (result.steps, result.planned_steps, result.best_step) == (8, 14, 0)
    assert [validation.step for validation in result.validations] == [0, 4, 8]
    assert result.is_better_than_start is False  # equal is not better
    assert _weights(model) == _weights(ItemSage(SMALL))


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
    assert {name: tensor.tolist() for name, tensor in checkpoint.model.items()} == _weights(model)
    ruined = ItemSage(SMALL)
    result = train(ruined, data, dataclasses.replace(SHORT, learning_rate=1.0, patience=1), tmp_path / "ruined")
    assert (result.steps, result.best_step) == (14, 0)
    assert _weights(ruined) == _weights(ItemSage(SMALL))


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
    assert [line["step"] for line in _curve(tmp_path) if "movement" in line] == [0, 14]
    assert result.without == {}
    checkpoint = read_checkpoint(tmp_path / "checkpoint.safetensors")
    assert checkpoint is not None
    assert {name: tensor.tolist() for name, tensor in checkpoint.model.items()} == _weights(model)


def test_frozen_parameters_stay(data: TrainingData, tmp_path: Path) -> None:
    model, _ = _train(data, tmp_path, frozen=("hash_embedder", "picture_tower"))
    before, after = _weights(ItemSage(SMALL)), _weights(model)
    changed = {name.split(".")[0] for name in before if before[name] != after[name]}
    assert changed == {"item_encoder", "text_tower", "log_scale"}
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_model_with_pictures_trains_where_no_picture_is_usable(training_run: Path, tmp_path: Path) -> None:
    """The width of pictures is the encoder's, whether or not a picture came: none is [B, 0, D], not [B, 0, 0]."""
    (tmp_path / "features").mkdir()
    for path in sorted((training_run / "features").iterdir()):
        items = [
            dataclasses.replace(item, pictures=item.pictures[:0]) for item in map(decode_features, read_records(path))
        ]
        write_records(tmp_path / "features" / path.name, map(encode_features, items))
    shutil.copytree(training_run / "pairs", tmp_path / "pairs")
    for path in (tmp_path / "pairs").rglob("*.tfrecord"):
        text = [pair for pair in map(decode_pair, read_records(path)) if not len(pair.query_picture)]
        write_records(path, map(encode_pair, text))
    without = TrainingData.open(tmp_path, tmp_path / "cache", picture_dim=SMALL.picture_dim)
    assert without.items.batch(np.arange(3)).pictures_BND.shape == (3, 0, SMALL.picture_dim)
    assert without.train.pictures(np.zeros(0, np.int64)).shape == (0, SMALL.picture_dim)
    other = TrainingData.open(tmp_path, tmp_path / "cache", picture_dim=8)  # not the columns that are there already
    assert (other.items.picture_dim, other.train.pictures(np.zeros(0, np.int64)).shape) == (8, (0, 8))
    for start in ("linear", "random"):
        switches = dataclasses.replace(SMALL, start=start)
        model = ItemSage(switches)
        result = train(model, without, SHORT, tmp_path / f"out-{start}")
        assert set(result.num_pairs_by_task) == {"search/checkout", "search/click"}
        assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())


def test_text_alone_needs_no_pictures(training_run: Path, data: TrainingData, tmp_path: Path) -> None:
    path = training_run / "pairs" / "train" / "bucket-00000-of-00001.tfrecord"
    text = [pair for pair in map(decode_pair, read_records(path)) if pair.task == "search/click"]
    write_records(tmp_path / "a.tfrecord", [encode_pair(pair) for pair in text])
    table = PairTable.build(tmp_path, data.items, tmp_path / "cache")
    only_text = dataclasses.replace(data, train=table, validation=table)
    _, result = _train(only_text, tmp_path / "out", dataclasses.replace(SMALL, picture_dim=0))
    assert result.num_pairs_by_task == {"search/click": len(text)}


def test_a_checkpoint_of_something_else_is_refused(data: TrainingData, tmp_path: Path) -> None:
    _train(data, tmp_path)
    with pytest.raises(UsageError, match=r"train into another folder, or delete checkpoint\.safetensors"):
        _train(data, tmp_path, batch_size=24)
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-9])
    with pytest.raises(CorruptFileError, match=r"checkpoint\.safetensors"):
        _train(data, tmp_path)


def test_a_loss_that_is_not_finite_is_an_error(data: TrainingData, tmp_path: Path) -> None:
    model = ItemSage(SMALL)
    with torch.no_grad():
        model.picture_tower.hidden.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"got nan .* at step 1"):
        train(model, data, SHORT, tmp_path)


def test_a_model_of_another_picture_dimension_is_refused(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pictures of 8 dimensions, as the model is configured, got 16"):
        _train(data, tmp_path, dataclasses.replace(SMALL, picture_dim=8))
    with pytest.raises(UsageError, match="no picture queries, as the model has no pictures, got some in train"):
        _train(data, tmp_path, dataclasses.replace(SMALL, picture_dim=0))


def test_no_pairs_no_training(data: TrainingData, tmp_path: Path) -> None:
    empty = PairTable.build(tmp_path, data.items, tmp_path / "cache")
    with pytest.raises(ThresholdError, match="expected training pairs, got 0"):
        _train(dataclasses.replace(data, train=empty), tmp_path)


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"start": "random"},
        {"field_layer_norm": True},
        {"picture_dim": 0},
        {"use_text": False},
        {"num_layers": 2},
        {"text_dim": 12},
        {"query_table_dim": 9, "start": "random"},
        {"query_table_dim": 9, "text_dim": 12},
    ],
    ids=str,
)
def test_the_forward_of_training_is_the_plain_one(data: TrainingData, switches: dict) -> None:
    model = ItemSage(dataclasses.replace(SMALL, **switches))
    for layer in (model.item_encoder.head_out, model.text_tower.out):
        nn.init.normal_(layer.weight)
    batch = data.items.batch(np.arange(40))
    tokens, offsets, *_ = data.train.text(np.flatnonzero(data.train.is_text(np.arange(len(data.train.query_id_Q)))))
    batch.text_vectors_BD, queries_BD = (torch.randn(size, model.config.text_dim) for size in (40, len(offsets) - 1))
    table_BD = torch.randn(len(offsets) - 1, model.config.query_table_dim)
    batch.text_vectors_BD[::4] = table_BD[::3] = 0
    direction = torch.linspace(-1, 1, SMALL.output_dim)
    results = []
    for items, text in (
        (model.item_encoder(batch), model.text_tower(tokens, offsets, queries_BD, table_BD)),
        (encode_items(model.item_encoder, batch), encode_text(model.text_tower, tokens, offsets, queries_BD, table_BD)),
    ):
        model.zero_grad()
        ((items @ direction).square().sum() + (text @ direction).sum()).backward()
        gradients = {name: p.grad.to_dense() for name, p in model.named_parameters() if p.grad is not None}
        results.append((items.detach(), text.detach(), gradients))
    plain, fast = results
    torch.testing.assert_close(fast[0], plain[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(fast[1], plain[1], atol=1e-5, rtol=0)
    assert fast[2].keys() == plain[2].keys()
    for name, gradient in plain[2].items():
        torch.testing.assert_close(fast[2][name], gradient, atol=1e-4 * float(gradient.abs().max()) + 1e-6, rtol=1e-3)


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


def test_each_kind_of_negatives_can_train_alone(data: TrainingData, tmp_path: Path) -> None:
    for kind, other in (("in_batch", "random"), ("random", "in_batch")):
        _train(data, tmp_path / kind, min_steps=2, **{f"{other}_negatives": False})
        losses = [line for line in _curve(tmp_path / kind) if "loss" in line]
        assert all(line[f"loss_{kind}"] == line["loss"] > 0 for line in losses)
        assert all(line[f"loss_{other}"] == 0 for line in losses)
    with pytest.raises(UsageError, match="got neither"):
        TrainingConfig(in_batch_negatives=False, random_negatives=False)


def test_a_task_can_train_and_validate_alone(data: TrainingData, tmp_path: Path) -> None:
    _, result = _train(data, tmp_path, tasks=("search/click",))
    assert result.num_pairs_by_task == {"search/click": data.train.num_pairs_by_task()["search/click"]}
    assert {name for validation in result.validations for name in validation.tasks} == {"search/click"}


def test_the_task_mix_decides_what_is_met(data: TrainingData, tmp_path: Path) -> None:
    equal, natural = (_train(data, tmp_path / mix, task_mix=mix)[0] for mix in ("equal", "natural"))
    assert _weights(equal) != _weights(natural)
    with pytest.raises(UsageError, match="'odd'"):
        TrainingConfig(task_mix="odd")  # type: ignore[arg-type]


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


def test_prefixes_that_are_trained_are_worth_more(data: TrainingData, tmp_path: Path) -> None:
    def score_of_prefix(name: str, **changes: object) -> float:
        model, _ = _train(data, tmp_path / name, min_steps=60, evaluate_every=60, **changes)
        found = evaluate_recall(model, data.items, data.validation, dim=4)
        return sum(recall.recall + recall.reciprocal_rank for recall in found.values()) / 2 / len(found)

    assert score_of_prefix("nested", nested_dims=(4, 8)) > score_of_prefix("plain") + 0.1
    with pytest.raises(UsageError, match="nested_dims below the 32 dimensions"):
        _train(data, tmp_path / "wrong", nested_dims=(8, 32))


@pytest.mark.parametrize(
    "switches",
    [
        {"aggregator": "mlp_concat_mlp"},
        {"aggregator": "sum_mlp"},
        {"aggregator": "sum"},
        {"aggregator": "linear"},
        {"num_layers": 2},
        {"num_hashes": 1},
        {"num_hashes": 3},
        {"output_dim": 8},
        {"output_dim": 64},
    ],
    ids=str,
)
def test_every_rung_learns(data: TrainingData, tmp_path: Path, switches: dict) -> None:
    config = dataclasses.replace(SMALL, **switches)
    model, result = _train(data, tmp_path, config, min_steps=60, evaluate_every=20)
    assert result.is_better_than_start
    assert max(validation.score for validation in result.validations) > result.validations[0].score + 0.05
    assert model.item_encoder(data.items.batch(np.arange(3))).shape == (3, config.output_dim)


def test_result_and_config_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SHORT.seed = 1  # type: ignore[misc]
    assert dataclasses.fields(TrainingResult)[0].name == "steps"
    with pytest.raises(UsageError, match="epochs > 0"):
        TrainingConfig(epochs=0)
