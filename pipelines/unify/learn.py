"""Weights of sources, found on the days of a log that none of them has learnt from.

sources of the run, aligned by item -> the three tasks on the log after theirs -> model.sources.weight_search
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from model.sources.fusion import FusionConfig
from model.sources.unified import SourceVectors
from model.sources.weight_search import WeightSearch, search_weights
from pipelines.console.progress import Progress
from pipelines.log.dated_log import DatedLog
from pipelines.one_embedding.catalogue import Catalogue
from pipelines.one_embedding.sessions import read_sessions
from pipelines.one_embedding.validation import vectors_of, weighed_on
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
        return found

    return find


def told(found: WeightSearch) -> str:
    """A line for a person: what was asked, and what was tried."""
    best = [trial for trial in found.curve if trial["is_best"]][-1]
    scores = best["scores"]
    assert isinstance(scores, Mapping)
    shown = ", ".join(f"{name} {score:.3f}" for name, score in sorted(scores.items()))
    return f"unify: weights by {', '.join(found.tasks)} of {len(found.curve)} trials: {shown}"
