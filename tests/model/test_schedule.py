"""How long a training is."""

import doctest

import pytest

from model.training import schedule as module
from model.training.config import TrainingConfig
from model.training.schedule import FixedLength, schedule


def test_a_config_that_chooses_nothing_validates_every_epoch_but_at_most_ten_times() -> None:
    assert schedule(TrainingConfig(epochs=5, min_steps=0), 7, True, None).evaluate_every == 7
    assert schedule(TrainingConfig(epochs=1, min_steps=300), 7, True, None).evaluate_every == 30
    assert schedule(TrainingConfig(min_steps=300), 7, False, None).evaluate_every == 300
    assert schedule(TrainingConfig(evaluate_every=4, checkpoint_every=9), 7, True, None).evaluate_every == 4
    assert schedule(TrainingConfig(evaluate_every=4, checkpoint_every=9), 7, True, None).checkpoint_every == 9


@pytest.mark.parametrize("epochs", [0.001, 1.0, 3.0])
def test_a_fixed_length_takes_at_least_a_step_and_at_most_the_plan(epochs: float) -> None:
    found = schedule(TrainingConfig(), 10, True, FixedLength(planned_epochs=1.0, taken_epochs=epochs))
    assert (found.planned, found.last) == (10, max(1, min(10, round(10 * epochs))))


def test_the_examples_are_right() -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
