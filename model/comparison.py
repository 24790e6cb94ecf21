"""The model beside its baselines: paired differences of Recall@10, hit@10 and MRR, the best baseline, the four cells.

    pairs of a task     seen query   new query        seen: it or a near-duplicate is in the
    seen item           a cell       a cell                 model's training part
    new item            a cell       a cell

A difference is paired: the same queries are drawn for both. Its 95 % interval leaves 0 out where a difference is shown.
The best baseline is that of the highest recall on these very pairs, which is to its advantage.

Legend: P pairs, Q queries, N items.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from model.evaluation import HeldOutTask, bootstrap_ratio, by_query
from model.metrics import bootstrap_interval

K = 10
#: What the baselines are compared with.
MODEL = "itemsage"
#: (is the query seen, is the item seen) -> how the cell is called, in the order of reports.
CELLS = {
    (True, True): "seen query, seen item",
    (True, False): "seen query, new item",
    (False, True): "new query, seen item",
    (False, False): "new query, new item",
}


def compare(task: HeldOutTask, ranks: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """{"best_baseline": name or None, "differences": {baseline: {"recall@10": model - baseline, and its bounds, the
    same of "hit@10" and "mrr"}}} of the ranks int64 [P] of MODEL and its baselines."""
    differences = {
        name: compare_recall(task, ranks[MODEL], ranks_P) | compare_by_query(task, ranks[MODEL], ranks_P)
        for name, ranks_P in ranks.items()
        if name != MODEL
    }
    return {"best_baseline": _best(ranks), "differences": differences}


def compare_by_query(
    task: HeldOutTask, model_P: np.ndarray, other_P: np.ndarray, keep_Q: np.ndarray | None = None
) -> dict[str, float]:
    """What the model has more of "hit@10" and "mrr" than another, with bounds, of their ranks of all queries or the
    kept ones."""
    kept = slice(None) if keep_Q is None else keep_Q
    theirs = by_query(task, other_P)
    found: dict[str, float] = {}
    for name, ours_Q in by_query(task, model_P).items():
        more_Q = (ours_Q - theirs[name])[kept]
        found |= with_interval(name, float(more_Q.mean()), bootstrap_interval(more_Q, seed=0))
    return found


def compare_new_queries(task: HeldOutTask, ranks: Mapping[str, np.ndarray], seen_Q: np.ndarray) -> dict[str, Any]:
    """{"queries": number, "methods": {name: hit@10 and mrr}, "differences": as `compare` has them} of the queries that
    are not seen; nothing if they are none or all."""
    new_Q = ~seen_Q
    if new_Q.all() or not new_Q.any():
        return {}
    return {
        "queries": int(new_Q.sum()),
        "methods": {
            name: {metric: float(values_Q[new_Q].mean()) for metric, values_Q in by_query(task, ranks_P).items()}
            for name, ranks_P in ranks.items()
        },
        "differences": {
            name: compare_by_query(task, ranks[MODEL], ranks_P, new_Q)
            for name, ranks_P in ranks.items()
            if name != MODEL
        },
    }


def compare_recall(
    task: HeldOutTask, model_P: np.ndarray, other_P: np.ndarray, keep_P: np.ndarray | None = None
) -> dict[str, float]:
    """What the model has more of "recall@10" than another, with bounds, of their ranks of all pairs or the
    kept ones."""
    kept = slice(None) if keep_P is None else keep_P
    _, query_P = np.unique(task.query_rows_P[kept], return_inverse=True)
    more_P = (model_P[kept] <= K).astype(np.float64) - (other_P[kept] <= K)
    bounds = bootstrap_ratio(np.bincount(query_P, weights=more_P), np.bincount(query_P).astype(np.float64), 0)
    return with_interval(f"recall@{K}", float(more_P.mean()), bounds)


def _best(ranks: Mapping[str, np.ndarray], keep_P: np.ndarray | None = None) -> str | None:
    """The baseline of the highest Recall@10."""
    kept = slice(None) if keep_P is None else keep_P
    return max(sorted(ranks.keys() - {MODEL}), key=lambda name: _recall(ranks[name][kept]), default=None)


def compare_cells(
    task: HeldOutTask, ranks: Mapping[str, np.ndarray], seen_query_Q: np.ndarray, seen_item_N: np.ndarray
) -> list[dict[str, Any]]:
    """For each of CELLS {"cell", "pairs", "queries"}, and where it has pairs the Recall@10 of the model and of the best
    baseline there, with the difference."""
    cells = []
    seen_query_P, seen_item_P = seen_query_Q[task.query_rows_P], seen_item_N[task.item_rows_P]
    for (query_seen, item_seen), name in CELLS.items():
        keep_P = (seen_query_P == query_seen) & (seen_item_P == item_seen)
        cell = {"cell": name, "pairs": int(keep_P.sum()), "queries": len(np.unique(task.query_rows_P[keep_P]))}
        if keep_P.any():
            best = _best(ranks, keep_P)
            cell |= {"recall@10": _recall(ranks[MODEL][keep_P]), "best_baseline": best}
            if best is not None:
                difference = compare_recall(task, ranks[MODEL], ranks[best], keep_P)
                cell |= {"recall@10_baseline": _recall(ranks[best][keep_P]), "difference": difference}
        cells.append(cell)
    return cells


def is_shown(difference: Mapping[str, float], metric: str) -> bool:
    """Whether the interval of that metric leaves 0 out.

    >>> is_shown({"mrr": 0.1, "mrr_low": -0.01, "mrr_high": 0.2}, "mrr")
    False
    """
    return difference[f"{metric}_low"] > 0 or difference[f"{metric}_high"] < 0


def with_interval(metric: str, value: float, bounds: tuple[float, float]) -> dict[str, float]:
    """
    >>> with_interval("mrr", 0.1, (-0.01, 0.2))
    {'mrr': 0.1, 'mrr_low': -0.01, 'mrr_high': 0.2}
    """
    return {metric: value, f"{metric}_low": bounds[0], f"{metric}_high": bounds[1]}


def _recall(ranks_P: np.ndarray) -> float:
    return float((ranks_P <= K).mean())
