"""The model beside its baselines: paired differences of Recall@10, the best baseline, and the four cells.

    pairs of a task     seen query   new query        seen: in the model's training part
    seen item           a cell       a cell
    new item            a cell       a cell

A difference is paired: the same queries are drawn for both. Its 95 % interval leaves 0 out where a difference is shown.
The best baseline is that of the highest recall on these very pairs, which is to its advantage.

Legend: P pairs, Q queries, N items.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from model.evaluation import HeldOutTask, bootstrap_ratio

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


def compare(task: HeldOutTask, ranks: Mapping[str, np.ndarray], keep_P: np.ndarray | None = None) -> dict[str, Any]:
    """{"best_baseline": name or None, "differences": {baseline: {"recall@10": model - baseline, and its bounds}}} of
    the ranks int64 [P] of MODEL and its baselines, of all pairs or of those that are kept."""
    kept = slice(None) if keep_P is None else keep_P
    hits = {name: (ranks_P[kept] <= K).astype(np.float64) for name, ranks_P in ranks.items()}
    _, query_P = np.unique(task.query_rows_P[kept], return_inverse=True)
    sizes_Q = np.bincount(query_P).astype(np.float64)
    differences = {}
    for name in hits.keys() - {MODEL}:
        sums_Q = np.bincount(query_P, weights=hits[MODEL] - hits[name])
        differences[name] = _with_interval(
            float((hits[MODEL] - hits[name]).mean()), bootstrap_ratio(sums_Q, sizes_Q, 0)
        )
    best = max(sorted(differences), key=lambda name: hits[name].mean(), default=None)
    return {"best_baseline": best, "differences": {name: differences[name] for name in ranks if name in differences}}


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
            found = compare(task, ranks, keep_P)
            best = found["best_baseline"]
            cell |= {"recall@10": _recall(ranks[MODEL][keep_P]), "best_baseline": best}
            if best is not None:
                cell |= {"recall@10_baseline": _recall(ranks[best][keep_P]), "difference": found["differences"][best]}
        cells.append(cell)
    return cells


def is_shown(difference: Mapping[str, float]) -> bool:
    """Whether the interval leaves 0 out.

    >>> is_shown({"recall@10": 0.1, "recall@10_low": -0.01, "recall@10_high": 0.2})
    False
    """
    low, high = sorted(value for name, value in difference.items() if name.endswith(("_low", "_high")))
    return low > 0 or high < 0


def _with_interval(value: float, bounds: tuple[float, float]) -> dict[str, float]:
    return {f"recall@{K}": value, f"recall@{K}_low": bounds[0], f"recall@{K}_high": bounds[1]}


def _recall(ranks_P: np.ndarray) -> float:
    return float((ranks_P <= K).mean())
