"""What a run would make of the engagement log, as far as its first rows tell."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.console.exit_codes import EXIT_THRESHOLD
from pipelines.gating.log import check_quarantine_log, why_rejected
from pipelines.gating.results import FAILED
from pipelines.gating.thresholds import LogThresholds
from pipelines.log_rows import RejectedRows
from pipelines.operations.findings import Finding
from schemas.column_spec import Columns
from schemas.columns import table_columns
from schemas.reading import plan_slices, read_slice
from schemas.tables import ENGAGEMENTS
from schemas.validation import validate_engagements


def check_log_rows(
    files: Sequence[str], num_rows: int, columns: Mapping[str, Any], thresholds: LogThresholds
) -> Finding:
    """The first batch of the log's `num_rows` rows held against the gate quarantine_log: a problem if it would stop a
    run of such rows, a warning if some are rejected."""
    finding = Finding("rows of engagements")
    with finding.guard("the first rows of the engagements"):
        counts = _first_counts(files, table_columns(columns, "engagements"))
        rejected, num_read = counts.get("rows_quarantined", 0), counts.get("rows_read", 0)
        of_all = f"the {num_read:,} rows" if num_read >= num_rows else f"the first {num_read:,} of {num_rows:,} rows"
        finding.looked_at = f"{num_read - rejected:,} of {of_all} can be read"
        result = check_quarantine_log(counts, thresholds)
        if result.status == FAILED:
            finding.fail(f"{result.message}. To do: {result.remedy}", EXIT_THRESHOLD)
        elif rejected:
            finding.warn(why_rejected(counts))
    return finding


def _first_counts(files: Sequence[str], columns: Columns) -> dict[str, int]:
    rejected_rows = RejectedRows()
    for file_slice in plan_slices(files):
        for raw in read_slice(file_slice, columns, ENGAGEMENTS):
            _, rejected, read = validate_engagements(raw, file_slice)
            rejected_rows.add(rejected)
            return rejected_rows.counts() | {"rows_read": read["rows_read"]}
    return {}
