"""The last training of a model that goes into use: on the validation part, too, once that has chosen the step.

Validation says how long to train; the pairs that it held out, often the newest ones, are then worth more as training
pairs. So the same start is trained on the training and validation pairs together, with the seeds of the first training,
for as many passes over the pairs as the chosen step had (a step holds batch_size pairs, so there are more steps in
proportion to the pairs), and with the learning rate that the first training had at the same share of its plan. The
weights are left at the same share of the way from the start (model.training.interpolation). Nothing is left to validate
it with: the figures of the first training are those of the model before the refit.
"""

import dataclasses
import os

from model.items.itemsage import ItemSage
from model.training.config import TrainingConfig, TrainingResult
from model.training.data import TrainingData
from model.training.joined_pairs import join_pair_tables
from model.training.run import OnStart, OnStep
from model.training.schedule import FixedLength
from model.training.train import train


def refit(
    model: ItemSage,
    data: TrainingData,
    config: TrainingConfig,
    chosen: TrainingResult,
    folder: str | os.PathLike[str],
    cache_folder: str | os.PathLike[str],
    on_step: OnStep | None = None,
    on_start: OnStart | None = None,
) -> TrainingResult:
    """Trains `model`, which is at the start that the training `chosen` had, in place; see model.training.train.train.

    folder: of this training's own checkpoint and metrics.jsonl. cache_folder: where the joined pairs are made. Raises
    what train raises.
    """
    everything = join_pair_tables(data.train, data.validation, cache_folder)
    length = FixedLength(
        planned_epochs=chosen.planned_steps / chosen.steps_per_epoch,
        taken_epochs=chosen.best_step / chosen.steps_per_epoch,
        share=chosen.share,
    )
    return train(model, dataclasses.replace(data, train=everything), config, folder, on_step, on_start, length)


def can_refit(data: TrainingData, chosen: TrainingResult) -> bool:
    """Whether there is something to gain: a step better than the start, and validation pairs beside the others."""
    return chosen.best_step > 0 and len(data.validation) > 0
