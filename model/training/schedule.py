"""How long a training is, and when it validates and writes its state."""

import math
from dataclasses import dataclass

from model.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class FixedLength:
    """The length of a run that does not validate, in passes over its pairs: as many as taken_epochs of a plan of
    planned_epochs, over which the learning rate falls to 0. share: of the way from the start to the last step, where
    the weights are left (model.training.interpolation)."""

    planned_epochs: float
    taken_epochs: float
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """In steps. planned: the learning rate falls to 0 over them. last: no step after it is taken. warmup: the rate
    rises over them. evaluate_every, checkpoint_every: as in TrainingConfig, chosen."""

    planned: int
    last: int
    warmup: int
    evaluate_every: int
    checkpoint_every: int


def schedule(config: TrainingConfig, steps_per_epoch: int, by_validation: bool, length: FixedLength | None) -> Schedule:
    """by_validation: whether the step is chosen by validation; if not, only the last one is measured. length: None for
    that of the config.

    >>> schedule(TrainingConfig(epochs=2, min_steps=0), 100, True, None)
    Schedule(planned=200, last=200, warmup=20, evaluate_every=100, checkpoint_every=40)
    >>> schedule(TrainingConfig(), 110, False, FixedLength(planned_epochs=2, taken_epochs=0.5))
    Schedule(planned=220, last=55, warmup=22, evaluate_every=55, checkpoint_every=11)
    """
    if length is None:
        planned = last = max(math.ceil(config.epochs * steps_per_epoch), config.min_steps)
    else:
        planned = max(1, round(length.planned_epochs * steps_per_epoch))
        last = min(planned, max(1, round(length.taken_epochs * steps_per_epoch)))
    return Schedule(
        planned=planned,
        last=last,
        warmup=math.ceil(config.warmup_fraction * planned),
        evaluate_every=(config.evaluate_every or max(steps_per_epoch, math.ceil(planned / 10)))
        if by_validation
        else last,
        checkpoint_every=config.checkpoint_every or math.ceil(last / 5),
    )
