"""Items of an event of a log that are a text: `000007,000008`, JSON's `["000007", "000008"]`, or a list as databases
print one, `[000007, 000008]` and `{000007,000008}`.

A comma may stand in an id, too, so a text is a list of items only where the mapping says what separates them:
`item_id = {source = "sku", separator = ","}`. The event is then one of each of its items, as one with a list is (see
schemas.events.paths).
"""

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.arrow_types import is_text
from schemas.bounded_json import load_json
from schemas.cells.list_texts import MAX_SEPARATORS
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import column_of, name_of_part

_ITEM = "item_id"
#: A list that is written with brackets, and no pair of them within; one of objects, of which no text says the item.
_IN_BRACKETS = re.compile(r"\[[^\[\]{}]*\]|\{[^\[\]{}]*\}", re.DOTALL)
_HAS_OBJECTS = re.compile(r"\[\s*+[{\[(]|\{\s*+[\w \"']++[=:]")
_NULLS = ("null", "none", "nan", "<na>")
#: A member in quotes, with the blanks before it; without these.
_QUOTED_MEMBER = r"""\s*(?:"[^"]*"|'[^']*')"""
_IN_QUOTES = re.compile(r""""[^"]*"|'[^']*'""", re.DOTALL)
#: What begins a path to items that are lists of texts in a column; no path of a mapping begins so.
_LISTED = "="


def items_of_text(text: str, separator: str) -> list[str]:
    """The items that a text lists, each without the blanks around it; one that lists none is one item.

    >>> items_of_text("7, 8,", ","), items_of_text('["7", 8]', ","), items_of_text("7", ",")
    (['7', '8'], ['7', '8'], ['7'])
    >>> items_of_text("[a, null]", ","), items_of_text('{a,"b, c"}', ","), items_of_text("[{id=a}]", ",")
    (['a'], ['a', 'b, c'], ['[{id=a}]'])
    """
    plain = text.strip()
    if plain.startswith("[") and plain.endswith("]") and (told := _json_items(plain)) is not None:
        return told
    if _HAS_OBJECTS.match(plain):
        return [text]
    if _IN_BRACKETS.fullmatch(plain):
        return _bare_items(plain[1:-1], separator) or [text]
    parts = [part for piece in plain.split(separator, MAX_SEPARATORS) if (part := piece.strip())]
    return parts or [text]


def _bare_items(inner: str, separator: str) -> list[str]:
    """The members of a list that is written with brackets, as Athena, Hive, Spark (`[a, b]`) and PostgreSQL (`{a,b}`)
    write it, and numpy (`['a' 'b']`), by what stands between the brackets: in quotes or without, null aside."""
    if inner.count(separator) > MAX_SEPARATORS:
        return []
    between = re.escape(separator)
    members = re.findall(rf"{_QUOTED_MEMBER}(?=\s*(?:$|{between}|[\"']))|(?:(?!{between}).)+", inner, re.DOTALL)
    plain = (member.strip() for member in members)
    kept = [member for member in plain if member and member.casefold() not in _NULLS]
    return [member[1:-1] if _IN_QUOTES.fullmatch(member) else member for member in kept]


def _json_items(text: str) -> list[str] | None:
    """The texts and numbers of a JSON list; None of anything else."""
    try:
        told = load_json(text)
    except ValueError:
        return None
    if not isinstance(told, list) or not told:
        return None
    if any(isinstance(item, bool) or not isinstance(item, str | int) for item in told):
        return None
    return [str(item) for item in told]


def item_separator(raw: RawRows) -> str | None:
    """What the mapping says that separates the items of a text."""
    return column_of(raw.columns, _ITEM).separator


def with_listed_items(raw: RawRows, led: Collection[str], root: str) -> tuple[RawRows, dict[str, str]]:
    """A batch whose columns of items in texts are lists of texts, called by `root` and their path, and these paths; the
    same batch, and none, where the mapping has no separator of items, or the items are no texts. led: columns of
    ours that paths lead to, which are not in the batch."""
    separator = item_separator(raw)
    if separator is None:
        return raw, {}
    lists: dict[str, pa.Array] = {}
    for name in raw.table.column_names:
        if name_of_part(name) != _ITEM or name in led:
            continue
        kind = raw.table[name].type
        if name in raw.mixed or is_text(kind) or pa.types.is_dictionary(kind) or _is_list_of_texts(kind):
            values = raw.mixed[name] if name in raw.mixed else _texts(raw.table[name].combine_chunks())
            lists[name] = pa.array([_members(value, separator) for value in values], pa.list_(pa.string()))
    paths = {name: f"{_LISTED}{name}" for name in lists}
    table = raw.table.drop_columns(list(lists))
    for name, values in lists.items():
        table = table.append_column(f"{root}{paths[name]}", values)
    mixed = {name: values for name, values in raw.mixed.items() if name not in lists}
    return replace(raw, table=table, mixed=mixed), paths


def _is_list_of_texts(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) and is_text(kind.value_type)


def _members(value: Any, separator: str) -> list[str | None] | None:
    if isinstance(value, list):
        return [None if member is None else _of_unicode(str(member)) for member in value]
    if value is None or not str(value).strip():
        return None
    return [_of_unicode(item) for item in items_of_text(str(value), separator)]


def _of_unicode(text: str) -> str | None:
    """A text; null for one that is not Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text


def _texts(values: pa.Array) -> list[str | None]:
    """The texts of an array; what is not UTF-8 is null."""
    try:
        return values.to_pylist()
    except UnicodeDecodeError:
        return [_text(value) for value in values]


def _text(value: pa.Scalar) -> str | None:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return None


def split_items(values: pa.Array, events: np.ndarray, separator: str) -> tuple[pa.Array, np.ndarray]:
    """(the items of texts, the event of each), from the texts and the event of each."""
    lists = [_members(value, separator) or [] for value in _texts(values)]
    counts = np.array([len(members) for members in lists], np.int64)
    return pa.array([item for members in lists for item in members], pa.string()), np.repeat(events, counts)
