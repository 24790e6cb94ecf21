"""Weights of sources, found on the days of a log that none of them has learnt from.

sources of the run, aligned by item -> the three tasks on the log after theirs -> model.sources.weight_search
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from model.measures.one_embedding import ATTRIBUTES, TASKS
from model.sources.fusion import FusionConfig
from model.sources.unified import SourceVectors
from model.sources.weight_search import WeightSearch, search_weights
from pipelines.console.progress import Progress
from pipelines.log.dated_log import DatedLog
from pipelines.one_embedding.catalogue import Catalogue
from pipelines.one_embedding.sessions import read_sessions
from pipelines.one_embedding.validation import seen_attributes, vectors_of, weighed_on
from pipelines.run.opened import Run
from schemas.days import end_of_day_us

#: From the vectors of each source by its name, and how they are fused but for the weights.
FindWeights = Callable[[Mapping[str, SourceVectors], FusionConfig], WeightSearch]


@dataclass(frozen=True, kw_only=True)
class ValidationLog:
    """The log that weights are found on: its rows up to the end of `date`, a day in the zone of `thresholds`."""

    engagements: str
    date: str
    thresholds: DatedLog
    columns: Mapping[str, Any]


def find_weights(run: str, item_model_end_us: float | None, log: ValidationLog) -> FindWeights:
    """What finds weights on a run's items. item_model_end_us: where the log of the item model's training ends, None: it
    has read none.

    The function raises UsageError if the sources have learnt from the log up to the end of its date, or no task tells
    them apart; ThresholdError if no task can be asked, or too much of the log is rejected.
    """

    def find(vectors: Mapping[str, SourceVectors], config: FusionConfig) -> WeightSearch:
        opened = Run(run)
        catalogue = Catalogue.of(opened)
        end_us = end_of_day_us(log.date, log.thresholds.time_zone)
        assert end_us is not None
        ids = pa.array(catalogue.item_ids, pa.string())
        rows, _ = read_sessions(
            log.engagements, log.columns, log.date, end_us, ids, log.thresholds, "weights are found"
        )
        known = vectors_of(opened, vectors, catalogue.item_ids, item_model_end_us)
        even = replace(config, weights=dict.fromkeys(vectors, 1.0))
        weighed = weighed_on(catalogue, known, rows, end_us, even)
        progress = Progress("unify", "trials")

        def objective(weights: Mapping[str, float]) -> Mapping[str, float]:
            scores = weighed.objective(weights)
            progress.advance()
            return scores

        found = search_weights(weighed.names, objective, weighed.floors)
        progress.close()
        tasks = weighed.tasks
        questions = set(tasks.questions)
        knowing = [one.name for one in known if questions and seen_attributes(one, tasks.questions) == questions]
        return replace(found, left_out=tasks.left_out, sizes=tasks.sizes(), not_asked={ATTRIBUTES: knowing})

    return find


def told(found: WeightSearch) -> str:
    """For a person: what was asked, how the weights stand beside the best single source, together and on each task,
    what could not be asked, and which sources have no weight."""
    chosen, alone, best = found.chosen, found.alone, found.best_alone
    together = alone[best]["combined"]
    lines = [
        f"weights by {', '.join(found.tasks)} of {len(found.curve)} trials: together {chosen['combined']:.3f}, where 0 "
        "is a task's floor and 1 its best single source",
        f"the best single source is {best}, together {together:.3f}"
        + (": no weights of several are above it" if chosen["weights"] == alone[best]["weights"] else ""),
    ]
    for task, score in sorted(chosen["scores"].items()):
        size = f" ({found.sizes[task]})" if task in found.sizes else ""
        lines.append(f"{task} {score:.3f}{size}; {_beside(task, score, found)}")
    lines += [f"{name} is not asked: {why}" for name, why in sorted(found.left_out.items()) if name in TASKS]
    if attributes := sorted(name for name in found.left_out if name not in TASKS):
        first = attributes[0]
        lines.append(f"attributes that are not asked: {', '.join(attributes)}; {first}: {found.left_out[first]}")
    if without := sorted(name for name, weight in found.weights.items() if not weight):
        lines.append(f"of weight 0, left out: {', '.join(without)}")
    return "\n".join(f"unify: {line}" for line in lines)


def _beside(task: str, score: float, found: WeightSearch) -> str:
    """Which sources are above the score of a task, the best first."""
    if task not in found.tasks:
        return "does not count: no source alone is above its floor"
    scores = {name: trial["scores"][task] for name, trial in found.alone.items()}
    above = sorted((name for name in scores if scores[name] > score), key=lambda name: (-scores[name], name))
    told = "no source alone is above it"
    if above:
        told = "alone above it: " + ", ".join(f"{name} {scores[name]:.3f}" for name in above)
    knowing = found.not_asked.get(task, ())
    return told + (f"; not asked of {', '.join(knowing)}, which have read what is asked" if knowing else "")
