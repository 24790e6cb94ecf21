"""The engagements that evaluation of users knows: actions, and what users were shown, in memory."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.users.actions import Actions
from pipelines.console.progress import Progress
from pipelines.console.thresholds import LogThresholds
from pipelines.gates.log import require_sound_log
from pipelines.log.equal_rows import ROWS_EQUAL, without_equal
from pipelines.log.rows import RejectedRows
from pipelines.run.item_vectors import VectorsSource, load_vectors
from pipelines.users.read_actions import ActionsSource, actions_in_window, why_unused, with_item_rows
from schemas.columns.mapping import table_columns
from schemas.columns.spec import Columns, ColumnsOfTable
from schemas.errors import ThresholdError
from schemas.files import expand_inputs
from schemas.reading.input_files import check_columns, count_rows
from schemas.reading.rows import read_table
from schemas.tables import ENGAGEMENTS
from schemas.validation.log import validate_engagements


def read_user_log(
    engagements: str,
    columns: Mapping[str, Any],
    vectors: VectorsSource,
    kinds: Sequence[str],
    from_us: int,
    shown_from_us: int,
    to_us: int,
    date: str | None,
    thresholds: LogThresholds,
) -> tuple[Actions, Actions | None, dict[str, int]]:
    """(actions of `kinds` at from_us <= time < to_us, impressions at shown_from_us <= time < to_us or None if the log
    has none, counts). Only items that have a vector; the impressions have the user numbers of the actions.

    Counts: rows_read = rows_quarantined + rows_after_date + rows_other_actions (impressions too) + rows_without_user +
    rows_too_old + rows_equal (if there are any) + rows_item_unknown + rows_used.
    Raises UsageError for inputs that are not there or lack a column, ThresholdError if too much of the log is rejected
    or nothing of it is used.
    """
    files = expand_inputs(engagements, date)
    ours = table_columns(columns, "engagements")
    check_columns(files, ours, ENGAGEMENTS)
    acted, shown = _source(kinds, from_us, to_us, vectors), _source(["impression"], shown_from_us, to_us, vectors)
    counts: Counter[str] = Counter()
    acted_rows, shown_rows = _read_rows(files, ours, acted, shown, counts, thresholds)
    distinct, num_equal = without_equal(acted_rows, "time_us")
    counts.update({ROWS_EQUAL: num_equal} if num_equal else {})
    names, users_M, rows_M, times_us_M = _columns(distinct)
    counts["rows_item_unknown"], counts["rows_used"] = int((rows_M < 0).sum()), int((rows_M >= 0).sum())
    if counts["rows_read"] and not counts["rows_used"]:
        raise ThresholdError(f"expected rows of {engagements} that make users, got none: {why_unused(counts, '')}")
    known_M = rows_M >= 0
    actions = Actions(names.to_pylist(), users_M[known_M], rows_M[known_M], times_us_M[known_M])
    impressions, _ = without_equal(shown_rows, "time_us")
    return actions, _impressions(impressions, names), dict(counts)


def _read_rows(
    files: Sequence[str],
    columns: Columns,
    acted: ActionsSource,
    shown: ActionsSource,
    counts: Counter[str],
    thresholds: LogThresholds,
) -> tuple[pa.Table, pa.Table]:
    """ACTIONS with the rows of their items, of both kinds; others are counted. Raises ThresholdError if too many are
    rejected."""
    rejected_rows = RejectedRows()
    tables: tuple[list[pa.Table], list[pa.Table]] = ([], [])
    progress = Progress("engagements", "rows", count_rows(files))
    for file_slice, raw in read_table(files, columns, ENGAGEMENTS):
        valid, rejected, read = validate_engagements(raw, file_slice, stage="users")
        rejected_rows.add(rejected)
        rows, left_out = actions_in_window(valid, acted)
        counts.update(left_out, rows_read=read["rows_read"], rows_quarantined=len(rejected))
        for found, of_kind in zip(tables, (rows, actions_in_window(valid, shown)[0]), strict=True):
            found.append(of_kind)
        progress.advance(read["rows_read"])
    progress.close()
    read_in_all = rejected_rows.counts() | {"rows_read": counts["rows_read"]}
    require_sound_log(read_in_all, thresholds, "users are calibrated or evaluated")
    item_ids = load_vectors(acted.vectors).ids  # looked up once: each look-up hashes the whole catalogue
    acted_rows, shown_rows = (with_item_rows(pa.concat_tables(found), item_ids) for found in tables)
    return acted_rows, shown_rows


def _source(kinds: Sequence[str], from_us: int, to_us: int, vectors: VectorsSource) -> ActionsSource:
    return ActionsSource(
        run="",
        columns=ColumnsOfTable({}, []),
        actions=list(kinds),
        start_us=from_us,
        end_us=to_us,
        num_buckets=1,
        vectors=vectors,
        fingerprint="",
    )


def _columns(rows: pa.Table) -> tuple[pa.Array, np.ndarray, np.ndarray, np.ndarray]:
    """(user ids, ascending; user numbers; item rows, -1 for one without a vector; times) of ACTIONS."""
    names = rows["user_id"].unique().sort()
    return names, *_numbers(rows, names)


def _numbers(rows: pa.Table, names: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User numbers, -1 for a user that `names` lacks; item rows; times."""
    users = pc.fill_null(pc.index_in(rows["user_id"], value_set=names), -1)
    return users.to_numpy(), rows["item_row"].to_numpy(), rows["time_us"].to_numpy()


def _impressions(rows: pa.Table, names: pa.Array) -> Actions | None:
    if not len(rows):
        return None
    users_M, rows_M, times_us_M = _numbers(rows, names)
    known_M = (users_M >= 0) & (rows_M >= 0)
    return Actions(names.to_pylist(), users_M[known_M], rows_M[known_M], times_us_M[known_M])
