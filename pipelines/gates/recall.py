"""The gate on Recall@10, of two days' reports of evaluation: pure functions from reports to a result."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipelines.console.thresholds import GateThresholds
from pipelines.gates.results import GateResult, at_least, judged, number, rounded, skipped
from schemas.errors import CorruptFileError
from schemas.quarantine import quote

#: task -> (Recall@10 of the model, pairs)
Recalls = Mapping[str, tuple[float, int]]


def check_recall(today: Any, yesterday: Any, thresholds: GateThresholds) -> GateResult:
    """Recall@10 a task from both days' metrics.json (None: there is none); value and baseline are those of the task
    that fell most. A task that yesterday measured on enough pairs and today lacks is no passed one, whether the log has
    lost it or all. Raises CorruptFileError if a report is not one."""
    for day, report in (("today", today), ("yesterday", yesterday)):
        if report is None:
            return skipped("recall", f"not compared: {day} was not evaluated (no --engagements)")
    if _why_not_evaluated(yesterday) is not None:
        return skipped("recall", f"not compared: yesterday was not evaluated: {_why_not_evaluated(yesterday)}")
    before = _recalls(yesterday, "yesterday")
    now = _recalls(today, "today") if _why_not_evaluated(today) is None else {}
    measured = [task for task in sorted(before) if before[task][1] >= thresholds.min_recall_pairs]
    lost = [task for task in measured if task not in now]
    enough = [task for task in measured if task in now and now[task][1] >= thresholds.min_recall_pairs]
    fallen = [task for task in enough if not at_least(now[task][0], _least_recall(before[task][0], thresholds))]
    if lost:
        return _lost(lost, today, yesterday, before, [_sentence(task, now, before, thresholds) for task in fallen])
    if _why_not_evaluated(today) is not None:
        return skipped("recall", f"not compared: today was not evaluated: {_why_not_evaluated(today)}")
    if not enough:
        both = sorted(now.keys() & before.keys())
        pairs = ", ".join(f"{quote(task)} {min(now[task][1], before[task][1]):,}" for task in both)
        expected = f"a task with {thresholds.min_recall_pairs:,} pairs on both days"
        return skipped("recall", f"not compared: expected {expected}, got {pairs or 'no task in common'}")
    worst = min(enough, key=lambda task: (now[task][0] - before[task][0], task))
    sentences = [_sentence(task, now, before, thresholds) for task in fallen or [worst]]
    return judged(
        "recall",
        not fallen,
        "; ".join(sentences) + _two_models(today, yesterday),
        value=now[worst][0],
        baseline=before[worst][0],
        threshold=_least_recall(before[worst][0], thresholds),
    )


def _sentence(task: str, now: Recalls, before: Recalls, thresholds: GateThresholds) -> str:
    return (
        f"Recall@10 of {quote(task)} is {number(now[task][0])} on {now[task][1]:,} pairs, yesterday "
        f"{number(before[task][0])} on {before[task][1]:,}: expected at least "
        f"{number(_least_recall(before[task][0], thresholds))}"
    )


def _lost(
    tasks: list[str],
    today: Any,
    yesterday: Any,
    before: Recalls,
    fallen: list[str],
) -> GateResult:
    """The failed gate of a day that has no Recall@10 of tasks that yesterday had one of. fallen: sentences on others,
    for who accepts the gate accepts those too."""
    had = ", ".join(
        f"{quote(task)} (yesterday {number(before[task][0])} on {before[task][1]:,} pairs)" for task in tasks
    )
    why = _why_not_evaluated(today)
    message = f"expected Recall@10 of {had} again, got none today" + (f": {why}" if why is not None else "")
    message = "; ".join([message, *fallen]) + _two_models(today, yesterday)
    remedy = (
        "see whether --engagements names the whole log (up to --date) and --image-root holds the query pictures; "
        "mend, repeat the call. Accept it once if the task has gone, or a new model was trained on what was held out"
    )
    return replace(judged("recall", False, message, baseline=before[tasks[0]][0]), remedy=remedy)


def _least_recall(before: float, thresholds: GateThresholds) -> float:
    return max(rounded(before - thresholds.max_recall_drop), 0.0)


def _why_not_evaluated(report: Any) -> str | None:
    """Why the report has no tasks, quoted; None if it should have some."""
    return quote(report["not_evaluated"]) if isinstance(report, dict) and "not_evaluated" in report else None


def _two_models(today: Any, yesterday: Any) -> str:
    """What to mind where the reports are of two models: each holds out what its own training has not seen."""
    ids = [report.get("model_id") for report in (today, yesterday)]
    if None in ids or ids[0] == ids[1]:
        return ""
    return f" (of two models, {quote(ids[0])} and yesterday {quote(ids[1])}: on two different held-out splits)"


def _recalls(report: Any, day: str) -> dict[str, tuple[float, int]]:
    """task -> (Recall@10 of the model, pairs)."""
    try:
        found = {
            str(task["task"]): (rounded(float(task["methods"]["itemsage"]["recall@10"])), int(task["pairs"]))
            for task in report["tasks"]
        }
        if all(0 <= recall <= 1 and pairs >= 0 for recall, pairs in found.values()):
            return found
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    got = quote(str(report))
    raise CorruptFileError(f"expected tasks with recall@10 of itemsage and pairs in metrics.json of {day}, got {got}")
