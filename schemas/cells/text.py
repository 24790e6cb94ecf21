"""Cells as text: the one rule by which a value of any type becomes the text of a field, or an id.

| value | text |
|---|---|
| text, bytes of UTF-8 | as it is |
| a boolean | `true`, `false` |
| a whole number of any type, up to 2^53 if it is a float | its digits: 2169.0 is `2169`, the decimal 101.00 is `101` |
| another decimal | its digits without zeros at the end: 42.50 is `42.5` |
| another float | the shortest text that reads as the same number of its type: `42.5`, `0.1`, `1e+20` |
| a date, time or timestamp | ISO 8601; with a zone in UTC: `2026-06-20T10:00:00Z` |
| a UUID | in lower case with hyphens |
| NaN | null, as pandas writes what is missing |

Nothing else has a text. An id is text, a whole number or a UUID; a float from 2^53 on is none, for it has lost digits,
nor is one of 32 bits from 2^24 on, or one of 16 from 2^11 on.
"""

import math
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np

#: A cell of a CSV file that holds one of these, blanks aside, is null: CSV has no other way to say so.
#: So is one that a spreadsheet could not compute, in the languages in which spreadsheets say so.
NULL_WORDS = (
    *("NULL", "Null", "null", "NaN", "NAN", "nan", "None", r"\N", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaT"),
    *("#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#ERROR!", "#FIELD!"),
    *("#NV", "#BEZUG!", "#WERT!", "#ZAHL!", "#NOM?", "#VALEUR!", "#NOMBRE!", "#¿NOMBRE?", "#¡REF!", "#¡VALOR!"),
    *("#NOME?", "#RIF!", "#VALORE!", "#VALOR!", "#NAAM?", "#VERW!", "#WAARDE!", "#DEEL/0!"),
)
#: Floats of 64 bits hold every whole number up to this one.
_MOST_EXACT = 1 << 53
#: The same of shorter floats.
_MOST_EXACT_BY_TYPE: dict[type, int] = {np.float32: 1 << 24, np.float16: 1 << 11}


class UnreadableCellError(ValueError):
    """A value that cannot be read; `reason` and `value` as a rejection tells them. rest: what could be read of it."""

    def __init__(self, reason: str, value: object, rest: Any = None):
        super().__init__(reason)
        self.reason, self.value, self.rest = reason, value, rest


def cell_text(value: Any) -> str | None:
    """The text of a value, None for NaN. Raises UnreadableCellError: wrong_type for what has none (infinity, objects,
    lists), bad_utf8.

    >>> cell_text(2169.0), cell_text(Decimal("42.50")), cell_text(True), cell_text(float("nan"))
    ('2169', '42.5', 'true', None)
    """
    if isinstance(value, str | bytes):
        return _decoded(value)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int):
        return _digits(value)
    if isinstance(value, float | np.floating):
        return _float_text(value)
    if isinstance(value, Decimal):
        return _decimal_text(value)
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo is None else _in_utc(value).isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    raise UnreadableCellError("wrong_type", value)


def id_text(value: Any) -> str | None:
    """The id that a value is, None for NaN. Raises UnreadableCellError for what is none.

    >>> id_text(1.0), id_text(Decimal("101.00")), id_text("01")
    ('1', '101', '01')
    """
    if isinstance(value, float | np.floating) and not math.isnan(value):
        whole = float(value).is_integer() and not is_too_large(value)
    elif isinstance(value, Decimal):
        whole = value == value.to_integral_value() if value.is_finite() else value.is_nan()
    else:
        whole = isinstance(value, str | bytes | int | float | np.floating | uuid.UUID) and not isinstance(value, bool)
    if not whole:
        raise UnreadableCellError("wrong_type", value)
    return cell_text(value)


def is_too_large(value: object) -> bool:
    """Whether a value is a float so large that another whole number has become the same: also 2^53 itself, which
    2^53 + 1 becomes, and 2^24 of 32 bits.

    >>> is_too_large(2.0**53), is_too_large(2.0**53 - 1), is_too_large(1 << 60)
    (True, False, False)
    >>> is_too_large(np.float32(2**24)), is_too_large(np.float32(2**24 - 1)), is_too_large(np.float64(2**24))
    (True, False, False)
    """
    if not isinstance(value, float | np.floating) or not math.isfinite(value):
        return False
    return abs(float(value)) >= _MOST_EXACT_BY_TYPE.get(type(value), _MOST_EXACT)


def _decoded(value: str | bytes) -> str:
    try:
        if isinstance(value, bytes):
            return value.decode()
        value.encode()  # lone surrogates: JSON escapes, or undecodable bytes of a text file
    except UnicodeError:
        raise UnreadableCellError("bad_utf8", value) from None
    return value


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # Python prints no more than 4,300 digits
        raise UnreadableCellError("wrong_type", value) from None


def _float_text(value: float | np.floating[Any]) -> str | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise UnreadableCellError("wrong_type", float(value))
    if float(value).is_integer() and abs(float(value)) <= _MOST_EXACT:
        return str(int(value))
    return repr(float(value) if isinstance(value, float) else float(str(value)))  # numpy's float64 is a float, too


def _decimal_text(value: Decimal) -> str | None:
    if value.is_nan():
        return None
    if not value.is_finite():
        raise UnreadableCellError("wrong_type", value)
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise UnreadableCellError("wrong_type", value) from None
