"""Texts that a cell holds in several languages: which languages there are, and the one that is meant.

| written as | example |
|---|---|
| a list of objects with a locale (Akeneo) | `[{"locale": "en_US", "scope": null, "data": "Blue shirt"}]` |
| an object with a key for each language | `{"en_US": "Blue shirt", "de_DE": "Blaues Hemd"}` |

Both also as text of JSON. A locale that is null is that of every language. Of several channels (`scope`) of a language
the first that has a text counts. Texts of several languages are never joined: which one is meant a source says by a
name with dots (`title = "name.en_US"`), or the column's own name (`name-en_US`).
"""

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells.keyed_texts import keyed_objects
from schemas.cells.lists import joined_text
from schemas.cells.rich_text import rich_text
from schemas.cells.text import UnreadableCellError, cell_text
from schemas.columns.names import is_language, language_in

LOCALES = (
    *("locale", "language", "lang", "languageCode", "language_code"),
    *("language_tag", "languageTag", "@language", "@lang", "xml:lang"),
)
TEXTS = ("data", "value", "text", "content", "@value", "#text")
#: What else such an object may have; one with more says more than a text in a language, as a review does.
_BESIDE = frozenset((*LOCALES, *TEXTS, "scope", "channel", "attribute_type", "linked_data", "id", "marketplace_id"))
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,2}")
#: What a text of JSON begins with that may be one of these, or a document of an editor. RE2.
_MAY_HOLD_OBJECTS = r"^\s*(?:\[\s*)?\{\s*[\"']"
_STARTS = ("{", "[", " ", "\t", "\n", "\r")
#: The language of what is in no language.
OF_ALL = ""


def texts_by_language(value: Any) -> dict[str, Any] | None:
    """Language -> the value in it, null ones left out, OF_ALL of one that is in no language; None of a value that is
    not written so.

    >>> texts_by_language([{"locale": "en_US", "scope": None, "data": "Mug"}, {"locale": "de_DE", "data": "Becher"}])
    {'en_US': 'Mug', 'de_DE': 'Becher'}
    >>> texts_by_language({"en": "Mug", "de": None}), texts_by_language([{"locale": None, "data": "blue"}])
    ({'en': 'Mug'}, {'': 'blue'})
    >>> texts_by_language({"en": "Mug", "size": "M"}), texts_by_language([{"lang": "en", "text": "good", "stars": 5}])
    (None, None)
    >>> texts_by_language({"id": "7"}) is None
    True
    >>> texts_by_language([{"value": "Mug", "language_tag": "en_US", "marketplace_id": "A1"}])
    {'en_US': 'Mug'}
    """
    if isinstance(value, str):
        value = keyed_objects(value)
    if isinstance(value, dict):
        if not value or not all(isinstance(key, str) and is_language(key) for key in value):
            return None
        pairs = list(value.items())
    elif isinstance(value, list) and value and all(map(_is_in_a_language, value)):
        pairs = [(_first(member, LOCALES) or OF_ALL, _first(member, TEXTS)) for member in value]
    else:
        return None
    found: dict[str, Any] = {}
    for language, text in pairs:
        if text is not None and text != "":
            found.setdefault(language, text)
    return found


def may_hold_objects(texts: pa.Array) -> bool:
    """Whether some text is JSON that may be one of these, or a document of an editor."""
    if not any(pc.any(pc.starts_with(texts, start)).as_py() for start in _STARTS):  # which costs less than the pattern
        return False
    return bool(pc.any(pc.match_substring_regex(texts, _MAY_HOLD_OBJECTS)).as_py())


def text_in_one_language(value: Any, source: str) -> str | None:
    """What schemas.cells.lists.joined_text makes of a value, of a document of an editor (see schemas.cells.rich_text)
    its text; of texts in languages the one that the name of the column tells, else the only one, else that of all
    languages. Raises UnreadableCellError where several are left, and as joined_text does.

    >>> text_in_one_language({"en_US": "Mug", "de_DE": "Becher"}, "name-de_DE")
    'Becher'
    >>> text_in_one_language('{"ops": [{"insert": "Mug"}]}', "name")
    'Mug'
    """
    told = value
    if isinstance(value, str | bytes):
        told = keyed_objects(value) if isinstance(value, bytes) or re.match(_MAY_HOLD_OBJECTS, value) else None
    if (text := rich_text(told)) is not None:
        return cell_text(text)
    texts = texts_by_language(told)
    if texts is None:
        return joined_text(value)
    named_by = _plain(language_in(source) or OF_ALL)
    named = {_plain(language): text for language, text in texts.items()}
    if named_by not in named and len(texts) > 1:
        raise UnreadableCellError("wrong_type", value)
    text = named.get(named_by, next(iter(texts.values()), None))
    if (of_editor := rich_text(text)) is not None:
        return cell_text(of_editor)
    return None if text is None else joined_text(text)


def _is_in_a_language(member: Any) -> bool:
    if not isinstance(member, dict) or not _BESIDE.issuperset(member):
        return False
    locales = [member[key] for key in LOCALES if key in member]
    is_locale = bool(locales) and (locales[0] is None or _is_locale(locales[0]))
    return is_locale and not member.keys().isdisjoint(TEXTS)


def _is_locale(value: Any) -> bool:
    return isinstance(value, str) and _LOCALE.fullmatch(value) is not None


def _first(member: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((member[key] for key in keys if member.get(key) is not None), None)


def _plain(language: str) -> str:
    return language.replace("-", "_").casefold()
