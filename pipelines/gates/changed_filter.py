"""A gate that fails because the shop's own filter was changed says so: rows that `leave_out` leaves out are missing for
readers, and what is left has other shares of texts and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipelines.gates.results import FAILED, GateResult
from pipelines.run.opened import DAMAGE, Run
from schemas.quarantine import quote
from schemas.tables import LEAVE_OUT
from schemas.validation.left_out_rows import ROWS_LEFT_OUT

#: What a filter moves.
GATES_OF_ROWS = ("row_count", "coverage", "coverage_text", "coverage_pictures", "coverage_fields")
#: Texts of each kind that a message names.
_MOST_NAMED = 5
_REMEDY = f"where {LEAVE_OUT.name} of [columns] was changed"

#: A column of the shop's -> the texts of rows that are left out.
Filter = Mapping[str, Sequence[str]]


def filter_of(run: Run) -> Filter | None:
    """The filter that a run's items were made with; None if it does not tell (older runs that left rows out). Raises
    what reading a damaged run raises."""
    manifest = run.manifest("items")
    told = manifest.facts.get(LEAVE_OUT.name, None if manifest.counts.get(ROWS_LEFT_OUT) else {})
    is_filter = isinstance(told, dict) and all(isinstance(texts, list) for texts in told.values())
    return told if is_filter else None


def change_in_words(today: Filter, yesterday: Filter) -> str:
    """What has come and what has gone; "" where both are the same.

    >>> change_in_words({"Status": ["draft", "old"]}, {"Status": ["draft"], "Published": ["false"]})
    "leave_out of [columns] has changed since: new is 'Status' = 'old', gone is 'Published' = 'false'"
    """
    now, before = ({(name, text) for name, texts in one.items() for text in texts} for one in (today, yesterday))
    told = [
        f"{what} is {_listed(sorted(pairs))}"
        for what, pairs in (("new", now - before), ("gone", before - now))
        if pairs
    ]
    return f"{LEAVE_OUT.name} of [columns] has changed since: {', '.join(told)}" if told else ""


def _listed(pairs: Sequence[tuple[str, str]]) -> str:
    more = f" and {len(pairs) - _MOST_NAMED:,} more" if len(pairs) > _MOST_NAMED else ""
    return ", ".join(f"{quote(name)} = {quote(text)}" for name, text in pairs[:_MOST_NAMED]) + more


def with_changed_filter(results: Sequence[GateResult], today: Run, yesterday: Run) -> list[GateResult]:
    """The results; failures of GATES_OF_ROWS name a filter that is another than yesterday's as their likely cause."""
    changed = _changed(today, yesterday) if any(map(_may_be_moved, results)) else ""
    return [_named(result, changed) if changed and _may_be_moved(result) else result for result in results]


def _may_be_moved(result: GateResult) -> bool:
    """Whether a gate failed by what it measured, which a filter moves."""
    return result.status == FAILED and result.name in GATES_OF_ROWS and result.value is not None


def _changed(today: Run, yesterday: Run) -> str:
    try:
        filters = filter_of(today), filter_of(yesterday)
    except DAMAGE:  # other gates say so
        return ""
    return "" if filters[0] is None or filters[1] is None else change_in_words(filters[0], filters[1])


def _named(result: GateResult, changed: str) -> GateResult:
    remedy = result.remedy
    if not remedy.startswith(_REMEDY):
        remedy = f"{_REMEDY} on purpose, accept it this once, with its reason; else {remedy}"
    return replace(result, message=f"{result.message}; {changed}", remedy=remedy)
