"""The gates by name, and what one of them says of a run.

A gate's name is what `--accept` takes and what gates.json lists. Formulas use the names of the thresholds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from schemas.errors import UsageError, printable

PASSED, FAILED, SKIPPED, ACCEPTED = "passed", "failed", "skipped", "accepted"
#: Values are rounded to this many digits before they are judged: what a message shows is what was compared.
_DIGITS = 6
_SLACK = 0.5 * 10**-_DIGITS


@dataclass(frozen=True)
class Gate:
    """`acceptable` False: readers would get something broken, so no reason publishes it. `of_every_run` False: listed
    only of a run that has what it judges."""

    formula: str
    remedy: str
    acceptable: bool = True
    of_every_run: bool = True


GATES: Mapping[str, Gate] = {
    "row_count": Gate(
        "(1 - max_row_drop) x rows yesterday <= rows published <= (1 + max_row_growth) x rows yesterday",
        "see whether the catalogue is whole (a missing part, a filter, an empty or doubled export)",
    ),
    "coverage": Gate(
        "ids of yesterday still published / ids of yesterday >= min_kept",
        "see whether the shop has changed its item ids, or [columns] names another id column",
    ),
    "coverage_text": Gate(
        "items with text / items >= the same of yesterday, or of the model's training - max_coverage_drop",
        "see whether a text column was renamed or emptied; [columns] of the config file maps the shop's names",
    ),
    "coverage_fields": Gate(
        "rows with a text field filled / rows >= that of yesterday, or of the model's training - max_coverage_drop",
        "see whether the column was renamed or emptied; [columns] of the config file maps the shop's names",
    ),
    "changed_texts": Gate(
        "for each text field cells that have changed / cells of items that have it on both days <= max_changed_texts, "
        "from min_quarantined cells on; the same of cells in a wrong encoding / cells with letters beyond ASCII",
        "see whether each column of the export has its own name, its rows are joined by the right id, and the file is "
        "written in the encoding that it was; if the shop has rewritten the field, accept it once",
    ),
    "coverage_pictures": Gate(
        "items with a picture / items >= the same of yesterday, or of the model's training - max_coverage_drop",
        "see whether --image-root is mounted and whole, the column of pictures was renamed, and the run's quarantine/",
    ),
    "quarantine_rows": Gate(
        "rows quarantined / rows read <= max_quarantined_rows, from min_quarantined rows on, never all; files that end "
        "within a row = 0",
        "see reason and remedy of the rows in the run's quarantine/ and mend the catalogue",
    ),
    "quarantine_pictures": Gate(
        "pictures quarantined / pictures listed <= max_quarantined_pictures, from min_quarantined on; never all",
        "see whether --image-root is mounted and whole, the reasons in the run's quarantine/; mend, repeat the call",
    ),
    "quarantine_log": Gate(
        "rows of the log quarantined / rows of the log read <= max_quarantined_log, from min_quarantined or half of "
        "them on; never all",
        "mend the export of the log (a run's quarantine/ has each row), or map its columns in [columns.engagements] of "
        "the config file; --max-quarantined-log lets more pass, never all",
    ),
    "log_used": Gate(
        "rows of the log of a click, save, add_to_cart or checkout up to the day, on an item of the catalogue, with a "
        "user_id or a query >= 1",
        "see whether the log names the item ids of the catalogue, and --date lies in it",
    ),
    "log_actions": Gate(
        "rows of use of each action with min_quarantined of them yesterday >= (1 - max_actions_drop) x yesterday's; of "
        "a log that is empty >= 1 if yesterday's had any",
        "see whether the export of the log is whole, and whether the shop's system calls the action otherwise now; "
        "[columns.engagements] action = {values = {...}} maps its names",
    ),
    "log_users": Gate(
        "rows of use that have a user >= (1 - max_users_drop) x yesterday's, if those were min_quarantined or more",
        "see whether the export of the log is whole and still fills user_id, and under which name "
        "([columns.engagements] user_id); a shop that is to count sessions alone accepts it once",
    ),
    "vectors": Gate(
        "vectors not finite, zero or not of norm 1, ids not unique and ascending, files unlike their sha256 = 0",
        "remove embeddings/ and units/embeddings/ of the run and repeat the call; else the model is at fault",
        acceptable=False,
    ),
    "index": Gate(
        "files unlike their sha256, ids or vectors unlike the embeddings' = 0",
        "remove index/ and units/index/ of the run and repeat the call",
        acceptable=False,
    ),
    "index_recall": Gate(
        "recall@10 of the index, and of the refined one, against exact search >= min_index_recall; of searches by text "
        "and by picture >= min_index_recall_text, min_index_recall_picture",
        "allow more trees or nodes: --max-trees, --max-search-k",
    ),
    "refined_index": Gate(
        "files unlike their sha256, vectors unlike the embeddings', items neither kept nor represented = 0",
        "remove refined_index/ and units/index/ of the run and repeat the call",
        acceptable=False,
    ),
    "refined_kept": Gate(
        "items of the refined index / items >= min_refined_kept",
        "a higher --refine-cosine keeps more; if the shop has that many near-duplicates, accept it",
    ),
    "neighbour_overlap": Gate(
        "mean over probes (nearest 10 of today that yesterday scored as its 10th or better / 10) >= min_overlap",
        "the same model gives other neighbours: see what became of the text and pictures of many items",
    ),
    "drift": Gate(
        "AUC of a linear classifier, cross-validated by item, of today's against yesterday's vectors <= max_drift_auc",
        "the same model gives other vectors: see what became of the text and pictures of many items, and which are new",
    ),
    "unified_coverage": Gate(
        "items with a unified vector yesterday that still have one / items with one yesterday >= min_kept",
        "see the gate coverage, and whether a source of the unified model has lost its attributes or pictures",
        of_every_run=False,
    ),
    "unified_neighbour_overlap": Gate(
        "neighbour_overlap of the unified vectors >= min_overlap",
        "the same unified model gives other neighbours: see what became of attributes, text and pictures of many items",
        of_every_run=False,
    ),
    "unified_drift": Gate(
        "drift of the unified vectors <= max_drift_auc",
        "the same unified model gives other vectors: see what became of attributes, text and pictures of many items",
        of_every_run=False,
    ),
    "recall": Gate(
        "Recall@10 of each task with min_recall_pairs pairs on both days >= yesterday's - max_recall_drop, all there",
        "see whether the engagements are whole; after a new model, go back to the one before with --model",
    ),
    "users": Gate(
        "files unlike their sha256, rows out of order, medoids unlike the items' vectors, importances out of order = 0",
        "remove users/, user_actions/ and units/users/ of the run and repeat the call",
        acceptable=False,
    ),
    "users_count": Gate(
        "users with clusters today, but for those who had another spelling yesterday >= (1 - max_users_drop) x users "
        "with clusters yesterday",
        "see whether the engagements are whole, with their user_id, and name the catalogue's item ids; a store "
        "that is to have no users any more accepts it once",
    ),
    "model_id": Gate(
        "places that name another model than the embeddings (features, files, index, users) = 0",
        "run every stage again with one model (`itemsage daily --attempt 1`)",
        acceptable=False,
    ),
}

#: The gates that are listed of every run, if only as skipped.
OF_EVERY_RUN = tuple(name for name, gate in GATES.items() if gate.of_every_run)

#: Of each stage that has no gate above: its name is the stage's.
STAGE_GATE = Gate(
    "files unlike their sha256, problems that the stage's own check finds = 0",
    "remove the stage's folders and its units/ of the run and repeat the call",
    acceptable=False,
)


def gate_of(name: str) -> Gate:
    """The gate of a name; any other name is a stage's."""
    return GATES.get(name, STAGE_GATE)


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """What one gate says: today's `value`, yesterday's (`baseline`), and the bound that the value was held against.

    value is None where nothing was measured; baseline where there is no number of yesterday, because there is no
    yesterday or because the value itself compares the days. message has the numbers in a sentence. accepted_reason is
    set exactly for status "accepted": failed, and published all the same.
    """

    name: str
    status: str
    formula: str
    value: float | None
    baseline: float | None
    threshold: float | None
    message: str
    remedy: str
    accepted_reason: str | None = None


def number(value: float) -> str:
    """
    >>> number(12345), number(0.699999), number(1.0)
    ('12,345', '0.699999', '1')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{_DIGITS}f}".rstrip("0").rstrip(".")


def rounded(value: float) -> float:
    """As a result keeps it; whole numbers stay."""
    return value if isinstance(value, int) else round(float(value), _DIGITS)


def at_least(value: float, bound: float) -> bool:
    """value >= bound, for a rounded value or bound: 2 of 3 is at least 2/3, .7 at least .8 - .1."""
    return value >= bound - _SLACK


def judged(
    name: str,
    passed: bool,
    message: str,
    *,
    value: float | None = None,
    baseline: float | None = None,
    threshold: float | None = None,
) -> GateResult:
    """The result of a gate that was measured."""
    gate = gate_of(name)
    return GateResult(
        name=name,
        status=PASSED if passed else FAILED,
        formula=gate.formula,
        value=value,
        baseline=baseline,
        threshold=threshold,
        message=printable(message),
        remedy=gate.remedy,
    )


def told(result: GateResult) -> str:
    """A failure with its formula and remedy, in sentences."""
    return f"[{result.name}] {result.message} (formula: {result.formula}). To do: {result.remedy}."


def skipped(name: str, why: str) -> GateResult:
    """The result of a gate that has nothing to measure or to compare with."""
    return replace(judged(name, True, why), status=SKIPPED)


def incomparable(name: str, error: Exception) -> GateResult:
    """The result of a gate that has something to compare with but cannot read it."""
    remedy = (
        "restore the file that is named, or accept this once: of the run before only the comparison is needed, the new "
        "run stands without it"
    )
    return replace(judged(name, False, f"the days cannot be compared: {error}"), remedy=remedy)


def check_accepted(accepted: Mapping[str, str]) -> None:
    """Raises UsageError unless `accepted` maps gates that may be accepted to reasons."""
    can = [name for name, gate in GATES.items() if gate.acceptable]
    if unknown := sorted(accepted.keys() - GATES.keys()):
        raise UsageError(f"expected gates out of {', '.join(can)} in --accept, got {', '.join(map(repr, unknown))}")
    if never := sorted(accepted.keys() - set(can)):
        raise UsageError(
            f"expected gates out of {', '.join(can)} in --accept, got {', '.join(never)}: what fails there is "
            "broken for readers, and no reason publishes it"
        )
    if without := sorted(name for name, reason in accepted.items() if not reason or not reason.strip()):
        raise UsageError(f"expected a reason (--because) for accepting {', '.join(without)}, got none")


def accept(results: list[GateResult], accepted: Mapping[str, str]) -> list[GateResult]:
    """The results with the failed ones that somebody accepts marked so."""
    return [
        replace(result, status=ACCEPTED, accepted_reason=accepted[result.name])
        if result.status == FAILED and result.name in accepted
        else result
        for result in results
    ]
