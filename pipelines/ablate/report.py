"""The figures of an ablation as JSON, and as one Markdown page. No date and no machine: equal figures, equal bytes."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from model.training.step_choice import MIN_PAIRS, MIN_QUERIES
from model.training.validation import RECALL_AT
from pipelines.ablate import verdicts
from pipelines.ablate.measure import MAX_TEST_PAIRS, pooled
from pipelines.ablate.tables import Comparison, Row, Table
from pipelines.console.terminal import markdown_table


def table_figures(table: Table, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """A table as JSON: its rows with the figures of each seed, its comparisons with their verdicts. results: by the
    name of the row what each seed measured, see measure."""
    rows = {row.name: _row_figures(row, results[row.name]) for row in table.rows}
    comparisons = [_compared(comparison, rows) for comparison in table.comparisons]
    return {
        "name": table.name,
        "title": table.title,
        "finding": table.finding,
        "about": table.about,
        "rows": list(rows.values()),
        "comparisons": comparisons,
        "verdict": verdicts.of_table([comparison["verdict"] for comparison in comparisons]),
    }


def _row_figures(row: Row, results_S: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By task and over all pairs ("all"), the figures of each seed, and over how many pairs they are."""
    dims = [str(row.dim or result["model"]["output_dim"]) for result in results_S]
    by_task_S = [result["dims"][dim] for result, dim in zip(results_S, dims, strict=True)]
    names = ("recall", "reciprocal_rank")
    figures = {"all": {name: [pooled(by_task, name) for by_task in by_task_S] for name in names}}
    for task in sorted(by_task_S[0]):
        figures[task] = {name: [by_task[task][name] for by_task in by_task_S] for name in names}
    num_pairs = {task: values["num_pairs"] for task, values in by_task_S[0].items()}
    cells_S = [result["cells"][dim] for result, dim in zip(results_S, dims, strict=True)]
    return {
        "name": row.name,
        "switches": {**row.switches, **row.preparation},
        "is_trained": row.is_trained,
        "figures": figures,
        "cells": {cell: [cells[cell]["recall"] for cells in cells_S] for cell in cells_S[0]},
        "num_pairs": {"all": sum(num_pairs.values()), **num_pairs},
        "best_steps": [result["best_step"] for result in results_S],
        "steps": [result["steps"] for result in results_S],
        "seconds": [result["seconds"] for result in results_S],
    }


def _compared(comparison: Comparison, rows: Mapping[str, Any]) -> dict[str, Any]:
    first, second, task = rows[comparison.first], rows[comparison.second], comparison.task or "all"
    found = verdicts.difference(*(row["figures"][task]["recall"] for row in (first, second)))
    num_pairs = first["num_pairs"][task]
    return {
        "first": comparison.first,
        "expected": comparison.expected,
        "second": comparison.second,
        "task": comparison.task,
        "difference": found.mean,
        "deviation": found.deviation,
        "is_beyond": verdicts.is_beyond(found),
        "num_pairs": num_pairs,
        "verdict": verdicts.verdict(comparison.expected, found, num_pairs),
    }


def format_page(report: Mapping[str, Any]) -> str:
    """The page of a report of ablate.run."""
    lines = ["# What each part of the item model is worth", "", f"    {report['command']}", "", *_about(report)]
    for table in report["tables"]:
        lines += [
            "",
            f"## {table['title']}",
            "",
            table["finding"],
            "",
            *_table_lines(table),
            "",
            *_verdict_lines(table),
        ]
        if table["about"]:
            lines += ["", table["about"]]
    if report["left_out"]:
        lines += ["", "## Left out", ""]
        lines += [f"- {title}: {why}" for title, why in report["left_out"].items()]
    return "\n".join(lines) + "\n"


def _about(report: Mapping[str, Any]) -> list[str]:
    test, seeds = report["test"], report["seeds"]
    ranked = "" if test["pairs"] <= MAX_TEST_PAIRS else f", of which {MAX_TEST_PAIRS:,} are ranked"
    lines = [
        f"- {report['items']:,} items; pairs that train: {_counts(report['train_pairs'])}",
        f"- measured on the test part of the split {report['split']}: {test['pairs']:,} pairs of {test['queries']:,} "
        f"queries ({_counts(test['by_task'])}){ranked}, each among all items; the step is chosen on validation pairs, "
        "never on these",
        f"- Recall@{RECALL_AT} (share of pairs whose item is among the first {RECALL_AT}) and MRR (mean of 1 / rank), "
        f"mean ± standard deviation over {seeds} seed{'s' * (seeds > 1)}; a seed decides random weights, the order of "
        "pairs and the negatives, never the split: how sure the pairs themselves are is not in it",
        f"- seen items, new items: Recall@{RECALL_AT} of the pairs whose item has pairs that train, and of the others",
        "- rows are compared seed by seed by their Recall over all pairs, or those of the task that is named: "
        '"beyond two standard deviations" is of these differences',
    ]
    if test["pairs"] < MIN_PAIRS or test["queries"] < MIN_QUERIES:
        lines.append(
            f"- **WARNING: {test['pairs']:,} pairs of {test['queries']:,} queries are too few to tell rows apart by**; "
            f"at least {MIN_PAIRS:,} pairs of {MIN_QUERIES:,} queries are needed: a longer log or a higher "
            "--test-fraction or --item-test-fraction"
        )
    if not report["chosen_by_validation"]:
        lines.append(
            "- **WARNING: too few validation pairs to choose a step by**: every row is trained to its last step, and "
            "keeps it or its start"
        )
    if seeds == 1:
        lines.append("- **WARNING: one seed has no deviation**: a direction is all that it shows")
    return lines


def _table_lines(table: Mapping[str, Any]) -> list[str]:
    tasks = [task for task in table["rows"][0]["figures"] if task != "all"]
    cells = [cell for cell in ("seen item", "new item") if all(cell in row["cells"] for row in table["rows"])]
    header = ["", f"Recall@{RECALL_AT}", "MRR", *(f"{cell}s" for cell in cells)]
    header += [*(tasks if len(tasks) > 1 else ()), "best step"]
    rows = []
    for row in table["rows"]:
        figures = row["figures"]
        shown = [row["name"], _mean(figures["all"]["recall"]), _mean(figures["all"]["reciprocal_rank"])]
        shown += [_mean(row["cells"][cell]) for cell in cells]
        shown += [_mean(figures[task]["recall"]) for task in tasks] if len(tasks) > 1 else []
        best, steps = (round(statistics.median(row[name])) for name in ("best_steps", "steps"))
        shown.append(f"{best:,} of {steps:,}" if row["is_trained"] else "untrained")
        rows.append(shown)
    return markdown_table(header, rows)


def _verdict_lines(table: Mapping[str, Any]) -> list[str]:
    """The verdict in a sentence, and the numbers of each comparison."""
    said = {
        verdicts.HOLDS: "**Holds here**",
        verdicts.DIRECTION_ONLY: "**Holds here in direction only**",
        verdicts.DOES_NOT_HOLD: "**Does not hold here**",
        verdicts.UNKNOWN: "**Cannot be told here**",
    }
    comparisons = [f"- {_comparison_words(comparison)}" for comparison in table["comparisons"]]
    return [f"{said[table['verdict']]}: Recall@{RECALL_AT} of", "", *comparisons]


def _comparison_words(comparison: Mapping[str, Any]) -> str:
    spread = (
        "" if comparison["deviation"] is None else f" (2 standard deviations: {_figure(2 * comparison['deviation'])})"
    )
    num_pairs = comparison["num_pairs"]
    of_task = "" if comparison["task"] is None else f" for {comparison['task']} ({num_pairs:,} pairs)"
    found = f"{_signed(comparison['difference'])}{spread}"
    named = f"{comparison['first']} against {comparison['second']}{of_task}"
    return f"{named}, expected {comparison['expected']}: {found}: {_outcome(comparison)}"


def _outcome(comparison: Mapping[str, Any]) -> str:
    verdict, expected = comparison["verdict"], comparison["expected"]
    if verdict == verdicts.HOLDS:
        return "holds, beyond two standard deviations" if expected == "better" else "holds"
    if verdict == verdicts.DOES_NOT_HOLD and expected == "better":
        return (
            "does not hold, the opposite does" if comparison["is_beyond"] else "does not hold, no difference is shown"
        )
    if verdict == verdicts.UNKNOWN:
        few = comparison["num_pairs"] < verdicts.MIN_COMPARED_PAIRS
        return f"{verdict} from {'so few pairs' if few else 'one seed'}"
    return str(verdict)


def _mean(values: Sequence[float]) -> str:
    """
    >>> _mean([0.5, 0.7]), _mean([0.25])
    ('.600 ± .141', '.250')
    """
    spread = verdicts.deviation(values)
    mean = _figure(statistics.fmean(values))
    return mean if spread is None else f"{mean} ± {_figure(spread)}"


def _figure(value: float) -> str:
    """
    >>> _figure(0.5), _figure(1.0)
    ('.500', '1.000')
    """
    return f"{value:.3f}".removeprefix("0")


def _signed(value: float) -> str:
    """
    >>> _signed(0.0123), _signed(-0.5), _signed(-0.00001)
    ('+.012', '-.500', '+.000')
    """
    return f"{'-' if round(value, 3) < 0 else '+'}{_figure(abs(value))}"


def _counts(by_task: Mapping[str, int]) -> str:
    """
    >>> _counts({"search/click": 1200, "search/save": 7})
    'search/click 1,200, search/save 7'
    """
    return ", ".join(f"{task} {count:,}" for task, count in sorted(by_task.items()))
