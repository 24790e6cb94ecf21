"""What a search for the weights of a fusion maximises: the three tasks on validation data, as a function of weights.

    tasks = validation_tasks(log, item_ids, labels, families, split_us, end_us)       # model.measures.one_embedding
    scored = objective(sources, evidence, tasks, FusionConfig(weights=..., half_evidence=..., turn=True), seen)
    found = search_weights(sorted(sources), scored, tasks.floors(), WeightSearchConfig())
    FusionConfig(weights=found.weights, ...)

`split_us` is where the log of the sources ends (at the latest), `end_us` where the table's test begins: a source that
has learnt from the validation part knows its pairs already.

A trial fuses the items that the tasks ask about, not all: a vector depends on its item alone, so the scores are those
of fusing all. Projections are settled on all items, once for each set of sources.

An attribute is asked of a fusion of the sources that have not seen it: side information would otherwise be weighed by
how well it repeats itself. So this task weighs these among each other, and says nothing of those that have. Where none
has a weight, nothing is known: the majority's answer.
"""

from collections.abc import Mapping, Set
from dataclasses import replace

import numpy as np

from model.measures.one_embedding import OneEmbeddingTasks
from model.sources.fusion import Fusion, FusionConfig, fuse, settle_fusion
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
    return _Objective(sources, evidence, tasks, config, seen or {}).scores


class _Objective:
    """Legend beside the module's: A items that a task asks about, of the N."""

    def __init__(
        self,
        sources: Mapping[str, np.ndarray],
        evidence: Mapping[str, np.ndarray],
        tasks: OneEmbeddingTasks,
        config: FusionConfig,
        seen: Mapping[str, Set[str]],
    ):
        self.sources, self.config = sources, config
        self.blind = {name: frozenset(seen.get(name, ())) for name in sources}
        asked = {attribute: tasks.asked(attribute) for attribute in ("", *tasks.questions)}
        rows_A = np.unique(np.concatenate([*asked.values()]))
        self.tasks = tasks.among(rows_A)
        self.asked = {attribute: np.searchsorted(rows_A, rows) for attribute, rows in asked.items()}
        self.known = {name: vectors_ND[rows_A] for name, vectors_ND in sources.items()}
        self.evidence = {name: np.asarray(evidence_N)[rows_A] for name, evidence_N in evidence.items()}
        self._settled: dict[tuple[str, ...], Fusion] = {}

    def scores(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Of each task; see `objective`."""
        names_for = {attribute: self._names(weights, attribute) for attribute in self.asked}
        fused = {names: self._fused(names, weights, names_for) for names in sorted(set(names_for.values()))}
        return self.tasks.scores(lambda attribute: fused[names_for[attribute]])

    def _names(self, weights: Mapping[str, float], attribute: str) -> tuple[str, ...]:
        """The sources that have a weight and have not seen the attribute."""
        return tuple(sorted(name for name in weights if weights[name] > 0 and attribute not in self.blind[name]))

    def _fused(
        self, names: tuple[str, ...], weights: Mapping[str, float], names_for: Mapping[str, tuple[str, ...]]
    ) -> np.ndarray | None:
        """Unit rows [A, E] of these sources alone, zeros for items that nobody asks them about; None of no source."""
        if not names:
            return None
        asking = [rows for attribute, rows in self.asked.items() if names_for[attribute] == names]
        rows = np.unique(np.concatenate(asking))
        fusion = self._fusion(names, weights)
        known = {name: self.known[name][rows] for name in names}
        fused_AE = np.zeros((len(self.tasks.popularity_N), fusion.dim), np.float32)
        fused_AE[rows] = fuse(fusion, known, {name: values[rows] for name, values in self.evidence.items()})
        return fused_AE

    def _fusion(self, names: tuple[str, ...], weights: Mapping[str, float]) -> Fusion:
        """Settled on all items; dimensions and projections depend on the sources, not on their weights."""
        own = {name: weights[name] for name in names}
        half = {name: value for name, value in self.config.half_evidence.items() if name in own}
        config = replace(self.config, weights=own, half_evidence=half)
        if names not in self._settled:
            self._settled[names] = settle_fusion(config, self.sources)
        return replace(self._settled[names], config=config)
