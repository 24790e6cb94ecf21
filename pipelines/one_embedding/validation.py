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
from schemas.errors import UsageError
from schemas.tables import TEXT_FIELDS


class Known(Protocol):
    """What a source knows of items."""

    def of(self, item_ids: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """(float32 [N, D], int64 [N]): vectors and evidence, zeros for items that the source does not know."""


def vectors_of(
    run: Run, known: Mapping[str, Known], item_ids: Sequence[str], item_model_end_us: int | None
) -> list[SourceVectors]:
    """What is known by sources of the run, and by ITEMSAGE, whose log ends at item_model_end_us (None: it has read
    none), on these items. Raises UsageError for a source whose log's end is not told."""
    ids, found = pa.array(item_ids, pa.string()), []
    for name, source in known.items():
        vectors_ND, evidence_N = source.of(ids)
        is_own = name in SOURCES
        found.append(
            SourceVectors(
                name=name,
                model_id=name,
                vectors_ND=vectors_ND,
                evidence_N=evidence_N,
                seen=seen_fields(name) if is_own else frozenset(TEXT_FIELDS),
                log_end_us=log_end_us(run, name) if is_own else item_model_end_us,
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
    ends = [source.log_end_us for source in sources if source.log_end_us is not None]
    if not ends or max(ends) >= end_us:
        got = "none that has read a log" if not ends else f"some that have read it up to {max(ends)}"
        raise UsageError(
            f"expected sources of a log that ends before the validation's end at {end_us} (microseconds since 1970), "
            f"got {got}: weights are found on days that no source has learnt from; train the sources with an earlier "
            "--date, or give the weights"
        )
    tasks = validation_tasks(
        log, catalogue.item_ids, catalogue.labels, catalogue.families, max(ends), end_us, tasks_config
    )
    seen = {source.name: seen_attributes(source, tasks.questions) for source in sources}
    evidence = {source.name: source.evidence_N for source in sources if source.evidence_N is not None}
    scored = objective({source.name: source.vectors_ND for source in sources}, evidence, tasks, config, seen)
    names = sorted(source.name for source in sources)
    return Weighed(names=names, objective=scored, floors=tasks.floors(), tasks=tasks)


def seen_attributes(source: SourceVectors, attributes: Sequence[str] | Mapping[str, object]) -> frozenset[str]:
    """Of these attributes those of which the source has read a field."""
    return frozenset(name for name in attributes if source.seen.intersection(fields_of(name)))
