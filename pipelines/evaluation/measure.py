"""Evaluating a run on held-out engagements: Recall@10 a task, beside baselines."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from model.evaluation import HeldOutTask, rank_pairs, summarize_ranks
from model.metrics import retrieval_frequency
from model.picture_baselines import unit
from pipelines.evaluation.plan import Evaluation, tower_of
from pipelines.evaluation.report import why_not_evaluated
from schemas.errors import ThresholdError

ScoreBlock = Callable[[np.ndarray], np.ndarray]


def evaluate_engagements(planned: Evaluation) -> dict[str, Any]:
    """The report of Recall@10 a task. Raises ThresholdError if no held-out pair is left to rank."""
    counts = Counter({**planned.rows_read, **planned.rows_planned})
    report: dict[str, Any] = {"kind": "engagements", "items": len(planned.evaluated.item_ids), "tasks": []}
    for task in planned.tasks:
        methods = _methods_of(planned, task, counts)
        if methods is None:
            continue
        usable, scorers, answered_Q = methods
        results = {name: summarize_ranks(usable, rank_pairs(usable, score)) for name, score in scorers.items()}
        entry = {"task": task.name, "pairs": len(usable.item_rows_P), "queries": len(usable.queries)}
        report["tasks"].append({**entry, "methods": results, **_collapse(np.flatnonzero(answered_Q), scorers)})
    if not report["tasks"]:
        raise NotEvaluatedError(counts)
    return {**report, "rows": dict(counts), "model_id": planned.evaluated.encoder.manifest["model_id"]}


class NotEvaluatedError(ThresholdError):
    """Nothing is left to rank; `rows` are the counts that say why."""

    def __init__(self, rows: Mapping[str, int]):
        super().__init__(why_not_evaluated(rows))
        self.rows = dict(rows)


def _methods_of(
    planned: Evaluation, task: HeldOutTask, counts: Counter[str]
) -> tuple[HeldOutTask, dict[str, ScoreBlock], np.ndarray] | None:
    """The task's usable pairs, a scorer a method, and which queries the model has an answer to, bool [Q]; None if the
    surface cannot be evaluated (counted)."""
    evaluated, popularity_N, tower = planned.evaluated, planned.popularity_N, tower_of(task.name)
    if not evaluated.encoder.has_tower(tower) or (tower == "picture" and planned.pictures is None):
        counts[f"pairs_without_{tower}_tower_or_image_root"] += len(task.item_rows_P)
        return None
    scorers: dict[str, ScoreBlock] = {}
    if tower == "text":
        queries_QE, unknown_Q = evaluated.text_queries(task.queries)
        counts["queries_without_known_token"] += int(unknown_Q.sum())
        answered_Q = ~unknown_Q
        scorers["tfidf"] = lambda rows: evaluated.tfidf.scores([task.queries[row] for row in rows])
        scorers["bm25"] = lambda rows: evaluated.bm25.scores([task.queries[row] for row in rows])
    else:
        assert planned.pictures is not None
        vectors_QD, good_Q = planned.pictures.vectors(task.queries)
        counts["query_pictures_broken"] += int((~good_Q).sum())
        task = _only(task, good_Q)
        if not len(task.item_rows_P):
            return None
        raw_QD = unit(vectors_QD)
        queries_QE = evaluated.encoder.picture_vectors(vectors_QD)
        answered_Q = np.ones(len(queries_QE), bool)
        scorers["raw_pictures"] = lambda rows: raw_QD[rows] @ evaluated.picture_means_ND.T
    if popularity_N is not None:
        scorers["popularity"] = lambda rows: np.broadcast_to(popularity_N, (len(rows), len(popularity_N)))
    model: dict[str, ScoreBlock] = {"itemsage": lambda rows: queries_QE[rows] @ evaluated.vectors_ND.T}
    return task, model | scorers, answered_Q


def _only(task: HeldOutTask, keep_Q: np.ndarray) -> HeldOutTask:
    """The task without the queries that are not kept."""
    place_Q = np.cumsum(keep_Q) - 1
    kept_P = keep_Q[task.query_rows_P]
    queries = tuple(query for query, keep in zip(task.queries, keep_Q, strict=True) if keep)
    return HeldOutTask(task.name, queries, place_Q[task.query_rows_P[kept_P]], task.item_rows_P[kept_P])


def _collapse(rows: np.ndarray, scorers: Mapping[str, ScoreBlock]) -> dict[str, Any]:
    """Popularity collapse: how the model's first 10 results of these queries spread over the items."""
    if not len(rows):
        return {}
    blocks = []
    num_items = 0
    for start in range(0, len(rows), 64):
        scores_QN = scorers["itemsage"](rows[start : start + 64])
        num_items = scores_QN.shape[1]
        top = min(10, num_items)
        blocks.append(np.argpartition(-scores_QN, top - 1, axis=1)[:, :top])
    frequency = retrieval_frequency(np.concatenate(blocks), num_items)
    return {"retrieval_frequency": {"p90": frequency.p90, "p100": frequency.p100}}
