"""Evaluating a run on held-out engagements: Recall@10 a task, exact and through the run's index, beside baselines, and
in the four cells of seen and new queries and items."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.measures.comparison import MODEL, compare, compare_cells, compare_new_queries
from model.measures.evaluation import HeldOutTask, ScoreBlock, rank_pairs, summarize_ranks
from model.measures.metrics import retrieval_frequency
from pipelines.evaluate.methods import Baselines, picture_baselines, text_baselines
from pipelines.evaluate.plan import Evaluation, tower_of
from pipelines.evaluate.report import why_not_evaluated
from pipelines.evaluate.run_index import RunIndex
from schemas.errors import ThresholdError


@dataclass(frozen=True, eq=False)
class _Asked:
    """pairs: the task's usable ones. vectors_QE: the model's queries; answered_Q: bool, those that it has an answer to;
    seen_Q: bool, those of the training part."""

    pairs: HeldOutTask
    vectors_QE: np.ndarray
    answered_Q: np.ndarray
    seen_Q: np.ndarray
    baselines: Baselines


def evaluate_engagements(planned: Evaluation) -> dict[str, Any]:
    """The report of Recall@10 a task. Raises ThresholdError if no held-out pair is left to rank."""
    evaluated = planned.evaluated
    counts = Counter({**planned.rows_read, **planned.rows_planned})
    report: dict[str, Any] = {"kind": "engagements", "items": len(evaluated.item_ids), "tasks": []}
    for task in planned.tasks:
        asked = _ask(planned, task, counts)
        if asked is not None:
            report["tasks"].append(_of_task(planned, asked))
    if not report["tasks"]:
        raise NotEvaluatedError(counts)
    manifest = evaluated.encoder.manifest
    missing = planned.training.missing_pairs(manifest["towers"])
    return {**report, "rows": dict(counts), "model_id": manifest["model_id"], "training_pairs_missing": missing}


def _of_task(planned: Evaluation, asked: _Asked) -> dict[str, Any]:
    """The report's entry."""
    task = asked.pairs
    scorers: dict[str, ScoreBlock] = {MODEL: lambda rows: asked.vectors_QE[rows] @ planned.evaluated.vectors_ND.T}
    scorers |= asked.baselines.scorers
    ranks = {name: rank_pairs(task, score) for name, score in scorers.items()}
    return {
        "task": task.name,
        "pairs": len(task.item_rows_P),
        "queries": len(task.queries),
        "query_groups": int(task.cluster_Q.max()) + 1,
        "methods": {name: summarize_ranks(task, ranks_P) for name, ranks_P in ranks.items()},
        **compare(task, ranks),
        "left_out": dict(asked.baselines.left_out),
        **_through_index(planned.evaluated.index, asked, ranks[MODEL]),
        "new_queries": compare_new_queries(task, ranks, asked.seen_Q),
        "cells": compare_cells(task, ranks, asked.seen_Q, planned.training.seen_items_N),
        **_collapse(np.flatnonzero(asked.answered_Q), scorers),
    }


def _through_index(index: RunIndex | None, asked: _Asked, exact_P: np.ndarray) -> dict[str, Any]:
    """The entry's "index", if the run has one."""
    if index is None:
        return {}
    kind = tower_of(asked.pairs.name)
    return {"index": index.measure(asked.pairs, asked.vectors_QE, asked.answered_Q, kind, exact_P)}


class NotEvaluatedError(ThresholdError):
    """Nothing is left to rank; `rows` are the counts that say why."""

    def __init__(self, rows: Mapping[str, int]):
        super().__init__(why_not_evaluated(rows))
        self.rows = dict(rows)


def _ask(planned: Evaluation, task: HeldOutTask, counts: Counter[str]) -> _Asked | None:
    """What the task asks the model and its baselines; None if the surface cannot be evaluated (counted)."""
    evaluated, training, tower = planned.evaluated, planned.training, tower_of(task.name)
    if not evaluated.encoder.has_tower(tower) or (tower == "picture" and planned.pictures is None):
        counts[f"pairs_without_{tower}_tower_or_image_root"] += len(task.item_rows_P)
        return None
    if tower == "text":
        queries_QE, unknown_Q = evaluated.text_queries(task.queries)
        counts["queries_without_known_token"] += int(unknown_Q.sum())
        seen_Q = training.seen_texts(task.queries)
        task = planned.completed(task)
        return _Asked(task, queries_QE, ~unknown_Q, seen_Q, text_baselines(planned, task))
    assert planned.pictures is not None
    vectors_QD, good_Q = planned.pictures.vectors(task.queries)
    counts["query_pictures_broken"] += int((~good_Q).sum())
    task = planned.completed(task.only(good_Q[task.query_rows_P]))
    if not len(task.item_rows_P):
        return None
    return _Asked(
        task,
        evaluated.encoder.picture_vectors(vectors_QD),
        np.ones(len(vectors_QD), bool),
        training.seen_pictures(task.queries, planned.pictures.content),
        picture_baselines(planned, task, vectors_QD),
    )


def _collapse(rows: np.ndarray, scorers: Mapping[str, ScoreBlock]) -> dict[str, Any]:
    """Popularity collapse: how the model's first 10 results of these queries spread over the items."""
    if not len(rows):
        return {}
    blocks = []
    num_items = 0
    for start in range(0, len(rows), 64):
        scores_QN = scorers[MODEL](rows[start : start + 64])
        num_items = scores_QN.shape[1]
        top = min(10, num_items)
        blocks.append(np.argpartition(-scores_QN, top - 1, axis=1)[:, :top])
    frequency = retrieval_frequency(np.concatenate(blocks), num_items)
    return {"retrieval_frequency": {"p90": frequency.p90, "p100": frequency.p100}}
