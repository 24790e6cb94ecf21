"""An evaluation report as a table that a person reads; and, where there is none, why."""

from collections.abc import Mapping
from typing import Any

from pipelines.console.terminal import found_in_words
from schemas.tables import QUERY_SURFACES

_SHOWN = {"engagements": ("recall@10", "recall@1", "mrr"), "judgements": ("ndcg@10",)}
#: The order of methods: a report that comes back from JSON has lost its own.
_METHODS = ("itemsage", "tfidf", "bm25", "raw_pictures", "popularity", "random")


def format_report(report: dict[str, Any]) -> str:
    """Aligned columns: task, number of queries and pairs, then each method's figure with its 95 % interval. One line of
    a report {"not_evaluated": why}."""
    if "not_evaluated" in report:
        return f"not evaluated: {report['not_evaluated']}"
    main, *others = _SHOWN[report["kind"]]
    rows = found_in_words(report["rows"])
    lines = [f"evaluation of {report['model_id']} on {report['items']:,} items ({rows})"]
    header = f"{'task':<20} {'queries':>8} {'method':<13} {main:>10} {'95 % interval':>15}"
    lines.append(header + "".join(f" {name:>8}" for name in others))
    for task in report["tasks"]:
        name, queries = task["task"], f"{task['queries']:,}"
        for method in sorted(task["methods"], key=_METHODS.index):
            figures = task["methods"][method]
            interval = f"{figures[main + '_low']:.3f}-{figures[main + '_high']:.3f}"
            line = f"{name:<20} {queries:>8} {method:<13} {figures[main]:>10.3f} {interval:>15}"
            lines.append(line + "".join(f" {figures[other]:>8.3f}" for other in others))
            name = queries = ""
    return "\n".join(lines)


def why_not_evaluated(rows: Mapping[str, int]) -> str:
    """Why an evaluation with these counts ranks nothing: no held-out pair, or none that the model can be asked."""
    counts = {name: rows[name] for name in sorted(rows) if rows[name]}
    if any(name.startswith("pairs_without_") or name == "query_pictures_broken" for name in counts):
        return f"expected queries that the model can be asked, got none: {counts}; see --image-root"
    return (
        f"expected held-out engagements with a known item on {' or '.join(QUERY_SURFACES)}, got none of "
        f"{rows.get('rows_read', 0)} rows ({counts}): --include-train keeps the training part"
    )
