"""What a run would make of the engagement log, as far as its first rows tell."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa

from pipelines.console.exit_codes import EXIT_THRESHOLD
from pipelines.console.terminal import found_in_words
from pipelines.console.thresholds import LogThresholds
from pipelines.gates.log import check_quarantine_log, check_used, why_rejected
from pipelines.gates.results import FAILED
from pipelines.log.doubts import Doubts
from pipelines.log.engagement_log import assumed_in_words
from pipelines.log.listed_items import listed_in_words
from pipelines.log.rows import (
    LogUse,
    RejectedRows,
    near_counts,
    near_in_words,
    unknown_counts,
    without_items_in_words,
)
from pipelines.operations.doctor.inputs import warn_of_mixed_ids
from pipelines.operations.findings import Finding
from schemas.cells.times import SINCE_1970, WITH_OFFSET, WITHOUT_OFFSET
from schemas.coercion.offsets_of_times import offsets_of_times
from schemas.columns.mapping import table_columns
from schemas.columns.spec import Columns, column_of
from schemas.days import UTC_NAME, end_of_day_us
from schemas.events.paths import NO_ROWS
from schemas.reading.rows import read_table
from schemas.tables import ENGAGEMENTS
from schemas.validation.log import validate_engagements


class _FirstRows(NamedTuple):
    """counts: of the rejected rows, of all, and of events by action; no_rows: events that are none; offsets: times by
    whether they have an offset; items: the rows of each; is_whole: whether the log has no more; use: of the rows that
    can be read, as the log stage counts them, as if the catalogue had every item."""

    counts: Mapping[str, int]
    no_rows: Mapping[str, int]
    offsets: Counter[str]
    items: Counter[str]
    is_whole: bool
    use: Mapping[str, int]
    doubts: Doubts


def check_log_rows(
    files: Sequence[str],
    num_rows: int,
    columns: Mapping[str, Any],
    thresholds: LogThresholds,
    time_zone: str,
    item_ids: Collection[str] | None = None,
    date: str | None = None,
) -> Finding:
    """The first batch of the log's `num_rows` rows held against the gates of a log: a problem if it would stop a run of
    such rows, a warning if some are rejected, if they are doubtful, or if times are read as UTC though days end in
    another zone. item_ids: of the whole catalogue, None where that is not known. date: the day of the run."""
    finding = Finding("rows of engagements")
    with finding.guard("the first rows of the engagements"):
        mapping = table_columns(columns, "engagements")
        first = _first_rows(files, mapping, end_of_day_us(date, time_zone))
        counts, no_rows, offsets = first.counts, first.no_rows, first.offsets
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
        warn_of_mixed_ids(files, mapping, ENGAGEMENTS, counts, num_rows, finding)
        for doubt in first.doubts.in_words(datetime.now(UTC).year):
            finding.warn(doubt)
        _check_use(finding, first, date)
        if item_ids is not None and first.items:
            _check_items(finding, first, item_ids)
        if (num_local := offsets[WITHOUT_OFFSET]) and zone == UTC_NAME != time_zone:
            finding.warn(
                f"{num_local:,} times have no offset and are read as UTC, though days end in {time_zone}: if they "
                f"are of the clocks there, say so in the config: [columns.engagements] "
                f'timestamp = {{zone = "{time_zone}"}}'
            )
    return finding


def _check_use(finding: Finding, first: _FirstRows, date: str | None) -> None:
    """How many rows are after the day of the run; a problem if for that and other reasons none is of use, whatever the
    catalogue has, a warning if that is so of the first of many rows."""
    if num_after := first.use.get("rows_after_date", 0):
        finding.looked_at += f"; {num_after:,} are after {date}, and not used"
    if not first.use.get("rows_read") or first.use["rows_used"]:
        return
    message = check_used(first.use).message
    if first.is_whole:
        finding.fail(message, EXIT_THRESHOLD)
    else:
        finding.warn(message)


def _check_items(finding: Finding, first: _FirstRows, item_ids: Collection[str]) -> None:
    """A problem if no row of a log is on an item of the catalogue, in the words of the gate that would stop a run; a
    warning if that is so of the first of many rows, or if rows on other items show why."""
    items = first.items
    num_rows, num_known = sum(items.values()), sum(count for item, count in items.items() if item in item_ids)
    finding.looked_at += f"; {num_known:,} of {num_rows:,} are on items of the catalogue"
    why = [near_in_words(near_counts(items, item_ids)), listed_in_words(items, item_ids)]
    if num_known:
        for warning in filter(None, why):
            finding.warn(warning)
        return
    counts = {"rows_read": num_rows, "rows_used": 0, "rows_item_unknown": num_rows, **unknown_counts(items)}
    result = check_used({**counts, **near_counts(items, item_ids)})
    message = "; ".join(filter(None, (result.message, why[1])))
    if first.is_whole:
        finding.fail(message, EXIT_THRESHOLD)
    else:
        finding.warn(message)


def _of_zones(offsets: Mapping[str, int], zone: str) -> str:
    """How many times are read as of which zone; "" where there is nothing to know."""
    num_local, num_zoned = (
        offsets.get(WITHOUT_OFFSET, 0),
        sum(offsets.get(name, 0) for name in (WITH_OFFSET, SINCE_1970)),
    )
    if not num_local:
        return "" if zone == UTC_NAME else "; none of the times lacks an offset, so the zone is not used"
    return f"; times without an offset: {num_local:,}, read as {zone}; with one, or since 1970: {num_zoned:,}"


def _first_rows(files: Sequence[str], columns: Columns, end_us: int | None) -> _FirstRows:
    """What the first batch of the log has. end_us: of the day of the run, see LogUse."""
    batches = read_table(files, columns, ENGAGEMENTS)
    file_slice, raw = next(batches, (None, None))
    if file_slice is None or raw is None:
        return _FirstRows({}, {}, Counter(), Counter(), True, {}, Doubts())
    rejected_rows = RejectedRows()
    good, rejected, read = validate_engagements(raw, file_slice)
    rejected_rows.add(rejected)
    counts = rejected_rows.counts() | {"rows_read": read["rows_read"]} | dict(raw.events_by_action)
    no_rows = {name: raw.no_rows[name] for name in NO_ROWS if raw.no_rows.get(name)}
    items = Counter(good["item_id"].to_pylist())
    use = LogUse(end_us, pa.array(items, pa.string()))
    use.add(good)
    used = {"rows_read": len(good), "rows_used": len(use.take()), **use.counts()}
    doubts = Doubts()
    doubts.add(good, read)
    return _FirstRows(counts, no_rows, offsets_of_times(raw), items, next(batches, None) is None, used, doubts)
