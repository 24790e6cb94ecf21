"""The trainings behind the rows: each made once for its data, configuration and seed, and measured on the test part.

<work>/preparations/<id>/      a run folder: items, vocabulary, features, pairs
<work>/trainings/<key>/        the training that is under way; deleted once it is measured
<work>/results/<key>.json      what it measured; a later call that comes to the same key trains nothing
"""

import dataclasses
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.items.config import ItemSageConfig
from model.training.config import TrainingConfig
from model.training.distillation import distill
from model.training.tables import PairTable
from model.training.train import resolve_device, train
from model.training.validation import Figures, evaluate_cells
from pipelines.ablate.tables import Row
from pipelines.train.prepared_run import PreparedRun
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import read_sealed_json, write_sealed_json
from schemas.hashing import fingerprint
from schemas.tables import PSEUDO_TASK

#: Part of a result's key: raise it when the same training measures another result.
RESULT_VERSION = 7
#: Test pairs that are ranked, as many of each task as far as it has them: 10,000 among 100,000 items take a minute.
MAX_TEST_PAIRS = 10_000
#: A training of hundreds of steps is started again sooner than it is written down five times, hundreds of MB each.
_NEVER = 1 << 31
#: Of a TrainingConfig, what changes no weights.
_NO_PART_OF_KEY = ("device", "checkpoint_every", "log_every")


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training: the data, and the switches of model and training with their seed."""

    prepared: PreparedRun
    model: ItemSageConfig
    config: TrainingConfig
    is_trained: bool

    @property
    def key(self) -> str:
        """Identifies all that its result depends on; of an untrained one only the model's switches count."""
        config = dataclasses.asdict(self.config)
        kept = {name: value for name, value in config.items() if name not in _NO_PART_OF_KEY} if self.is_trained else {}
        return fingerprint([RESULT_VERSION, self.prepared.data_id, self.model.to_json(), kept, self.nested_dims])

    @property
    def nested_dims(self) -> tuple[int, ...]:
        """Numbers of first dimensions that are measured beside all of them."""
        return self.config.nested_dims


def make_training(
    prepared: PreparedRun, row: Row, model: ItemSageConfig, config: TrainingConfig, seed: int
) -> Training:
    """The training of a row with one seed; model, config: as the call says. Raises UsageError for switches that do not
    fit each other."""
    of_model = {name for name in row.switches if name in _names(ItemSageConfig)}
    given = {name: row.switches[name] for name in of_model}
    rest = {name: value for name, value in row.switches.items() if name not in of_model}
    return Training(
        prepared=prepared,
        model=dataclasses.replace(model, **given, seed=seed),
        config=dataclasses.replace(config, **rest, seed=seed, checkpoint_every=_NEVER),
        is_trained=row.is_trained,
    )


def measured_pairs(prepared: PreparedRun) -> PairTable:
    """The engagements of the test part: pseudo-queries measure nobody's need."""
    table = prepared.data.test
    assert table is not None, "opened without the test part"
    return table.of_tasks([task for task in table.tasks if task != PSEUDO_TASK])


class Results:
    """The results in a work folder."""

    def __init__(self, work: Path):
        self.work = work
        self._known: dict[str, dict[str, Any]] = {}

    def has(self, training: Training) -> bool:
        """Whether the result is there; a damaged one is not, and a line says so."""
        return self._read(training.key) is not None

    def of(self, training: Training) -> dict[str, Any]:
        """The result of a training that has one, see measure."""
        result = self._read(training.key)
        assert result is not None, f"no result of {training.key}"
        return result

    def make(self, training: Training) -> dict[str, Any]:
        """Trains and keeps what it measures."""
        folder = self.work / "trainings" / training.key
        storage.remove_folder(folder, ignore_errors=True)  # of a call that was killed
        result = measure(training, folder)
        write_sealed_json(self._path(training.key), result)
        storage.remove_folder(folder, ignore_errors=True)
        self._known[training.key] = result
        return result

    def _path(self, key: str) -> Path:
        return self.work / "results" / f"{key}.json"

    def _read(self, key: str) -> dict[str, Any] | None:
        path = self._path(key)
        if key not in self._known and storage.has_file(path):
            try:
                self._known[key] = read_sealed_json(path)
            except CorruptFileError as error:
                print(f"ablate: trained again: {error}", file=sys.stderr, flush=True)
        return self._known.get(key)


def measure(training: Training, folder: Path) -> dict[str, Any]:
    """Trains in `folder` and measures on the test pairs: {"dims": number of dimensions -> task -> recall,
    reciprocal_rank, num_pairs, num_items, "cells": number of dimensions -> "seen item", "new item" -> recall,
    num_pairs, "best_step", "steps", "seconds", "model", "training"}."""
    started_s = time.monotonic()
    model = training.prepared.start(training.model)
    steps = best_step = 0
    if training.is_trained:
        prepared = training.prepared
        distill(model, prepared.data, training.config, prepared.vocabulary.word_ids, folder)
        trained = train(model, prepared.data, training.config, folder)
        steps, best_step = trained.steps, trained.best_step
    model.to(resolve_device(training.config.device))
    measured = {str(dim): _recall(training, model, dim) for dim in (training.model.output_dim, *training.nested_dims)}
    return {
        "dims": {dim: by_task for dim, (by_task, _) in measured.items()},
        "cells": {dim: by_item for dim, (_, by_item) in measured.items()},
        "best_step": best_step,
        "steps": steps,
        "seconds": round(time.monotonic() - started_s, 1),
        "model": training.model.to_json(),
        "training": dataclasses.asdict(training.config) if training.is_trained else None,
    }


def _recall(training: Training, model: Any, dim: int) -> tuple[Figures, Figures]:
    """By task, and by whether the item has training pairs; of so many first dimensions."""
    data = training.prepared.data
    known = [data.train, data.validation]
    pairs, prefix = measured_pairs(training.prepared), None if dim == training.model.output_dim else dim
    by_task, by_item = evaluate_cells(model, data, pairs, known, num_pairs=MAX_TEST_PAIRS, dim=prefix)
    return {task: dataclasses.asdict(recall) for task, recall in by_task.items()}, by_item


def pooled(by_task: Mapping[str, Mapping[str, float]], figure: str) -> float:
    """The mean of a figure over the pairs of all tasks.

    >>> pooled({"a": {"recall": 1.0, "num_pairs": 3}, "b": {"recall": 0.0, "num_pairs": 1}}, "recall")
    0.75
    """
    return sum(task[figure] * task["num_pairs"] for task in by_task.values()) / sum(
        task["num_pairs"] for task in by_task.values()
    )


def _names(config_class: type) -> set[str]:
    return {field.name for field in dataclasses.fields(config_class)}
