"""The training on all pairs after validation has chosen the step."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_training import SHORT, SMALL, read_curve

from model.items.itemsage import ItemSage
from model.training.config import TrainingResult, TrainingStart
from model.training.data import TrainingData
from model.training.optimizers import learning_rate_factor
from model.training.refit import can_refit, refit
from model.training.run import TrainingRun
from model.training.tables import PairTable
from model.training.train import train
from schemas.errors import UsageError

pytestmark = [pytest.mark.usefixtures("a_few_pairs_choose"), pytest.mark.medium]

CONFIG = dataclasses.replace(SHORT, min_steps=20)


@pytest.fixture(scope="module")
def chosen(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """As if step 12 of 20 had been the best."""
    result = train(ItemSage(SMALL), data, CONFIG, tmp_path_factory.mktemp("chosen"))
    assert can_refit(data, result)
    return dataclasses.replace(result, best_step=12)


def _refit(data: TrainingData, chosen: TrainingResult, folder: Path, **given: Any) -> tuple[ItemSage, TrainingResult]:
    model = ItemSage(SMALL)
    return model, refit(model, data, CONFIG, chosen, folder / "refit", folder / "cache", **given)


def test_it_takes_as_many_passes_over_all_pairs_at_the_same_rates(
    data: TrainingData, chosen: TrainingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: set[tuple[str, int, int]] = set()
    read = TrainingRun._read

    def note(run: TrainingRun, step: int) -> Any:
        batch, inputs = read(run, step)
        train = run.data.train
        tasks = np.asarray(train.tasks)[batch.task_B]
        query_ids = train.query_id_Q[np.concatenate([batch.text_queries, batch.picture_queries])[batch.query_B]]
        drawn.update(zip(tasks, query_ids.tolist(), batch.items_U[batch.positive_B].tolist(), strict=True))
        return batch, inputs

    monkeypatch.setattr(TrainingRun, "_read", note)
    starts: list[TrainingStart] = []
    _, result = _refit(data, chosen, tmp_path, on_start=starts.append)
    ratio = result.steps_per_epoch / chosen.steps_per_epoch
    assert ratio > 1.1
    assert (result.steps, result.planned_steps) == (round(12 * ratio), round(20 * ratio))
    assert [(start.step, start.planned_steps) for start in starts] == [(0, result.steps)]
    assert result.is_better_than_start is None  # nothing is left to validate it with
    assert result.without == {}
    assert all(found.rms > 0 for found in result.movement.values())
    rates = [line["learning_rate"] for line in read_curve(tmp_path / "refit") if "loss" in line]
    warmup = round(0.1 * result.planned_steps + 0.5)
    assert rates[-1] == CONFIG.learning_rate * learning_rate_factor(result.steps - 1, result.planned_steps, warmup)
    assert len(rates) == result.steps
    held_out = data.validation
    validation = {
        (held_out.tasks[task], int(held_out.query_id_Q[query]), int(item))
        for task, query, item in zip(held_out.task_P, held_out.query_P, held_out.item_P, strict=True)
    }
    assert len(validation & drawn) > len(validation) / 4


class _Killed(Exception):
    pass


def test_a_killed_refit_continues_as_if_nothing_had_happened(
    data: TrainingData, chosen: TrainingResult, tmp_path: Path
) -> None:
    def kill(step: int, total_steps: int, loss: float) -> None:
        if step == 8:
            raise _Killed

    whole, whole_result = _refit(data, chosen, tmp_path / "whole")
    with pytest.raises(_Killed):
        _refit(data, chosen, tmp_path / "killed", on_step=kill)
    starts: list[TrainingStart] = []
    resumed, result = _refit(data, chosen, tmp_path / "killed", on_start=starts.append)
    again, _ = _refit(data, chosen, tmp_path / "killed", on_step=lambda *_: pytest.fail("trained again"))
    assert [start.step for start in starts] == [5]
    assert result == whole_result
    assert read_curve(tmp_path / "killed" / "refit") == read_curve(tmp_path / "whole" / "refit")
    for model in (resumed, again):
        for name, tensor in whole.state_dict().items():
            assert tensor.equal(model.state_dict()[name]), name


def test_another_step_is_another_refit(data: TrainingData, chosen: TrainingResult, tmp_path: Path) -> None:
    _refit(data, chosen, tmp_path)
    with pytest.raises(UsageError, match="a checkpoint of this config, model and data"):
        _refit(data, dataclasses.replace(chosen, best_step=8), tmp_path)


def test_there_is_none_without_a_better_step_or_other_pairs(
    data: TrainingData, chosen: TrainingResult, tmp_path: Path
) -> None:
    assert not can_refit(data, dataclasses.replace(chosen, best_step=0))
    empty = PairTable.build(tmp_path, data.items, tmp_path / "cache")
    assert not can_refit(dataclasses.replace(data, validation=empty), chosen)
