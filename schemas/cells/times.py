"""Cells as UTC timestamps: whole columns at once where all is well, value by value where not.

Taken untold: timestamps of any unit and zone; dates; ISO 8601 text, also with ` UTC` or a blank before its zone, or
without its marks (20260620T100000Z); RFC 2822 text; numbers, and their text, of seconds, milliseconds, microseconds or
nanoseconds since 1970. The unit shows in the size of a number: of the years from 1990 to 2099 no number of one unit is
one of another, nor one of digits of a date (20260620). Other numbers need their unit told, and so do ten digits that
are a date and an hour, too (2026062010, as Google Analytics writes it): seconds of the years 2033 to 2036 may be.
Without a zone it is UTC, unless the zone of its clocks is told (see days.in_zone); finer than microseconds is cut.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrow_types import ARROW_REFUSALS, is_text
from schemas.cells.text import UnreadableCellError, cell_text
from schemas.days import UTC_NAME, in_zone, time_zone
from schemas.tables import TIMESTAMP

#: Units that a config may tell -> how many a second has.
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
#: How a time says its moment, as a log's counts call it.
OFFSETS = WITH_OFFSET, WITHOUT_OFFSET, SINCE_1970 = "times_with_offset", "times_without_offset", "times_since_1970"
_FIRST_S, _END_S = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1990, 2100))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANGE = [pa.scalar(datetime(year, 1, 1, tzinfo=UTC), TIMESTAMP) for year in (1, 9999)]
_RANGE_US = [int((datetime(year, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()) * 1_000_000 for year in (1, 9999)]
_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?")
#: `fromisoformat` also takes bare digits, so that a number would become a date of its own.
_ISO_DATE = re.compile(r"\d{4}-")
_BASIC_ISO = re.compile(r"\d{8}T\d{4}(?:\d\d(?:\.\d{1,20})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?")
#: Ten digits of a date and an hour, as their number.
_FIRST_HOUR, _LAST_HOUR = 1990_01_01_00, 2099_12_31_23
_NAMED_UTC = re.compile(r"\s*(?:UTC|GMT|Z)$")
_RFC_2822 = re.compile(r"(?:[A-Z][a-z]{2},\s*)?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d.{0,20}")
_UNKNOWN_ZONE = "-0000"
_LONGEST_TEXT = 100
#: Local times that Arrow gives the same moment as zoneinfo: its table of changes ends in 2037.
_ARROW_KNOWS = [pa.scalar(datetime(year, 1, 1), pa.timestamp("us")) for year in (1901, 2037)]


def timestamp_of(value: Any, told: str | None = None, zone: str = UTC_NAME) -> datetime | None:
    """The UTC timestamp that a value says, None for NaN and for blank text. told: one of UNITS for numbers, or a format
    of strptime for text. zone: IANA name of the zone of a time that says none, see days.in_zone. Raises
    UnreadableCellError for what is none, and for years outside 1..9998.

    >>> timestamp_of("1781949600000").isoformat(), timestamp_of("Sat, 20 Jun 2026 12:00:00 +0200").isoformat()
    ('2026-06-20T10:00:00+00:00', '2026-06-20T10:00:00+00:00')
    """
    try:
        parsed = _parsed(value, told)
        if parsed is None:
            return None
        parsed = (in_zone(parsed, time_zone(zone)) if parsed.tzinfo is None else parsed).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UnreadableCellError("wrong_type", value) from None
    if parsed.year >= 9999:
        raise UnreadableCellError("wrong_type", value)
    return parsed


def offset_of(value: Any, told: str | None = None) -> str | None:
    """Which of OFFSETS the time is that a value says: a clock of a zone; one of UTC, or of the zone that is told; a
    number, whose moment no zone changes. None for what is no time. told: as of timestamp_of.

    >>> offset_of("2026-06-20 10:00+02:00"), offset_of("2026-06-20 10:00"), offset_of("1781949600")
    ('times_with_offset', 'times_without_offset', 'times_since_1970')
    """
    try:
        parsed = _parsed(value, told)
    except (ValueError, OverflowError):  # UnreadableCellError too
        return None
    if parsed is None:
        return None
    if parsed.tzinfo is None:
        return WITHOUT_OFFSET
    is_number = told in UNITS or not isinstance(value, str | bytes) or _NUMBER.fullmatch(str(cell_text(value)).strip())
    is_format = told is not None and told not in UNITS
    return SINCE_1970 if is_number and not is_format and not isinstance(value, datetime) else WITH_OFFSET


def fast_timestamps(column: pa.Array, told: str | None = None, zone: str = UTC_NAME) -> pa.Array | None:
    """The column as TIMESTAMP if all of it is plain to Arrow, else None: then timestamp_of tells. zone: as there."""
    kind = column.type
    try:
        if pa.types.is_null(kind):
            return column.cast(TIMESTAMP)
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            in_us = pa.timestamp("us", getattr(kind, "tz", None))
            values = _in_utc(pc.cast(column, options=pc.CastOptions(target_type=in_us, allow_time_truncate=True)), zone)
        elif pa.types.is_integer(kind):
            return _numbers(column.cast(pa.int64()), told)
        elif is_text(kind):
            column.validate(full=True)
            return _texts(column.cast(pa.string()), told, zone)
        else:
            return None
    except ARROW_REFUSALS:
        return None
    return values if values is not None and _in_range(values) else None


def _in_utc(values: pa.Array, zone: str) -> pa.Array | None:
    """Microseconds as TIMESTAMP, those without a zone as clocks of `zone` show them; None if zoneinfo has to tell."""
    if values.type.tz is not None or zone == UTC_NAME:
        return values.cast(TIMESTAMP)
    first, end = _ARROW_KNOWS
    if pc.all(pc.and_(pc.greater_equal(values, first), pc.less(values, end))).as_py() is False:
        return None
    return pc.assume_timezone(values, zone, ambiguous="earliest", nonexistent="raise").cast(TIMESTAMP)


def _texts(column: pa.Array, told: str | None, zone: str) -> pa.Array | None:
    try:
        if told in UNITS or (told is None and pc.all(pc.match_substring_regex(column, r"^\d+$")).as_py()):
            return _numbers(column.cast(pa.int64()), told)
    except pa.ArrowInvalid:  # more digits than an int64 has, or none
        return None
    if told is not None:
        return None
    for text in (column, pc.replace_substring_regex(column, r"\s*(?:UTC|GMT|Z)$", "Z")):
        for kind in (pa.timestamp("us"), TIMESTAMP):  # Arrow wants all with a zone or all without
            try:
                values = _in_utc(text.cast(kind), zone)
                return values if values is not None and _in_range(values) else None
            except ARROW_REFUSALS:
                continue
    return None


def _numbers(column: pa.Array, told: str | None) -> pa.Array | None:
    """int64 as timestamps; None if one of them needs to be looked at."""
    if told is not None and told not in UNITS:
        return None
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    numbers = column.fill_null(0).to_numpy()
    found, known = np.zeros(len(numbers), np.int64), ~valid
    for unit in (told,) if told is not None else UNITS:
        second = UNITS[unit]
        low, high = (_RANGE_US[0] // 10**6, _RANGE_US[1] // 10**6) if told is not None else (_FIRST_S, _END_S)
        low, high = max(low * second, -(2**63)), min(high * second, 2**63 - 1)
        of_unit = (numbers >= low) & (numbers < high) & valid
        if told is None and unit == "s" and (of_unit & _may_be_date_and_hour(numbers)).any():
            return None
        in_us = numbers * (10**6 // second) if second <= 10**6 else numbers // (second // 10**6)
        found, known = np.where(of_unit, in_us, found), known | of_unit
    if not known.all():
        return None
    return pa.array(found, pa.int64(), mask=~valid).cast(TIMESTAMP)


def _in_range(values: pa.Array) -> bool:
    low, high = _RANGE
    return pc.all(pc.and_(pc.greater_equal(values, low), pc.less(values, high))).as_py() is not False


def _parsed(value: Any, told: str | None) -> datetime | None:
    """Raises ValueError and OverflowError for what is no timestamp."""
    if isinstance(value, str | bytes):
        return _parsed_text(str(cell_text(value)).strip(), told)
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, np.floating):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError
    if value != value:
        return None
    is_format = told is not None and told not in UNITS  # 20260620, of %Y%m%d
    return _parsed_text(str(cell_text(value)), told) if is_format else _since_epoch(Fraction(value), told)


def _parsed_text(text: str, told: str | None) -> datetime | None:
    if not text:
        return None
    if len(text) > _LONGEST_TEXT:
        raise ValueError
    if told is not None and told not in UNITS:
        return datetime.strptime(text, told)
    if _NUMBER.fullmatch(text):
        return _since_epoch(Fraction(text), told)
    if told is not None:
        raise ValueError
    if _ISO_DATE.match(text):
        return datetime.fromisoformat(re.sub(r"\s+([+-]\d\d:?\d\d)$", r"\1", _NAMED_UTC.sub("+00:00", text)))
    if _BASIC_ISO.fullmatch(text):
        return datetime.fromisoformat(text)
    if _RFC_2822.fullmatch(text):
        parsed = parsedate_to_datetime(text)  # without a zone also for -0000, which is UTC of clocks elsewhere
        return parsed.replace(tzinfo=UTC) if _UNKNOWN_ZONE in text else parsed
    raise ValueError


def _since_epoch(number: Fraction, told: str | None) -> datetime:
    for unit, second in UNITS.items():
        seconds = number / second
        if unit == told or (told is None and _FIRST_S <= seconds < _END_S):
            if not abs(seconds) < 10**12 or (told is None and unit == "s" and _is_date_and_hour(seconds)):
                raise ValueError
            return _EPOCH + timedelta(microseconds=int(seconds * 10**6 // 1))
    raise ValueError


def _is_date_and_hour(number: Fraction) -> bool:
    if number.denominator != 1 or not _FIRST_HOUR <= number <= _LAST_HOUR:
        return False
    try:
        datetime.strptime(str(number), "%Y%m%d%H")
    except ValueError:
        return False
    return True


def _may_be_date_and_hour(numbers: np.ndarray) -> np.ndarray:
    """bool: which of int64 have digits of a month, a day and an hour; how many days a month has is not looked at."""
    month, day, hour = numbers // 10**4 % 100, numbers // 100 % 100, numbers % 100
    is_date = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    return (numbers >= _FIRST_HOUR) & (numbers <= _LAST_HOUR) & is_date & (hour <= 23)
