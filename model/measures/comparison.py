"""The model beside its baselines: paired differences of every metric, the best baseline, the four cells.

    pairs of a task     seen query   new query        seen: it or a near-duplicate is in the
    seen item           a cell       a cell                 model's training part
    new item            a cell       a cell

A difference is paired: the same queries are drawn for both, see model.measures.evaluation. Its 95 % interval leaves 0
out where a difference is shown. The best baseline is that of the highest recall on these very pairs, which is to its
advantage.

Legend: P pairs, Q queries, N items.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from model.measures.evaluation import HeldOutTask, difference, summarize_ranks

K = 10
#: What the baselines are compared with.
MODEL = "itemsage"
#: The model before its training: the one baseline that is shown in every cell, best or not.
START = "start"
#: (is the query seen, is the item seen) -> how the cell is called, in the order of reports.
CELLS = {
    (True, True): "seen query, seen item",
    (True, False): "seen query, new item",
    (False, True): "new query, seen item",
    (False, False): "new query, new item",
}


def compare(task: HeldOutTask, ranks: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """{"best_baseline": name or None, "differences": {baseline: model - baseline of each of METRICS, with its bounds}}
    of the ranks int64 [P] of MODEL and its baselines."""
    baselines = [name for name in ranks if name != MODEL]
    differences = {name: difference(task, ranks[MODEL], ranks[name]) for name in baselines}
    return {"best_baseline": _best(ranks), "differences": differences}


def compare_new_queries(task: HeldOutTask, ranks: Mapping[str, np.ndarray], seen_Q: np.ndarray) -> dict[str, Any]:
    """{"queries": number, "methods": {name: METRICS}, "differences": as `compare` has them} of the queries that are not
    seen; nothing if they are none or all."""
    new_P = ~seen_Q[task.query_rows_P]
    if new_P.all() or not new_P.any():
        return {}
    new, ranks = task.only(new_P), {name: ranks_P[new_P] for name, ranks_P in ranks.items()}
    methods = {name: summarize_ranks(new, ranks_P) for name, ranks_P in ranks.items()}
    return {"queries": len(new.queries), "methods": methods, "differences": compare(new, ranks)["differences"]}


def _best(ranks: Mapping[str, np.ndarray]) -> str | None:
    """The baseline of the highest Recall@10."""
    return max(sorted(ranks.keys() - {MODEL}), key=lambda name: _recall(ranks[name]), default=None)


def compare_cells(
    task: HeldOutTask, ranks: Mapping[str, np.ndarray], seen_query_Q: np.ndarray, seen_item_N: np.ndarray
) -> list[dict[str, Any]]:
    """For each of CELLS {"cell", "pairs", "queries"}, and where it has pairs the Recall@10 of the model and of the best
    baseline there, with the difference of each of METRICS; with START, "start": the same of it."""
    cells = []
    seen_query_P, seen_item_P = seen_query_Q[task.query_rows_P], seen_item_N[task.item_rows_P]
    for (query_seen, item_seen), name in CELLS.items():
        keep_P = (seen_query_P == query_seen) & (seen_item_P == item_seen)
        kept, kept_ranks = task.only(keep_P), {method: ranks_P[keep_P] for method, ranks_P in ranks.items()}
        cell: dict[str, Any] = {"cell": name, "pairs": len(kept.item_rows_P), "queries": len(kept.queries)}
        if keep_P.any():
            best = _best(kept_ranks)
            cell |= {"recall@10": _recall(kept_ranks[MODEL]), "best_baseline": best}
            if best is not None:
                more = difference(kept, kept_ranks[MODEL], kept_ranks[best])
                cell |= {"recall@10_baseline": _recall(kept_ranks[best]), "difference": more}
            if START in kept_ranks:
                more = difference(kept, kept_ranks[MODEL], kept_ranks[START])
                cell[START] = {"recall@10": _recall(kept_ranks[START]), "difference": more}
        cells.append(cell)
    return cells


def is_shown(difference: Mapping[str, float | None], metric: str) -> bool:
    """Whether there is an interval of that metric, and it leaves 0 out.

    >>> is_shown({"mrr": 0.1, "mrr_low": -0.01, "mrr_high": 0.2}, "mrr")
    False
    >>> is_shown({"mrr": 0.1, "mrr_low": None, "mrr_high": None}, "mrr")
    False
    """
    low, high = difference[f"{metric}_low"], difference[f"{metric}_high"]
    return low is not None and high is not None and (low > 0 or high < 0)


def _recall(ranks_P: np.ndarray) -> float:
    return float((ranks_P <= K).mean())
