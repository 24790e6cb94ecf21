"""The paths that a shop's way of writing a picture's address may stand for, below or inside the image root.

| written | tried, where there is no file of the name as it is |
|---|---|
| `/m/b/mb01.jpg` (Magento) | `m/b/mb01.jpg` |
| `a.jpg?v=123` | `a.jpg` |
| `two%20words.jpg` | `two words.jpg` |
| `m\\b\\mb01.jpg` (exports from Windows) | `m/b/mb01.jpg` |
| a name with accents | the name composed (NFC) and decomposed (NFD, as macOS writes it) |
| blanks and line ends around a name | the name |
| `a&amp;b.jpg`, out of a page | `a&b.jpg` |
| `file:///srv/images/a.jpg` | `/srv/images/a.jpg`, which must lie inside the root |

All of them together, too. Case is never changed: whoever looks for a file decides what a form may name.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import unquote

_FILE_URL = re.compile(r"file:(?://(?:localhost)?)?(/.*)", re.IGNORECASE | re.ASCII | re.DOTALL)


def path_forms(address: str) -> Iterator[str]:
    """The paths that an address may stand for, relative or absolute, none twice: the first is the address as it is. A
    file:// URL stands for absolute ones alone.

    >>> list(path_forms("a.jpg")), list(path_forms("/m/a%20b.jpg"))
    (['a.jpg'], ['/m/a%20b.jpg', '/m/a b.jpg', 'm/a%20b.jpg', 'm/a b.jpg'])
    >>> list(path_forms("file:///srv/a%20b.jpg"))
    ['/srv/a%20b.jpg', '/srv/a b.jpg']
    """
    url = _FILE_URL.fullmatch(address)
    path = address if url is None else url[1]
    yield path  # most are files: the others are made only where this one is none
    rewrites: list[Callable[[str], str]] = [str.strip, html.unescape, _without_query, _decoded, _with_slashes]
    rewrites += [_composed, _decomposed]
    forms = [path]
    for rewrite in rewrites if url else [*rewrites, _below_root]:
        forms += map(rewrite, forms.copy())
        forms = list(dict.fromkeys(form for form in forms if form))
    yield from (form for form in forms if form != path)


def _below_root(path: str) -> str:
    return path.lstrip("/")


def _without_query(path: str) -> str:
    return path.partition("?")[0]


def _decoded(path: str) -> str:
    try:
        return unquote(path, errors="strict")
    except UnicodeDecodeError:
        return path


def _with_slashes(path: str) -> str:
    return path.replace("\\", "/")


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _decomposed(path: str) -> str:
    return unicodedata.normalize("NFD", path)
