"""What weights of a fusion are found on: the three tasks on the days between the sources' log and the table's.

log   |-- the sources have learnt from it --|-- validation --|-- what `itemsage evaluate-sources` measures on
                                    their log's end     end of `date`

run = Run(folder)
vectors = [source_of(run, name, catalogue.item_ids) for name in finished_sources(run)]
weighed = weighed_on(catalogue, vectors, log, end_us, FusionConfig(weights=..., half_evidence=..., turn=True))
found = search_weights(weighed.names, weighed.objective, weighed.floors)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from model.measures.one_embedding import SEARCH, OneEmbeddingTasks, TasksConfig, validation_tasks
from model.sources.fusion import FusionConfig
from model.sources.fusion_objective import objective
from model.sources.weight_search import Objective
from pipelines.one_embedding.catalogue import Catalogue, fields_of
from pipelines.one_embedding.vectors import SourceVectors, log_end_us, seen_fields
from pipelines.run.opened import Run
from pipelines.stages import SOURCES
from schemas.days import instant_in_words
from schemas.errors import UsageError
from schemas.log_ends import latest, log_in_words


class Known(Protocol):
    """What a source knows of items."""

    def of(self, item_ids: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """(float32 [N, D], int64 [N]): vectors and evidence, zeros for items that the source does not know."""


def vectors_of(
    run: Run, known: Mapping[str, Known], item_ids: Sequence[str], item_model_end_us: float | None
) -> list[SourceVectors]:
    """What is known by sources of the run, and by ITEMSAGE, whose log ends at item_model_end_us (None: it has read
    none), on these items."""
    ids, found = pa.array(item_ids, pa.string()), []
    for name, source in known.items():
        vectors_ND, evidence_N = source.of(ids)
        found.append(
            SourceVectors(
                name=name,
                model_id=name,
                vectors_ND=vectors_ND,
                evidence_N=evidence_N,
                seen=seen_fields(name),
                log_end_us=log_end_us(run, name) if name in SOURCES else item_model_end_us,
            )
        )
    return found


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighed:
    """What search_weights takes, and the tasks that it is made of."""

    names: Sequence[str]
    objective: Objective
    floors: Mapping[str, float]
    tasks: OneEmbeddingTasks


def weighed_on(
    catalogue: Catalogue,
    sources: Sequence[SourceVectors],
    log: pa.Table,
    end_us: int,
    config: FusionConfig,
    tasks_config: TasksConfig = SEARCH,
) -> Weighed:
    """The objective on the log (ENGAGEMENTS, see read_sessions) from the end of the sources' log to `end_us`
    (microseconds since 1970). config: how sources are fused, but for its weights.

    Raises UsageError for sources that have read the log up to `end_us`, or none of which has read any; ThresholdError
    if no task can be asked.
    """
    start_us = validation_start_us({source.name: source.log_end_us for source in sources}, end_us)
    tasks = validation_tasks(
        log, catalogue.item_ids, catalogue.labels, catalogue.families, start_us, end_us, tasks_config
    )
    seen = {source.name: seen_attributes(source, tasks.questions) for source in sources}
    evidence = {source.name: source.evidence_N for source in sources if source.evidence_N is not None}
    scored = objective({source.name: source.vectors_ND for source in sources}, evidence, tasks, config, seen)
    names = sorted(source.name for source in sources)
    return Weighed(names=names, objective=scored, floors=tasks.floors(), tasks=tasks)


def validation_start_us(ends: Mapping[str, float | None], end_us: int) -> int:
    """The first instant that no source knows, of the ends of their logs. Raises UsageError unless it is told and before
    end_us, the validation's end."""
    start_us = latest(ends.values())
    if start_us is None or start_us >= end_us:
        late = {name: end for name, end in ends.items() if end is not None and end >= end_us}
        told = ", ".join(f"{name} of {log_in_words(end)}" for name, end in late.items())
        raise UsageError(
            f"expected sources of a log that ends before the validation does, at {instant_in_words(end_us)}, got "
            f"{told or 'none that has read a log'}: weights are found on days that no source has learnt from; give a "
            "later --date, train the sources with an earlier one, or give the weights"
        )
    return int(start_us)


def seen_attributes(source: SourceVectors, attributes: Sequence[str] | Mapping[str, object]) -> frozenset[str]:
    """Of these attributes those of which the source has read a field."""
    return frozenset(name for name in attributes if source.seen.intersection(fields_of(name)))
