"""An evaluation report as a table that a person reads."""

from typing import Any

_SHOWN = {"engagements": ("recall@10", "recall@1", "mrr"), "judgements": ("ndcg@10",)}


def format_report(report: dict[str, Any]) -> str:
    """Aligned columns: task, number of queries and pairs, then each method's figure with its 95 % interval."""
    main, *others = _SHOWN[report["kind"]]
    rows = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in sorted(report["rows"].items()) if count)
    lines = [f"evaluation of {report['model_id']} on {report['items']:,} items ({rows})"]
    header = f"{'task':<20} {'queries':>8} {'method':<13} {main:>10} {'95 % interval':>15}"
    lines.append(header + "".join(f" {name:>8}" for name in others))
    for task in report["tasks"]:
        name, queries = task["task"], f"{task['queries']:,}"
        for method, figures in task["methods"].items():
            interval = f"{figures[main + '_low']:.3f}-{figures[main + '_high']:.3f}"
            line = f"{name:<20} {queries:>8} {method:<13} {figures[main]:>10.3f} {interval:>15}"
            lines.append(line + "".join(f" {figures[other]:>8.3f}" for other in others))
            name = queries = ""
    return "\n".join(lines)
