"""Evaluating a run: Recall@10 on held-out engagements, nDCG@10 on judgements, each beside baselines."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.baselines import popularity_scores, unit
from model.evaluation import HeldOutTask, rank_pairs, summarize_ranks
from model.metrics import bootstrap_interval, ndcg_at_k, retrieval_frequency
from model.split import Split, assign, end_of_day_us
from pipelines.evaluated_run import EvaluatedRun
from schemas.errors import ThresholdError
from schemas.files import expand_inputs
from schemas.hashing import seed_of
from schemas.reading import plan_slices, read_slice, table_columns
from schemas.tables import ENGAGEMENTS, JUDGEMENTS, POSITIVE_ACTIONS, QUERY_SURFACES
from schemas.validation import validate_engagements, validate_judgements

NDCG_K = 10
_RANDOM_ORDERS = 20


def evaluate_engagements(
    evaluated: EvaluatedRun,
    engagements: str,
    *,
    image_root: str | None,
    date: str | None,
    columns: Mapping[str, Any],
    include_train: bool,
    max_queries: int,
) -> dict[str, Any]:
    """The report of Recall@10 a task. Raises ThresholdError if no held-out pair is left to rank."""
    table, counts = _read(engagements, date, table_columns(columns, "engagements"))
    parts = assign(Split.load(evaluated.encoder.folder), table)
    held_out = pc.equal(parts, "test")
    counts["rows_of_training_part"] = len(table) - pc.sum(held_out).as_py()
    trained_on = table.filter(pc.invert(held_out))["item_id"].to_pylist()
    popularity_N = popularity_scores(evaluated.item_ids, trained_on)
    if not include_train:
        table = table.filter(held_out)
    tasks = list(_tasks(table, evaluated.row_of, max_queries, counts))
    if not tasks:
        raise ThresholdError(
            f"expected held-out engagements with a known item on {' or '.join(QUERY_SURFACES)}, got none of "
            f"{counts['rows_read']} rows ({dict(counts)}): --include-train keeps the training part"
        )
    report: dict[str, Any] = {"kind": "engagements", "items": len(evaluated.item_ids), "tasks": []}
    for task in tasks:
        methods = _methods_of(evaluated, task, image_root, popularity_N if trained_on else None, counts)
        if methods is None:
            continue
        usable, scorers = methods
        results = {name: summarize_ranks(usable, rank_pairs(usable, score)) for name, score in scorers.items()}
        entry = {"task": task.name, "pairs": len(usable.item_rows_P), "queries": len(usable.queries)}
        report["tasks"].append({**entry, "methods": results, **_collapse(usable, scorers.get("itemsage"))})
    if not report["tasks"]:
        raise ThresholdError(
            f"expected queries that the model can be asked, got none: {dict(counts)}; see --image-root"
        )
    report["rows"] = dict(counts)
    report["model_id"] = evaluated.encoder.manifest["model_id"]
    return report


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
    scores = {
        "itemsage": evaluated.encoder.texts(queries) @ evaluated.vectors_ND.T,
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


def _read(spec: str, date: str | None, columns: Mapping[str, str]) -> tuple[pa.Table, Counter[str]]:
    """Valid rows of a query surface and a positive action up to the end of `date`, and counts of the others."""
    counts: Counter[str] = Counter()
    tables = [ENGAGEMENTS.empty_table()]
    for part in plan_slices(expand_inputs(spec, date)):
        for raw in read_slice(part, columns, ENGAGEMENTS):
            good, rejected, _ = validate_engagements(raw, part)
            counts.update(rows_read=len(good) + len(rejected), rows_quarantined=len(rejected))
            positive = pc.and_(
                pc.is_in(good["surface"], pa.array(QUERY_SURFACES)),
                pc.is_in(good["action"], pa.array(POSITIVE_ACTIONS)),
            )
            kept = good.filter(positive)
            counts["rows_other_surface_or_action"] += len(good) - len(kept)
            if date is not None:
                in_time = pc.less(pc.cast(kept["timestamp"], pa.int64()), end_of_day_us(date))
                counts["rows_after_date"] += len(kept) - pc.sum(in_time, min_count=0).as_py()
                kept = kept.filter(in_time)
            tables.append(kept)
    return pa.concat_tables(tables), counts


def _tasks(table: pa.Table, row_of: Mapping[str, int], max_queries: int, counts: Counter[str]) -> Iterator[HeldOutTask]:
    """Distinct (query, item) pairs of each surface and action, at most `max_queries` queries, seeded."""
    pairs: dict[str, set[tuple[str, int]]] = {}
    distinct = table.group_by(["surface", "action", "query", "item_id"]).aggregate([([], "count_all")])
    for row in distinct.to_pylist():
        item = row_of.get(row["item_id"])
        if item is None:
            counts["rows_item_unknown"] += row["count_all"]
        else:
            pairs.setdefault(f"{row['surface']}/{row['action']}", set()).add((row["query"], item))
    for name in sorted(pairs):
        queries = sorted({query for query, _ in pairs[name]})
        if len(queries) > max_queries:
            generator = np.random.default_rng(seed_of("evaluate", name))
            queries = [queries[i] for i in np.sort(generator.choice(len(queries), max_queries, replace=False))]
        place = {query: number for number, query in enumerate(queries)}
        rows = np.array(sorted((place[q], item) for q, item in pairs[name] if q in place), np.int64)
        yield HeldOutTask(name, tuple(queries), rows[:, 0], rows[:, 1])


ScoreBlock = Callable[[np.ndarray], np.ndarray]


def _methods_of(
    evaluated: EvaluatedRun,
    task: HeldOutTask,
    image_root: str | None,
    popularity_N: np.ndarray | None,
    counts: Counter[str],
) -> tuple[HeldOutTask, dict[str, ScoreBlock]] | None:
    """The task's usable pairs and a scorer a method; None if the surface cannot be evaluated (counted)."""
    tower = "text" if task.name.startswith("search/") else "picture"
    if not evaluated.encoder.has_tower(tower) or (tower == "picture" and image_root is None):
        counts[f"pairs_without_{tower}_tower_or_image_root"] += len(task.item_rows_P)
        return None
    scorers: dict[str, ScoreBlock] = {}
    if tower == "text":
        queries_QE = evaluated.encoder.texts(task.queries)
        scorers["tfidf"] = lambda rows: evaluated.tfidf.scores([task.queries[row] for row in rows])
        scorers["bm25"] = lambda rows: evaluated.bm25.scores([task.queries[row] for row in rows])
    else:
        vectors, readable = evaluated.picture_vectors(task.queries, str(image_root))
        counts["query_pictures_broken"] += int((~readable).sum())
        task = _only(task, readable)
        if not len(task.item_rows_P):
            return None
        raw_QD = unit(vectors)
        queries_QE = evaluated.encoder.picture_vectors(vectors)
        scorers["raw_pictures"] = lambda rows: raw_QD[rows] @ evaluated.picture_means_ND.T
    if popularity_N is not None:
        scorers["popularity"] = lambda rows: np.broadcast_to(popularity_N, (len(rows), len(popularity_N)))
    model: dict[str, ScoreBlock] = {"itemsage": lambda rows: queries_QE[rows] @ evaluated.vectors_ND.T}
    return task, model | scorers


def _only(task: HeldOutTask, keep_Q: np.ndarray) -> HeldOutTask:
    """The task without the queries that are not kept."""
    place_Q = np.cumsum(keep_Q) - 1
    kept_P = keep_Q[task.query_rows_P]
    queries = tuple(query for query, keep in zip(task.queries, keep_Q, strict=True) if keep)
    return HeldOutTask(task.name, queries, place_Q[task.query_rows_P[kept_P]], task.item_rows_P[kept_P])


def _collapse(task: HeldOutTask, score: ScoreBlock | None) -> dict[str, Any]:
    """Popularity collapse: how the model's first 10 results spread over the items."""
    if score is None:
        return {}
    rows, blocks = np.arange(len(task.queries)), []
    for start in range(0, len(rows), 64):
        scores_QN = score(rows[start : start + 64])
        top = min(10, scores_QN.shape[1])
        blocks.append(np.argpartition(-scores_QN, top - 1, axis=1)[:, :top])
    frequency = retrieval_frequency(np.concatenate(blocks), len(score(rows[:1])[0]))
    return {"retrieval_frequency": {"p90": frequency.p90, "p100": frequency.p100}}
