"""Lists that BigQuery, Hive and Spark wrap in objects, as the lists that they are: of Python's values what
schemas.columns.nested_columns reads of Arrow's."""

from collections.abc import Sequence
from typing import Any

from schemas.cells.lists import ELEMENTS, WRAPPERS


def plain_lists(value: Any) -> Any:
    """A value with each list that an object wraps as the list, wherever it is.

    >>> plain_lists({"list": [{"element": {"file": "a.jpg"}}, {"element": None}]}), plain_lists({"list": "Gifts"})
    ([{'file': 'a.jpg'}, None], {'list': 'Gifts'})
    """
    if isinstance(value, list):
        return [plain_lists(member) for member in value]
    if not isinstance(value, dict):
        return value
    members = unwrapped(value)
    if members is value:
        return {key: plain_lists(inner) for key, inner in value.items()}
    return [plain_lists(member) for member in members]


def plain_lists_of(values: Sequence[Any]) -> list[Any]:
    """plain_lists of the values of a column; as they are where not all are wrapped, and in one way: what a name with
    dots leads to in these is for schemas.columns.nested_columns to say."""
    kinds = {_kind(value) for value in values if value is not None}
    return [plain_lists(value) for value in values] if len(kinds) == 1 and None not in kinds else list(values)


def _kind(value: Any) -> tuple[str, frozenset[str]] | None:
    """What wraps a list, and what its members; None of a value that wraps none."""
    members = unwrapped(value)
    if members is value:
        return None
    ((key, wrapped),) = value.items()
    ones = (next(iter(one)) for one in wrapped if isinstance(one, dict) and len(one) == 1)
    return key, frozenset(one for one in ones if one in ELEMENTS)


def unwrapped(value: Any) -> Any:
    """The list that an object wraps; anything else as it is.

    >>> unwrapped({"array": ["a", "b"]}), unwrapped({"list": [], "next": None})
    (['a', 'b'], {'list': [], 'next': None})
    """
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((key, members),) = value.items()
    if key not in WRAPPERS or not isinstance(members, list):
        return value
    return [_element(member) for member in members]


def _element(member: Any) -> Any:
    if isinstance(member, dict) and len(member) == 1 and (key := next(iter(member))) in ELEMENTS:
        return member[key]
    return member
