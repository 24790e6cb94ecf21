"""Training of ItemSage and its query towers on (query, engaged item) pairs.

    step      global batch of PairStream -> distinct items and queries encoded -> loss -> Adam (see optimizers)
    now and   validation Recall@10 and reciprocal rank by task; the best weights are kept and restored at the end;
    then      checkpoint.safetensors (everything), so that a killed run continues where it was

<folder>/metrics.jsonl holds the curve: lines {"step", "loss", "learning_rate", "scale", ...}, {"step", "validation",
"cells", "score", "movement"} (how far the weights are from their start, model.training.movement) and at the end
{"best_step", "without"} (the best weights' validation without each part of the item encoder,
model.training.part_shares). A resumed run cuts the lines that came after its checkpoint, so its curve is that of a run
that was never killed: on a CPU with the same number of threads bit for bit, weights too.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from model.items.itemsage import ItemSage
from model.training.config import TrainingConfig, TrainingResult
from model.training.data import TrainingData
from model.training.run import OnStart, OnStep, TrainingRun
from model.training.schedule import FixedLength
from schemas.errors import UsageError


def resolve_device(name: str) -> torch.device:
    """ "auto" is the current GPU, else the CPU."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """Sums in a fixed order: the gradient of x[rows] with repeated rows is else summed by threads as they come, and two
    runs of one seed part after some 20 steps. Memory that nothing reads before it is written is not filled first, which
    was a fifth of a step."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    settings: Any = torch.utils.deterministic
    fills = settings.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        settings.fill_uninitialized_memory = fills


@contextlib.contextmanager
def trains_only(model: ItemSage, trains: Callable[[str], bool]) -> Iterator[None]:
    """Only parameters whose name `trains` says yes to get gradients, of those that got any before."""
    trainable = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trainable[name] and trains(name))
    try:
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(trainable[name])


def train(
    model: ItemSage,
    data: TrainingData,
    config: TrainingConfig,
    folder: str | os.PathLike[str],
    on_step: OnStep | None = None,
    on_start: OnStart | None = None,
    length: FixedLength | None = None,
) -> TrainingResult:
    """Trains `model` in place and leaves it with its best weights, on the CPU, in evaluation mode.

    length: of a training that does not validate and keeps its last weights; None: the config's, and the best by
    validation.

    Continues from `<folder>/checkpoint.safetensors` where there is one; a finished one is not trained again. Under
    torchrun call it in every process, inside `model.training.distributed.process_group`. Raises UsageError if the
    checkpoint is of another config, model or data, ThresholdError without training pairs, ValueError if the loss is not
    finite.
    """
    _check_picture_dims(model, data)
    check_nested_dims(config.nested_dims, model.config.output_dim)
    try:
        with deterministic(), trains_only(model, lambda name: not name.startswith(config.frozen)):
            run = TrainingRun(model, data, config, resolve_device(config.device), Path(folder), length)
            return run.train(on_step, on_start)
    finally:
        model.to("cpu").eval()


def check_nested_dims(nested_dims: tuple[int, ...], output_dim: int) -> None:
    """Raises UsageError unless each is shorter than the model's vectors."""
    if max(nested_dims, default=0) >= output_dim:
        raise UsageError(
            f"expected nested_dims below the {output_dim} dimensions of the model's vectors, got {list(nested_dims)}"
        )


def _check_picture_dims(model: ItemSage, data: TrainingData) -> None:
    """Raises UsageError unless pictures have the dimension that the model reads (one without may ignore items')."""
    expected = model.config.picture_dim
    if expected and data.items.picture_dim != expected:
        raise UsageError(
            f"expected pictures of {expected} dimensions, as the model is configured, got {data.items.picture_dim}: "
            "configure the model with the dimension of the picture encoder that made the features"
        )
    parts = {"train": data.train, "validation": data.validation}
    if not expected and (with_pictures := [name for name, pairs in parts.items() if pairs.has_pictures]):
        raise UsageError(
            f"expected no picture queries, as the model has no pictures, got some in {' and '.join(with_pictures)}: "
            "configure the model with the dimension of the picture encoder that made them"
        )
