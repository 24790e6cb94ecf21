"""Evaluating a run on judgements: nDCG@10 over judged items of text queries, beside baselines; and, ranked among all
items of the run, judged or not, whether the exact ones come first.

    exact       of the highest grade that any judged item of the run has
    hit@10      the share of queries with an exact item among the first ten, of those that have an exact item at all
    mrr         the mean of 1 / rank of the first of them
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from model.measures.baselines import fused_by_rank
from model.measures.comparison import CELLS, MODEL, START, compare_new_queries
from model.measures.evaluation import HeldOutTask, ScoreBlock, difference, rank_pairs, summarize_ranks, with_interval
from model.measures.metrics import ndcg_at_k
from pipelines.console.thresholds import LogThresholds
from pipelines.evaluate.evaluated_run import EvaluatedRun
from pipelines.evaluate.grades import Graded, read_grades
from pipelines.evaluate.methods import HYBRIDS, text_scorers
from pipelines.evaluate.plan import Evaluation
from pipelines.evaluate.start import start_of
from schemas.columns.mapping import table_columns
from schemas.hashing import seed_of

NDCG_K = 10
_MAIN = f"ndcg@{NDCG_K}"
_RANDOM_ORDERS = 20

#: A metric, or a bound of its interval -> its value.
Figures = dict[str, float]


@dataclass(frozen=True, eq=False)
class _Judged:
    """The judged queries, sorted, with the grades of their items, and what is asked of them. vectors_QE: as the model
    reads them; answered_Q: bool, those that it has an answer to; seen_Q: bool, those of the training part; scores:
    method -> float32 [Q, N]; left_out: method -> why it has none."""

    graded: Graded
    queries: tuple[str, ...]
    vectors_QE: np.ndarray
    answered_Q: np.ndarray
    seen_Q: np.ndarray
    scores: Mapping[str, np.ndarray]
    left_out: Mapping[str, str]


class _Compared(NamedTuple):
    """Of nDCG@10: the best baseline, and what the model has more than each baseline, with the interval."""

    best_baseline: str
    differences: dict[str, Figures]


@dataclass(frozen=True, kw_only=True)
class _Exact:
    """hit@10 and MRR of the items of the highest grade. methods: of every method but the random order; differences:
    what the model has more than each baseline; new_queries: as compare_new_queries has it; index: as RunIndex.measure
    has it, None of a run without one."""

    grade: float
    num_queries: int
    methods: dict[str, Figures]
    differences: dict[str, Figures]
    new_queries: dict[str, Any]
    index: dict[str, Any] | None


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
    alone, the last two fused and, of nDCG, a random order. log: with the training part of the model; then beside what
    is made of that too, and in four cells of seen and new.

    Raises ThresholdError if too many rows are rejected, or no item of the run is judged.
    """
    counts: Counter[str] = Counter()
    graded = read_grades(evaluated, judgements, date, table_columns(columns, "judgements"), counts, thresholds)
    judged = _ask(evaluated, graded, log)
    counts["queries_without_known_token"] = int((~judged.answered_Q).sum())
    values = _ndcg_a_query(judged, graded)
    counts["queries_without_relevant"] += len(graded) - len(values[MODEL])
    entry = _entry(judged, values, _clusters(evaluated, graded), _exact(evaluated, judged))
    report: dict[str, Any] = {
        "kind": "judgements",
        "items": len(evaluated.item_ids),
        "model_id": evaluated.encoder.manifest["model_id"],
        "rows": dict(counts),
        "tasks": [entry],
    }
    if log is not None:
        entry["cells"] = _cells(evaluated, judged, log.training.seen_items_N)
        report["training_pairs_missing"] = log.training.missing_pairs(evaluated.encoder.manifest["towers"], "search")
    return report


def _entry(judged: _Judged, values: Mapping[str, np.ndarray], cluster_Q: np.ndarray, exact: _Exact) -> dict[str, Any]:
    """The report's, of the one task. values: nDCG@10 of the queries that have a relevant item, of these clusters."""
    compared = _compare(values, cluster_Q)
    ndcg = {name: with_interval(_MAIN, values_Q, cluster_Q) for name, values_Q in values.items()}
    return {
        "task": "search",
        "queries": len(cluster_Q),
        "query_groups": int(cluster_Q.max()) + 1,
        "methods": {name: found | exact.methods.get(name, {}) for name, found in ndcg.items()},
        "best_baseline": compared.best_baseline,
        "differences": {name: more | exact.differences.get(name, {}) for name, more in compared.differences.items()},
        "left_out": dict(judged.left_out),
        "exact": {"grade": exact.grade, "queries": exact.num_queries},
        "new_queries": exact.new_queries,
        **({} if exact.index is None else {"index": exact.index}),
    }


def _exact(evaluated: EvaluatedRun, judged: _Judged) -> _Exact:
    grade = max(grade for grades in judged.graded.values() for grade in grades.values())
    task, rows_Q = _exact_task(evaluated, judged, grade)
    ranks = {name: rank_pairs(task, _block_of(matrix_QN, rows_Q)) for name, matrix_QN in judged.scores.items()}
    index = evaluated.index
    vectors_QE, answered_Q = judged.vectors_QE[rows_Q], judged.answered_Q[rows_Q]
    return _Exact(
        grade=grade,
        num_queries=len(rows_Q),
        methods={name: _by_query(summarize_ranks(task, ranks_P)) for name, ranks_P in ranks.items()},
        differences={
            name: _by_query(difference(task, ranks[MODEL], ranks_P)) for name, ranks_P in ranks.items() if name != MODEL
        },
        new_queries=compare_new_queries(task, ranks, judged.seen_Q[rows_Q]),
        index=None if index is None else index.measure(task, vectors_QE, answered_Q, "text", ranks[MODEL]),
    )


def _exact_task(evaluated: EvaluatedRun, judged: _Judged, grade: float) -> tuple[HeldOutTask, np.ndarray]:
    """The pairs of that grade as a task, and the rows of its queries among the judged ones, int64."""
    of_query = [judged.graded[query] for query in judged.queries]
    rows_Q = np.array([row for row, grades in enumerate(of_query) if grade in grades.values()], np.int64)
    pairs = [
        (place, item)
        for place, row in enumerate(rows_Q)
        for item, given in sorted(of_query[row].items())
        if given == grade
    ]
    queries = tuple(judged.queries[row] for row in rows_Q)
    groups_Q = evaluated.groups_of_queries("search", queries)
    query_P, item_P = np.array(pairs, np.int64).T
    return HeldOutTask("search", queries, query_P, item_P, cluster_of_Q=groups_Q), rows_Q


def _block_of(matrix_QN: np.ndarray, rows_Q: np.ndarray) -> ScoreBlock:
    """Scores of rows of a task, whose queries are those rows of the matrix."""
    return lambda rows: matrix_QN[rows_Q[rows]]


def _by_query(figures: Figures) -> Figures:
    """Without shares of pairs: a query has as many exact items as were judged."""
    return {name: value for name, value in figures.items() if not name.startswith("recall")}


def _clusters(evaluated: EvaluatedRun, graded: Graded) -> np.ndarray:
    """int64 [Q]: the cluster of each query, in their order, that has a relevant item."""
    queries = [query for query in sorted(graded) if any(graded[query].values())]
    return np.unique(evaluated.groups_of_queries("search", queries), return_inverse=True)[1].reshape(-1)


def _cells(evaluated: EvaluatedRun, judged: _Judged, seen_items_N: np.ndarray) -> list[dict[str, Any]]:
    """As model.measures.comparison.compare_cells has them, of nDCG@10: a query counts in a cell if a judged item of
    that cell is relevant, and only those items are ranked; they are the pairs."""
    cells = []
    for (query_seen, item_seen), name in CELLS.items():
        here = {
            query: {row: grade for row, grade in judged.graded[query].items() if seen_items_N[row] == item_seen}
            for query, is_seen in zip(judged.queries, judged.seen_Q.tolist(), strict=True)
            if is_seen == query_seen
        }
        here = {query: grades for query, grades in here.items() if any(grades.values())}
        figures = _cell_figures(evaluated, judged, here) if here else {}
        cells.append({"cell": name, "pairs": sum(map(len, here.values())), "queries": len(here), **figures})
    return cells


def _cell_figures(evaluated: EvaluatedRun, judged: _Judged, here: Graded) -> dict[str, Any]:
    """nDCG@10 of the model and of the best baseline, and with START of it, over these items alone."""
    values = _ndcg_a_query(judged, here)
    best, differences = _compare(values, _clusters(evaluated, here))
    figures = {_MAIN: float(np.mean(values[MODEL])), "best_baseline": best}
    figures |= {f"{_MAIN}_baseline": float(np.mean(values[best])), "difference": differences[best]}
    if START in values:
        figures[START] = {_MAIN: float(np.mean(values[START])), "difference": differences[START]}
    return figures


def _compare(values: Mapping[str, np.ndarray], cluster_Q: np.ndarray) -> _Compared:
    """A random order is no baseline that could be the best."""
    baselines = [name for name in values if name != MODEL]
    differences = {name: with_interval(_MAIN, values[MODEL] - values[name], cluster_Q) for name in baselines}
    best = max(sorted(differences.keys() - {"random"}), key=lambda name: float(np.mean(values[name])))
    return _Compared(best, differences)


def _ask(evaluated: EvaluatedRun, graded: Graded, log: Evaluation | None) -> _Judged:
    """What the judged queries ask the model and its baselines."""
    queries = tuple(sorted(graded))
    vectors_QE, unknown_Q = evaluated.text_queries(queries)
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
        scores |= {
            name: fused_by_rank([scores[of_words], scores["text_encoder"]])
            for name, of_words in HYBRIDS.items()
            if of_words in scores
        }
    if log is not None and (popularity_N := log.training.popularity_N) is not None:
        scores["popularity"] = np.broadcast_to(popularity_N, (len(queries), len(popularity_N)))
    seen_Q = np.zeros(len(queries), bool) if log is None else log.training.seen_texts(queries)
    return _Judged(graded, queries, vectors_QE, ~unknown_Q, seen_Q, scores, left_out)


def _ndcg_a_query(judged: _Judged, graded: Graded) -> dict[str, np.ndarray]:
    """Method -> nDCG@10 of each graded query that has a relevant item, float64 [Q]. graded: all that is judged, or
    less."""
    values: dict[str, list[float]] = {name: [] for name in (*judged.scores, "random")}
    for number, query in enumerate(judged.queries):
        if not any(graded.get(query, {}).values()):
            continue
        rows, grades = np.array(list(graded[query])), np.array(list(graded[query].values()))
        by_method = {name: ndcg_at_k(matrix[number, rows], grades, NDCG_K) for name, matrix in judged.scores.items()}
        generator = np.random.default_rng(seed_of("random order", query))
        orders = [ndcg_at_k(generator.random(len(rows)), grades, NDCG_K) for _ in range(_RANDOM_ORDERS)]
        by_method["random"] = float(np.mean([value for value in orders if value is not None]))
        for name, value in by_method.items():
            values[name].append(float(value or 0.0))
    return {name: np.array(of_queries) for name, of_queries in values.items()}
