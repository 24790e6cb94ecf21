"""The gates vectors, index, refined index, users and model_id: whether what a run publishes is sound, whatever was
yesterday."""

import functools
from collections.abc import Callable
from typing import Any

from model.nearest.refined import REFINED_FOLDER
from pipelines.console.thresholds import GateThresholds
from pipelines.gates.gated_run import DAMAGE, GatedRun
from pipelines.gates.results import PASSED, GateResult, at_least, judged, number, rounded, skipped
from pipelines.stages import StageLine, always, without_checks
from schemas.errors import CorruptFileError
from schemas.quarantine import quote


def check_soundness(today: GatedRun, thresholds: GateThresholds) -> list[GateResult]:
    """Vectors, indexes, users and model ids; `vectors` first."""
    return [
        _without_fault("vectors", lambda: f"{today.check_vectors():,} vectors, ids and files are as they should be"),
        _without_fault("index", lambda: _index_message(today)),
        _index_recall(today, thresholds),
        *_refined(today, thresholds),
        _users(today),
        _model_id(today),
        *_other_stages(today),
    ]


def _without_fault(name: str, message: Callable[[], str]) -> GateResult:
    """The result of a gate whose value is the number of faults; the first one found ends the search."""
    try:
        return judged(name, True, message(), value=0, threshold=0)
    except DAMAGE as error:
        return judged(name, False, str(error), value=1, threshold=0)


def _index_message(today: GatedRun) -> str:
    today.check_index()
    return (
        f"{today.counts('index').get('items_indexed', 0):,} items, files, ids and vectors are those of the embeddings"
    )


def _index_recall(today: GatedRun, thresholds: GateThresholds) -> GateResult:
    """Each index and kind of query against a threshold of its own; value and threshold are those of the one that is
    farthest below its own, or nearest above."""
    least = {
        "item": thresholds.min_index_recall,
        "text": thresholds.min_index_recall_text,
        "picture": thresholds.min_index_recall_picture,
    }
    try:
        recalls = [("the index finds", rounded(today.index_recall()), least["item"])]
        if today.may_have_refined:
            recalls.append(("the refined index finds", rounded(today.index_recall(REFINED_FOLDER)), least["item"]))
        for kind, recall in today.searched_recalls().items():
            recalls.append((f"searches by {kind} find", rounded(recall), least.get(kind, least["item"])))
    except DAMAGE as error:
        return judged("index_recall", False, str(error), threshold=least["item"])
    found = " and ".join(f"{words} {number(recall)}" for words, recall, _ in recalls)
    bounds = sorted({bound for *_, bound in recalls})
    expected = number(bounds[0])
    if len(bounds) > 1:
        expected = ", ".join(number(bound) for *_, bound in recalls)
    _, value, threshold = min(recalls, key=lambda entry: entry[1] - entry[2])
    message = f"{found} of the 10 exact nearest: expected at least {expected}"
    passed = all(at_least(recall, bound) for _, recall, bound in recalls)
    return judged("index_recall", passed, message, value=value, threshold=threshold)


def _refined(today: GatedRun, thresholds: GateThresholds) -> list[GateResult]:
    names = ("refined_index", "refined_kept")
    if not today.may_have_refined:
        return [skipped(name, "nothing to check: the run has no refined index") for name in names]
    found = _without_fault(names[0], lambda: f"{today.check_refined():,} items are kept and stand for all")
    if found.status != PASSED:
        return [found, skipped(names[1], "not measured: the refined index is broken, see the gate refined_index")]
    return [found, check_refined_kept(today.refined.facts, thresholds)]


def _users(today: GatedRun) -> GateResult:
    if not today.may_have_users:
        return skipped("users", "nothing to check: the run has no users")
    return _without_fault("users", lambda: f"{today.check_users():,} users, their medoids are the items' vectors")


def _other_stages(today: GatedRun) -> list[GateResult]:
    """A gate for each stage of the run that has none of its own: its files, then what its Stage finds."""
    lines = [line for line in without_checks() if line.day is always or today.has(line.name)]
    return [_without_fault(line.name, functools.partial(_stage_message, today, line)) for line in lines]


def _stage_message(today: GatedRun, line: StageLine) -> str:
    num_files = today.check_files(line.name)
    for problem in line.load().problems(today.folder):
        raise CorruptFileError(problem)
    return f"{num_files:,} files are as they should be"


def _model_id(today: GatedRun) -> GateResult:
    try:
        num_places, wrong = today.foreign_model_ids()
    except DAMAGE as error:
        return judged("model_id", False, str(error), value=1, threshold=0)
    message = f"expected {quote(today.model_id)} in {num_places} places, {len(wrong)} name another"
    message += f": {'; '.join(wrong)}" if wrong else ""
    return judged("model_id", not wrong, message, value=len(wrong), threshold=0)


def check_refined_kept(facts: dict[str, Any], thresholds: GateThresholds) -> GateResult:
    """Items of the refined index, from the facts of its manifest: a low cosine makes one item of many."""
    kept, items = facts["items_kept"], facts["items_in"]
    share, least = rounded(kept / max(items, 1)), thresholds.min_refined_kept
    message = (
        f"at cosine {number(facts['cosine'])} the refined index keeps {kept:,} of {items:,} items ({number(share)}): "
        f"expected at least {number(least)}"
    )
    return judged("refined_kept", at_least(share, least), message, value=share, threshold=least)
