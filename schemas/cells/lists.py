"""Cells as lists of picture addresses, however a shop's system writes a list: the same in every container.

| written as | example |
|---|---|
| a list, or text of a JSON list or a Python one | `["a.jpg", "b.jpg"]`, `['a.jpg', 'b.jpg']` |
| text of a numpy list, or of an array of PostgreSQL | `['a.jpg' 'b.jpg']`, `{a.jpg,b.jpg}` |
| text with `|` | `a.jpg|b.jpg` |
| addresses separated by commas, semicolons or line ends | `a.jpg, b.jpg`; `https://shop/a.jpg;https://shop/b.jpg` |
| the same in quotes | `"a.jpg","b.jpg"` |
| HTML's `srcset`, one picture in several sizes: the largest | `a.jpg 480w, b.jpg 960w`, `a.jpg 1x, b.jpg 2x` |
| a list wrapped in an object (BigQuery, Spark) | `{"list": [{"element": "a.jpg"}]}`, `{"v": [{"v": "a.jpg"}]}` |
| the same of GraphQL (Shopify) | `{"edges": [{"node": {"url": "a.jpg"}}]}`, `{"nodes": [{"url": "a.jpg"}]}` |
| objects that hold an address, or an image that does | `[{"src": "a.jpg"}]`, `[{"image": {"src": "a.jpg"}}]` |
| anything else of text | one address |
| the pictures themselves | see schemas.pictures.cells |

In a text that begins with an address (`https://`, `//`) what stands before the next one separates them, and nothing
else: commas, semicolons, `|` and blanks occur in addresses. Elsewhere a comma, a semicolon or a line end separates only
if every part then looks like an address of its own (`scheme://`, or the ending of a picture's name), for they occur in
names; so do braces and quotes, which are a list's under the same rule. Nothing between two separators, or behind the
last, is no member. NaN in a list is null. A separator that the config tells is the only one.
"""

import math
from collections.abc import Iterator
from typing import Any

from schemas.cells.list_texts import MAX_SEPARATORS, NoListError, is_printed_object, listed
from schemas.cells.text import UnreadableCellError, cell_text
from schemas.pictures.cells import (
    BadPicture,
    Picture,
    looks_like_picture,
    picture_of_bytes,
    picture_of_struct,
    picture_of_text,
    split_at_data_uris,
)
from schemas.quarantine import quote

#: Keys by which Parquet and those who write it wrap a list in an object, and each of its members.
WRAPPERS, ELEMENTS = ("list", "array", "bag"), ("element", "array_element", "item")
#: Keys of objects that hold nothing but a list, or a list and where to go on reading it. Paths of a config lead through
#: items and elements as through any field, so that these wrap nothing there.
_WRAPPERS, _PAGES = (*WRAPPERS, "elements", "items", "v"), ("edges", "nodes")
#: Keys of a list's elements, of addresses, and of objects that hold one further in.
_ELEMENTS = (*ELEMENTS, "v")
ADDRESSES = ("src", "url", *_ELEMENTS, "link", "href", "originalSrc", "original_src", "image")
_HOLDERS = ("node", "image", *_ELEMENTS)
#: A longer text is no address.
MAX_ADDRESS_CHARACTERS = 64 << 10


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
    if isinstance(member, float) and math.isnan(member):
        return None
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
            yield from (text,) if is_data_uri else _members_of_text(text, separator)
    else:
        yield _picture_or_address(value)


def _members_of_text(text: str, separator: str | None) -> Iterator[Any]:
    if separator is None and is_printed_object(text):
        yield BadPicture("not_json", "a path or URL, or an object that is JSON", quote(text))
        return
    try:
        told = listed(text, separator)
    except NoListError:
        yield object()  # no member of a list
        return
    yield from _members(told, None)


def _picture_or_address(value: Any) -> Any:
    """What an object holds of a picture, or an object within it; the value itself if it is none."""
    while isinstance(value, dict):
        if "bytes" in value:
            return picture_of_struct(value)
        held = _held(value, ADDRESSES)
        if held is not value:
            return held
        value = next((value[key] for key in _HOLDERS if isinstance(value.get(key), dict)), held)
        if value is held:
            break
    return value


def _unwrapped(value: Any) -> list[Any] | tuple[Any, ...] | None:
    """The members of a list, or of an object that holds nothing but a list; None of anything else."""
    if isinstance(value, dict):
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key in _WRAPPERS and (inner is None or isinstance(inner, list)):
                return inner or []
        return next((value[key] for key in _PAGES if isinstance(value.get(key), list)), None)
    return value if isinstance(value, list | tuple) else None


def _held(value: Any, keys: tuple[str, ...]) -> Any:
    """What an object holds under the first of these keys; the value itself if it is none, or has none of them."""
    if not isinstance(value, dict):
        return value
    return next((value[key] for key in keys if key in value and not isinstance(value[key], dict | list)), value)
