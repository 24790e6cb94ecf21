"""An evaluation report as tables that a person reads; and, where there is none, why."""

from collections.abc import Iterator, Mapping
from typing import Any

from model.measures.comparison import MODEL, START, K, is_shown
from pipelines.console.terminal import aligned, found_in_words
from pipelines.evaluate.methods import METHODS
from schemas.tables import QUERY_SURFACES

_SHOWN = {"engagements": (f"recall@{K}", "recall@1"), "judgements": ("ndcg@10",)}
_BY_QUERY = ("hit@10", "mrr")
_THROUGH_INDEX = "through the index"


def format_report(report: dict[str, Any]) -> str:
    """Aligned columns: task, number of queries, then each method's figures with what the model has more, paired, and of
    the first its 95 % interval; the same by query, of hit@10 and MRR; below them the four cells. Beside the model,
    which compares with every item, what the run's index makes of it. One line of a report {"not_evaluated": why}.

    The name of the model, or of the best baseline where that is better, is **bold** where the interval of their paired
    difference leaves 0 out, and so is a difference beside any other figure; elsewhere nothing is.
    """
    if "not_evaluated" in report:
        return f"not evaluated: {report['not_evaluated']}"
    main, rows = _SHOWN[report["kind"]][0], found_in_words(report["rows"])
    lines = [f"evaluation of {report['model_id']} on {report['items']:,} items ({rows})", *_method_lines(report)]
    lines.append(
        f"{MODEL} - it: what it has more, paired, with its 95 % interval; **bold**: better {main} than the best of the "
        "others, a difference beside another figure: the interval leaves 0 out"
    )
    lines.append(
        "intervals are bootstraps over queries; spellings of one, and near-duplicates as the model's split groups "
        "them, are drawn together"
    )
    for task in report["tasks"]:
        lines += [f"{task['task']}: no {name}: {why}" for name, why in task.get("left_out", {}).items()]
    return "\n".join([*lines, *_index_lines(report), *_by_query_lines(report), *_cell_lines(report)])


def _method_lines(report: Mapping[str, Any]) -> list[str]:
    main, *others = _SHOWN[report["kind"]]
    header = ["task", "queries", "method", main, "95 % interval", f"{MODEL} - it"]
    rows = [(*header, *(cell for other in others for cell in (other, f"{MODEL} - it")))]
    for task in report["tasks"]:
        name, queries, bold = task["task"], f"{task['queries']:,}", _bold(task, main)
        for method, figures, difference in _methods(task, main):
            rows.append(
                (
                    name,
                    queries,
                    f"**{method}**" if method == bold else method,
                    f"{figures[main]:.3f}",
                    f"{figures[main + '_low']:.3f}-{figures[main + '_high']:.3f}",
                    "" if difference is None else _difference(difference, main),
                    *(cell for other in others for cell in _with_difference(figures, difference, other)),
                )
            )
            name = queries = ""
    return aligned(rows, to_the_right={1, 3, 4, 6})


def _methods(
    task: Mapping[str, Any], metric: str
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, float] | None]]:
    """(name, figures, what the model has more) of each method that has this one, the index after the model."""
    for method in sorted(task["methods"], key=METHODS.index):
        if metric in task["methods"][method]:
            yield method, task["methods"][method], task["differences"].get(method)
        if method == MODEL and metric in task.get("index", {}):
            yield _THROUGH_INDEX, task["index"], task["index"]["difference"]


def _by_query_lines(report: Mapping[str, Any]) -> list[str]:
    """hit@10 and MRR of each task, and what they are of."""
    rows = [("task", "queries", "method", *(cell for name in _BY_QUERY for cell in (name, f"{MODEL} - it")))]
    of, others = "any of its items", " but the others that the query is known to have engaged"
    for task in report["tasks"]:
        number = task["queries"]
        if "exact" in task:
            number, of = task["exact"]["queries"], f"any item of grade {task['exact']['grade']:g}"
            others = ""
        rows += _rows_by_query(task["task"], number, task)
        if new := task["new_queries"]:
            rows += _rows_by_query(f"{task['task']}, new queries", new["queries"], new)
    return [
        "",
        *aligned(rows, to_the_right={1, 3, 5}),
        f"hit@10: queries with {of} among the first ten; mrr: 1 / rank of the first of them; both among all items"
        f"{others}; **bold**: the interval leaves 0 out",
    ]


def _rows_by_query(name: str, num_queries: int, task: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """A row a method; the first says of what, and of how many queries."""
    queries = f"{num_queries:,}"
    for method, figures, difference in _methods(task, _BY_QUERY[0]):
        cells = (cell for metric in _BY_QUERY for cell in _with_difference(figures, difference, metric))
        yield (name, queries, method, *cells)
        name = queries = ""


def _with_difference(
    figures: Mapping[str, float], difference: Mapping[str, float] | None, metric: str
) -> tuple[str, str]:
    """The figure and what the model has more, **bold** where it is shown; nothing where there is none."""
    if metric not in figures:
        return "", ""
    if difference is None:
        return f"{figures[metric]:.3f}", ""
    bold = "**" if is_shown(difference, metric) else ""
    return f"{figures[metric]:.3f}", f"{bold}{_difference(difference, metric)}{bold}"


def _index_lines(report: Mapping[str, Any]) -> list[str]:
    """How much of the exact answers the index returns, task by task."""
    found = {task["task"]: task["index"] for task in report["tasks"] if "index" in task}
    if not found:
        return ["the run has no index yet: what searches find through it is not measured"]
    return [
        f"{task}: {_THROUGH_INDEX} ({entry['backend']}) come {entry['found']:.3f} of the exact first {K}"
        for task, entry in found.items()
        if entry["found"] is not None
    ]


def _cell_lines(report: Mapping[str, Any]) -> list[str]:
    """The four cells of each task that has them, and whether the log can tell them."""
    main = _SHOWN[report["kind"]][0]
    rows = [("task", "cell", "queries", "pairs", MODEL, START, f"{MODEL} - it", "best other", main, f"{MODEL} - it")]
    for task in report["tasks"]:
        name = task["task"]
        for cell in task.get("cells", ()):
            shown = [name, cell["cell"], f"{cell['queries']:,}", f"{cell['pairs']:,}", *[""] * 6]
            if cell["pairs"]:
                shown[4] = f"{cell[main]:.3f}"
            if START in cell:
                shown[5:7] = _with_difference(cell[START], cell[START]["difference"], main)
            if cell.get("best_baseline") is not None:
                figure = {main: cell[f"{main}_baseline"]}
                shown[7:] = [cell["best_baseline"], *_with_difference(figure, cell["difference"], main)]
            rows.append(tuple(shown))
            name = ""
    if len(rows) == 1:
        return []
    return [
        "",
        *aligned(rows, to_the_right={2, 3, 4, 5, 8}),
        "seen: it or a near-duplicate is in the training part of the model, a query by its words or its picture, an "
        "item by any engagement",
        *_missing_lines(report),
    ]


def _missing_lines(report: Mapping[str, Any]) -> list[str]:
    return [
        f"{task}: the log has {found['log']:,} of the {found['model']:,} pairs that the model was trained on: what it "
        "has seen may be called new here, give the log of its training too"
        for task, found in report.get("training_pairs_missing", {}).items()
    ]


def _bold(task: Mapping[str, Any], main: str) -> str | None:
    """What is better, the model or the best baseline, where the difference is shown."""
    best = task["best_baseline"]
    if best is None or not is_shown(task["differences"][best], main):
        return None
    return MODEL if task["differences"][best][main] > 0 else str(best)


def _difference(figures: Mapping[str, float], main: str) -> str:
    """
    >>> _difference({"a": 0.1234, "a_low": -0.01, "a_high": 0.2}, "a")
    '+.123 [-.010, +.200]'
    """
    value, low, high = (f"{figures[name]:+.3f}".replace("0.", ".", 1) for name in (main, f"{main}_low", f"{main}_high"))
    return f"{value} [{low}, {high}]"


def why_not_evaluated(rows: Mapping[str, int]) -> str:
    """Why an evaluation with these counts ranks nothing: no held-out pair, or none that the model can be asked."""
    counts = {name: rows[name] for name in sorted(rows) if rows[name]}
    if any(name.startswith("pairs_without_") or name == "query_pictures_broken" for name in counts):
        return f"expected queries that the model can be asked, got none: {counts}; see --image-root"
    return (
        f"expected held-out engagements with a known item on {' or '.join(QUERY_SURFACES)}, got none of "
        f"{rows.get('rows_read', 0)} rows ({counts}): --include-train keeps the training part"
    )
