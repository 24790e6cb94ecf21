"""Text to tokens: word unigrams, word bigrams and character trigrams (ItemSage's tokeniser; PAPERS' successor code).

    text        "The  Wood-Chair"
    normalize   "the  wood-chair"                         NFKC casefold
    words       the, wood, chair                          white space and punctuation separate, punctuation is dropped
    bigrams     the#wood, wood#chair
    trigrams    #th the he# e#w #wo woo ood od- d-c ...   whole string, white space runs become one #, punctuation stays

Training and inference call these same functions; `TOKENIZER_VERSION` is part of every vocabulary's id. Characters that
a newer Python's Unicode tables define and an older one's do not are letters to the older one; all others agree.
"""

import unicodedata
from collections.abc import Sequence
from itertools import pairwise

#: Raised whenever any text tokenises differently; old vocabularies are then refused instead of silently misread.
TOKENIZER_VERSION = 1
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


class _CleanTable(dict[int, int | str | None]):
    """For str.translate: controls become spaces, lone surrogates U+FFFD, default ignorables nothing. Fills as used."""

    def __missing__(self, code: int) -> int | str | None:
        category = unicodedata.category(chr(code))
        value: int | str | None = code
        if category == "Cc":
            value = " "
        elif category == "Cs":
            value = _REPLACEMENT
        elif _lies_in(code, _IGNORABLE_RANGES):
            value = None
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
    """NFKC casefold without default ignorables; control characters become spaces, lone surrogates U+FFFD.

    Idempotent: casefolding can undo NFKC and removals can allow new compositions, so it is repeated until stable.

    >>> normalize("Straße Ａ１ ﬁn")
    'strasse a1 fin'
    """
    if text.isascii():
        text = text.lower()
        return text if text.isprintable() else text.translate(_CLEAN_TABLE)
    text = text.translate(_CLEAN_TABLE)
    while (folded := _fold(text)) != text:
        text = folded
    return text


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
