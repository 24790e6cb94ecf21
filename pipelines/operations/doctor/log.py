"""What a run would make of the engagement log, as far as its first rows tell."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.console.exit_codes import EXIT_THRESHOLD
from pipelines.console.terminal import found_in_words
from pipelines.console.thresholds import LogThresholds
from pipelines.gates.log import check_quarantine_log, why_rejected
from pipelines.gates.results import FAILED
from pipelines.log.engagement_log import assumed_in_words
from pipelines.log.rows import RejectedRows, without_items_in_words
from pipelines.operations.findings import Finding
from schemas.cell_times import SINCE_1970, WITH_OFFSET, WITHOUT_OFFSET
from schemas.column_spec import Columns, column_of
from schemas.columns import table_columns
from schemas.days import UTC_NAME
from schemas.log_events import NO_ROWS
from schemas.log_validation import validate_engagements
from schemas.offsets_of_times import offsets_of_times
from schemas.reading import plan_slices, read_slice
from schemas.tables import ENGAGEMENTS


def check_log_rows(
    files: Sequence[str], num_rows: int, columns: Mapping[str, Any], thresholds: LogThresholds, time_zone: str
) -> Finding:
    """The first batch of the log's `num_rows` rows held against the gate quarantine_log: a problem if it would stop a
    run of such rows, a warning if some are rejected, or if times are read as UTC though days end in another zone."""
    finding = Finding("rows of engagements")
    with finding.guard("the first rows of the engagements"):
        mapping = table_columns(columns, "engagements")
        counts, no_rows, offsets = _first_counts(files, mapping)
        rejected, num_read = counts.get("rows_quarantined", 0), counts.get("rows_read", 0)
        of_all = f"the {num_read:,} rows" if num_read >= num_rows else f"the first {num_read:,} of {num_rows:,} rows"
        if no_rows:
            of_all = f"{num_read:,} rows of the first events, of which others are none ({found_in_words(no_rows)}),"
        zone = column_of(mapping, "timestamp").zone
        finding.looked_at = f"{num_read - rejected:,} of {of_all} can be read{_of_zones(offsets, zone)}"
        if assumed := assumed_in_words(files, mapping, num_rows):
            finding.looked_at += f"; {assumed}"
        result = check_quarantine_log(counts, thresholds)
        if result.status == FAILED:
            finding.fail(f"{result.message}. To do: {result.remedy}", EXIT_THRESHOLD)
        elif rejected:
            finding.warn(why_rejected(counts))
        if without_items := without_items_in_words(counts):
            finding.warn(without_items)
        if (num_local := offsets[WITHOUT_OFFSET]) and zone == UTC_NAME != time_zone:
            finding.warn(
                f"{num_local:,} times have no offset and are read as UTC, though days end in {time_zone}: if they "
                f"are of the clocks there, say so in the config: [columns.engagements] "
                f'timestamp = {{zone = "{time_zone}"}}'
            )
    return finding


def _of_zones(offsets: Mapping[str, int], zone: str) -> str:
    """How many times are read as of which zone; "" where there is nothing to know."""
    num_local, num_zoned = (
        offsets.get(WITHOUT_OFFSET, 0),
        sum(offsets.get(name, 0) for name in (WITH_OFFSET, SINCE_1970)),
    )
    if not num_local:
        return "" if zone == UTC_NAME else "; none of the times lacks an offset, so the zone is not used"
    return f"; times without an offset: {num_local:,}, read as {zone}; with one, or since 1970: {num_zoned:,}"


def _first_counts(files: Sequence[str], columns: Columns) -> tuple[dict[str, int], dict[str, int], Counter[str]]:
    """(counts of the rejected rows, of all, and of events by action, of the first batch; its events that are no rows;
    its times by whether they have an offset)."""
    rejected_rows = RejectedRows()
    for file_slice in plan_slices(files):
        for raw in read_slice(file_slice, columns, ENGAGEMENTS):
            _, rejected, read = validate_engagements(raw, file_slice)
            rejected_rows.add(rejected)
            counts = rejected_rows.counts() | {"rows_read": read["rows_read"]} | dict(raw.events_by_action)
            no_rows = {name: raw.no_rows[name] for name in NO_ROWS if raw.no_rows.get(name)}
            return counts, no_rows, offsets_of_times(raw)
    return {}, {}, Counter()
