"""A catalogue of which no row is left: what it says of why, and what to do."""

from collections import Counter

from schemas.columns.raw_rows import BLANK_ROWS, NONE_OF_TEXT, REPEATED_HEADERS
from schemas.errors import ThresholdError
from schemas.validation.left_out_rows import ROWS_LEFT_OUT


def check_some_valid(counts: Counter[str], catalog: str, run: str) -> None:
    """Raises ThresholdError if no row is valid. counts: of all units of the stage; run: its folder, whose quarantine
    says why."""
    if not (counts["rows_written"] or counts["rows_read"] or any(counts[name] for name in NONE_OF_TEXT)):
        raise ThresholdError(
            f"expected at least one valid row, got none: {catalog} has no rows: see whether its export is "
            "whole. Nothing is published: readers see what they saw before"
        )
    if counts["rows_read"] and counts[ROWS_LEFT_OUT] == counts["rows_read"]:
        raise ThresholdError(
            f"expected at least one row that stays, got none: leave_out in [columns] of the config file leaves out all "
            f"{counts[ROWS_LEFT_OUT]:,} of {catalog}. To do: see whether its texts are those of products that "
            "customers do not see, and whether the export has any others. Nothing is published: readers see what they "
            "saw before"
        )
    if counts["rows_written"] == 0:
        reasons = {name.removeprefix("reason:"): n for name, n in sorted(counts.items()) if name.startswith("reason:")}
        others = (
            (ROWS_LEFT_OUT, "are left out by leave_out"),
            (BLANK_ROWS, "are blank"),
            (REPEATED_HEADERS, "repeat the header"),
        )
        told_others = [f"{counts[name]:,} {what}" for name, what in others if counts[name]]
        why = ", ".join([*(f"{count:,} {name}" for name, count in reasons.items()), *told_others]) or "there is none"
        raise ThresholdError(
            f"expected at least one valid row, got none of {counts['rows_read']:,} in {catalog} ({why}). To do: "
            f"see reason and remedy of each row in {run}/quarantine; null ids often mean that [columns] of the "
            "config file names another column. Nothing is published: readers see what they saw before"
        )
