"""What a search for the weights of a fusion maximises: the three tasks on validation data, as a function of weights.

    tasks = validation_tasks(log, item_ids, labels, families, split_us, end_us)       # model.measures.one_embedding
    scored = objective(sources, evidence, tasks, FusionConfig(weights=..., half_evidence=..., turn=True), seen)
    found = search_weights(sorted(sources), scored, tasks.floors(), WeightSearchConfig())
    FusionConfig(weights=found.weights, ...)

`split_us` is where the log of the sources ends (at the latest), `end_us` where the table's test begins: a source that
has learnt from the validation part knows its pairs already.

An attribute is asked of a fusion of the sources that have not seen it: side information would otherwise be weighed by
how well it repeats itself. So this task weighs these among each other, and says nothing of those that have. Where none
has a weight, nothing is known: the majority's answer.
"""

from collections.abc import Mapping, Set
from dataclasses import replace

import numpy as np

from model.measures.one_embedding import OneEmbeddingTasks
from model.sources.fusion import FusionConfig, fuse, settle_fusion
from model.sources.weight_search import Objective
from schemas.errors import UsageError


def objective(
    sources: Mapping[str, np.ndarray],
    evidence: Mapping[str, np.ndarray],
    tasks: OneEmbeddingTasks,
    config: FusionConfig,
    seen: Mapping[str, Set[str]] | None = None,
) -> Objective:
    """weights by source -> score by task (those of `tasks.names`), for model.sources.weight_search.search_weights.

    sources: float [N, D] each of the items of the tasks, a row of zeros where one has no vector; evidence: float [N]
    of each source that has a half_evidence; config: how they are fused, but for its weights; seen: source -> the
    attributes that its training has read. Equal weights, equal scores. Raises UsageError for sources of other items,
    and what settle_fusion and fuse raise.
    """
    num_items = len(tasks.popularity_N)
    if odd := {name: len(vectors) for name, vectors in sources.items() if len(vectors) != num_items}:
        raise UsageError(f"expected vectors of the tasks' {num_items} items, got {odd} rows: align them by item first")
    blind = {name: frozenset(seen.get(name, ())) if seen else frozenset() for name in sources}

    def scores(weights: Mapping[str, float]) -> dict[str, float]:
        fused: dict[tuple[str, ...], np.ndarray | None] = {}

        def vectors_for(attribute: str) -> np.ndarray | None:
            names = tuple(sorted(name for name in weights if weights[name] > 0 and attribute not in blind[name]))
            if names not in fused:
                fused[names] = _fused(names, weights, sources, evidence, config)
            return fused[names]

        return tasks.scores(vectors_for)

    return scores


def _fused(
    names: tuple[str, ...],
    weights: Mapping[str, float],
    sources: Mapping[str, np.ndarray],
    evidence: Mapping[str, np.ndarray],
    config: FusionConfig,
) -> np.ndarray | None:
    """Unit rows [N, E] of these sources alone; None of no source."""
    if not names:
        return None
    own = {name: weights[name] for name in names}
    half = {name: value for name, value in config.half_evidence.items() if name in own}
    settled = settle_fusion(replace(config, weights=own, half_evidence=half), sources)
    return fuse(settled, sources, evidence)
