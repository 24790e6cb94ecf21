"""What is in the objects of a table's columns, by the names with dots that a config reaches it by."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schemas.cells.lists import ADDRESSES
from schemas.cells.rich_text import rich_text
from schemas.columns.extended_json import NAMES, named_value, value_at
from schemas.columns.localised_texts import LOCALES, OF_ALL, texts_by_language
from schemas.columns.names import is_language
from schemas.columns.picture_names import is_called_a_picture

#: Objects in objects that are looked into, and columns that are made of them.
_MOST_DOTS, _MOST_COLUMNS = 3, 300
#: What interfaces call a document, in an object that has beside it what it names: its pictures, its type.
_KEYS_OF_DOCUMENTS = ("json", "raw", "value")
#: Rows whose objects tell which fields there are.
_LOOKED_AT = 1_000


class EditorText(str):
    """The text of a document that an editor keeps as JSON, as the jobs read it: nothing in the document is a value."""


def without_documents(value: Any) -> Any:
    """The value with each document in it as its text, alone in an object that is there for it."""
    if (text := rich_text(value)) is not None:
        return EditorText(text)
    if isinstance(value, dict):
        inner = {key: without_documents(one) for key, one in value.items()}
        alone = {key: inner[key] for key in _KEYS_OF_DOCUMENTS if isinstance(inner.get(key), EditorText)}
        return alone if alone and value.keys().isdisjoint((*NAMES, *LOCALES)) else inner
    return [without_documents(member) for member in value] if isinstance(value, list) else value


def says_nothing(value: Any) -> bool:
    """Whether a value is null, NaN, blank, or a list or an object of nothing else: what the others are it does not
    tell.

    >>> says_nothing([]), says_nothing([{"name": " "}, None]), says_nothing(0), says_nothing([""])
    (True, True, False, True)
    """
    if isinstance(value, list | dict):
        return all(map(says_nothing, value.values() if isinstance(value, dict) else value))
    if isinstance(value, float):
        return not math.isfinite(value)
    return value is None or (isinstance(value, str) and not value.strip())


def last_name(path: str) -> str:
    """What is called by a name with dots: the last of its names that is no language.

    >>> last_name("attributes.brand"), last_name("current.name.en"), last_name("name.de-DE"), last_name("en")
    ('brand', 'name', 'name', 'en')
    """
    names = path.split(".")
    while len(names) > 1 and is_language(names[-1]):
        names.pop()
    return names[-1]


def fields_of_objects(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Of columns that have objects, each field of these (`properties.product_id`): its value in each row."""
    found = {}
    for path in _paths(columns, in_lists=False):
        found[path] = _values(columns, path)
    return found


def fields_of_lists(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Of columns that have lists of objects, also in objects, each field of these (`properties.products.sku`): in each
    row that of the first object that has it."""
    found = {}
    for path in _paths(columns, in_lists=True):
        values = _values(columns, path)
        found[path] = [value[0] if isinstance(value, list) and value else value for value in values]
    return found


def _values(columns: Mapping[str, Sequence[Any]], path: str) -> list[Any]:
    root = path.partition(".")[0]
    values = (value_at({root: value}, path) for value in columns[root])
    return [None if says_nothing(value) else value for value in values]


def _paths(columns: Mapping[str, Sequence[Any]], *, in_lists: bool) -> list[str]:
    found: dict[str, None] = {}
    for name, values in columns.items():
        for value in values[:_LOOKED_AT]:
            found.update(dict.fromkeys(_paths_in(value, name, in_lists, _MOST_DOTS)))
        if len(found) > _MOST_COLUMNS:
            break
    documents = {
        path for name, values in columns.items() for value in values[:_LOOKED_AT] for path in _documents_in(value, name)
    }
    names = [path for path in found if not any(path.startswith(f"{one}.") for one in documents)][:_MOST_COLUMNS]
    return [path for path in names if path not in columns and not any(name.startswith(f"{path}.") for name in names)]


def _documents_in(value: Any, path: str) -> Iterator[str]:
    """The paths of documents in objects: what is below them in other rows is of a document, too, without a text."""
    if isinstance(value, EditorText):
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _documents_in(inner, f"{path}.{key}")


def _by_name(members: list[Any]) -> dict[str, Any] | None:
    """The values of a list of objects that are values by their names, or texts by their language; None of others."""
    in_languages = texts_by_language(members)
    if in_languages is not None and OF_ALL not in in_languages:
        return in_languages
    named = [named_value(member) for member in members]
    return None if None in named else dict(one for one in named if one is not None)


def _addresses_in(value: Any, path: str) -> Iterator[str]:
    """The paths of the addresses in objects of pictures that are called otherwise than those which any object has."""
    members = value if isinstance(value, list) else [value]
    for member in members[:1]:
        if isinstance(member, dict) and member.keys().isdisjoint(ADDRESSES):
            yield from (f"{path}.{key}" for key in member if "." not in key and is_called_a_picture(key))


def _paths_in(value: Any, path: str, in_lists: bool, most: int) -> Iterator[str]:
    """The paths of the values in objects, and of those that objects in a list give by their names; of those in other
    lists of objects alone, with in_lists."""
    if isinstance(value, list) and value and (named := _by_name(value)) is not None:
        yield from _paths_in(named, path, in_lists, max(most, 1))
    elif isinstance(value, list) and value and isinstance(value[0], dict) and in_lists:
        for member in value:
            for key, inner in member.items() if isinstance(member, dict) else ():
                if "." not in key:
                    yield f"{path}.{key}"
                    yield from _addresses_in(inner, f"{path}.{key}") if is_called_a_picture(key) else ()
    elif isinstance(value, dict) and most:
        for key, inner in value.items():
            if "." in key:
                continue
            is_inner = isinstance(inner, dict) or (isinstance(inner, list) and inner and isinstance(inner[0], dict))
            if is_inner:
                yield from _paths_in(inner, f"{path}.{key}", in_lists, most - 1)
            elif not in_lists:
                yield f"{path}.{key}"
