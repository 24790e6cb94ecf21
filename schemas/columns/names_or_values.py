"""Whether a line of texts has the names of columns, or values as a row has them."""

import re
from collections.abc import Sequence

from schemas.columns.names import plain_name
from schemas.columns.usual_names import OF_CATALOGUE, OF_LOG
from schemas.pictures.types import is_called_like_a_picture

_NUMBER = re.compile(r"-?\d[\d.,]*(?:\s?(?:[A-Z]{3}|[€$£]))?")
#: An address, a day with or without its time, a price, a null of MySQL: what is no name, and no picture's.
_VALUE = re.compile(
    r"https?://.*|\d{4}-\d\d-\d\d.*|\d\d?[./]\d\d?[./]\d{4}.*|"
    r"(?:[A-Z]{3}|[€$£])?\s?-?\d+[.,]\d\d(?:\s?(?:[A-Z]{3}|[€$£]))?|\\N",
    re.IGNORECASE | re.DOTALL,
)


def value_among_names(names: Sequence[str]) -> str | None:
    """The first cell of a header that is a value, if the header looks like a row: with an address, a picture's name, a
    time or a price, or two numbers, and without any name that columns usually have; else None.

    >>> value_among_names(["1001", "Red mug", "9.99"]), value_among_names(["sku", "2025", "2026"])
    ('1001', None)
    """
    if has_usual_name(names):
        return None
    numbers = [name for name in names if _NUMBER.fullmatch(name.strip())]
    sure = [name for name in names if _VALUE.fullmatch(name.strip()) or is_called_like_a_picture(name)]
    return next((name for name in names if name in sure or name in numbers), None) if sure or len(numbers) > 1 else None


def has_usual_name(names: Sequence[str]) -> bool:
    """Whether a column has one of the names that shops usually give them, or ours."""
    usual = {plain_name(name) for table in (OF_CATALOGUE, OF_LOG) for ours in table for name in (ours, *table[ours])}
    return not usual.isdisjoint(map(plain_name, names))
