"""Columns of any type into columns of ours: whole columns at once where all is well, value by value where not.

Each function returns the coerced column, null where a value was null or could not be coerced, and records why not in
`faults`: row -> the first fault found in it.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas.quarantine import quote
from schemas.reading import RawRows
from schemas.tables import TIMESTAMP

_ARROW_REFUSALS = (pa.ArrowInvalid, pa.ArrowNotImplementedError)
_STRINGS = pa.list_(pa.string())
_TIMESTAMP_RANGE = [pa.scalar(datetime(year, 1, 1, tzinfo=UTC), TIMESTAMP) for year in (1, 9999)]
#: `fromisoformat` also takes bare digits, so an epoch number would silently become a date of its own.
_ISO_DATE = re.compile(r"\d{4}-")


class Fault(NamedTuple):
    """What is wrong with a row; fields as in schemas.quarantine.Rejection."""

    reason: str
    expected: str
    got: str


Faults = dict[int, Fault]


class _BadValueError(ValueError):
    def __init__(self, reason: str, expected: str, got: object):
        super().__init__(reason)
        self.fault = Fault(reason, expected, quote(got))


def text_column(
    raw: RawRows, name: str, faults: Faults, *, join_lists: bool = False, keep_empty: bool = False
) -> pa.Array:
    """Strings. Integers become their decimal text; with `join_lists` the non-null members of a list are joined by one
    space. The empty string becomes null unless `keep_empty`. Booleans, floats, dates, objects: wrong_type; bytes that
    are no UTF-8: bad_utf8.
    """
    values = _fast_text(raw.table[name].combine_chunks(), join_lists) if name not in raw.mixed else None
    if values is None:
        values = _by_value(raw, name, lambda value: _text(value, name, join_lists), pa.string(), faults)
    if keep_empty:
        return values
    is_empty = pc.equal(values, "")
    return pc.if_else(is_empty, pa.scalar(None, pa.string()), values) if pc.any(is_empty).as_py() else values


def list_column(raw: RawRows, name: str, faults: Faults) -> pa.Array:
    """Lists of strings, members null where they were; a single string is a list of one. A member that is no string:
    wrong_type."""
    values = _fast_lists(raw.table[name].combine_chunks()) if name not in raw.mixed else None
    if values is None:
        values = _by_value(raw, name, lambda value: _list(value, name), _STRINGS, faults)
    return values


def timestamp_column(raw: RawRows, name: str, faults: Faults) -> pa.Array:
    """UTC microseconds from timestamps of any unit and zone, dates, and ISO 8601 text. Without a zone it is UTC;
    finer than microseconds is cut, blank text is null. Numbers and years outside 1..9998: wrong_type."""
    values = _fast_timestamps(raw.table[name].combine_chunks()) if name not in raw.mixed else None
    if values is None:
        values = _by_value(raw, name, lambda value: _timestamp(value, name), TIMESTAMP, faults)
    return values


def number_column(raw: RawRows, name: str, faults: Faults) -> pa.Array:
    """float32 from numbers and their text. Not a finite float32, or a boolean: wrong_type."""
    return _by_value(raw, name, lambda value: _number(value, name), pa.float32(), faults)


def _fast_text(column: pa.Array, join_lists: bool) -> pa.Array | None:
    """The column as strings if every value is one, else None."""
    kind = column.type
    try:
        if pa.types.is_null(kind) or pa.types.is_integer(kind):
            return column.cast(pa.string())
        if pa.types.is_dictionary(kind):
            return _fast_text(column.dictionary_decode(), join_lists)
        if _is_text(kind):
            column.validate(full=True)  # Parquet's reader does not check UTF-8
            return column.cast(pa.string())
        if join_lists and (lists := _fast_lists(column)) is not None and lists.flatten().null_count == 0:
            return pc.binary_join(lists, " ")
    except _ARROW_REFUSALS:
        pass
    return None


def _fast_lists(column: pa.Array) -> pa.Array | None:
    """The column as lists of strings if every value is one, else None."""
    kind = column.type
    try:
        if pa.types.is_null(kind):
            return column.cast(_STRINGS)
        if pa.types.is_list(kind) and pa.types.is_dictionary(kind.value_type):
            return _fast_lists(column.cast(pa.list_(kind.value_type.value_type)))
        if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and _is_text(kind.value_type):
            column.validate(full=True)
            return column.cast(_STRINGS)
    except _ARROW_REFUSALS:
        pass
    return None


def _fast_timestamps(column: pa.Array) -> pa.Array | None:
    kind = column.type
    try:
        if pa.types.is_null(kind):
            return column.cast(TIMESTAMP)
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            values = pc.cast(column, options=pc.CastOptions(target_type=TIMESTAMP, allow_time_truncate=True))
        elif _is_text(kind):
            column.validate(full=True)
            values = _parse_timestamps(column)
        else:
            return None
    except _ARROW_REFUSALS:
        return None
    low, high = _TIMESTAMP_RANGE
    in_range = pc.and_(pc.greater_equal(values, low), pc.less(values, high))
    return values if pc.all(in_range).as_py() is not False else None


def _parse_timestamps(column: pa.Array) -> pa.Array:
    try:  # Arrow wants all with a zone or all without
        return column.cast(pa.timestamp("us")).cast(TIMESTAMP)
    except _ARROW_REFUSALS:
        return column.cast(TIMESTAMP)


def _is_text(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )


def _by_value(raw: RawRows, name: str, coerce: Callable[[Any], Any], kind: pa.DataType, faults: Faults) -> pa.Array:
    """Coerces value by value; a value that fails leaves a null and its fault."""
    values = raw.mixed.get(name) or raw.table[name].combine_chunks()
    coerced = []
    for row in range(raw.table.num_rows):
        result = None
        try:
            value = values[row].as_py() if name not in raw.mixed else values[row]
            result = None if value is None else coerce(value)
        except _BadValueError as error:
            faults.setdefault(row, error.fault)
        except UnicodeDecodeError as error:  # as_py of a string or a list of strings
            faults.setdefault(row, Fault("bad_utf8", f"UTF-8 in {name}", quote(error.object)))
        except (ValueError, OverflowError, KeyError, pa.ArrowException) as error:  # as_py: dates beyond Python's range,
            # zones that it does not know
            faults.setdefault(row, Fault("wrong_type", f"a readable value in {name}", quote(str(error))))
        coerced.append(result)
    return pa.array(coerced, kind)


def _text(value: Any, name: str, join_lists: bool = False) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise _BadValueError("bad_utf8", f"UTF-8 in {name}", value) from None
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:  # lone surrogates: JSON escapes, or undecodable bytes of a text file
            raise _BadValueError("bad_utf8", f"UTF-8 in {name}", value) from None
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if join_lists and isinstance(value, list):
        return " ".join(_text(member, name) for member in value if member is not None)
    wanted = "a string or a list of strings" if join_lists else "a string"
    raise _BadValueError("wrong_type", f"{wanted} in {name}", value)


def _list(value: Any, name: str) -> list[str | None]:
    members = value if isinstance(value, list) else [value]
    if any(not isinstance(member, str | bytes | None) for member in members):
        raise _BadValueError("wrong_type", f"a list of strings in {name}", value)
    return [None if member is None else _text(member, name) for member in members]


def _timestamp(value: Any, name: str) -> datetime | None:
    parsed = value
    if isinstance(value, str | bytes):
        text = _text(value, name).strip()
        if not text:
            return None
        try:
            parsed = datetime.fromisoformat(text) if _ISO_DATE.match(text) else None
        except ValueError:
            parsed = None
    elif isinstance(value, date) and not isinstance(value, datetime):
        parsed = datetime(value.year, value.month, value.day)
    if not isinstance(parsed, datetime) or not parsed.year < 9999:
        raise _BadValueError("wrong_type", f"a timestamp or ISO 8601 text in {name}", value)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _number(value: Any, name: str) -> float:
    number = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
    if not abs(number) <= float(pa.scalar(3.4e38, pa.float32()).as_py()):
        raise _BadValueError("wrong_type", f"a finite number in {name}", value)
    return number
