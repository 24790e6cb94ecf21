"""Running a training: killed and continued, the same again, and what it refuses."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from small_training import SHORT, SMALL, train_small, weights_of

from model.items.itemsage import ItemSage
from model.training.checkpoint import read_checkpoint
from model.training.config import TrainingConfig, TrainingResult, TrainingStart
from model.training.data import TrainingData
from model.training.tables import PairTable
from model.training.train import train
from schemas.errors import CorruptFileError, ThresholdError, UsageError
from schemas.records.tfrecords import (
    decode_features,
    decode_pair,
    encode_features,
    encode_pair,
    read_records,
    write_records,
)

pytestmark = [pytest.mark.usefixtures("a_few_pairs_choose"), pytest.mark.medium]


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
    whole, whole_result = train_small(data, tmp_path / "whole", switches)
    with pytest.raises(_Killed):
        train(ItemSage(switches), data, SHORT, tmp_path / "killed", kill)
    resumed, resumed_result = train_small(data, tmp_path / "killed", switches)
    assert (tmp_path / "killed" / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    assert weights_of(resumed) == weights_of(whole)
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
    first, result = train_small(data, tmp_path)
    again = ItemSage(SMALL)
    repeated = train(again, data, SHORT, tmp_path, lambda *_: pytest.fail("trained again"))
    assert repeated == result
    assert weights_of(again) == weights_of(first)


def test_same_seed_same_weights(data: TrainingData, tmp_path: Path) -> None:
    first, _ = train_small(data, tmp_path / "a")
    second, _ = train_small(data, tmp_path / "b")
    other, _ = train_small(data, tmp_path / "c", seed=1)
    assert weights_of(first) == weights_of(second)
    assert weights_of(first) != weights_of(other)


def test_sums_have_a_fixed_order_while_training_and_only_then(data: TrainingData, tmp_path: Path) -> None:
    """Small tensors are summed by one thread, so equal weights alone would not show it."""
    seen = []
    train(ItemSage(SMALL), data, SHORT, tmp_path, lambda *_: seen.append(torch.are_deterministic_algorithms_enabled()))
    assert seen == [True] * SHORT.min_steps
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]


def test_frozen_parameters_stay(data: TrainingData, tmp_path: Path) -> None:
    model, _ = train_small(data, tmp_path, frozen=("hash_embedder", "picture_tower"))
    before, after = weights_of(ItemSage(SMALL)), weights_of(model)
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
    _, result = train_small(only_text, tmp_path / "out", dataclasses.replace(SMALL, picture_dim=0))
    assert result.num_pairs_by_task == {"search/click": len(text)}


def test_a_checkpoint_of_something_else_is_refused(data: TrainingData, tmp_path: Path) -> None:
    train_small(data, tmp_path)
    with pytest.raises(UsageError, match=r"train into another folder, or delete checkpoint\.safetensors"):
        train_small(data, tmp_path, batch_size=24)
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-9])
    with pytest.raises(CorruptFileError, match=r"checkpoint\.safetensors"):
        train_small(data, tmp_path)


def test_a_loss_that_is_not_finite_is_an_error(data: TrainingData, tmp_path: Path) -> None:
    model = ItemSage(SMALL)
    with torch.no_grad():
        model.picture_tower.hidden.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"got nan .* at step 1"):
        train(model, data, SHORT, tmp_path)


def test_a_model_of_another_picture_dimension_is_refused(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pictures of 8 dimensions, as the model is configured, got 16"):
        train_small(data, tmp_path, dataclasses.replace(SMALL, picture_dim=8))
    with pytest.raises(UsageError, match="no picture queries, as the model has no pictures, got some in train"):
        train_small(data, tmp_path, dataclasses.replace(SMALL, picture_dim=0))


def test_no_pairs_no_training(data: TrainingData, tmp_path: Path) -> None:
    empty = PairTable.build(tmp_path, data.items, tmp_path / "cache")
    with pytest.raises(ThresholdError, match="expected training pairs, got 0"):
        train_small(dataclasses.replace(data, train=empty), tmp_path)


def test_result_and_config_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SHORT.seed = 1  # type: ignore[misc]
    assert dataclasses.fields(TrainingResult)[0].name == "steps"
    with pytest.raises(UsageError, match="epochs > 0"):
        TrainingConfig(epochs=0)
