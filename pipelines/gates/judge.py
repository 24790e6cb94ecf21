"""The gates before publish: a run is published only if every one passes, or a person accepts its failure with a reason.

    run       manifests/*.json  embeddings/  index/  metrics.json ──┐
                                                                    ├─▶ one result a gate ─▶ <run>/gates.json
    previous  (the same of the run that readers see)  ──────────────┘

Without a run before, the gates that compare are skipped. If there is one that cannot be read, they *fail*: its readers
were trusting it, and whether today is sane cannot be said. The new run needs nothing from it, so nothing is lost: a
person looks once and publishes with `--accept GATES --because REASON`. Skipping instead would let the one morning on
which something is wrong with the disk be the one on which nobody compares.

Vectors, indexes, users and model ids cannot be accepted away: what fails there is broken for its readers.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import NamedTuple

from pipelines.console.thresholds import GateThresholds
from pipelines.gates.changed_filter import with_changed_filter
from pipelines.gates.changed_texts import check_texts
from pipelines.gates.counts import (
    IN_TRAINING,
    check_coverage,
    check_quarantine,
    check_recall,
    check_row_count,
    check_users_count,
)
from pipelines.gates.drift import checks_of_vectors
from pipelines.gates.fields import check_fields
from pipelines.gates.gated_run import DAMAGE, GatedRun
from pipelines.gates.log import check_actions, check_log, check_users
from pipelines.gates.respelt_users import respelt_users
from pipelines.gates.results import (
    ACCEPTED,
    FAILED,
    GATES,
    OF_EVERY_RUN,
    PASSED,
    SKIPPED,
    GateResult,
    accept,
    check_accepted,
    gate_of,
    incomparable,
    number,
    skipped,
    told,
)
from pipelines.gates.vectors import check_soundness
from pipelines.run.listed_files import VECTORS
from pipelines.stages import always, line_of, of_every_day
from schemas.errors import CorruptFileError, ThresholdError, printable
from schemas.files import read_json, write_json
from schemas.quarantine import quote
from schemas.validation.left_out_rows import ROWS_LEFT_OUT

__all__ = [
    "GATES",
    "GATES_FILE",
    "PUBLICATION",
    "TRAINING",
    "AtStake",
    "GateResult",
    "GateThresholds",
    "check_quarantine_share",
    "format_gates",
    "require_passed",
    "run_gates",
    "write_report",
]
GATES_FILE, METRICS_FILE = "gates.json", "metrics.json"


def run_gates(
    run: Path, previous: Path | None, thresholds: GateThresholds, accepted: Mapping[str, str]
) -> list[GateResult]:
    """Judges a run whose stages are finished against the run before and writes `<run>/gates.json`; a result a gate that
    the run has, in the order of GATES, then those of stages that have none of their own. Equal runs and thresholds,
    equal bytes.

    accepted: gate -> reason, for gates that may fail this once. Raises UsageError for gates that cannot be accepted,
    CorruptFileError if a stage of `run` is not finished.
    """
    check_accepted(accepted)
    today = GatedRun(run)
    for stage in of_every_day():
        today.manifest(stage)
    yesterday = GatedRun(previous, twin=today) if previous is not None else None
    found = {result.name: result for result in _judge(today, yesterday, thresholds)}
    names = [name for name in GATES if name in OF_EVERY_RUN or name in found]
    results = accept([found[name] for name in (*names, *sorted(found.keys() - GATES.keys()))], accepted)
    if previous is not None:
        results = [_reminded(result, previous) for result in results]
    write_report(run, previous, thresholds, results)
    return results


def write_report(run: Path, previous: Path | None, thresholds: GateThresholds, results: list[GateResult]) -> None:
    """Writes `<run>/gates.json`: the results with their formulas and numbers, and what they were judged by. The same
    bytes wherever the store lies: paths inside it start there."""
    report = {
        "gates": [asdict(replace(result, message=_in_store(result.message, run))) for result in results],
        "previous": "/".join(previous.parts[-3:]) if previous is not None else None,
        "thresholds": {field.name: getattr(thresholds, field.name) for field in fields(GateThresholds)},
    }
    write_json(run / GATES_FILE, report)


def _in_store(message: str, run: Path) -> str:
    """The message with its paths relative to the store of the run."""
    stores = {str(path.parent.parent.parent) for path in (run, Path(os.path.abspath(run)))} - {".", "/"}
    named = "|".join(re.escape(printable(store)) for store in sorted(stores))
    return re.sub(rf"(?<![\w./-])(?:{named})/", "", message) if stores else message


def check_quarantine_share(
    items: Mapping[str, int],
    features: Mapping[str, int] | None = None,
    embeddings: Mapping[str, int] | None = None,
    *,
    log: Mapping[str, int] | None = None,
    thresholds: GateThresholds,
    accepted: Mapping[str, str],
) -> list[GateResult]:
    """The gates quarantine_rows, (with features) quarantine_pictures and (with a log) those of the log from the counts
    of the stages that are finished, so that a run that rejects too much stops before hours of work. `accepted` as for
    run_gates."""
    check_accepted(accepted)
    results = check_quarantine(items, features, embeddings, thresholds)
    return accept(results + (check_log(log, thresholds) if log is not None else []), accepted)


class AtStake(NamedTuple):
    """What waits for the gates of a run, and what becomes of it if one fails, for the message that says so: with one
    of its kind that is there already (yesterday's run, the store's model), and without."""

    waiting: str
    beside_another: str
    alone: str


PUBLICATION = AtStake(
    "{run} is published",
    "Nothing is published: yesterday's run stays the one that readers see.",
    "Nothing is published, nor was before: readers see no run.",
)
TRAINING = AtStake(
    "a model is trained on {run}",
    "No model is trained: the store keeps the one it has.",
    "No model is trained: the store has none.",
)


def require_passed(
    results: list[GateResult], run: Path, at_stake: AtStake = PUBLICATION, *, has_another: bool = True
) -> None:
    """Raises ThresholdError if a gate failed: with its formula, numbers and remedy; of several of a whole run, whose
    table (format_gates) has all that, with names and remedies alone. has_another: see AtStake."""
    failed = [result for result in results if result.status == FAILED]
    if not failed:
        return
    is_whole = len(results) >= len(OF_EVERY_RUN)
    reasons = _names_and_remedies(failed) if is_whole and len(failed) > 1 else " ".join(map(told, failed))
    not_passed = [result.name for result in results if result.status in (FAILED, ACCEPTED)]
    can = [name for name in not_passed if gate_of(name).acceptable]
    never = [result.name for result in failed if not gate_of(result.name).acceptable]
    ways = []
    if never:
        ways.append(f"{', '.join(never)} cannot be accepted.")
    if len(never) < len(failed):
        ways.append(f'If it is right all the same, repeat the call with --accept {",".join(can)} --because "...".')
    report = f" ({run / GATES_FILE} has all gates)" if is_whole else ""
    raise ThresholdError(
        f"expected every gate to pass before {at_stake.waiting.format(run=run)}, got {len(failed)} failed{report}: "
        f"{reasons} {at_stake.beside_another if has_another else at_stake.alone} {' '.join(ways)}"
    )


def _names_and_remedies(failed: list[GateResult]) -> str:
    """Gates of one remedy together."""
    names: dict[str, list[str]] = {}
    for result in failed:
        names.setdefault(result.remedy, []).append(f"[{result.name}]")
    return " ".join(f"{' '.join(gates)} To do: {remedy}." for remedy, gates in names.items())


def format_gates(results: list[GateResult]) -> str:
    """A table for people: gate, status, today, yesterday, limit; below a gate that did not pass, why."""
    counts = {
        status: sum(result.status == status for result in results) for status in (PASSED, FAILED, ACCEPTED, SKIPPED)
    }
    width = max(20, *(len(result.name) for result in results))
    lines = [
        "gates: " + ", ".join(f"{count} {status}" for status, count in counts.items() if count),
        f"{'gate':<{width}} {'status':<9} {'today':>12} {'yesterday':>12} {'limit':>12}",
    ]
    for result in results:
        numbers = (result.value, result.baseline, result.threshold)
        shown = " ".join(f"{'-' if value is None else number(value):>12}" for value in numbers)
        status = result.status.upper() if result.status == FAILED else result.status
        lines.append(f"{result.name:<{width}} {status:<9} {shown}")
        if result.status != PASSED:
            lines.append(f"    {result.message}")
        if result.status == FAILED:
            lines += [f"    formula: {result.formula}", f"    to do: {result.remedy}"]
        if result.accepted_reason is not None:
            lines.append(f"    accepted because {quote(result.accepted_reason)}")
    return "\n".join(lines)


def _reminded(result: GateResult, previous: Path) -> GateResult:
    """A failure against a day whose own failure of that gate was accepted says so: that day may be the odd one."""
    if result.status != FAILED:
        return result
    try:
        reasons = {gate["name"]: gate["accepted_reason"] for gate in read_json(previous / GATES_FILE)["gates"]}
    except (CorruptFileError, KeyError, TypeError):
        return result
    reason = reasons.get(result.name)
    if reason is None:
        return result
    note = f"yesterday's own {result.name} failed and was accepted because {quote(reason)}: that day may be the odd one"
    return replace(result, message=f"{result.message}; {note}")


def _judge(today: GatedRun, yesterday: GatedRun | None, thresholds: GateThresholds) -> list[GateResult]:
    """Every gate once, in any order."""
    results = [
        *check_soundness(today, thresholds),
        *check_quarantine(today.counts("items"), today.counts("features"), today.counts("embeddings"), thresholds),
        *check_log(today.log_counts(), thresholds),
    ]
    if yesterday is None:
        results += _compare_with_training(today, thresholds)
        names = set(OF_EVERY_RUN) - {result.name for result in results}
        return results + [skipped(name, "not compared: there is no run before") for name in names]
    return results + _compare(today, yesterday, thresholds, {result.name: result.status for result in results})


def _compare_with_training(today: GatedRun, thresholds: GateThresholds) -> list[GateResult]:
    """On the first day: the gates of coverage against what the model was trained on, as far as the model tells."""
    try:
        before = today.trained_on()
    except DAMAGE:  # the gate model_id says what is wrong with the model
        before = None
    if before is None:
        return []
    return [
        check_coverage("text", today.counts("features"), before["features"], thresholds, IN_TRAINING),
        check_coverage("pictures", today.counts("features"), before["features"], thresholds, IN_TRAINING),
        check_fields(today.counts("items"), before["items"], thresholds, IN_TRAINING),
    ]


def _compare(
    today: GatedRun, yesterday: GatedRun, thresholds: GateThresholds, status_of: Mapping[str, str]
) -> list[GateResult]:
    """The gates that hold today against yesterday; they fail if yesterday cannot be read. status_of: gates that are
    judged already."""

    def counts(stage: str) -> tuple[dict[str, int], dict[str, int]]:
        return today.counts(stage), yesterday.counts(stage)

    def left_out() -> tuple[int, int]:
        try:
            of_today, of_yesterday = (stage.get(ROWS_LEFT_OUT, 0) for stage in counts("items"))
        except DAMAGE:  # other gates say so; the rows published can be compared
            return 0, 0
        return of_today, of_yesterday

    checks: dict[str, Callable[[], GateResult]] = {
        "row_count": lambda: check_row_count(*counts("embeddings"), thresholds, left_out()),
        "coverage_text": lambda: check_coverage("text", *counts("features"), thresholds),
        "coverage_fields": lambda: check_fields(*counts("items"), thresholds),
        "changed_texts": lambda: check_texts(today, yesterday, thresholds),
        "coverage_pictures": lambda: check_coverage("pictures", *counts("features"), thresholds),
        "recall": lambda: check_recall(today.report(METRICS_FILE), yesterday.report(METRICS_FILE), thresholds),
        "users_count": lambda: check_users_count(
            today.user_counts(), yesterday.user_counts(), thresholds, respelt_users(today, yesterday)
        ),
        "log_actions": lambda: check_actions(today.log_counts(), yesterday.log_counts(), thresholds),
        "log_users": lambda: check_users(today.log_counts(), yesterday.log_counts(), thresholds),
    }
    results = []
    for vectors in VECTORS:
        line = line_of(vectors)
        if line.day is not always and not today.may_have(line):
            continue
        of_vectors = checks_of_vectors(today, yesterday, thresholds, vectors)
        if status_of[line.judged_by] != PASSED:
            why = f"not compared: today's vectors are broken, see the gate {line.judged_by}"
            results += [skipped(name, why) for name in of_vectors]
        elif line.day is not always and not yesterday.may_have(line):
            results += [skipped(name, f"not compared: yesterday has no {vectors} vectors") for name in of_vectors]
        else:
            checks |= of_vectors
    for name, check in checks.items():
        try:
            results.append(check())
        except DAMAGE as error:
            results.append(incomparable(name, error))
    return with_changed_filter(results, today, yesterday)
