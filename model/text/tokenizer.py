"""Text to tokens: word unigrams, word bigrams and character trigrams (ItemSage's tokeniser; PAPERS' successor code).

    text        "The  <b>Wood</b>-Chair"
    markup      "The Wood-Chair"                          as a browser shows it, fractions written out (cells.markup)
    normalize   "the wood-chair"                          NFKC casefold
    words       the, wood, chair                          white space and punctuation separate, punctuation is dropped
    bigrams     the#wood, wood#chair
    trigrams    #th the he# e#w #wo woo ood od- d-c ...   whole string, white space runs become one #, punctuation stays

Training and inference call these same functions; `TOKENIZER_VERSION` is part of every vocabulary's id. Characters that
a newer Python's Unicode tables define and an older one's do not are letters to the older one; all others agree.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise

from schemas.cells.markup import may_hold_markup, without_markup

#: Raised whenever any text tokenises differently; old vocabularies are then refused instead of silently misread.
TOKENIZER_VERSION = 2
SEPARATOR = "#"

#: The ideographs that BERT-like tokenisers isolate (the CJK Unified Ideographs blocks; kana and hangul are words).
_CJK_RANGES = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2EBEF),
    (0x2F800, 0x2FA1F),
    (0x30000, 0x323AF),
)
#: Unicode's Default_Ignorable_Code_Point, which NFKC_Casefold removes: soft hyphen, joiners, bidirectional marks,
#: variation selectors, byte order mark, tags.
_IGNORABLE_RANGES = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
_REPLACEMENT = "\ufffd"
_FRACTION_SLASH = "\u2044"
#: Stands before a fraction while the character before it is not known.
_FRACTION = "\x00"
#: For str.translate: 1/4 to 3/4, the block of number forms, 0/3 and the fraction slash as people type them.
_FRACTION_TABLE = {
    code: _FRACTION + unicodedata.normalize("NFKC", chr(code)).replace(_FRACTION_SLASH, "/")
    for code in (0xBC, 0xBD, 0xBE, *range(0x2150, 0x2160), 0x2189)
} | {ord(_FRACTION_SLASH): "/"}
_FRACTION_AFTER_DIGIT = re.compile(rf"(?<=\d){_FRACTION}")
#: The numerator of a fraction that typographers set of three characters.
_NUMERATOR_AFTER_DIGIT = re.compile(rf"(?<=\d)(?=[\u00b2\u00b3\u00b9\u2070\u2074-\u2079]+{_FRACTION_SLASH})")


class _CleanTable(dict[int, int | str | None]):
    """For str.translate: controls become spaces, lone surrogates U+FFFD, default ignorables nothing, fractions as in
    _FRACTION_TABLE. Fills as it is used."""

    def __missing__(self, code: int) -> int | str | None:
        category = unicodedata.category(chr(code))
        value: int | str | None = code
        if category == "Cc":
            value = " "
        elif category == "Cs":
            value = _REPLACEMENT
        elif _lies_in(code, _IGNORABLE_RANGES):
            value = None
        else:
            value = _FRACTION_TABLE.get(code, code)
        self[code] = value
        return value


class _WordTable(dict[int, int | str]):
    """For str.translate: punctuation becomes a space, a CJK ideograph is put between spaces. Fills as it is used."""

    def __missing__(self, code: int) -> int | str:
        character = chr(code)
        value: int | str = code
        if is_cjk(character):
            value = f" {character} "
        elif unicodedata.category(character)[0] == "P" or (code < 128 and not character.isalnum()):
            value = " "
        self[code] = value
        return value


def is_cjk(character: str) -> bool:
    """Whether a character is an ideograph that is a word by itself."""
    return _lies_in(ord(character), _CJK_RANGES)


def _lies_in(code: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(first <= code <= last for first, last in ranges)


_CLEAN_TABLE = _CleanTable()
_WORD_TABLE = _WordTable()


def normalize(text: str) -> str:
    """NFKC casefold of what a browser shows of the text, without default ignorables; control characters become spaces,
    lone surrogates U+FFFD; fractions are written as people type them, apart from the number before.

    Idempotent: casefolding can undo NFKC, removals can allow new compositions, and either can make a reference or a tag
    ("&EACUTE;"), so it is repeated until stable.

    >>> normalize("Straße Ａ１ ﬁn")
    'strasse a1 fin'
    >>> normalize("<b>Oak</b> &amp; 3½ ft")
    'oak & 3 1/2 ft'
    """
    if text.isascii() and not may_hold_markup(text):
        text = text.lower()
        return text if text.isprintable() else text.translate(_CLEAN_TABLE)
    if may_hold_markup(text):  # before "3<b>½</b>" is two words
        text = without_markup(unicodedata.normalize("NFC", text))
    text = _without_markup(_clean(text))
    while (folded := _fold(text)) != text:
        text = _without_markup(folded)
    return text


def plain_text(text: str) -> str:
    """What a text encoder is to read: no markup, fractions as people type them; idempotent.

    >>> plain_text("<b>Oak</b> &amp; 3½ ft")
    'Oak & 3 1/2 ft'
    """
    text = without_markup(text)
    return text if text.isascii() else _translated(text, _FRACTION_TABLE)


def _clean(text: str) -> str:
    return _translated(text, _CLEAN_TABLE)


def _translated(text: str, table: Mapping[int, int | str | None]) -> str:
    """By a table that has the fractions, which are set apart from the number before."""
    if _FRACTION_SLASH in text:
        text = _NUMERATOR_AFTER_DIGIT.sub(" ", text)
    text = text.translate(table)
    if _FRACTION in text:
        text = _FRACTION_AFTER_DIGIT.sub(" ", text).replace(_FRACTION, "")
    return text


def _without_markup(cleaned: str) -> str:
    """Cleaned text without markup, stable: a reference may be one to a character that cleaning removes. Composed before
    it is read, for "<b" and a mark that makes its ">" another character is no tag."""
    while may_hold_markup(cleaned):
        read = _clean(without_markup(unicodedata.normalize("NFC", cleaned)))
        if read == cleaned:
            break
        cleaned = read
    return cleaned


def _fold(text: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.translate(_CLEAN_TABLE)


def words(normalized: str) -> list[str]:
    """The words of a normalised text: CJK ideographs stand alone, white space and punctuation separate and vanish.

    Punctuation: Unicode categories P*, and every ASCII character that is neither letter, digit nor white space.

    >>> words("cat.5e, 木椅")
    ['cat', '5e', '木', '椅']
    """
    return normalized.translate(_WORD_TABLE).split()


def only_words(text: str) -> str:
    """The words of a text with one space between; of a text without words, what is left of it. Equal for spellings of
    one text.

    >>> only_words("Pro-Controller "), only_words("!! ")
    ('pro controller', '!!')
    """
    normalized = normalize(text)
    return " ".join(words(normalized)) or normalized.strip()


def same_query(query: str) -> str:
    """What is equal for queries that are the same one.

    >>> same_query("  Red\\tSHOE ")
    'red shoe'
    """
    return " ".join(normalize(query).split())


def bigrams(words: Sequence[str]) -> list[str]:
    """Neighbouring words joined by `#`.

    >>> bigrams(["solid", "wood", "chair"])
    ['solid#wood', 'wood#chair']
    """
    return [f"{left}{SEPARATOR}{right}" for left, right in pairwise(words)]


def character_trigrams(normalized: str) -> list[str]:
    """All runs of three characters of `#` + the text with white space runs as one `#` + `#`; none of blank text.

    >>> character_trigrams("a  tv!")
    ['#a#', 'a#t', '#tv', 'tv!', 'v!#']
    """
    pieces = normalized.split()
    if not pieces:
        return []
    framed = f"{SEPARATOR}{SEPARATOR.join(pieces)}{SEPARATOR}"
    return [framed[start : start + 3] for start in range(len(framed) - 2)]


def query_key(surface: str, query: str) -> str:
    """Equal for all spellings of a text query (same_query) on a surface; a picture is known by its address alone.

    >>> query_key("search", "Red  Shoe") == query_key("search", "red shoe")
    True
    >>> query_key("closeup", "A.jpg") == query_key("closeup", "a.jpg")
    False
    """
    return f"{surface}\n{same_query(query) if surface == 'search' else query}"
