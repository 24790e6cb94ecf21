"""The column of a log's times, the clock beside it, and the format they are written in."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, found_in
from pipelines.init.table.seen import SeenTable
from schemas.cells.date_formats import date_formats, is_year_first
from schemas.cells.text import UnreadableCellError
from schemas.cells.times import timestamp_of
from schemas.coercion.day_and_clock import is_clock
from schemas.columns import usual_names
from schemas.columns.names import plain_name

#: A date without a clock: 2026-06-20 (also at midnight, as a table of days has it), 20260620, 20.06.2026, 20 Jun 2026.
_DAY = re.compile(r"(?:\d{8}|\d{1,4}([-./ ])(?:\d{1,2}|[A-Za-z]{3,9})\1\d{1,4})(?:[T ]00:00:00)?")
#: Ten digits of the years from 2020 on, and their format; seconds of the years from 2033 on begin so, too.
_TEN_DIGITS, _DATE_AND_CLOCK = re.compile(r"[2-9]\d{9}"), "%y%m%d%H%M"
_UTC = usual_names.UTC_WORDS
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
    columns = [column for name in usual_names.TIMES for column in _called(name, table)]
    dated = [column for column in columns if not _mostly(is_clock, column)]
    time = next((column for column in dated if column.filled), next(iter(dated or columns), None))
    if time is None or not _mostly(_is_day, time):
        return None if time is None else _times_of(time)
    clocks = [column for column in table.columns.values() if _is_called_a_clock(column) and _mostly(is_clock, column)]
    clocks.sort(key=lambda clock: says_utc(clock.name) != says_utc(time.name))
    return _times_of(time, *clocks[:1])


def says_utc(name: str) -> bool:
    """Whether a column of times says by its name that they are of UTC.

    >>> says_utc("date_created_gmt"), says_utc("Time (UTC)"), says_utc("UTC time"), says_utc("created_at")
    (True, True, True, False)
    """
    return plain_name(name.rpartition(".")[2]).startswith(_UTC) or plain_name(name).endswith(_UTC)


def _called(name: str, table: SeenTable) -> list[SeenColumn]:
    """The columns of times of a name: the one that says UTC beside it first, unless it is empty where the other is
    not, for the other has clocks of some place."""
    utc = table.column([one for word in _UTC for one in (f"{name}_{word}", f"{word}_{name}")])
    plain = table.column([name])
    is_first = utc is not None and (plain is None or utc.share_filled >= plain.share_filled)
    return [column for column in ([utc, plain] if is_first else [plain]) if column is not None]


def _is_called_a_clock(column: SeenColumn) -> bool:
    return any(word in plain_name(column.name) for word in usual_names.CLOCKS)


def _mostly(is_one: Callable[[str], bool], column: SeenColumn) -> bool:
    looked_at = column.texts[:_LOOKED_AT]
    return 2 * sum(map(is_one, looked_at)) > len(looked_at)


def _is_day(text: str) -> bool:
    """Whether a text may be a date without a clock."""
    return _DAY.fullmatch(text.strip()) is not None


def _is_beyond_seconds(text: str) -> bool:
    """Whether ten digits may be a date and a clock, and are no seconds of a year before 2033 if they are not.

    >>> _is_beyond_seconds("2606201005"), _is_beyond_seconds("1712011005"), _is_beyond_seconds("2026062010")
    (True, False, False)
    """
    return _TEN_DIGITS.fullmatch(text.strip()) is not None and date_formats([text]) == [_DATE_AND_CLOCK]


def _times_of(column: SeenColumn, clock: SeenColumn | None = None) -> FoundColumn:
    """The timestamps of a column, and the one of clocks beside it; in the format that the texts show where they are not
    taken untold."""
    columns = [column] if clock is None else [column, clock]
    texts = column.texts
    if clock is not None:
        pairs = zip(column.values, clock.values, strict=True)
        texts = [f"{day} {at}" for day, at in pairs if None not in (day, at)]
    is_told = any(map(_is_time, column.filled[:_LOOKED_AT]))
    formats = date_formats(texts) if not is_told or _mostly(_is_beyond_seconds, column) else []
    if not formats:
        return found_in(columns, "timestamp")
    if is_told:
        note = f"digits of a date, {formats[0]}, or seconds since 1970? They would be of the years from 2033 on"
        return found_in(columns, "timestamp", options={"time": formats[0]}, notes=[note])
    first = "which part is the year" if any(map(is_year_first, formats)) else "day or month first"
    other = f"{first}? All that was read fits {' and '.join(formats)}" if len(formats) > 1 else ""
    return found_in(columns, "timestamp", options={"time": formats[0]}, notes=[other] if other else [])


def _is_time(value: Any) -> bool:
    """Whether a value is a time without more being told of it."""
    try:
        return timestamp_of(value) is not None
    except UnreadableCellError:
        return False
