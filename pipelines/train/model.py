"""The trainings of `itemsage train`, on the features and pairs of its folder: the one whose step validation chooses,
and the refit on all pairs."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.split.split import Split
from model.training.config import TrainingResult, TrainingStart
from model.training.distillation import distill
from model.training.refit import can_refit, refit
from model.training.train import train
from pipelines.console.jobs import narrow
from pipelines.console.progress import Progress
from pipelines.train.prepared_run import PreparedRun, data_id
from pipelines.train.report import distilled_line, end_lines, moved_line, refit_lines, start_lines

if TYPE_CHECKING:
    from pipelines.train.job import TrainConfig

#: Beside the checkpoint of the first training.
REFIT_FOLDER = "refit"


def started(config: "TrainConfig", folder: Path) -> ItemSage:
    """The model before training, each time the same; it takes a while of a catalogue with many pictures."""
    prepared = PreparedRun.open(folder)
    return prepared.start(narrow(ItemSageConfig, config, **prepared.sizes))


def distilled(config: "TrainConfig", folder: Path, start: ItemSage, show: bool) -> ItemSage:
    """The model that the trainings on the log begin with (model.training.distillation). start: left as it is."""
    model, prepared = copy.deepcopy(start), PreparedRun.open(folder)
    shown = _Shown("distill", show)
    settings, words = config.training_config(), prepared.vocabulary.word_ids
    result = distill(model, prepared.data, settings, words, checkpoints(folder), shown.step)
    shown.close()
    if show and result.steps:
        print(f"distill: {distilled_line(result)}", flush=True)
    return model


def train_chosen(config: "TrainConfig", folder: Path, start: ItemSage, show: bool) -> tuple[ItemSage, TrainingResult]:
    """The model with its best weights, and how it came to them. start: what it begins with, left as it is; show:
    whether this process prints."""
    model, data = copy.deepcopy(start), PreparedRun.open(folder).data
    shown = _Shown("train", show)

    def on_start(start: TrainingStart) -> None:
        shown.lines(start_lines(start, config.epochs, config.min_steps))

    result = train(model, data, config.training_config(), checkpoints(folder), shown.step, on_start)
    shown.close()
    shown.lines(end_lines(result))
    return model, result


def train_on_everything(
    config: "TrainConfig", folder: Path, start: ItemSage, chosen: TrainingResult, show: bool
) -> tuple[ItemSage, TrainingResult] | None:
    """The model that is refitted on the training and validation parts; None where --refit, or what was `chosen`, says
    that there is none."""
    if not wants_refit(config.refit, Split.load(folder / "pairs")):
        return None
    data = PreparedRun.open(folder).data
    if not can_refit(data, chosen):
        return None
    model = copy.deepcopy(start)
    shown = _Shown("refit", show)

    def on_start(start: TrainingStart) -> None:
        shown.lines(refit_lines(start, chosen, len(data.validation)))

    own = checkpoints(folder) / REFIT_FOLDER
    cache = folder / "cache" / "pairs-all"
    result = refit(model, data, config.training_config(), chosen, own, cache, shown.step, on_start)
    shown.close()
    shown.lines([f"refit: {moved_line(result)}"])
    return model, result


def wants_refit(asked: str, split: Split) -> bool:
    """asked: on, off or auto, which is on if the split has no test part: the model is then not to be measured but used.

    >>> wants_refit("auto", Split(kind="query_item", has_validation=True, has_test=False))
    True
    """
    return asked == "on" or (asked == "auto" and not split.has_test)


def checkpoints(folder: Path) -> Path:
    """Where the features and pairs of the training run are trained on."""
    return folder / "checkpoints" / data_id(folder)


def print_lines(lines: Sequence[str]) -> None:
    """What `itemsage train` says, a line each."""
    for line in lines:
        print(f"train: {line}", flush=True)


class _Shown:
    """What one process shows of a training; nothing unless `show`."""

    def __init__(self, name: str, show: bool):
        self.name, self.show = name, show
        self._progress: Progress | None = None

    def lines(self, lines: Sequence[str]) -> None:
        if self.show:
            print_lines(lines)

    def step(self, step: int, total_steps: int, loss: float = 0.0) -> None:
        if self.show:
            self._progress = self._progress or Progress(self.name, "steps", total_steps)
            self._progress.advance()

    def close(self) -> None:
        if self._progress is not None:
            self._progress.close()
