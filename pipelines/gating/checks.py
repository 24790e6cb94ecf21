"""Gates that need counts and reports alone: pure functions from numbers to results."""

import math
from collections.abc import Mapping
from typing import Any

from pipelines.gating.results import GateResult, GateThresholds, at_least, judged, number, rounded, skipped
from schemas.errors import CorruptFileError
from schemas.quarantine import quote


def check_row_count(
    today_counts: Mapping[str, int], yesterday_counts: Mapping[str, int], thresholds: GateThresholds
) -> GateResult:
    """Rows published, from counts of both days' embeddings stage. `threshold` is the bound on the side of the change.
    Skipped if yesterday did not count them."""
    if "rows_written" not in yesterday_counts:
        return skipped("row_count", "not compared: the run before did not count rows_written")
    today, yesterday = today_counts.get("rows_written", 0), yesterday_counts["rows_written"]
    fewest = math.ceil(rounded((1 - thresholds.max_row_drop) * yesterday))
    most = math.floor(rounded((1 + thresholds.max_row_growth) * yesterday))
    return judged(
        "row_count",
        fewest <= today <= most,
        f"{today:,} rows are to be published, yesterday {yesterday:,}: expected {number(fewest)} to {number(most)}",
        value=today,
        baseline=yesterday,
        threshold=fewest if today <= yesterday else most,
    )


def check_coverage(
    part: str, today: Mapping[str, int], yesterday: Mapping[str, int], thresholds: GateThresholds
) -> GateResult:
    """Share of items with text ("text") or a picture ("pictures"), from counts of both days' features stage.

    Skipped if yesterday did not count it. If only today did not, nothing has it: a renamed column looks like that.
    """
    name, what, key = {
        "text": ("coverage_text", "text", "items_with_text"),
        "pictures": ("coverage_pictures", "a picture", "items_with_picture"),
    }[part]
    if key not in yesterday:
        return skipped(name, f"not compared: the run before did not count {key}")
    have = today.get(key, 0), yesterday[key]
    items = today.get("items_written", 0), yesterday.get("items_written", 0)
    if not all(items):
        return skipped(name, f"not compared: {items[0]:,} items with features today, yesterday {items[1]:,}")
    share, before = (rounded(count / total) for count, total in zip(have, items, strict=True))
    least = rounded(before - thresholds.max_coverage_drop)
    return judged(
        name,
        at_least(share, least),
        f"{have[0]:,} of {items[0]:,} items have {what} ({number(share)}), yesterday {have[1]:,} of {items[1]:,} "
        f"({number(before)}): expected at least {number(max(least, 0.0))}",
        value=share,
        baseline=before,
        threshold=max(least, 0.0),
    )


def check_quarantine(
    items: Mapping[str, int],
    features: Mapping[str, int] | None,
    embeddings: Mapping[str, int] | None,
    thresholds: GateThresholds,
) -> list[GateResult]:
    """Shares of rows and of pictures that were rejected, from the counts of the stages that are finished.

    Pictures are judged once the features stage has counted them. A few rejections (below min_quarantined) pass
    whatever their share: a tiny catalogue with one bad row is no broken one.
    """
    rows = sum(counts.get("rows_quarantined", 0) for counts in (items, features, embeddings) if counts is not None)
    results = [_share("quarantine_rows", "rows", rows, items.get("rows_read", 0), thresholds)]
    if features is not None:
        rejected, listed = features.get("pictures_quarantined", 0), features.get("pictures_listed", 0)
        results.append(_share("quarantine_pictures", "pictures", rejected, listed, thresholds))
    return results


def _share(name: str, what: str, rejected: int, total: int, thresholds: GateThresholds) -> GateResult:
    most = getattr(thresholds, f"max_quarantined_{what}")
    share = rounded(rejected / max(1, total))
    few = rejected < thresholds.min_quarantined
    passed = (few or at_least(most, share)) and (rejected < total or not rejected)
    let_pass = f" (fewer than {thresholds.min_quarantined} are let pass)" if few and passed else ""
    return judged(
        name,
        passed,
        f"{rejected:,} of {total:,} {what} are quarantined ({number(share)}): expected at most {number(most)}"
        + (", and never all" if rejected >= total > 0 else let_pass),
        value=share,
        threshold=most,
    )


def check_recall(today: Any, yesterday: Any, thresholds: GateThresholds) -> GateResult:
    """Recall@10 a task from both days' metrics.json (None: there is none); value and baseline are those of the task
    that fell most. Raises CorruptFileError if a report is not one."""
    days = {"today": today, "yesterday": yesterday}
    for day, report in days.items():
        if report is None:
            return skipped("recall", f"not compared: {day} was not evaluated (no --engagements)")
        if isinstance(report, dict) and "not_evaluated" in report:
            return skipped("recall", f"not compared: {day} was not evaluated: {quote(report['not_evaluated'])}")
    now, before = (_recalls(report, day) for day, report in days.items())
    enough = [
        task for task in sorted(now.keys() & before.keys()) if _pairs(task, now, before) >= thresholds.min_recall_pairs
    ]
    if not enough:
        pairs = ", ".join(f"{quote(task)} {_pairs(task, now, before):,}" for task in sorted(now.keys() & before.keys()))
        expected = f"a task with {thresholds.min_recall_pairs:,} pairs on both days"
        return skipped("recall", f"not compared: expected {expected}, got {pairs or 'no task in common'}")

    def least(task: str) -> float:
        return rounded(before[task][0] - thresholds.max_recall_drop)

    def sentence(task: str) -> str:
        return (
            f"Recall@10 of {quote(task)} is {number(now[task][0])} on {now[task][1]:,} pairs, yesterday "
            f"{number(before[task][0])} on {before[task][1]:,}: expected at least {number(max(least(task), 0.0))}"
        )

    worst = min(enough, key=lambda task: (now[task][0] - before[task][0], task))
    fallen = [task for task in enough if not at_least(now[task][0], least(task))]
    return judged(
        "recall",
        not fallen,
        "; ".join(map(sentence, fallen or [worst])),
        value=now[worst][0],
        baseline=before[worst][0],
        threshold=max(least(worst), 0.0),
    )


def _pairs(task: str, *days: Mapping[str, tuple[float, int]]) -> int:
    """The fewest pairs that the task has on a day."""
    return min(recalls[task][1] for recalls in days)


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
