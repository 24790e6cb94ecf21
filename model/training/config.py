"""What a training run is told, and what it reports."""

import math
from dataclasses import dataclass, field
from typing import Literal

from model.training.dropout import Dropout
from model.training.losses import Correction, LossConfig
from model.training.movement import Movement
from model.training.step_choice import StepChoice
from schemas.errors import UsageError

TaskMix = Literal["equal", "natural"]
TASK_MIXES: tuple[TaskMix, ...] = ("equal", "natural")
Precision = Literal["auto", "fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How to train. Zero means "choose": evaluate_every = an epoch, at least a tenth of the run; checkpoint_every = a
    fifth of the run.

    distill_epochs, max_distill_steps: passes over the items before the log, 0 for none, and at most so many steps, see
    model.training.distillation.
    epochs: passes over the log (see PairStream.steps_per_epoch), stretched to min_steps.
    num_negatives: random negatives a step; None: as many as the batch. patience: evaluations without a better one
    before training stops; 0: never. frozen: prefixes of parameter names that stay as they are ("hash_embedder").
    correction, joint, in_batch_negatives, random_negatives, nested_dims: see model.training.losses; mask_known: see
    model.training.batch_loss.
    tasks: those that train and validate; none named: all. task_mix: a batch holds as many pairs of each task, or of
    each in proportion to its pairs. pseudo_share: see model.training.data.
    drop_tokens, drop_fields, drop_pictures, drop_modalities, max_field_tokens: see model.training.dropout.
    interpolate: whether weights nearer to the start than the best step's are taken where validation cannot tell them
    apart, see model.training.interpolation.
    precision: auto = bf16 autocast on a GPU, fp32 on a CPU.
    """

    distill_epochs: float = 25.0
    max_distill_steps: int = 800
    epochs: float = 10.0
    min_steps: int = 300
    batch_size: int = 512
    num_negatives: int | None = None
    learning_rate: float = 3e-4
    table_learning_rate: float = 2e-3
    importance_learning_rate: float = 1e-2
    field_weight_learning_rate: float = 2e-2
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    count_cap: int = 10
    pseudo_share: float = 0.3
    correction: Correction = "none"
    joint: bool = False
    mask_known: bool = True
    in_batch_negatives: bool = True
    random_negatives: bool = True
    tasks: tuple[str, ...] = ()
    task_mix: TaskMix = "equal"
    nested_dims: tuple[int, ...] = ()
    patience: int = 4
    evaluate_every: int = 0
    checkpoint_every: int = 0
    log_every: int = 10
    validation_pairs: int = 2000
    validation_items: int = 100_000
    interpolate: bool = True
    frozen: tuple[str, ...] = ()
    drop_tokens: float = 0.15
    drop_fields: float = 0.0
    drop_pictures: float = 0.1
    drop_modalities: float = 0.1
    max_field_tokens: int = 128
    precision: Precision = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        good = 0 < self.epochs < math.inf and self.min_steps >= 0 and self.batch_size >= 1
        if not (good and 0 <= self.learning_rate < math.inf and 0 <= self.warmup_fraction < 1):
            raise UsageError(
                "expected epochs > 0, min_steps >= 0, batch_size >= 1, learning_rate >= 0 and 0 <= warmup_fraction < "
                f"1, got {self.epochs}, {self.min_steps}, {self.batch_size}, {self.learning_rate} and "
                f"{self.warmup_fraction}"
            )
        if not (0 <= self.distill_epochs < math.inf and self.max_distill_steps >= 0):
            raise UsageError(
                f"expected distill_epochs and max_distill_steps of at least 0, got {self.distill_epochs} and "
                f"{self.max_distill_steps}"
            )
        if self.task_mix not in TASK_MIXES:
            raise UsageError(f"expected a task mix of {TASK_MIXES}, got {self.task_mix!r}")
        if not 0 < self.pseudo_share <= 1:
            raise UsageError(f"expected a pseudo share above 0 and at most 1, got {self.pseudo_share}")
        self.loss()

    def loss(self) -> LossConfig:
        """The loss. Raises UsageError for an unknown correction, no kind of negatives, impossible nested dimensions."""
        return LossConfig(
            correction=self.correction,
            joint=self.joint,
            in_batch=self.in_batch_negatives,
            random=self.random_negatives,
            nested_dims=self.nested_dims,
        )

    def left_out(self) -> Dropout:
        """What training leaves out of items and queries. Raises UsageError for impossible shares."""
        return Dropout(
            tokens=self.drop_tokens,
            fields=self.drop_fields,
            pictures=self.drop_pictures,
            modalities=self.drop_modalities,
            max_field_tokens=self.max_field_tokens,
        )


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What was measured after `step` steps, 0 being the start. score: what weights are chosen by, see
    model.training.validation, over num_pairs pairs. tasks: task -> the figures of TaskRecall, as in metrics.jsonl.
    cells: "seen item" and "new item" -> "recall" and "num_pairs" of these pairs, where there are any: see
    model.training.validation."""

    step: int
    score: float
    num_pairs: int
    tasks: dict[str, dict[str, float]]
    cells: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingStart:
    """A run before its next step. step: finished ones, 0 unless it continues. planned_steps: as many will be taken, at
    most. validation: of step 0; None without validation. choice: whether the step is chosen by validation."""

    step: int
    planned_steps: int
    steps_per_epoch: int
    validation: Validation | None
    choice: StepChoice


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """steps: as many were taken; fewer than planned_steps if training stopped early. best_step: whose weights are
    restored, 0 being the start; the last one without validation. share: of the way from the start to it, where the
    restored weights are, see model.training.interpolation. restored: their validation, None without one;
    validation: its figures by task, as metrics.json has them.
    validations: all of the run, by step, the start's first. above_start: "score", what the restored weights score more
    than the start on the same queries, and its 95 % interval, "score_low" and "score_high"; None if they are the start
    or nobody knows. without: part of the item encoder -> the validation of
    best_step without it, see model.training.part_shares. field_weights, movement: of the restored weights, see
    ItemEncoder.field_weights and model.training.movement."""

    steps: int
    planned_steps: int
    steps_per_epoch: int
    best_step: int
    share: float
    restored: Validation | None
    validation: dict[str, dict[str, float]]
    validations: tuple[Validation, ...]
    above_start: dict[str, float] | None
    without: dict[str, Validation]
    field_weights: dict[str, float]
    movement: dict[str, Movement]
    num_pairs_by_task: dict[str, int]

    @property
    def is_better_than_start(self) -> bool | None:
        """Whether validation found a step better than the start; None without validation pairs: nobody knows."""
        return self.best_step > 0 if self.validations else None

    @property
    def is_within_noise(self) -> bool:
        """Whether a step was better than the start, but by no more than chance can make of these queries."""
        return self.above_start is not None and self.above_start["score_low"] <= 0
