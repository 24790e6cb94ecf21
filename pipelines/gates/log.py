"""The gates of an engagement log: how much of it is rejected, and whether anything of it is of use."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipelines.console.terminal import found_in_words, shortened
from pipelines.console.thresholds import GateThresholds, LogThresholds
from pipelines.gates.counts import check_share
from pipelines.gates.results import FAILED, GateResult, judged, number, rounded, skipped, told
from pipelines.log.rows import (
    EMPTY_LOG,
    KEPT_VALUES,
    LEFT_OUT,
    ROWS_WITH_USER,
    RejectedValue,
    action_count,
    is_empty_log,
    near_in_words,
    rejected_values,
    unknown_items,
    without_items_in_words,
)
from schemas.errors import ThresholdError
from schemas.events.paths import NO_ROWS
from schemas.tables import POSITIVE_ACTIONS
from schemas.validation.rules import REMEDIES

QUARANTINE, USED, ACTIONS_DROP, USERS_DROP = "quarantine_log", "log_used", "log_actions", "log_users"
#: Shares by which actions drop that are alike, and what to do where all are.
_ALIKE = 0.1
_NOT_WHOLE = (
    "all actions drop alike: see whether the log is whole (a missing part, a filter, an export that was cut off, or of "
    "fewer days); if the shop had that few visitors, accept it"
)
#: Kinds of one reason, and characters of a value, that a message shows.
_SHOWN_KINDS, _SHOWN_CHARACTERS = 3, 60


def check_log(counts: Mapping[str, int] | None, thresholds: LogThresholds) -> list[GateResult]:
    """Both gates, from counts of the log stage (None: the run has no log).

    A log without any row passes: a shop may be that new; whether it had some yesterday tells the gate log_actions.
    """
    if counts is None:
        why = "nothing to check: the run was given no --engagements"
        return [skipped(name, why) for name in (QUARANTINE, USED)]
    return [check_quarantine_log(counts, thresholds), check_used(counts)]


def check_quarantine_log(counts: Mapping[str, int], thresholds: LogThresholds) -> GateResult:
    """The share of the log's rows that was rejected; a failure says for which reasons, and which values most.

    Few rejections (below min_quarantined) pass if they are less than half: half of a log, however short, is no slip.
    """
    rejected, total = counts.get("rows_quarantined", 0), counts.get("rows_read", 0)
    if not total:
        return skipped(QUARANTINE, f"nothing to check: {EMPTY_LOG}")
    most, spared = thresholds.max_quarantined_log, min(thresholds.min_quarantined, math.ceil(total / 2))
    return check_share(QUARANTINE, "log rows", rejected, total, most, spared, why_rejected(counts))


def check_used(counts: Mapping[str, int]) -> GateResult:
    """Whether any row of the log, or of what was looked at of it, is of use; a failure says why none is."""
    total, used = counts.get("rows_read", 0), counts.get("rows_used", 0)
    no_rows = {name: counts[name] for name in NO_ROWS if counts.get(name)}
    without_items = without_items_in_words(counts)
    if not total and no_rows:
        message = f"the log has events, and none is a row: expected at least 1; {found_in_words(no_rows)}"
        message += f"; {without_items}" if without_items else ""
        return judged(USED, False, message, value=0, threshold=1)
    if not total:
        return skipped(USED, f"nothing to check: {EMPTY_LOG}")
    if counts.get("rows_quarantined", 0) >= total:
        return skipped(USED, f"not measured: every row is quarantined, see the gate {QUARANTINE}")
    message = f"{used:,} of {total:,} log rows are of use: expected at least 1"
    if not used:
        left_out = found_in_words({name: counts.get(name, 0) for name in ("rows_quarantined", *LEFT_OUT)})
        items = _with_rows(unknown_items(counts))
        message += f"; {left_out}" + (f"; the catalogue has no item {items}" if items else "")
        message += f"; {near}" if (near := near_in_words(counts)) else ""
    message += f"; {without_items}" if without_items else ""
    return judged(USED, used > 0, message, value=used, threshold=1)


def check_actions(
    today: Mapping[str, int] | None, yesterday: Mapping[str, int] | None, thresholds: GateThresholds
) -> GateResult:
    """The action whose rows of use fell most, from counts of both days' log stage (None: the run has no log). A system
    that was changed calls an action by another name, which may be one that we know too. Actions of fewer rows than
    min_quarantined are not compared. A log that is empty fails if yesterday's had a row of use."""
    used = (yesterday or {}).get("rows_used", 0)
    if used and today is not None and is_empty_log(today):
        message = f"{EMPTY_LOG}, yesterday {used:,} rows of it were of use: expected at least 1 row of use"
        return judged(ACTIONS_DROP, False, message, value=0, baseline=used, threshold=1)
    before = _rows_by_action(yesterday)
    if not before:
        return skipped(ACTIONS_DROP, "not compared: the run before has no log, or did not count its actions")
    if today is None:
        return skipped(ACTIONS_DROP, "not compared: the run was given no --engagements; see the gate users_count")
    now = _rows_by_action(today)
    if not now:
        return skipped(ACTIONS_DROP, f"not measured: no row is of use, see the gates {QUARANTINE} and {USED}")
    enough = {action: count for action, count in before.items() if count >= max(thresholds.min_quarantined, 1)}
    if not enough:
        return skipped(ACTIONS_DROP, f"not compared: no action had {thresholds.min_quarantined} rows yesterday")
    drops = {action: rounded(1 - now.get(action, 0) / count) for action, count in enough.items()}
    limit = thresholds.max_actions_drop
    fallen = [action for action in enough if drops[action] > limit]
    worst = max(enough, key=lambda action: drops[action])
    shown = ", ".join(
        f"{action} has {now.get(action, 0):,} rows of use, yesterday {enough[action]:,}" for action in fallen or [worst]
    )
    risen = [f"{action} {now[action]:,}" for action in now if now[action] > before.get(action, 0)]
    others = f" (more than yesterday: {', '.join(risen)})" if fallen and risen else ""
    message = f"{shown}{others}: expected a drop of at most {number(limit)}"
    result = judged(ACTIONS_DROP, not fallen, message, value=max(drops[worst], 0.0), threshold=limit)
    least = min(drops.values())
    drop_alike = len(enough) > 1 and least > limit and drops[worst] - least <= _ALIKE
    return replace(result, remedy=_NOT_WHOLE) if drop_alike else result


def check_users(
    today: Mapping[str, int] | None, yesterday: Mapping[str, int] | None, thresholds: GateThresholds
) -> GateResult:
    """The rows of use that have a user, from counts of both days' log stage (None: the run has no log): a column of
    users that is empty, renamed or full of guests costs no row that has a query. Logs that never had users, of sessions
    alone, are not compared, nor is one of which nothing is of use, which other gates say."""
    if yesterday is None or ROWS_WITH_USER not in yesterday:
        return skipped(USERS_DROP, "not compared: the run before has no log, or did not count rows with a user")
    before, least = yesterday[ROWS_WITH_USER], max(thresholds.min_quarantined, 1)
    if before < least:
        return skipped(USERS_DROP, f"not compared: {before:,} rows of use had a user yesterday, fewer than {least:,}")
    if today is None:
        return skipped(USERS_DROP, "not compared: the run was given no --engagements; see the gate users_count")
    now, used, without = (today.get(name, 0) for name in (ROWS_WITH_USER, "rows_used", "rows_without_user_or_query"))
    if not used and not without:
        return skipped(USERS_DROP, f"not measured: no row is of use, see the gates {USED} and {ACTIONS_DROP}")
    fewest = math.ceil(rounded((1 - thresholds.max_users_drop) * before))
    message = (
        f"{now:,} of {used:,} rows of use have a user, yesterday {before:,} of {yesterday.get('rows_used', 0):,}; "
        f"{without:,} rows are of no use, for they have neither user nor query: expected at least {number(fewest)}"
    )
    return judged(USERS_DROP, now >= fewest, message, value=now, baseline=before, threshold=fewest)


def _rows_by_action(counts: Mapping[str, int] | None) -> dict[str, int]:
    found = {action: (counts or {}).get(action_count(action), 0) for action in POSITIVE_ACTIONS}
    return {action: count for action, count in found.items() if count}


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
    remedies: dict[str, Counter[str]] = {}
    for value in rejected_values(counts):
        values.setdefault(value.reason, {}).setdefault(value.expected, []).append(value)
        remedies.setdefault(value.reason, Counter())[value.remedy] += value.num_rows
    reasons = {name.removeprefix("reason:"): n for name, n in counts.items() if name.startswith("reason:") and n}
    return "; ".join(
        f"{reason} {number:,}{_kinds(values.get(reason, {}))}: {_remedy(reason, remedies.get(reason, Counter()))}"
        for reason, number in sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    )


def _remedy(reason: str, told: Counter[str]) -> str:
    """What to do for most of the rows that were rejected for a reason. told: remedy, "" for the reason's, -> rows."""
    own = next((remedy for remedy, _ in told.most_common(1)), "")
    return own or REMEDIES.get(reason, "see the quarantine")


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
