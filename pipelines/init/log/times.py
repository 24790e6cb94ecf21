"""The column of a log's times, the clock beside it, and the format they are written in."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, found_in
from pipelines.init.table.seen import SeenTable
from schemas.cells.date_formats import date_formats
from schemas.cells.text import UnreadableCellError
from schemas.cells.times import timestamp_of
from schemas.coercion.day_and_clock import is_clock
from schemas.columns import usual_names
from schemas.columns.names import plain_name

#: A date without a clock: 2026-06-20 (also at midnight, as a table of days has it), 20260620, 20.06.2026, 20 Jun 2026.
_DAY = re.compile(r"(?:\d{8}|\d{1,4}([-./ ])(?:\d{1,2}|[A-Za-z]{3,9})\1\d{1,4})(?:[T ]00:00:00)?")
#: Values that show whether they are times.
_LOOKED_AT = 200


def times_of_log(table: SeenTable) -> FoundColumn | None:
    """The timestamps, of a column of times or else of days; None without any."""
    if (times := _times(table)) is not None:
        return times
    if (day := table.column(usual_names.DAYS)) is None:
        return None
    found = _times_of(day)
    return replace(found, notes=("days alone: actions of one day have one time", *found.notes))


def _times(table: SeenTable) -> FoundColumn | None:
    """The timestamps: of the likeliest column, with the clock beside it if it has days alone; None without any."""
    columns = [column for name in usual_names.TIMES if (column := table.column([name])) is not None]
    dated = [column for column in columns if not _mostly(is_clock, column)]
    time = next((column for column in dated if column.filled), next(iter(dated or columns), None))
    if time is None or not _mostly(_is_day, time):
        return None if time is None else _times_of(time)
    clocks = [column for column in table.columns.values() if _is_called_a_clock(column) and _mostly(is_clock, column)]
    return _times_of(time, *clocks[:1])


def _is_called_a_clock(column: SeenColumn) -> bool:
    return any(word in plain_name(column.name) for word in usual_names.CLOCKS)


def _mostly(is_one: Callable[[str], bool], column: SeenColumn) -> bool:
    looked_at = column.texts[:_LOOKED_AT]
    return 2 * sum(map(is_one, looked_at)) > len(looked_at)


def _is_day(text: str) -> bool:
    """Whether a text may be a date without a clock."""
    return _DAY.fullmatch(text.strip()) is not None


def _times_of(column: SeenColumn, clock: SeenColumn | None = None) -> FoundColumn:
    """The timestamps of a column, and the one of clocks beside it; in the format that the texts show where they are not
    taken untold."""
    columns = [column] if clock is None else [column, clock]
    texts = column.texts
    if clock is not None:
        pairs = zip(column.values, clock.values, strict=True)
        texts = [f"{day} {at}" for day, at in pairs if None not in (day, at)]
    formats = [] if any(map(_is_time, column.filled[:_LOOKED_AT])) else date_formats(texts)
    if not formats:
        return found_in(columns, "timestamp")
    other = f"day or month first? All that was read fits {' and '.join(formats)}" if len(formats) > 1 else ""
    return found_in(columns, "timestamp", options={"time": formats[0]}, notes=[other] if other else [])


def _is_time(value: Any) -> bool:
    """Whether a value is a time without more being told of it."""
    try:
        return timestamp_of(value) is not None
    except UnreadableCellError:
        return False
