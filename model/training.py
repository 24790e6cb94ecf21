"""Training of ItemSage and its query towers on (query, engaged item) pairs.

    step      global batch of PairStream -> distinct items and queries encoded -> loss -> AdamW, row-wise Adagrad
    now and   validation Recall@10 and reciprocal rank by task; the best weights are kept and restored at the end;
    then      checkpoint.safetensors (everything), so that a killed run continues where it was

<folder>/metrics.jsonl holds the curve: lines {"step", "loss", "learning_rate", "scale", ...} and {"step", "validation",
...}. A resumed run cuts the lines that came after its checkpoint, so its curve is that of a run that was never killed:
on a CPU with the same number of threads bit for bit, weights too.
"""

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.checkpoint import Checkpoint, read_checkpoint, restore_optimizers, save_checkpoint
from model.distributed import Processes, broadcast_numbers, current_processes, sum_gradients
from model.itemsage import ItemSage
from model.losses import LossConfig
from model.optimizers import clip_gradients_, learning_rate_factor, make_optimizers, set_learning_rate
from model.training_config import TrainingConfig, TrainingResult
from model.training_data import PairBatch, PairStream, TrainingData
from model.training_forward import BatchInputs, encode_batch, read_inputs
from model.training_loss import BatchLoss
from model.validation import evaluate_recall
from schemas.errors import UsageError
from schemas.hashing import fingerprint, seed_of

CHECKPOINT_NAME, METRICS_NAME = "checkpoint.safetensors", "metrics.jsonl"

#: Called after each step with (finished steps, planned steps, loss of the step).
OnStep = Callable[[int, int, float], None]


def resolve_device(name: str) -> torch.device:
    """ "auto" is the current GPU, else the CPU."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    """Sums in a fixed order: the gradient of x[rows] with repeated rows is else summed by threads as they come, and two
    runs of one seed part after some 20 steps."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def selection_score(validation: dict[str, dict[str, float]]) -> float:
    """What the best weights are chosen by: mean over the sampled pairs of (hit among the first 10 + 1 / rank) / 2.

    Recall@10 alone is 1 for any weights in a shop of 80 items; 1 / rank alone forgets the places below the first. The
    sample holds as many pairs of each task as the task has, so common tasks weigh alike and a task of 5 pairs little.
    """
    total = sum(value["num_pairs"] for value in validation.values())
    summed = sum(v["num_pairs"] * (v["recall"] + v["reciprocal_rank"]) / 2 for v in validation.values())
    return summed / total


def train(
    model: ItemSage,
    data: TrainingData,
    config: TrainingConfig,
    folder: str | os.PathLike[str],
    on_step: OnStep | None = None,
) -> TrainingResult:
    """Trains `model` in place and leaves it with its best weights, on the CPU, in evaluation mode.

    Continues from `<folder>/checkpoint.safetensors` where there is one; a finished one is not trained again. Under
    torchrun call it in every process, inside `model.distributed.process_group`. Raises UsageError if the checkpoint is
    of another config, model or data, ThresholdError without training pairs, ValueError if the loss is not finite.
    """
    _check_picture_dims(model, data)
    trainable = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trainable[name] and not name.startswith(config.frozen))
    try:
        with _deterministic():
            return _Run(model, data, config, Path(folder)).train(on_step)
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(trainable[name])
        model.to("cpu").eval()


def _check_picture_dims(model: ItemSage, data: TrainingData) -> None:
    """Raises UsageError unless pictures have the dimension that the model reads (one without may ignore items')."""
    got = {"items": data.items.picture_dim, "pairs": data.train.picture_dim, "validation": data.validation.picture_dim}
    expected = model.config.picture_dim
    wrong = {name: dim for name, dim in got.items() if dim not in (0, expected)}
    if expected == 0:
        wrong.pop("items", None)
    if wrong:
        raise UsageError(
            f"expected pictures of {expected} dimensions, as the model is configured, got {wrong}: "
            "configure the model with the dimension of the picture encoder that made the features"
        )


class _Run:
    """The state of one training run."""

    def __init__(self, model: ItemSage, data: TrainingData, config: TrainingConfig, folder: Path):
        self.device = resolve_device(config.device)
        self.processes: Processes = current_processes()
        self.model, self.data, self.config, self.folder = model.to(self.device), data, config, folder
        num_negatives = config.batch_size if config.num_negatives is None else config.num_negatives
        self.stream = PairStream(
            pairs=data.train,
            num_items=len(data.items),
            batch_size=config.batch_size,
            num_negatives=num_negatives,
            seed=config.seed,
            count_cap=config.count_cap,
        )
        epoch = self.stream.steps_per_epoch
        self.total_steps = max(math.ceil(config.epochs * epoch), config.min_steps)
        self.warmup_steps = math.ceil(config.warmup_fraction * self.total_steps)
        self.evaluate_every = config.evaluate_every or max(epoch, math.ceil(self.total_steps / 10))
        self.checkpoint_every = config.checkpoint_every or math.ceil(self.total_steps / 5)
        self.optimizers = make_optimizers(model, config.learning_rate, config.table_learning_rate, config.weight_decay)
        self.loss = BatchLoss(self.stream, LossConfig(correction=config.correction, joint=config.joint))
        self.step, self.finished, self.num_worse = 0, False, 0
        self.best: dict[str, Any] = {"step": 0, "score": -1.0, "validation": {}}
        self.best_weights: dict[str, Tensor] = {}

    def train(self, on_step: OnStep | None) -> TrainingResult:
        self._resume()
        if self.step == 0 and not self.finished:
            self._evaluate()
        if not self.finished:
            with contextlib.closing(self._batches()) as batches:
                while self.step < self.total_steps and not self.finished:
                    loss = self._train_step(*next(batches))
                    if on_step is not None:
                        on_step(self.step, self.total_steps, loss)
                    if self.step % self.evaluate_every == 0 or self.step == self.total_steps:
                        self._evaluate()
                    self.finished = self.finished or self.step == self.total_steps
                    if self.finished or self.step % self.checkpoint_every == 0:
                        self._checkpoint()
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        return TrainingResult(
            steps=self.step,
            best_step=self.best["step"] if self.best_weights else self.step,
            validation=self.best["validation"],
            num_pairs_by_task=self.data.train.num_pairs_by_task(),
        )

    def _batches(self) -> Generator[tuple[PairBatch, BatchInputs], None, None]:
        """This run's batches from its step on; the next one is read while one is computed."""
        with ThreadPoolExecutor(1) as reader:
            pending = reader.submit(self._read, self.step)
            for step in range(self.step + 1, self.total_steps + 1):
                ready = pending.result()
                if step < self.total_steps:
                    pending = reader.submit(self._read, step)
                yield ready

    def _read(self, step: int) -> tuple[PairBatch, BatchInputs]:
        batch = self.stream.batch(step)
        return batch, read_inputs(batch, self.data, self.processes)

    def _train_step(self, batch: PairBatch, inputs: BatchInputs) -> float:
        """One update of the weights; returns the loss before it."""
        config, model = self.config, self.model
        model.train()
        factor = learning_rate_factor(self.step, self.total_steps, self.warmup_steps)
        set_learning_rate(self.optimizers, factor)
        if model.config.dropout:
            torch.manual_seed(seed_of("dropout", config.seed, self.step, self.processes.rank))
        with self._autocast():
            queries_QO, items_UO = encode_batch(model, batch, inputs, self.processes)
        parts = self.loss(batch, queries_QO, items_UO, model)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        parts.total.backward()
        parameters = list(model.parameters())
        sum_gradients(parameters, model.log_scale, self.processes)
        gradient_norm = clip_gradients_(parameters, config.max_gradient_norm)
        value = parts.total.item()
        if not (math.isfinite(value) and math.isfinite(gradient_norm)):
            raise ValueError(
                f"expected a finite loss and gradient, got {value} and {gradient_norm} at step {self.step + 1}: "
                f"lower the learning rate ({config.learning_rate}) or look for features that are not finite"
            )
        for optimizer in self.optimizers:
            optimizer.step()
        model.clamp_scale_()
        self.step += 1
        if self.step % config.log_every == 0 or self.step == self.total_steps:
            rate = factor * config.learning_rate
            self._log(
                loss=value,
                loss_in_batch=parts.in_batch.item(),
                loss_random=parts.random.item(),
                learning_rate=rate,
                scale=model.scale().item(),
                gradient_norm=gradient_norm,
            )
        return value

    def _autocast(self) -> torch.autocast:
        bf16 = self.config.precision == "bf16" or (self.config.precision == "auto" and self.device.type == "cuda")
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16)

    def _evaluate(self) -> None:
        """Measures validation, keeps the weights if they are the best so far, decides whether to stop."""
        config, pairs = self.config, self.data.validation
        if len(pairs) == 0:
            return
        validation: dict[str, dict[str, float]] = {}
        score = 0.0
        if self.processes.rank == 0:
            with self._autocast():
                by_task = evaluate_recall(
                    self.model,
                    self.data.items,
                    pairs,
                    num_pairs=config.validation_pairs,
                    num_distractors=config.validation_items,
                    seed=config.seed,
                )
            validation = {task: dataclasses.asdict(recall) for task, recall in by_task.items()}
            score = selection_score(validation)
        score = broadcast_numbers([score], self.processes, self.device)[0]
        self._log(validation=validation, score=score)
        if score > self.best["score"]:
            self.best, self.num_worse = {"step": self.step, "score": score, "validation": validation}, 0
            self.best_weights = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
        else:
            self.num_worse += 1
            self.finished = 0 < config.patience <= self.num_worse

    def _log(self, **values: Any) -> None:
        """Appends a line to metrics.jsonl (rank 0)."""
        if self.processes.rank == 0:
            with open(self.folder / METRICS_NAME, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": self.step, **values}) + "\n")

    def _checkpoint(self) -> None:
        if self.processes.rank != 0:
            return
        metrics = self.folder / METRICS_NAME
        state = {
            "best": self.best,
            "finished": self.finished,
            "fingerprint": self._fingerprint(),
            "metrics_bytes": metrics.stat().st_size if metrics.exists() else 0,
            "num_worse": self.num_worse,
            "step": self.step,
        }
        save_checkpoint(
            self.folder / CHECKPOINT_NAME,
            model=self.model.state_dict(),
            best=self.best_weights,
            optimizers=self.optimizers,
            state=state,
        )

    def _resume(self) -> None:
        """Continues from the checkpoint, or starts with an empty metrics.jsonl."""
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = read_checkpoint(self.folder / CHECKPOINT_NAME)
        if checkpoint is not None:
            self._restore(checkpoint)
        if self.processes.rank == 0:
            with open(self.folder / METRICS_NAME, "ab") as file:
                file.truncate(0 if checkpoint is None else checkpoint.state["metrics_bytes"])

    def _restore(self, checkpoint: Checkpoint) -> None:
        if checkpoint.state["fingerprint"] != self._fingerprint():
            raise UsageError(
                f"expected a checkpoint of this config, model and data in {self.folder}, got one of others: "
                f"train into another folder, or delete {CHECKPOINT_NAME} to start anew"
            )
        self.model.load_state_dict(checkpoint.model)
        restore_optimizers(self.optimizers, checkpoint.optimizers)
        state = checkpoint.state
        self.step, self.finished, self.num_worse = state["step"], state["finished"], state["num_worse"]
        self.best, self.best_weights = state["best"], checkpoint.best

    def _fingerprint(self) -> str:
        """Of what the curve depends on; the device and how often things are written may change on the way."""
        config = dataclasses.asdict(self.config)
        for name in ("device", "checkpoint_every"):
            del config[name]
        data = self.data
        sizes = [len(data.items), len(data.train), len(data.validation), data.train.tasks, len(data.train.query_id_Q)]
        return fingerprint([config, self.model.config.to_json(), sizes])
