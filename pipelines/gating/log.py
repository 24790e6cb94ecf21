"""The gates of an engagement log: how much of it is rejected, and whether anything of it is of use."""

import math
from collections.abc import Mapping, Sequence

from pipelines.console.terminal import found_in_words, shortened
from pipelines.gating.checks import check_share
from pipelines.gating.results import FAILED, GateResult, judged, skipped, told
from pipelines.gating.thresholds import LogThresholds
from pipelines.log_rows import KEPT_VALUES, LEFT_OUT, RejectedValue, rejected_values, unknown_items
from schemas.errors import ThresholdError
from schemas.validation import REMEDIES

QUARANTINE, USED = "quarantine_log", "log_used"
_EMPTY = "nothing to check: the log has no rows"
#: Kinds of one reason, and characters of a value, that a message shows.
_SHOWN_KINDS, _SHOWN_CHARACTERS = 3, 60


def check_log(counts: Mapping[str, int] | None, thresholds: LogThresholds) -> list[GateResult]:
    """Both gates, from counts of the log stage (None: the run has no log).

    A log without any row passes: a shop may be that new; whether its users are gone tells the gate users_count.
    """
    if counts is None:
        why = "nothing to check: the run was given no --engagements"
        return [skipped(name, why) for name in (QUARANTINE, USED)]
    return [check_quarantine_log(counts, thresholds), _check_used(counts)]


def check_quarantine_log(counts: Mapping[str, int], thresholds: LogThresholds) -> GateResult:
    """The share of the log's rows that was rejected; a failure says for which reasons, and which values most.

    Few rejections (below min_quarantined) pass if they are less than half: half of a log, however short, is no slip.
    """
    rejected, total = counts.get("rows_quarantined", 0), counts.get("rows_read", 0)
    if not total:
        return skipped(QUARANTINE, _EMPTY)
    most, spared = thresholds.max_quarantined_log, min(thresholds.min_quarantined, math.ceil(total / 2))
    return check_share(QUARANTINE, "log rows", rejected, total, most, spared, why_rejected(counts))


def _check_used(counts: Mapping[str, int]) -> GateResult:
    total, used = counts.get("rows_read", 0), counts.get("rows_used", 0)
    if not total:
        return skipped(USED, _EMPTY)
    if counts.get("rows_quarantined", 0) >= total:
        return skipped(USED, f"not measured: every row is quarantined, see the gate {QUARANTINE}")
    message = f"{used:,} of {total:,} log rows are of use: expected at least 1"
    if not used:
        left_out = found_in_words({name: counts.get(name, 0) for name in ("rows_quarantined", *LEFT_OUT)})
        items = _with_rows(unknown_items(counts))
        message += f"; {left_out}" + (f"; the catalogue has no item {items}" if items else "")
    return judged(USED, used > 0, message, value=used, threshold=1)


def require_sound_log(counts: Mapping[str, int], thresholds: LogThresholds, before: str) -> None:
    """Raises ThresholdError if too much of a log is rejected, for a command that has no run; `before`: what would be
    made of it."""
    require_passed_log([check_quarantine_log(counts, thresholds)], before)


def require_passed_log(results: list[GateResult], before: str) -> None:
    """Raises ThresholdError if one of the results is a failure: commands that make no run accept nothing."""
    failed = [result for result in results if result.status == FAILED]
    if failed:
        raise ThresholdError(
            f"expected the log to pass its gates before {before}, got {len(failed)} failed: "
            f"{' '.join(map(told, failed))}"
        )


def why_rejected(counts: Mapping[str, int]) -> str:
    """The reasons with their rows, what was expected, which values came most, what to do; the most frequent first."""
    values: dict[str, dict[str, list[RejectedValue]]] = {}
    for value in rejected_values(counts):
        values.setdefault(value.reason, {}).setdefault(value.expected, []).append(value)
    reasons = {name.removeprefix("reason:"): n for name, n in counts.items() if name.startswith("reason:") and n}
    return "; ".join(
        f"{reason} {number:,}{_kinds(values.get(reason, {}))}: {REMEDIES.get(reason, 'see the quarantine')}"
        for reason, number in sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    )


def _kinds(kinds: Mapping[str, list[RejectedValue]]) -> str:
    shown = [
        f"expected {expected}, got {_with_rows([(value.got, value.num_rows) for value in values])}"
        for expected, values in list(kinds.items())[:_SHOWN_KINDS]
    ]
    return f" ({'; '.join(shown)})" if shown else ""


def _with_rows(values: Sequence[tuple[str, int]]) -> str:
    """
    >>> _with_rows([("'view_item'", 1200), ("'buy'", 1)])
    "'view_item' in 1,200 rows, 'buy' in 1"
    """
    shown = [f"{shortened(value, _SHOWN_CHARACTERS)} in {count:,}" for value, count in values[:KEPT_VALUES]]
    if shown:
        shown[0] += " row" if values[0][1] == 1 else " rows"
    return ", ".join(shown)
