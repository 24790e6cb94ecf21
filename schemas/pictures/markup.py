"""Addresses of pictures in what spreadsheets, pages and databases write around them.

| written by | example |
|---|---|
| a spreadsheet's formula | `=IMAGE("https://x/a.jpg")`, `=HYPERLINK("https://x/a.jpg";"front")` |
| HTML | `<img src="https://x/a.jpg" alt="front">` |
| Markdown | `![front](https://x/a.jpg)` |
| Airtable, a name before each address | `front.jpg (https://x/a.jpg),back.jpg (https://x/b.jpg)` |
"""

import re
from itertools import islice

#: Addresses of one cell, and characters of one of them.
_MOST = 10_000
_MAX_CHARACTERS = 1 << 20
_FORMULA = re.compile(r'=\s*@?[A-Za-z_.]{1,40}\(\s*"([^"\s]{1,65536})"[^\r\n]*\)\s*', re.ASCII)
_TAG = re.compile(r"<\s*(?:img|a|p|div|span|picture|figure)\b", re.IGNORECASE)
_IMG = re.compile(
    r"""<\s*img\b(?:\s+(?!src\s*=)[^\s<>="']{1,64}(?:\s*=\s*(?:"[^"<]*"|'[^'<]*'|[^\s<>"']*))?)*?"""
    r"""\s+src\s*=\s*(?:"([^"<]*)"|'([^'<]*)'|([^\s<>"']+))""",
    re.IGNORECASE,
)
_MARKDOWN = re.compile(r"!\[[^\]\[]{0,500}\]\(\s*<?([^\s()<>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_NAMED = re.compile(r"\((https?://[^\s()]+)\)\s*(?:[,;]\s*|$)", re.IGNORECASE)
_IS_URL = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_IS_ADDRESS = re.compile(rf"{_IS_URL.pattern}|[^\s]+\.\w{{3,4}}$", re.IGNORECASE)


def addresses_in_markup(text: str) -> list[str] | None:
    """The addresses, without blanks around them; None of a text that is not written so.

    >>> addresses_in_markup('=IMAGE("https://x/a.jpg",1)'), addresses_in_markup("<img src='/a.jpg'><img src=b.jpg>")
    (['https://x/a.jpg'], ['/a.jpg', 'b.jpg'])
    >>> addresses_in_markup("a.jpg (https://x/a.jpg),b (1).jpg (https://x/b.jpg)"), addresses_in_markup("a (1).jpg")
    (['https://x/a.jpg', 'https://x/b.jpg'], None)
    """
    start = text[:1] if len(text) <= _MAX_CHARACTERS else ""
    if start == "=":
        found = _FORMULA.fullmatch(text)
        return [found[1]] if found is not None and _IS_ADDRESS.match(found[1]) else None
    if start == "<" and _TAG.match(text):
        given = [next(filter(None, groups), "").replace("&amp;", "&") for groups in _groups(_IMG, text)]
        return [address.strip() for address in given] or None
    if start == "!":
        return [address for (address,) in _groups(_MARKDOWN, text)] or None
    return _named(text) if start and text.endswith(")") and not _IS_URL.match(text.strip()) else None


def _groups(pattern: re.Pattern[str], text: str) -> list[tuple[str, ...]]:
    return [found.groups("") for found in islice(pattern.finditer(text), _MOST)]


def _named(text: str) -> list[str] | None:
    """Addresses in brackets, each behind a name; None where one has none, or where the text goes on."""
    found, end = [], 0
    for one in islice(_NAMED.finditer(text), _MOST):
        if not text[end : one.start()].strip():
            return None
        found.append(one[1])
        end = one.end()
    return found if found and end == len(text) else None
