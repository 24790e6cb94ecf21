"""Cells as lists of picture addresses, however a shop's system writes a list: the same in every container.

| written as | example |
|---|---|
| a list, or text of a JSON list or a Python one | `["a.jpg", "b.jpg"]`, `['a.jpg', 'b.jpg']` |
| text with `|` | `a.jpg|b.jpg` |
| addresses separated by commas or semicolons | `a.jpg, b.jpg`; `https://shop/a.jpg;https://shop/b.jpg` |
| a list wrapped in an object (BigQuery, Spark) | `{"list": [{"element": "a.jpg"}]}`, `{"array": ["a.jpg"]}` |
| objects that hold an address (Shopify) | `[{"src": "a.jpg"}]`, `[{"url": "a.jpg"}]` |
| anything else of text | one address |
| the pictures themselves | see schemas.picture_cells |

A comma or semicolon separates only if every part then looks like an address of its own (`scheme://`, or the ending of
a picture's name), for both occur in names. A separator that the config tells is the only one.
"""

import ast
import re
from collections.abc import Iterator
from typing import Any

from schemas.bounded_json import load_json
from schemas.cell_text import UnreadableCellError, cell_text
from schemas.picture_cells import (
    BadPicture,
    Picture,
    looks_like_picture,
    picture_of_bytes,
    picture_of_struct,
    picture_of_text,
    split_at_data_uris,
)

#: Keys of objects that hold nothing but a list, and of those that hold an address.
_WRAPPERS = ("list", "array", "bag", "elements", "items")
_ELEMENTS = ("element", "array_element", "item")
_ADDRESSES = ("src", "url", *_ELEMENTS, "link", "href", "originalSrc", "original_src", "image")
_NAME = r"\.(?:jpe?g|jfif|png|webp|gif|bmp|tiff?|avif|heic|heif|svg)(?:[?#].*)?"
_IS_URL = re.compile(r"\s*[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_IS_PICTURE = re.compile(rf".*{_NAME}\s*", re.IGNORECASE | re.DOTALL)
_BROKEN_LIST = re.compile(r"\s*\[\s*[\"'\[{]")
#: A text with more separators is no list of addresses: a cell of 16 MiB of them would be as many objects.
MAX_SEPARATORS = 10_000
#: Text that may be a list; all other text is one address.
MAY_BE_LIST = r"[|,;]|^\s*[\[({]"
#: A longer text is no address.
MAX_ADDRESS_CHARACTERS = 64 << 10
#: A Python list is evaluated up to this length and number of brackets: the parser's own limits end the process.
_MAX_LITERAL_CHARACTERS, _MAX_LITERAL_BRACKETS = 64 << 10, 1_000


def list_members(value: Any, separator: str | None = None) -> list[str | Picture | BadPicture | None]:
    """The addresses and pictures that a cell holds, None where its list has null. separator: what separates the members
    of a text, None: found out. Raises UnreadableCellError for a member that cannot be read; its `rest` are the others.

    >>> list_members("['a.jpg', None]"), list_members({"list": [{"element": "a.jpg"}]})
    (['a.jpg', None], ['a.jpg'])
    """
    members: list[str | Picture | BadPicture | None] = []
    bad = None
    for member in _members(value, separator):
        try:
            members.append(_member(member))
        except UnreadableCellError as error:
            bad = error
    if bad is not None:
        raise UnreadableCellError(bad.reason, bad.value, members)
    return members


def joined_text(value: Any) -> str | None:
    """The text of a value (see cell_text), of a list that of its members that are not null, joined by one space. Raises
    UnreadableCellError as list_members does.

    >>> joined_text(["red", None, 5]), joined_text({"list": [{"element": "red"}]})
    ('red 5', 'red')
    """
    members = _unwrapped(value)
    if members is None:
        return cell_text(value)
    texts, bad = [], None
    for member in members:
        try:
            texts.append(None if member is None else cell_text(_held(member, _ELEMENTS)))
        except UnreadableCellError as error:
            bad = error
    text = " ".join(text for text in texts if text is not None)
    if bad is not None:
        raise UnreadableCellError(bad.reason, bad.value, text)
    return text


def _member(member: Any) -> str | Picture | BadPicture | None:
    if isinstance(member, bytes) and looks_like_picture(member):
        return picture_of_bytes(member)
    if member is None or isinstance(member, Picture | BadPicture):
        return member
    if not isinstance(member, str | bytes):
        raise UnreadableCellError("wrong_type", member)
    text = cell_text(member)
    assert text is not None, "only NaN is null"
    picture = picture_of_text(text)
    if picture is None and len(text) > MAX_ADDRESS_CHARACTERS:
        return BadPicture("not_a_picture", "a picture, or its path or URL", f"a text of {len(text):,} characters")
    return text if picture is None else picture


def _members(value: Any, separator: str | None) -> Iterator[Any]:
    if isinstance(value, bytes):
        if looks_like_picture(value):
            yield value
            return
        value = cell_text(value)
    members = _unwrapped(value)
    if members is not None:
        yield from map(_picture_or_address, members)
    elif isinstance(value, str):
        pieces = list(split_at_data_uris(value))
        if len(pieces) > MAX_SEPARATORS:
            yield object()
            return
        for text, is_data_uri in pieces:
            yield from (text,) if is_data_uri else _split(text, separator)
    else:
        yield _picture_or_address(value)


def _picture_or_address(value: Any) -> Any:
    """What an object holds of a picture; the value itself if it is none."""
    if isinstance(value, dict) and len(value) == 1:  # an element of a wrapped list, which may be an object itself
        ((key, inner),) = value.items()
        value = inner if key in _ELEMENTS and isinstance(inner, dict) else value
    is_image = isinstance(value, dict) and "bytes" in value
    return picture_of_struct(value) if is_image else _held(value, _ADDRESSES)


def _unwrapped(value: Any) -> list[Any] | tuple[Any, ...] | None:
    """The members of a list, or of an object that holds nothing but a list; None of anything else."""
    if isinstance(value, dict) and len(value) == 1:
        ((key, inner),) = value.items()
        if key in _WRAPPERS and (inner is None or isinstance(inner, list)):
            return inner or []
    return value if isinstance(value, list | tuple) else None


def _held(value: Any, keys: tuple[str, ...]) -> Any:
    """What an object holds under the first of these keys; the value itself if it is none, or has none of them."""
    if not isinstance(value, dict):
        return value
    return next((value[key] for key in keys if key in value and not isinstance(value[key], dict | list)), value)


def _split(text: str, separator: str | None) -> Iterator[Any]:
    if any(text.count(mark) > MAX_SEPARATORS for mark in ((separator,) if separator is not None else "|,;")):
        yield object()
        return
    if separator is not None:
        yield from map(str.strip, text.split(separator))
        return
    start = text.lstrip()[:1]
    if start and start in "[({":
        told = _literal(text.strip())
        if isinstance(told, list | tuple | dict):
            yield from _members(told, None)
            return
        if _BROKEN_LIST.match(text) or (start == "[" and text.rstrip().endswith("]")):
            yield object()  # no member of a list; `[x` alone begins a name
            return
    if "|" in text:
        yield from map(str.strip, text.split("|"))
        return
    for mark in (",", ";"):
        parts = text.split(mark) if mark in text else []
        if parts and (all(map(_IS_URL.match, parts)) or all(map(_IS_PICTURE.fullmatch, parts))):
            yield from map(str.strip, parts)
            return
    yield text


def _literal(text: str) -> Any:
    """What a text of JSON or of a Python list says, None if it is neither."""
    try:
        return load_json(text)
    except ValueError:
        pass
    if text[0] == "{" or len(text) > _MAX_LITERAL_CHARACTERS:
        return None
    if sum(map(text.count, "[({")) > _MAX_LITERAL_BRACKETS:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None
