"""Texts that hold values by keys: JSON or Python's objects, and pairs as shops write attributes into one column.

| written as | example |
|---|---|
| JSON or Python, of an object or a list of objects | `{"brand": "Acme"}`, `[{"key": "brand", "value": "Acme"}]` |
| pairs with `=` (Magento's additional_attributes) | `color=Red,size="M, L",material=Cotton|Linen` |
| pairs with `:` | `Color: Red; Size: M` |

Pairs are separated by what most of them begin behind: a comma, a semicolon, `|` or a line end. A value ends where the
next pair begins, so the separator may stand in it; it may be in quotes, of which two are one. Several values of a key
are separated by `|`.
"""

import re
from typing import Any

from schemas.cells.list_texts import MAX_SEPARATORS, literal

#: What a key may be, and what stands behind it; `https://` is none.
_KEY = r"(?P<key>[^\W\d][\w \-]{0,59}?)[ \t]*"
_FIRST = re.compile(rf"\s*{_KEY}(?P<mark>[=:])(?!//)")
_SEPARATORS = (",", ";", "|", "\n")
_VALUES = "|"
#: Of a text of objects the signs behind which a value may stand, at most: each is an object of Python, of some hundred
#: bytes.
_MAX_VALUES, _BEFORE_VALUES = 100_000, "{[,"
#: Of bytes before an object.
_MOST_BLANKS = 100


def keyed(text: str) -> dict[str, Any] | list[Any] | None:
    """What a text holds by keys: an object, or a list that has objects; None of a text that holds nothing so.

    >>> keyed("color=Red,size=M,material=Cotton|Linen")
    {'color': 'Red', 'size': 'M', 'material': ['Cotton', 'Linen']}
    >>> keyed('[{"key": "brand", "value": "Acme"}]'), keyed("Color: Red; Size: M")
    ([{'key': 'brand', 'value': 'Acme'}], {'Color': 'Red', 'Size': 'M'})
    >>> keyed('["a.jpg"]'), keyed("a mug"), keyed("https://shop.example/a=b")
    (None, None, None)
    """
    plain = text.strip()
    if plain[:1] in ("{", "["):
        return keyed_objects(plain)
    first = _FIRST.match(plain)
    return None if first is None else _pairs(plain, first["mark"])


def keyed_objects(text: str | bytes) -> dict[str, Any] | list[Any] | None:
    """keyed of JSON and Python's objects alone, also as UTF-8; None of very many values, too.

    >>> keyed_objects("{'brand': None}"), keyed_objects("[]"), keyed_objects("color=Red")
    ({'brand': None}, None, None)
    """
    if isinstance(text, bytes):  # a picture is not decoded
        text = text.decode(errors="surrogateescape") if text[:_MOST_BLANKS].lstrip()[:1] in (b"{", b"[") else ""
    if text.lstrip()[:1] not in ("{", "[") or sum(map(text.count, _BEFORE_VALUES)) > _MAX_VALUES:
        return None
    told = literal(text.strip())
    if isinstance(told, list) and any(isinstance(member, dict) for member in told):
        return told
    return told if isinstance(told, dict) and all(isinstance(key, str) for key in told) else None


def _pairs(text: str, mark: str) -> dict[str, Any] | None:
    """The values by their keys; None of more pairs than a list may have members."""
    if any(text.count(separator) > MAX_SEPARATORS for separator in _SEPARATORS):
        return None
    found: list[re.Match[str]] = []
    for blanks in ("", r"\s*"):
        tried = [list(_pattern(separator, mark, blanks).finditer(text)) for separator in _SEPARATORS]
        found = max(tried, key=len)  # of equals the first: behind a comma
        if len(found) > 1:  # as systems write pairs; with a blank behind the comma there are sentences, too
            break
    ends = [*(pair.start() for pair in found[1:]), len(text)]
    values: dict[str, Any] = {}
    for pair, end in zip(found, ends, strict=True):
        quoted = pair["quoted"]
        given = text[pair.end() : end].strip() if quoted is None else quoted[1:-1].replace('""', '"')
        several = [one.strip() for one in given.split(_VALUES)] if quoted is None else [given]
        kept = [*_listed(values.get(pair["key"])), *filter(None, several)]
        values[pair["key"]] = (kept[0] if kept else None) if len(kept) < 2 else kept
    return values


def _pattern(separator: str, mark: str, blanks: str) -> re.Pattern[str]:
    """What a pair begins with, up to its value, or with it where that is in quotes."""
    between = re.escape(separator)
    quoted = rf'"(?:[^"]|"")*+"(?=\s*(?:{between}|$))'
    return re.compile(rf"(?:^|{between}){blanks}{_KEY}{mark}(?!//)\s*(?P<quoted>{quoted})?")


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
