"""Columns whose texts hold values by keys, as JSON or as pairs, seen as the objects that a config leads into."""

from collections.abc import Sequence
from typing import Any

from pipelines.init.table.nested import EditorText, without_documents
from schemas.cells.keyed_texts import keyed, keyed_objects

#: The share of a column's texts that hold values so, of a column of such texts.
_NEARLY_ALL = 0.9
#: Texts that show what a column holds.
_LOOKED_AT = 200
#: What stands for a list, or an object, of nothing.
_EMPTY = ("[]", "{}")
#: What a system writes between a key and its value; sentences have a colon.
_MARK = "="


def with_objects(values: Sequence[Any]) -> list[Any]:
    """The values of a column with each text as what it holds by keys, if nearly all of its texts hold something so;
    else as they are.

    >>> with_objects(["color=Red,size=M", None]), with_objects(["Color: red", "a mug"])
    ([{'color': 'Red', 'size': 'M'}, None], ['Color: red', 'a mug'])
    """
    values = [None if isinstance(value, str) and value.strip() in _EMPTY else value for value in values]
    texts = [value for value in values if isinstance(value, str)]
    told = [_told(text) for text in texts[:_LOOKED_AT]]
    num_told = sum(one is not None for one in told)
    if not any(told) or num_told < _NEARLY_ALL * len(told):
        return values
    return [value if not isinstance(value, str) or (found := _told(value)) is None else found for value in values]


def _told(text: str) -> dict[str, Any] | list[Any] | None:
    if isinstance(text, EditorText):
        return None
    plain = text.strip()
    found = keyed_objects(plain)
    if found is None and _MARK in plain and plain.partition(_MARK)[0].count(":") == 0:
        found = keyed(plain)
    return None if found is None else without_documents(found)
