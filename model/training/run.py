"""One training run: its steps, its validations, the curve in metrics.jsonl and the checkpoint that it continues from.

`model.training.train.train` is how it is called.
"""

import contextlib
import dataclasses
import json
import math
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.items.batch import ItemChange
from model.items.itemsage import ItemSage
from model.training.batch_loss import BatchLoss
from model.training.checkpoint import Checkpoint, read_checkpoint, restore_optimizers, save_checkpoint
from model.training.config import TrainingConfig, TrainingResult, TrainingStart, Validation
from model.training.data import PairBatch, PairStream, TrainingData
from model.training.distributed import Processes, current_processes, sum_gradients
from model.training.forward import BatchInputs, autocast, encode_batch, read_inputs
from model.training.interpolation import SHARES, is_within_error
from model.training.movement import StartWeights
from model.training.optimizers import clip_gradients_, learning_rate_factor, make_optimizers, set_learning_rate
from model.training.part_shares import measure_without
from model.training.schedule import FixedLength, schedule
from model.training.validation import QueryScores, choice_by, validate
from schemas import storage
from schemas.errors import UsageError
from schemas.hashing import fingerprint, seed_of

CHECKPOINT_NAME, METRICS_NAME = "checkpoint.safetensors", "metrics.jsonl"
#: Part of a checkpoint's fingerprint: raise it when its state is another.
_STATE_VERSION = 9

#: Called after each step with (finished steps, planned steps, loss of the step).
OnStep = Callable[[int, int, float], None]
#: Called once, before the first step that is taken.
OnStart = Callable[[TrainingStart], None]


class TrainingRun:
    """The state of one run, and its steps. length: of a run that does not validate; None for the config's."""

    def __init__(
        self,
        model: ItemSage,
        data: TrainingData,
        config: TrainingConfig,
        device: torch.device,
        folder: Path,
        length: FixedLength | None = None,
    ):
        self.device = device
        self.processes: Processes = current_processes()
        data = data.of_tasks(config.tasks)
        self.model, self.data, self.config, self.folder = model.to(self.device), data, config, folder
        num_negatives = config.batch_size if config.num_negatives is None else config.num_negatives
        self.stream = PairStream(
            pairs=data.train,
            num_items=len(data.items),
            batch_size=config.batch_size,
            num_negatives=num_negatives if config.random_negatives else 0,
            seed=config.seed,
            count_cap=config.count_cap,
            mixes_equally=config.task_mix == "equal",
            pseudo_share=config.pseudo_share,
        )
        self.length, self.validates = length, length is None and len(data.validation) > 0
        self.choice = choice_by(data.validation)
        by_validation = self.validates and self.choice.by_validation
        self.schedule = schedule(config, self.stream.steps_per_epoch, by_validation, length)
        self.start = StartWeights(self.model)
        self.optimizers = make_optimizers(
            model,
            learning_rate=config.learning_rate,
            table_learning_rate=config.table_learning_rate,
            importance_learning_rate=config.importance_learning_rate,
            field_weight_learning_rate=config.field_weight_learning_rate,
            decay=config.weight_decay,
        )
        self.loss = BatchLoss(self.stream, config.loss(), config.mask_known)
        self.step, self.finished = 0, False
        self.validations: list[Validation] = []
        self.share = 1.0
        self.restored: Validation | None = None
        self.without: dict[str, Validation] = {}
        self.best_weights: dict[str, Tensor] = {}
        self.scores: dict[str, QueryScores] = {}

    def train(self, on_step: OnStep | None, on_start: OnStart | None) -> TrainingResult:
        """Continues from the folder's checkpoint, or starts; leaves the model with its best weights."""
        self._resume()
        if self.step == 0 and not self.finished:
            self._evaluate()
        if on_start is not None:
            on_start(self._start())
        if not self.finished:
            with contextlib.closing(self._batches()) as batches:
                while not self.finished:
                    loss = self._train_step(*next(batches))
                    is_last = self.step == self.schedule.last
                    if on_step is not None:
                        on_step(self.step, self.schedule.last, loss)
                    if self.step % self.schedule.evaluate_every == 0 or is_last:
                        self._evaluate()
                    self.finished = self.finished or is_last
                    if self.finished:
                        self._restore_best()
                    if self.finished or self.step % self.schedule.checkpoint_every == 0:
                        self._checkpoint()
        best = self._best()
        return TrainingResult(
            steps=self.step,
            planned_steps=self.schedule.planned,
            steps_per_epoch=self.stream.steps_per_epoch,
            best_step=self.step if best is None else best.step,
            share=self.share,
            restored=self.restored,
            validation={} if self.restored is None else self.restored.tasks,
            validations=tuple(self.validations),
            above_start=self.scores["best"].above(self.scores["start"]) if best is not None and best.step else None,
            without=self.without,
            field_weights=self.model.item_encoder.field_weights(),
            movement=self.start.movement(self.model),
            num_pairs_by_task=self.data.train.num_pairs_by_task(),
        )

    def _start(self) -> TrainingStart:
        return TrainingStart(
            step=self.step,
            planned_steps=self.schedule.last,
            steps_per_epoch=self.stream.steps_per_epoch,
            validation=self.validations[0] if self.validations else None,
            choice=self.choice,
        )

    def _best(self) -> Validation | None:
        """The first of the best validations so far."""
        return max(self.validations, key=lambda validation: validation.score, default=None)

    def _batches(self) -> Generator[tuple[PairBatch, BatchInputs], None, None]:
        """This run's batches from its step on; the next one is read while one is computed."""
        with ThreadPoolExecutor(1) as reader:
            pending = reader.submit(self._read, self.step)
            for step in range(self.step + 1, self.schedule.last + 1):
                ready = pending.result()
                if step < self.schedule.last:
                    pending = reader.submit(self._read, step)
                yield ready

    def _read(self, step: int) -> tuple[PairBatch, BatchInputs]:
        batch = self.stream.batch(step)
        seed = seed_of("left out", self.config.seed, step)
        return batch, read_inputs(batch, self.data, self.processes, self.config.left_out(), seed)

    def _train_step(self, batch: PairBatch, inputs: BatchInputs) -> float:
        """One update of the weights; returns the loss before it."""
        config, model = self.config, self.model
        model.train()
        factor = learning_rate_factor(self.step, self.schedule.planned, self.schedule.warmup)
        set_learning_rate(self.optimizers, factor)
        if model.config.dropout:
            torch.manual_seed(seed_of("dropout", config.seed, self.step, self.processes.rank))
        with autocast(self.device, config.precision):
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
        if self.step % config.log_every == 0 or self.step == self.schedule.last:
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

    def _evaluate(self) -> None:
        """Measures validation, keeps the weights if they are the best so far, decides whether to stop."""
        movement = {name: dataclasses.asdict(moved) for name, moved in self.start.movement(self.model).items()}
        moved = {"movement": movement, "field_weights": self.model.item_encoder.field_weights()}
        if not self.validates:
            self._log(**moved)
            return
        (measured, scores), best = self._validate(), self._best()
        self._log(validation=measured.tasks, cells=measured.cells, score=measured.score, **moved)
        self.validations.append(measured)
        if best is None or measured.score > best.score:
            self.scores = {"start": scores} | self.scores | {"best": scores}
            self.best_weights = self._state_on_cpu()
        else:
            num_worse = sum(validation.step > best.step for validation in self.validations)
            self.finished = 0 < self.config.patience <= num_worse

    def _validation(self, change: ItemChange | None = None) -> Validation:
        return self._validate(change)[0]

    def _validate(self, change: ItemChange | None = None) -> tuple[Validation, QueryScores]:
        return validate(self.model, self.data, self.config, self.processes, self.choice, self.step, change)

    def _restore_best(self) -> None:
        """Leaves the model with its best weights, or weights between them and the start, and measures what their parts
        are worth."""
        best = self._best()
        if best is None:
            if self.length is not None and self.length.share < 1:
                self.share = self.length.share
                self.model.load_state_dict(self.start.towards(self._state_on_cpu(), self.share))
            return
        self._choose_share(best)
        measured = measure_without(self.model.item_encoder, self._validation)
        self.without = {part: dataclasses.replace(found, step=best.step) for part, found in measured.items()}
        scores = {part: {"score": found.score, "tasks": found.tasks} for part, found in self.without.items()}
        self._log(best_step=best.step, share=self.share, without=scores)

    def _choose_share(self, best: Validation) -> None:
        """Leaves the model with the weights nearest to the start that validation cannot tell from the best."""
        may_choose = self.config.interpolate and self.choice.by_validation and best.step > 0
        for share in SHARES if may_choose else ():
            weights = self.start.towards(self.best_weights, share)
            self.model.load_state_dict(weights)
            measured, scores = self._validate()
            self._log(share=share, score=measured.score, cells=measured.cells)
            if is_within_error(scores, self.scores["best"]):
                self.share, self.scores["best"] = share, scores
                self.restored = dataclasses.replace(measured, step=best.step)
                self.best_weights = weights
                return
        self.model.load_state_dict(self.best_weights)
        self.restored = best

    def _state_on_cpu(self) -> dict[str, Tensor]:
        return {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}

    def _log(self, **values: Any) -> None:
        """Appends a line to metrics.jsonl (rank 0)."""
        if self.processes.rank == 0:
            with storage.open_file(self.folder / METRICS_NAME, "ab") as file:
                file.write((json.dumps({"step": self.step, **values}) + "\n").encode())

    def _checkpoint(self) -> None:
        if self.processes.rank != 0:
            return
        metrics = self.folder / METRICS_NAME
        state = {
            "finished": self.finished,
            "fingerprint": self._fingerprint(),
            "metrics_bytes": storage.size_of(metrics) if storage.has(metrics) else 0,
            "scores": {name: [of.sums_Q.tolist(), of.weights_Q.tolist()] for name, of in self.scores.items()},
            "step": self.step,
            "validations": [dataclasses.asdict(validation) for validation in self.validations],
            "share": self.share,
            "restored": None if self.restored is None else dataclasses.asdict(self.restored),
            "without": [[part, dataclasses.asdict(validation)] for part, validation in self.without.items()],
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
        storage.make_folder(self.folder)
        checkpoint = read_checkpoint(self.folder / CHECKPOINT_NAME)
        if checkpoint is not None:
            self._restore(checkpoint)
        if self.processes.rank == 0:
            with storage.open_file(self.folder / METRICS_NAME, "ab") as file:
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
        self.step, self.finished = state["step"], state["finished"]
        self.validations = [Validation(**validation) for validation in state["validations"]]
        self.share = state["share"]
        self.restored = None if state["restored"] is None else Validation(**state["restored"])
        self.without = {part: Validation(**validation) for part, validation in state["without"]}
        self.best_weights = checkpoint.best
        self.scores = {name: QueryScores(*map(np.array, of)) for name, of in state["scores"].items()}

    def _fingerprint(self) -> str:
        """Of what the curve depends on; the device and how often things are written may change on the way."""
        config = dataclasses.asdict(self.config)
        for name in ("device", "checkpoint_every"):
            del config[name]
        data = self.data
        sizes = [len(data.items), len(data.train), len(data.validation), data.train.tasks, len(data.train.query_id_Q)]
        length = None if self.length is None else dataclasses.asdict(self.length)
        return fingerprint([_STATE_VERSION, config, self.model.config.to_json(), sizes, length])
