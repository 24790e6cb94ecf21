"""Evaluating a run on judgements: nDCG@10 over judged items of text queries, beside baselines; and, ranked among all
items of the run, judged or not, whether the exact ones come first.

    exact       of the highest grade that any judged item of the run has
    hit@10      the share of queries with an exact item among the first ten, of those that have an exact item at all
    mrr         the mean of 1 / rank of the first of them
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from model.comparison import CELLS, MODEL, START, compare_new_queries
from model.evaluation import HeldOutTask, difference, rank_pairs, summarize_ranks, with_interval
from model.metrics import ndcg_at_k
from pipelines.evaluation.evaluated_run import EvaluatedRun
from pipelines.evaluation.methods import text_scorers
from pipelines.evaluation.plan import Evaluation
from pipelines.evaluation.start import start_of
from pipelines.evaluation.training_log import TrainingLog
from pipelines.gating.log import require_sound_log
from pipelines.gating.thresholds import LogThresholds
from pipelines.log_rows import RejectedRows
from schemas.column_spec import Columns
from schemas.columns import table_columns
from schemas.errors import ThresholdError
from schemas.files import expand_inputs
from schemas.hashing import seed_of
from schemas.reading import plan_slices, read_slice
from schemas.tables import JUDGEMENTS
from schemas.validation import validate_judgements

NDCG_K = 10
_MAIN = f"ndcg@{NDCG_K}"
_RANDOM_ORDERS = 20

#: query -> row of an item -> its grade.
Graded = dict[str, dict[int, float]]


def evaluate_judgements(
    evaluated: EvaluatedRun,
    judgements: str,
    *,
    date: str | None,
    columns: Mapping[str, Any],
    thresholds: LogThresholds,
    log: Evaluation | None = None,
) -> dict[str, Any]:
    """The report of nDCG@10 over judged items of text queries, hit@10 and MRR, beside TF-IDF, BM25, the text encoder
    alone and, of nDCG, a random order. log: with the training part of the model; then beside what is made of that too,
    and in four cells of seen and new.

    Raises ThresholdError if too many rows are rejected, or no item of the run is judged.
    """
    counts: Counter[str] = Counter()
    rejected_rows = RejectedRows()
    graded = _read_grades(evaluated, judgements, date, table_columns(columns, "judgements"), counts, rejected_rows)
    require_sound_log(
        rejected_rows.counts() | {"rows_read": counts["rows_read"]}, thresholds, "the run is judged by it"
    )
    if not any(any(grades.values()) for grades in graded.values()):
        raise ThresholdError(f"expected search judgements above 0 of items in the run, got none of {dict(counts)}")
    queries = sorted(graded)
    vectors_QE, unknown_Q = evaluated.text_queries(tuple(queries))
    counts["queries_without_known_token"] = int(unknown_Q.sum())
    scores, left_out = _scores(evaluated, queries, vectors_QE, log)
    values = _ndcg_a_query(scores, queries, graded)
    counts["queries_without_relevant"] += len(graded) - len(values[MODEL])
    cluster_Q = _clusters(evaluated, graded)
    entry: dict[str, Any] = {
        "task": "search",
        "queries": len(cluster_Q),
        "query_groups": int(cluster_Q.max()) + 1,
        "methods": {name: with_interval(_MAIN, values_Q, cluster_Q) for name, values_Q in values.items()},
        **_compare(values, cluster_Q),
        "left_out": left_out,
    }
    seen_Q = np.zeros(len(queries), bool) if log is None else log.training.seen_texts(queries)
    _add_exact(entry, evaluated, graded, scores, (vectors_QE, ~unknown_Q, seen_Q))
    report: dict[str, Any] = {
        "kind": "judgements",
        "items": len(evaluated.item_ids),
        "model_id": evaluated.encoder.manifest["model_id"],
        "rows": dict(counts),
        "tasks": [entry],
    }
    if log is not None:
        entry["cells"] = _cells(evaluated, scores, graded, log.training)
        report["training_pairs_missing"] = log.training.missing_pairs(evaluated.encoder.manifest["towers"], "search")
    return report


def _add_exact(
    entry: dict[str, Any],
    evaluated: EvaluatedRun,
    graded: Graded,
    scores: Mapping[str, np.ndarray],
    asked: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """hit@10 and MRR of every method but the random order, with the model's differences; "exact", what they are of;
    "new_queries", of those alone; and "index", as RunIndex.measure has it, if the run has one. asked: of the sorted
    queries the vectors, which of them have an answer and which are seen in training."""
    queries = sorted(graded)
    grade = max(grade for grades in graded.values() for grade in grades.values())
    rows_Q = np.array([row for row, query in enumerate(queries) if grade in graded[query].values()], np.int64)
    pairs = [
        (place, item)
        for place, row in enumerate(rows_Q)
        for item, given in sorted(graded[queries[row]].items())
        if given == grade
    ]
    exact = tuple(queries[row] for row in rows_Q)
    groups_Q = evaluated.groups_of_queries("search", exact)
    task = HeldOutTask("search", exact, *np.array(pairs, np.int64).T, cluster_of_Q=groups_Q)
    ranks = {name: rank_pairs(task, lambda rows, of=matrix_QN: of[rows_Q[rows]]) for name, matrix_QN in scores.items()}
    entry["exact"] = {"grade": grade, "queries": len(rows_Q)}
    for name, ranks_P in ranks.items():
        entry["methods"][name] |= _by_query(summarize_ranks(task, ranks_P))
        if name != MODEL:
            entry["differences"][name] |= _by_query(difference(task, ranks[MODEL], ranks_P))
    vectors_QE, answered_Q, seen_Q = (values[rows_Q] for values in asked)
    entry["new_queries"] = compare_new_queries(task, ranks, seen_Q)
    if evaluated.index is not None:
        entry["index"] = evaluated.index.measure(task, vectors_QE, answered_Q, "text", ranks[MODEL])


def _by_query(figures: Mapping[str, float]) -> dict[str, float]:
    """Without shares of pairs: a query has as many exact items as were judged."""
    return {name: value for name, value in figures.items() if not name.startswith("recall")}


def _clusters(evaluated: EvaluatedRun, graded: Graded) -> np.ndarray:
    """int64 [Q]: the cluster of each query, in their order, that has a relevant item."""
    queries = [query for query in sorted(graded) if any(graded[query].values())]
    return np.unique(evaluated.groups_of_queries("search", queries), return_inverse=True)[1].reshape(-1)


def _cells(
    evaluated: EvaluatedRun, scores: Mapping[str, np.ndarray], graded: Graded, training: TrainingLog
) -> list[dict[str, Any]]:
    """As model.comparison.compare_cells has them, of nDCG@10: a query counts in a cell if a judged item of that cell is
    relevant, and only those items are ranked; they are the pairs."""
    queries = sorted(graded)
    seen_queries = dict(zip(queries, training.seen_texts(queries).tolist(), strict=True))
    cells = []
    for (query_seen, item_seen), name in CELLS.items():
        here = {
            query: {row: grade for row, grade in graded[query].items() if training.seen_items_N[row] == item_seen}
            for query in queries
            if seen_queries[query] == query_seen
        }
        here = {query: grades for query, grades in here.items() if any(grades.values())}
        cell = {"cell": name, "pairs": sum(map(len, here.values())), "queries": len(here)}
        if here:
            values = _ndcg_a_query(scores, queries, here)
            found = _compare(values, _clusters(evaluated, here))
            best = found["best_baseline"]
            cell |= {_MAIN: float(np.mean(values[MODEL])), "best_baseline": best}
            cell |= {f"{_MAIN}_baseline": float(np.mean(values[best])), "difference": found["differences"][best]}
            if START in values:
                cell[START] = {_MAIN: float(np.mean(values[START])), "difference": found["differences"][START]}
        cells.append(cell)
    return cells


def _compare(values: Mapping[str, np.ndarray], cluster_Q: np.ndarray) -> dict[str, Any]:
    """As model.comparison.compare has it, of nDCG@10; a random order is no baseline that could be the best."""
    baselines = [name for name in values if name != MODEL]
    differences = {name: with_interval(_MAIN, values[MODEL] - values[name], cluster_Q) for name in baselines}
    best = max(sorted(differences.keys() - {"random"}), key=lambda name: float(np.mean(values[name])))
    return {"best_baseline": best, "differences": differences}


def _read_grades(
    evaluated: EvaluatedRun,
    judgements: str,
    date: str | None,
    columns: Columns,
    counts: Counter[str],
    rejected_rows: RejectedRows,
) -> Graded:
    """Grades of the run's items on search; other rows are counted, rejected ones with their values."""
    graded: Graded = {}
    for part in plan_slices(expand_inputs(judgements, date)):
        for raw in read_slice(part, columns, JUDGEMENTS):
            good, rejected, _ = validate_judgements(raw, part)
            rejected_rows.add(rejected)
            counts.update(rows_read=len(good) + len(rejected), rows_quarantined=len(rejected))
            for row in good.to_pylist():
                if row["surface"] != "search" or row["item_id"] not in evaluated.row_of:
                    counts["rows_other_surface" if row["surface"] != "search" else "rows_item_unknown"] += 1
                    continue
                graded.setdefault(row["query"], {})[evaluated.row_of[row["item_id"]]] = row["grade"]
    return graded


def _scores(
    evaluated: EvaluatedRun, queries: Sequence[str], vectors_QE: np.ndarray, log: Evaluation | None
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Method -> float32 [Q, N], and method -> why it is left out."""
    scorers, left_out = text_scorers(evaluated, log, letters=True)
    scores = {MODEL: vectors_QE @ evaluated.vectors_ND.T}
    start = start_of(evaluated)
    if isinstance(start, str):
        left_out[START] = start
    else:
        scores[START] = start.text_scores(queries)(np.arange(len(queries)))
    scores |= {name: scorer.scores(queries) for name, scorer in scorers.items()}
    if evaluated.has_text_encoder:
        scores["text_encoder"] = evaluated.text_encoder_scores(queries)(np.arange(len(queries)))
    if log is not None and (popularity_N := log.training.popularity_N) is not None:
        scores["popularity"] = np.broadcast_to(popularity_N, (len(queries), len(popularity_N)))
    return scores, left_out


def _ndcg_a_query(scores: Mapping[str, np.ndarray], queries: Sequence[str], graded: Graded) -> dict[str, np.ndarray]:
    """Method -> nDCG@10 of each graded query that has a relevant item, float64 [Q]. queries: of the scores' rows."""
    values: dict[str, list[float]] = {name: [] for name in (*scores, "random")}
    for number, query in enumerate(queries):
        if not any(graded.get(query, {}).values()):
            continue
        rows, grades = np.array(list(graded[query])), np.array(list(graded[query].values()))
        by_method = {name: ndcg_at_k(matrix[number, rows], grades, NDCG_K) for name, matrix in scores.items()}
        generator = np.random.default_rng(seed_of("random order", query))
        orders = [ndcg_at_k(generator.random(len(rows)), grades, NDCG_K) for _ in range(_RANDOM_ORDERS)]
        by_method["random"] = float(np.mean([value for value in orders if value is not None]))
        for name, value in by_method.items():
            values[name].append(float(value or 0.0))
    return {name: np.array(of_queries) for name, of_queries in values.items()}
