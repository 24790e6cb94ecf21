"""The part of an engagement log that the tasks look at: clicks, carts, purchases and returns, equal rows once."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from model.measures.log_rows import BUY, CLICK, IN_CART, RETURN
from pipelines.console.progress import Progress
from pipelines.console.thresholds import LogThresholds
from pipelines.gates.log import require_sound_log
from pipelines.log.equal_rows import EVENT, ROWS_EQUAL, with_events, without_equal
from pipelines.log.rows import RejectedRows
from schemas.columns.mapping import table_columns
from schemas.files import expand_inputs
from schemas.reading.input_files import check_columns, count_rows
from schemas.reading.rows import read_table
from schemas.tables import ENGAGEMENTS
from schemas.validation.log import validate_engagements

_ACTIONS = (CLICK, IN_CART, BUY, RETURN)


def read_sessions(
    engagements: str,
    columns: Mapping[str, Any],
    date: str | None,
    end_us: int | None,
    item_ids: pa.Array,
    thresholds: LogThresholds,
    before: str,
) -> tuple[pa.Table, dict[str, int]]:
    """(ENGAGEMENTS of _ACTIONS on these items before `end_us`, counts); rows of no session too, which tell how often an
    item was clicked.

    date: stands for {date}; before: what is made of it, for messages. Counts: rows_read = rows_quarantined +
    rows_after_date + rows_other_actions + rows_item_unknown + rows_equal + rows_used. Raises UsageError for inputs that
    are not there or lack a column, ThresholdError if too much of the log is rejected.
    """
    files = expand_inputs(engagements, date)
    ours = table_columns(columns, "engagements")
    check_columns(files, ours, ENGAGEMENTS)
    counts: Counter[str] = Counter(rows_read=0, rows_quarantined=0)
    rejected_rows, tables = RejectedRows(), [with_events(ENGAGEMENTS.empty_table())]
    progress = Progress("engagements", "rows", count_rows(files, ours, ENGAGEMENTS))
    for part, raw in read_table(files, ours, ENGAGEMENTS):
        valid, rejected, read = validate_engagements(raw, part)
        rejected_rows.add(rejected)
        counts.update(rows_read=read["rows_read"], rows_quarantined=len(rejected))
        tables.append(_kept(valid, end_us, counts))
        progress.advance(read["rows_read"])
    progress.close()
    require_sound_log(rejected_rows.counts() | {"rows_read": counts["rows_read"]}, thresholds, before)
    rows = pa.concat_tables(tables)
    rows, num_rows = rows.filter(pc.is_in(rows["item_id"], value_set=item_ids)), len(rows)
    counts["rows_item_unknown"] = num_rows - len(rows)
    rows, counts[ROWS_EQUAL] = without_equal(rows, "timestamp")
    counts["rows_used"] = len(rows)
    return rows.drop_columns([EVENT]), dict(counts)


def _kept(valid: pa.Table, end_us: int | None, counts: Counter[str]) -> pa.Table:
    masks = {"rows_other_actions": lambda rows: pc.is_in(rows["action"], pa.array(_ACTIONS))}
    if end_us is not None:
        masks = {"rows_after_date": lambda rows: pc.less(rows["timestamp"].cast(pa.int64()), end_us)} | masks
    for name, mask in masks.items():
        kept = valid.filter(mask(valid))
        counts[name] += len(valid) - len(kept)
        valid = kept
    return with_events(valid)
