"""The gates on what a run publishes, whatever was yesterday: each published stage by what its Stage finds, the indexes,
and one model for all."""

from collections.abc import Callable, Iterator
from typing import Any

from model.nearest.refined import REFINED_FOLDER
from pipelines.console.thresholds import GateThresholds
from pipelines.gates.gated_run import DAMAGE, GatedRun
from pipelines.gates.results import GATES, PASSED, GateResult, at_least, judged, number, rounded, skipped
from pipelines.run.index_problems import refined_problems
from pipelines.run.model_ids import wrong_encoder_ids, wrong_model_ids
from pipelines.run.opened import Run
from pipelines.stages import StageLine, published_lines
from schemas.quarantine import quote


def check_soundness(today: GatedRun, thresholds: GateThresholds) -> list[GateResult]:
    """Vectors, indexes, users and model ids; `vectors` first."""
    return [
        *(_stage(today, line) for line in published_lines() if today.may_have(line) or line.judged_by in GATES),
        _index_recall(today, thresholds),
        *_refined(today, thresholds),
        _model_id(today),
    ]


def _stage(today: GatedRun, line: StageLine) -> GateResult:
    """Of a published stage: the first of its problems ends the search."""
    if not today.expects(line):
        return skipped(line.judged_by, f"nothing to check: the run has no {line.name}")
    stage = line.load()
    return _without_fault(line.judged_by, stage.problems, stage.soundness, today)


def _without_fault(
    name: str, problems: Callable[[Run], Iterator[str]], sound: Callable[[Run], str], today: GatedRun
) -> GateResult:
    """The result of a gate whose value is the number of faults; the first one found ends the search."""
    try:
        problem = next(problems(today), None)
        message = sound(today) if problem is None else problem
    except DAMAGE as error:
        problem = message = str(error)
    return judged(name, problem is None, message, value=int(problem is not None), threshold=0)


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
    found = _without_fault(
        names[0],
        lambda run: refined_problems(run.refined, *run.searched_vectors),
        lambda run: f"{len(run.refined.kept_ids):,} items are kept and stand for all",
        today,
    )
    if found.status != PASSED:
        return [found, skipped(names[1], "not measured: the refined index is broken, see the gate refined_index")]
    return [found, check_refined_kept(today.refined.facts, thresholds)]


def _model_id(today: GatedRun) -> GateResult:
    try:
        num_places, wrong = wrong_model_ids(today)
        num_encoders, others = wrong_encoder_ids(today, today.model())
    except DAMAGE as error:
        return judged("model_id", False, str(error), value=1, threshold=0)
    wrong += others
    message = f"expected {quote(today.model_id)} in {num_places + num_encoders} places, {len(wrong)} name another"
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
