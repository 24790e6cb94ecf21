"""Texts that list addresses, in the ways that systems write lists as text; which these are: schemas.cells.lists."""

import ast
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from schemas.bounded_json import load_json
from schemas.pictures.markup import addresses_in_markup
from schemas.pictures.types import is_called_like_a_picture

_IS_URL = re.compile(r"\s*[a-z][a-z0-9+.-]*://", re.IGNORECASE)
#: Objects as Java, Athena and Trino print them, one or a list of them.
_PRINTED = re.compile(r"\s*+(?:\[\s*+)?\{\s*+[A-Za-z_]\w*+=")
_BROKEN_LIST = re.compile(r"\s*\[\s*[\"'\[{]")
#: Between the members of a list where Hive writes text, in which nothing else has it.
_OF_HIVE = "\x02"
#: A text with more separators is no list of addresses: a cell of 16 MiB of them would be as many objects.
MAX_SEPARATORS = 10_000
#: Text that may be a list, other than one with `|` alone; text that is neither is one address.
MAY_BE_LIST = (
    r"[,;\r\n\x02]|\s[0-9.]+[wx]\s*$|^\s*[\[({\"'=<!]|\(https?://\S+\)\s*$|"
    r"^\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?//.*(?:\s\S|\|)"
)
#: Where an address of its own begins; blanks and signs that are no separators there may stand in it.
_ADDRESS = re.compile(r"(?<![^,;|\s])(?:[a-z][a-z0-9+.-]{0,30}:)?//", re.IGNORECASE | re.ASCII)
_BETWEEN_ADDRESSES = ",;| \t\r\n"
#: Of HTML's srcset: what separates its addresses, and what stands behind one, a width or a density.
_CANDIDATES = re.compile(r"(?<=[0-9][wx]),\s*|,\s+|,$")
_DESCRIPTOR = re.compile(r"(?<!\s)\s{1,64}(\d{1,6}(?:\.\d{1,6})?)([wx])(?:\s{1,8}\d{1,6}h)?$")
#: Between addresses of one cell; a line end does it beside both.
_MARKS = re.compile(r"[,\r\n]"), re.compile(r"[;\r\n]")
#: A Python list is evaluated up to this length and number of brackets: the parser's own limits end the process.
_MAX_LITERAL_CHARACTERS, _MAX_LITERAL_BRACKETS = 64 << 10, 1_000
#: What a text of values has beside signs: strings, also one that does not end, and words for null, with what may stand
#: between one and a neighbour that numpy writes without a comma.
_LITERAL_PIECE = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|<NA>|\b(?:None|nan|NaN|NaT)\b)"""
    r"""(?P<gap>\s++(?=["']|None\b|nan\b))?""",
    re.DOTALL,
)
_NULL_WORDS = ("nan", "NaN", "NaT", "<NA>")
#: A member of a list of PostgreSQL or in quotes, and what separates it from the next.
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_POSTGRES_MEMBER = re.compile(rf"\s*({_QUOTED}|[^\",{{}}\\]++)\s*(?:,|$)", re.DOTALL)
_QUOTED_MEMBER = re.compile(r"""\s*("[^"]*+"|'[^']*+')\s*(?:[,;\r\n]\s*|$)""")
#: What separates addresses, and null, of a list without quotes: commas stand in addresses, too.
_BETWEEN_BARE = re.compile(r",\s*+(?=null\s*+(?:,|$)|(?:[a-z][a-z0-9+.-]{0,30}:)?//)", re.IGNORECASE | re.ASCII)


class NoListError(ValueError):
    """A text that is meant as a list, and cannot be read as one."""


def listed(text: str, separator: str | None = None) -> Any:
    """What a text lists: its members as texts, None for null, or what its JSON or Python says, which may be an object;
    a text that is no list is the only member. separator: what separates the members, None: found out. Raises
    NoListError.

    >>> listed("a.jpg|b.jpg"), listed("['a.jpg' nan]"), listed('"a.jpg";"b.jpg"'), listed("Mug, blue.jpg")
    (['a.jpg', 'b.jpg'], ['a.jpg', None], ['a.jpg', 'b.jpg'], ['Mug, blue.jpg'])
    >>> listed("https://x/w_9,h_9/a,https://x/b"), listed("[https://x/a, https://x/b]")
    (['https://x/w_9,h_9/a', 'https://x/b'], ['https://x/a', 'https://x/b'])
    """
    separator = _OF_HIVE if separator is None and _OF_HIVE in text else separator
    if any(text.count(mark) > MAX_SEPARATORS for mark in ((separator,) if separator is not None else "|,;")):
        raise NoListError
    if separator is not None:
        return [part.strip() for part in text.split(separator)]
    plain = text.strip()
    if (largest := largest_of_srcset(plain)) is not None:
        return [largest]
    if (held := addresses_in_markup(plain)) is not None:
        return held
    start = plain[:1]
    if start and start in "[({":
        told = literal(plain)
        if isinstance(told, list | tuple | dict):
            return told
        if (members := _postgres_members(plain)) is not None:
            return members
        is_broken, is_whole = _BROKEN_LIST.match(text) is not None, start == "[" and plain.endswith("]")
        if is_whole and not is_broken and (bare := _bare_members(plain[1:-1])) is not None:
            return bare
        if is_broken or is_whole:
            raise NoListError  # `[x` alone begins a name
    if start and start in "\"'" and (quoted := _quoted_members(plain)) is not None:
        return quoted
    starts_with_address = _ADDRESS.match(plain) is not None
    if starts_with_address and len(addresses := _from_address_to_address(plain)) > 1:
        return addresses
    if "|" in text:
        parts = [part.strip() for part in text.split("|")]
        if not starts_with_address or _are_addresses(filter(None, parts)):
            return parts
    is_wrapped = text.count("\n") + text.count("\r") > MAX_SEPARATORS  # base64, into very many lines
    for mark in () if is_wrapped else _MARKS:
        parts = mark.split(text)
        filled = [plain for part in parts if (plain := part.strip())]
        if len(parts) > 1 and _are_addresses(filled):
            return filled
    return [text]


def is_printed_object(text: str) -> bool:
    """Whether a text is an object, or a list of them, as Java, Athena and Trino print one: nothing in it tells where a
    value ends.

    >>> is_printed_object("{src=https://x/a.jpg, n=2}"), is_printed_object("[{id=1}]"), is_printed_object("{a=1}.jpg")
    (True, True, False)
    """
    return _PRINTED.match(text) is not None and text.rstrip("] \t\r\n").endswith("}")


def largest_of_srcset(text: str) -> str | None:
    """The address of most pixels in a text as HTML's srcset has it, which is one picture in several sizes; the first of
    equals. None of a text that is none.

    >>> largest_of_srcset("https://x/a.jpg 1x, https://x/b.jpg 2x"), largest_of_srcset("a.jpg 480w,b.jpg 90w")
    ('https://x/b.jpg', 'a.jpg')
    >>> largest_of_srcset("a.jpg, b.jpg")
    """
    if _DESCRIPTOR.search(text.rstrip(",")) is None:
        return None
    parts = [part.strip() for part in _CANDIDATES.split(text)]
    told = [(part, _DESCRIPTOR.search(part)) for part in parts if part]
    addresses = [part if found is None else part[: found.start()] for part, found in told]
    are_some = all(map(_ADDRESS.match, addresses)) or _are_addresses(addresses)
    if not are_some or any(re.search(r"\s", address) for address in addresses):
        return None
    sizes = [(found[2] == "w", float(found[1])) if found else (False, 1.0) for _, found in told]
    return addresses[sizes.index(max(sizes))]


def _from_address_to_address(text: str) -> list[str]:
    """The addresses of a text that begins with one, each up to where the next begins: commas and other signs in them
    separate nothing. Raises NoListError for more than MAX_SEPARATORS."""
    starts = [found.start() for found in islice(_ADDRESS.finditer(text), MAX_SEPARATORS + 2)]
    if len(starts) > MAX_SEPARATORS + 1:
        raise NoListError
    ends = [*starts[1:], len(text)]
    return [text[start:end].strip(_BETWEEN_ADDRESSES) for start, end in zip(starts, ends, strict=True)]


def _are_addresses(texts: Iterable[str | None]) -> bool:
    """Whether there are texts, all of which look like URLs, or all like names of pictures; None is null."""
    told = [text for text in texts if text is not None]
    return bool(told) and (all(map(_IS_URL.match, told)) or all(map(is_called_like_a_picture, told)))


def _postgres_members(text: str) -> list[str | None] | None:
    """Those of `{a.jpg,"b, c.jpg",NULL}`, an array as PostgreSQL writes it; None of anything else."""
    if not (text.startswith("{") and text.endswith("}")):
        return None
    inner, end, members = text[1:-1], 0, list[str | None]()
    while end < len(inner):
        found = _POSTGRES_MEMBER.match(inner, end)
        if found is None:
            return None
        member, end = found[1].rstrip(), found.end()
        is_quoted = member.startswith('"')
        is_null = not is_quoted and member.upper() == "NULL"
        members.append(None if is_null else re.sub(r"\\(.)", r"\1", member[1:-1]) if is_quoted else member)
    return members if _are_addresses(members) else None


def _bare_members(inner: str) -> list[str | None] | None:
    """The addresses of `[https://x/a.jpg, null, https://x/b.jpg]`, as DuckDB, Athena and Spark write a list, by what
    stands between the brackets; None of anything else."""
    members: list[str | None] = []
    for part in _BETWEEN_BARE.split(inner) if _ADDRESS.search(inner) else inner.split(","):
        plain = part.strip()
        members.append(None if plain.casefold() == "null" else plain)
    told = [member for member in members if member is not None]
    return members if not told or _are_addresses(told) else None


def _quoted_members(text: str) -> list[str] | None:
    """Those of addresses in quotes, with a separator between them; None of anything else."""
    end, members = 0, []
    while end < len(text):
        found = _QUOTED_MEMBER.match(text, end)
        if found is None:
            return None
        members.append(found[1][1:-1])
        end = found.end()
    return members if _are_addresses(members) else None


def literal(text: str) -> Any:
    """What a text of JSON or of a Python list or object says, None if it is neither."""
    try:
        return load_json(text)
    except ValueError:
        pass
    if len(text) > _MAX_LITERAL_CHARACTERS or sum(map(text.count, "[({")) > _MAX_LITERAL_BRACKETS:
        return None
    try:
        tree = ast.parse(_LITERAL_PIECE.sub(_as_python, text), mode="eval")
        if isinstance(tree.body, ast.Set):  # whose order would be another in each process
            tree.body = ast.List(tree.body.elts, ast.Load())
        return ast.literal_eval(tree)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def _as_python(piece: re.Match[str]) -> str:
    """A value as Python reads it: null by its one name there, and a comma where numpy's text of a list has a blank, for
    two strings beside each other would be one."""
    text = "None" if piece["text"] in _NULL_WORDS else piece["text"]
    return text if piece["gap"] is None else f"{text}, "
