"""Weights of a fusion, found on validation data by all tasks together: a coordinate search, the same on every machine.

    1  each source alone            what each task can get: the best single source is 1, the floor 0
    2  equal weights                where the search starts
    3  one source after the other   its weight at each level, the others as they are; the best stays; until a round
                                    changes nothing

Single sources are trials too, so that none is above the winner; on one task of several one may be.

A task's score is scaled between its floor (chance, the majority) and its best single source, so that an AUC from .5 to
.6 and an F1 from .1 to .8 count alike; what is maximised is their mean, or the least of them ("min"). A task on which
no single source is above its floor by `least_lead` tells nothing of weights and does not count.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

import numpy as np

from schemas.errors import UsageError

ALONE = "alone"
#: Weights by source (their sum is 1) -> score by task, higher is better.
Objective = Callable[[Mapping[str, float]], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class WeightSearchConfig:
    """levels: what the weight of one source is tried at, the others' being 1 at first. min_gain: of a step that
    counts, single sources apart."""

    levels: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
    max_rounds: int = 4
    combine: Literal["mean", "min"] = "mean"
    min_gain: float = 1e-3
    least_lead: float = 0.01

    def __post_init__(self) -> None:
        good = all(np.isfinite(level) and level >= 0 for level in self.levels) and any(self.levels)
        if not good or self.max_rounds < 0 or self.combine not in ("mean", "min"):
            raise UsageError(f"expected levels >= 0, max_rounds >= 0 and mean or min, got {self}")


class Trial(TypedDict):
    """step: ALONE, "equal" or the number of the round; scores: by task; combined: of the tasks that count, what is
    maximised; is_best: so far."""

    step: str
    weights: dict[str, float]
    scores: dict[str, float]
    combined: float
    is_best: bool


@dataclass(frozen=True)
class WeightSearch:
    """weights: the best that were tried, sum 1: no single source is above them, all tasks together. tasks: those that
    counted. curve: each trial in order. left_out: what could not be asked -> why; sizes: task -> how much it asks;
    not_asked: task -> the sources that it asks nothing, which stand at its floor."""

    weights: dict[str, float]
    tasks: list[str]
    curve: list[Trial] = field(default_factory=list)
    left_out: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, str] = field(default_factory=dict)
    not_asked: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def chosen(self) -> Trial:
        """The trial of these weights."""
        return [trial for trial in self.curve if trial["is_best"]][-1]

    @property
    def alone(self) -> dict[str, Trial]:
        """source -> the trial of it alone."""
        trials = [trial for trial in self.curve if trial["step"] == ALONE]
        return {name: trial for trial in trials for name, weight in trial["weights"].items() if weight}

    @property
    def best_alone(self) -> str:
        """The source that is best alone, all tasks together; of equal ones the first by name."""
        alone = self.alone
        return max(sorted(alone), key=lambda name: alone[name]["combined"])


def search_weights(
    names: Sequence[str], objective: Objective, floors: Mapping[str, float], config: WeightSearchConfig | None = None
) -> WeightSearch:
    """The weights of sources by which the tasks of `floors` score best together; see the module.

    The objective is called once for each different weights, at most len(names) + 1 + max_rounds * len(names) *
    len(levels) times. Raises UsageError without sources, for a task that is missing or whose score is no number, and if
    no task tells sources apart.
    """
    if not names or len(set(names)) < len(names):
        raise UsageError(f"expected different sources, got {list(names)}")
    search = _Search(sorted(names), objective, floors, config or WeightSearchConfig())
    return search.run()


class _Search:
    def __init__(self, names: list[str], objective: Objective, floors: Mapping[str, float], config: WeightSearchConfig):
        self.names, self.objective, self.floors, self.config = names, objective, floors, config
        self.scores: dict[tuple[float, ...], dict[str, float]] = {}
        self.spans: dict[str, float] = {}
        self.curve: list[Trial] = []
        self.best: tuple[float, ...] = ()
        self.best_combined = -np.inf

    def run(self) -> WeightSearch:
        alone = [tuple(float(name == own) for name in self.names) for own in self.names]
        found = [self._scores(weights) for weights in alone]
        for task, floor in self.floors.items():
            span = max(scores[task] for scores in found) - floor
            if span >= self.config.least_lead:
                self.spans[task] = span
        if not self.spans:
            raise UsageError(
                f"expected a task on which a source is {self.config.least_lead} above its floor, got none of "
                f"{dict(self.floors)}: give the weights, they cannot be found on these data"
            )
        for weights in alone:
            self._try(weights, ALONE)
        current = self._scaled(tuple(1.0 for _ in self.names))
        self._try(current, "equal")
        for number in range(1, self.config.max_rounds + 1):
            before, current = current, self._round(current, str(number))
            if current == before:
                break
        return WeightSearch(dict(zip(self.names, self.best, strict=True)), sorted(self.spans), self.curve)

    def _round(self, current: tuple[float, ...], step: str) -> tuple[float, ...]:
        """The weights after each source's was tried at each level."""
        for place in range(len(self.names)):
            base = [weight * len(self.names) for weight in current]
            best = current
            for level in self.config.levels:
                trial = tuple(level if place == other else weight for other, weight in enumerate(base))
                if any(trial):
                    scaled = self._scaled(trial)
                    self._try(scaled, step)
                    if self._combined(scaled) > self._combined(best) + self.config.min_gain:
                        best = scaled
            current = best
        return current

    def _try(self, weights: tuple[float, ...], step: str) -> None:
        combined = self._combined(weights)
        least_gain = 0.0 if step == ALONE else self.config.min_gain
        is_best = combined > self.best_combined + least_gain
        if is_best:
            self.best, self.best_combined = weights, combined
        shown = dict(zip(self.names, weights, strict=True))
        scores = dict(self._scores(weights))
        self.curve.append(Trial(step=step, weights=shown, scores=scores, combined=combined, is_best=is_best))

    def _combined(self, weights: tuple[float, ...]) -> float:
        scores = self._scores(weights)
        shares = [(scores[task] - self.floors[task]) / span for task, span in sorted(self.spans.items())]
        return float(min(shares) if self.config.combine == "min" else np.mean(shares))

    def _scores(self, weights: tuple[float, ...]) -> dict[str, float]:
        if weights not in self.scores:
            found = self.objective(dict(zip(self.names, weights, strict=True)))
            scores = {task: float(found.get(task, np.nan)) for task in self.floors}
            if not all(np.isfinite(list(scores.values()))):
                raise UsageError(f"expected a score of each of {sorted(self.floors)}, got {dict(found)} for {weights}")
            self.scores[weights] = scores
        return self.scores[weights]

    @staticmethod
    def _scaled(weights: tuple[float, ...]) -> tuple[float, ...]:
        """Of sum 1, rounded so that equal weights found in two ways are equal."""
        total = sum(weights)
        return tuple(round(weight / total, 9) for weight in weights)
