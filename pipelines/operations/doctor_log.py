"""What a run would make of the engagement log, as far as its first rows tell."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipelines.console.exit_codes import EXIT_THRESHOLD
from pipelines.gating.log import check_quarantine_log, why_rejected
from pipelines.gating.results import FAILED
from pipelines.gating.thresholds import LogThresholds
from pipelines.log_rows import RejectedRows
from pipelines.operations.findings import Finding
from schemas.cell_times import has_offset
from schemas.column_spec import Columns, column_of
from schemas.columns import part_name, table_columns
from schemas.days import UTC_NAME
from schemas.reading import RawRows, plan_slices, read_slice
from schemas.tables import ENGAGEMENTS
from schemas.validation import validate_engagements


def check_log_rows(
    files: Sequence[str], num_rows: int, columns: Mapping[str, Any], thresholds: LogThresholds, time_zone: str
) -> Finding:
    """The first batch of the log's `num_rows` rows held against the gate quarantine_log: a problem if it would stop a
    run of such rows, a warning if some are rejected, or if times are read as UTC though days end in another zone."""
    finding = Finding("rows of engagements")
    with finding.guard("the first rows of the engagements"):
        mapping = table_columns(columns, "engagements")
        counts, offsets = _first_counts(files, mapping)
        rejected, num_read = counts.get("rows_quarantined", 0), counts.get("rows_read", 0)
        of_all = f"the {num_read:,} rows" if num_read >= num_rows else f"the first {num_read:,} of {num_rows:,} rows"
        zone = column_of(mapping, "timestamp").zone
        finding.looked_at = f"{num_read - rejected:,} of {of_all} can be read{_of_zones(offsets, zone)}"
        result = check_quarantine_log(counts, thresholds)
        if result.status == FAILED:
            finding.fail(f"{result.message}. To do: {result.remedy}", EXIT_THRESHOLD)
        elif rejected:
            finding.warn(why_rejected(counts))
        if offsets[False] and zone == UTC_NAME != time_zone:
            finding.warn(
                f"{offsets[False]:,} times have no offset and are read as UTC, though days end in {time_zone}: if they "
                f"are of the clocks there, say so in the config: [columns.engagements] "
                f'timestamp = {{zone = "{time_zone}"}}'
            )
    return finding


def _of_zones(offsets: Mapping[bool, int], zone: str) -> str:
    """How many times are read as of which zone; "" where there is nothing to know."""
    num_local, num_zoned = offsets[False], offsets[True]
    if not num_local:
        return "" if zone == UTC_NAME else "; none of the times lacks an offset, so the zone is not used"
    return f"; times without an offset: {num_local:,}, read as {zone}; with one, or since 1970: {num_zoned:,}"


def _first_counts(files: Sequence[str], columns: Columns) -> tuple[dict[str, int], Counter[bool]]:
    """(counts of the rejected rows and of all of the first batch, its times by whether they have an offset)."""
    rejected_rows = RejectedRows()
    for file_slice in plan_slices(files):
        for raw in read_slice(file_slice, columns, ENGAGEMENTS):
            _, rejected, read = validate_engagements(raw, file_slice)
            rejected_rows.add(rejected)
            return rejected_rows.counts() | {"rows_read": read["rows_read"]}, _offsets(raw)
    return {}, Counter()


def _offsets(raw: RawRows) -> Counter[bool]:
    """The times of a batch by whether they have an offset (see schemas.cell_times.has_offset)."""
    spec = column_of(raw.columns, "timestamp")
    found: Counter[bool] = Counter()
    for number in range(max(len(spec.source), 1)):
        key = part_name("timestamp", number)
        values = raw.mixed[key] if key in raw.mixed else raw.table[key]
        if isinstance(values, pa.ChunkedArray) and pa.types.is_timestamp(values.type):
            found[values.type.tz is not None] += len(values) - values.null_count
            continue
        given = values.to_pylist() if isinstance(values, pa.ChunkedArray) else values
        told = (has_offset(value, spec.time) for value in given if value is not None)
        found.update(has_one for has_one in told if has_one is not None)
    return found
