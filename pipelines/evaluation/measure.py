"""Evaluating a run: Recall@10 on held-out engagements, nDCG@10 on judgements, each beside baselines."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from model.baselines import popularity_scores, unit
from model.evaluation import HeldOutTask, rank_pairs, summarize_ranks
from model.metrics import bootstrap_interval, ndcg_at_k, retrieval_frequency
from model.split import Split, assign
from pipelines.evaluation.evaluated_run import EvaluatedRun
from pipelines.evaluation.inputs import held_out_tasks, read_query_rows
from pipelines.evaluation.query_pictures import QueryPictures
from pipelines.evaluation.report import why_not_evaluated
from pipelines.query_rows import rows_hash
from schemas.errors import ThresholdError
from schemas.files import expand_inputs
from schemas.hashing import seed_of
from schemas.reading import plan_slices, read_slice, table_columns
from schemas.tables import JUDGEMENTS
from schemas.validation import validate_judgements

NDCG_K = 10
_RANDOM_ORDERS = 20


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A planned evaluation: everything it depends on is known, no tower is loaded.

    rows_read: counts of the engagement files, which change nothing else; rows_hash: of the rows that count.
    popularity_N: engagements an item of the model's training part, None if there are none. pictures: the query
    pictures with their vectors, None if no picture can be asked.
    """

    evaluated: EvaluatedRun
    tasks: tuple[HeldOutTask, ...]
    popularity_N: np.ndarray | None
    pictures: QueryPictures | None
    rows_hash: str
    rows_read: Mapping[str, int]
    rows_planned: Mapping[str, int]


def plan_evaluation(
    evaluated: EvaluatedRun,
    engagements: str,
    *,
    image_root: str | None,
    date: str | None,
    columns: Mapping[str, Any],
    include_train: bool,
    max_queries: int,
    previous: Path | None = None,
    verify_images: bool = False,
) -> Evaluation:
    """Reads the engagements and settles the query pictures; see QueryPictures for `previous` and `verify_images`."""
    rows, rows_read = read_query_rows(engagements, date, table_columns(columns, "engagements"))
    held_out = pc.equal(assign(Split.load(evaluated.encoder.folder), rows), "test")
    counts: Counter[str] = Counter(rows_of_training_part=len(rows) - pc.sum(held_out, min_count=0).as_py())
    trained_on = rows.filter(pc.invert(held_out))["item_id"].to_pylist()
    ranked = rows if include_train else rows.filter(held_out)
    tasks = held_out_tasks(ranked, evaluated.row_of, max_queries, counts)
    pictures = None
    uris = [uri for task in tasks if _tower_of(task) == "picture" for uri in task.queries]
    if uris and image_root is not None and evaluated.encoder.has_tower("picture"):
        pictures = QueryPictures(evaluated.encoder, image_root, evaluated.run, previous, verify_images)
        pictures.resolve(uris)
    return Evaluation(
        evaluated=evaluated,
        tasks=tasks,
        popularity_N=popularity_scores(evaluated.item_ids, trained_on) if trained_on else None,
        pictures=pictures,
        rows_hash=rows_hash(rows),
        rows_read=rows_read,
        rows_planned=counts,
    )


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


def evaluate_judgements(
    evaluated: EvaluatedRun, judgements: str, *, date: str | None, columns: Mapping[str, Any]
) -> dict[str, Any]:
    """The report of nDCG@10 over judged items of text queries, beside TF-IDF, BM25 and a random order."""
    counts: Counter[str] = Counter()
    graded: dict[str, dict[int, float]] = {}
    for part in plan_slices(expand_inputs(judgements, date)):
        for raw in read_slice(part, table_columns(columns, "judgements"), JUDGEMENTS):
            good, rejected, _ = validate_judgements(raw, part)
            counts.update(rows_read=len(good) + len(rejected), rows_quarantined=len(rejected))
            for row in good.to_pylist():
                if row["surface"] != "search" or row["item_id"] not in evaluated.row_of:
                    counts["rows_other_surface" if row["surface"] != "search" else "rows_item_unknown"] += 1
                    continue
                graded.setdefault(row["query"], {})[evaluated.row_of[row["item_id"]]] = row["grade"]
    queries = sorted(graded)
    if not queries:
        raise ThresholdError(f"expected search judgements of items in the run, got none of {dict(counts)}")
    vectors_QE, unknown_Q = evaluated.text_queries(tuple(queries))
    counts["queries_without_known_token"] = int(unknown_Q.sum())
    scores = {
        "itemsage": vectors_QE @ evaluated.vectors_ND.T,
        "tfidf": evaluated.tfidf.scores(queries),
        "bm25": evaluated.bm25.scores(queries),
    }
    values: dict[str, list[float]] = {name: [] for name in (*scores, "random")}
    for number, query in enumerate(queries):
        rows, grades = np.array(list(graded[query])), np.array(list(graded[query].values()))
        by_method = {name: ndcg_at_k(matrix[number, rows], grades, NDCG_K) for name, matrix in scores.items()}
        if by_method["itemsage"] is None:
            counts["queries_without_relevant"] += 1
            continue
        generator = np.random.default_rng(seed_of("random order", query))
        orders = [ndcg_at_k(generator.random(len(rows)), grades, NDCG_K) for _ in range(_RANDOM_ORDERS)]
        by_method["random"] = float(np.mean([value for value in orders if value is not None]))
        for name, value in by_method.items():
            values[name].append(float(value or 0.0))
    methods = {}
    for name, of_queries in values.items():
        low, high = bootstrap_interval(np.array(of_queries), seed=0)
        methods[name] = {"ndcg@10": float(np.mean(of_queries)), "ndcg@10_low": low, "ndcg@10_high": high}
    return {
        "kind": "judgements",
        "items": len(evaluated.item_ids),
        "model_id": evaluated.encoder.manifest["model_id"],
        "rows": dict(counts),
        "tasks": [{"task": "search", "queries": len(values["itemsage"]), "methods": methods}],
    }


ScoreBlock = Callable[[np.ndarray], np.ndarray]


def _tower_of(task: HeldOutTask) -> str:
    return "text" if task.name.startswith("search/") else "picture"


def _methods_of(
    planned: Evaluation, task: HeldOutTask, counts: Counter[str]
) -> tuple[HeldOutTask, dict[str, ScoreBlock], np.ndarray] | None:
    """The task's usable pairs, a scorer a method, and which queries the model has an answer to, bool [Q]; None if the
    surface cannot be evaluated (counted)."""
    evaluated, popularity_N, tower = planned.evaluated, planned.popularity_N, _tower_of(task)
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
