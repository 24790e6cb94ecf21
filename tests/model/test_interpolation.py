"""Weights between the start and the best step, where validation cannot tell them from the best."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from small_training import SHORT, SMALL, read_curve, train_small
from torch import Tensor

from model.items.itemsage import ItemSage
from model.training import run as training_run
from model.training import step_choice
from model.training.data import TrainingData
from model.training.interpolation import SHARES, is_within_error
from model.training.refit import refit
from model.training.train import train
from model.training.validation import QueryScores, evaluate_recall

pytestmark = [pytest.mark.usefixtures("a_few_pairs_choose"), pytest.mark.medium]


def _between(start: ItemSage, end: ItemSage, share: float) -> dict[str, Tensor]:
    ends = end.state_dict()
    return {name: value + share * (ends[name] - value) for name, value in start.state_dict().items()}


def _is_at(model: ItemSage, weights: dict[str, Tensor]) -> bool:
    return all(torch.allclose(value, weights[name], atol=1e-6) for name, value in model.state_dict().items())


@pytest.mark.parametrize("accepted", [*SHARES, None])
def test_the_first_share_that_is_within_the_error_is_where_the_weights_are(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accepted: float | None
) -> None:
    whole, best = train_small(data, tmp_path / "whole")
    asked = iter(SHARES)
    monkeypatch.setattr(training_run, "is_within_error", lambda scores, of_best: next(asked) == accepted)
    model, result = train_small(data, tmp_path / "shared", interpolate=True)
    share = 1.0 if accepted is None else accepted
    assert (result.share, result.best_step) == (share, best.best_step)
    assert _is_at(model, _between(ItemSage(SMALL), whole, share))
    measured = evaluate_recall(model, data.items, data.validation, known=[data.train])
    assert {task: dataclasses.asdict(recall) for task, recall in measured.items()} == result.validation
    assert result.restored is not None
    assert result.above_start is not None
    assert result.above_start["score"] == pytest.approx(result.restored.score - result.validations[0].score)
    assert result.validations == best.validations
    lines = [line for line in read_curve(tmp_path / "shared") if "share" in line]
    tried = SHARES if accepted is None else SHARES[: SHARES.index(accepted) + 1]
    assert [line["share"] for line in lines] == [*tried, share]
    again, result_again = train_small(data, tmp_path / "shared", interpolate=True)  # finished: nothing is tried again
    assert result_again == result
    assert all(value.equal(again.state_dict()[name]) for name, value in model.state_dict().items())


def test_of_the_shares_within_the_error_the_one_nearest_to_the_start_is_taken(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "is_within_error", lambda *_: True)
    _, result = train_small(data, tmp_path, interpolate=True)
    assert 0 < result.share == min(SHARES) < 1


def test_where_no_step_is_chosen_no_share_is(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_choice, "MIN_PAIRS", len(data.validation) + 1)
    monkeypatch.setattr(training_run, "is_within_error", lambda *_: pytest.fail("nobody knows"))
    _, result = train_small(data, tmp_path, interpolate=True)
    assert (result.share, result.best_step) == (1.0, SHORT.min_steps)


def test_a_refit_is_left_at_the_same_share(data: TrainingData, tmp_path: Path) -> None:
    _, chosen = train_small(data, tmp_path / "chosen")
    models = []
    for name, share in (("whole", 1.0), ("half", 0.5)):
        model, folder = ItemSage(SMALL), tmp_path / name
        of_share = dataclasses.replace(chosen, share=share)
        result = refit(model, data, SHORT, of_share, folder / "refit", folder / "cache")
        assert result.share == share
        models.append(model)
    whole, half = models
    assert _is_at(half, _between(ItemSage(SMALL), whole, 0.5))
    again = ItemSage(SMALL)
    of_half = dataclasses.replace(chosen, share=0.5)
    refit(again, data, SHORT, of_half, tmp_path / "half" / "refit", tmp_path / "half" / "cache")
    assert _is_at(again, half.state_dict())


def test_one_standard_error_of_the_paired_difference() -> None:
    random = np.random.default_rng(0)
    weights_Q, best_Q = np.full(400, 1 / 400), random.random(400)
    noise_Q = random.normal(size=400)
    noise_Q -= noise_Q.mean()
    error = noise_Q.std(ddof=1) / 20
    best = QueryScores(weights_Q * best_Q, weights_Q)
    for below, is_within in ((0.9, True), (1.1, False), (-2.0, True)):
        scores = QueryScores(weights_Q * (best_Q + noise_Q - below * error), weights_Q)
        assert is_within_error(scores, best) == is_within


def test_what_a_training_forgets_is_kept(data: TrainingData, tmp_path: Path) -> None:
    """The start is one end of the line: at a share of 0 it is the start itself."""
    model = ItemSage(SMALL)
    start = training_run.StartWeights(model)
    train(model, data, SHORT, tmp_path)
    moved = {name: value.clone() for name, value in model.state_dict().items()}
    for share, expected in ((0.0, ItemSage(SMALL).state_dict()), (1.0, moved)):
        found = start.towards(moved, share)
        assert found.keys() == expected.keys()
        assert all(torch.allclose(found[name], expected[name], atol=1e-7) for name in expected)
