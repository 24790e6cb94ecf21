"""Words and phrases of an item's text: values of a field, names of a category's path, noun phrases, model numbers.

    "Acme TX-20 Trail Running Shoe Red, 42"    noun phrase  trail running shoe    model number  tx-20
    "hooded|soft shell"                        values       [hooded], [soft, shell]
    "men/tops/jackets"                         leaf         [jackets]

A phrase is a list of words (see `tokens_of`) of text that `clean` has normalised.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from model.text.tokenizer import is_cjk, normalize, words
from schemas.cells.markup import without_markup

#: Values of one field beyond the first few are left out.
MAX_VALUES = 6
_MAX_PHRASES = 4
_MAX_UNIT_CHARACTERS = 4

_SEGMENT = re.compile(r"[,;:|()\[\]{}\n!?]+|\.(?=\s|$)|\s[-–—/]\s")
_SENTENCE = re.compile(r"[\n.!?](?:\s|$)")
_BRACKETS = re.compile(r"[()\[\]{}\"“”]+")
_MARKS = re.compile(r"[®©™℠]")
_EDGES = re.compile(r"^[^\w&+]+|[^\w+]+$")
_LETTER, _DIGIT, _LETTER_OR_DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d"), re.compile(r"[^\W_]")
_NUMBER = re.compile(r"^\d[\d.,/x×-]*$")
_MEASURE = re.compile(r"^\d[\d.,/x×-]* ?[^\W\d]{0,4}$")
_VALUES, _VALUES_AND_COMMAS, _LEVEL_PARTS = re.compile(r"[|;]"), re.compile(r"[|;,]"), re.compile(r"[,&]|\band\b")
#: Words that end a noun phrase, and, with the others, that no query starts or ends with.
_BREAKING_WORDS = "with for from to by in on at without incl including per plus is are w"
_OTHER_WEAK_WORDS = "a an the and or of & + no not its your you our this that it as"
_BREAKING = frozenset(_BREAKING_WORDS.split())
_CUT = "\n"
_WEAK = _BREAKING | frozenset(_OTHER_WEAK_WORDS.split())


def clean(text: str | None) -> str:
    """Normalised, without the marks that NFKC would spell out ("brandtm"), as characters or as references."""
    if not text:
        return ""
    text = without_markup(text)
    return normalize(text if text.isascii() else _MARKS.sub(" ", text))


def first_sentence(text: str) -> str:
    """The text up to a full stop, an exclamation or question mark, or the end of a line."""
    return _SENTENCE.split(text, maxsplit=1)[0]


def tokens_of(text: str) -> list[str]:
    """Words with inner punctuation (tx-20, 1.5), bare of outer punctuation; ideographs alone."""
    found: list[str] = []
    for piece in _BRACKETS.sub(" ", text).split():
        if piece.isalnum() and piece.isascii():
            found.append(piece)
        elif not piece.isascii() and any(map(is_cjk, piece)):
            found += words(piece)
        elif (bare := _EDGES.sub("", piece)) and (bare == "&" or _LETTER_OR_DIGIT.search(bare)):
            found.append(bare)
    return found


def values_of(text: str, max_words: int) -> list[list[str]]:
    """The words of each value of "jacket|hooded|soft shell"; slashes separate only where nothing else does.

    A value of more than `max_words` words, as a joined list is, counts word by word.
    """
    parts = _VALUES_AND_COMMAS.split(text)
    found: list[list[str]] = []
    for part in parts if len(parts) > 1 else re.split(r"\s*[>/]\s*", text):
        tokens = tokens_of(part)
        found += [tokens] if len(tokens) <= max_words else [[token] for token in tokens]
    return [value for value in found if value][:MAX_VALUES]


def _paths(category: str) -> Iterator[list[str]]:
    """The level names of every path of a category field: "a > b | c/d" gives [a, b] and [c, d]."""
    deep = ">" in category
    for value in (_VALUES if deep else _VALUES_AND_COMMAS).split(category):
        levels = [level.strip() for level in value.split(">" if deep else "/")]
        if any(levels):
            yield [level for level in levels if level]


def _parts(level: str) -> list[list[str]]:
    """A level's names: "hoodies & sweatshirts" gives [hoodies] and [sweatshirts]."""
    return [tokens for part in _LEVEL_PARTS.split(level) if (tokens := tokens_of(part))]


def leaves(category: str) -> list[list[str]]:
    """The last names of the paths of a category field: [jackets] of "men/tops/jackets"."""
    return [part for path in _paths(category) for part in _parts(path[-1])][:MAX_VALUES]


def roots_and_leaves(category: str) -> list[list[str]]:
    """[men, jackets] of "men/tops/jackets": a root of one name before each leaf."""
    found = []
    for path in _paths(category):
        roots = _parts(path[0])
        if len(path) > 1 and len(roots) == 1:
            found += [roots[0] + leaf for leaf in _parts(path[-1])]
    return found[:MAX_VALUES]


def noun_phrases(title: str, brand: Sequence[str], colors: Iterable[Sequence[str]]) -> list[list[str]]:
    """Runs of plain words: a title cut at punctuation, brand, colours, numbers with their units and breaking words.

    The first few; those of several words, which more often name the thing, before single ones ("moto", "scanjet").
    """
    cut = _BREAKING | {word for color in colors for word in color}
    phrases: list[list[str]] = []
    for segment in _SEGMENT.split(title):
        run: list[str] = []
        for token in join_measures(_without(brand, tokens_of(segment))):
            if token in cut or token == _CUT or _DIGIT.search(token):
                phrases.append(run)
                run = []
            else:
                run.append(token)
        phrases.append(run)
    trimmed = [kept for phrase in phrases if (kept := _trim(phrase))][:_MAX_PHRASES]
    return sorted(trimmed, key=lambda phrase: len(phrase) == 1)


def _without(brand: Sequence[str], tokens: list[str]) -> list[str]:
    """The brand, where it stands whole, replaced by a cut: "case logic" leaves the case of "notebook case"."""
    found: list[str] = []
    for token in tokens:
        found.append(token)
        if brand and found[-len(brand) :] == list(brand):
            found[-len(brand) :] = [_CUT]
    return found


def join_measures(tokens: Iterable[str]) -> list[str]:
    """A number and the short word after it become one: [39.6, cm, notebook] gives ["39.6 cm", notebook]."""
    joined: list[str] = []
    for token in tokens:
        is_unit = token.isalpha() and len(token) <= _MAX_UNIT_CHARACTERS and token not in _WEAK
        if is_unit and joined and _NUMBER.match(joined[-1]):
            joined[-1] += f" {token}"
        else:
            joined.append(token)
    return joined


def _trim(tokens: Sequence[str]) -> list[str]:
    """Without weak words at both ends."""
    kept = list(tokens)
    while kept and is_weak(kept[0]):
        kept.pop(0)
    while kept and is_weak(kept[-1]):
        kept.pop()
    return kept


def is_weak(token: str) -> bool:
    """Whether no phrase starts or ends with the word: "with", "the", a single letter."""
    return token in _WEAK or (len(token) == 1 and not is_cjk(token))


def is_measure(token: str) -> bool:
    """Whether it is a number, alone or with a short unit: 42, 2x4, "39.6 cm"."""
    return _MEASURE.match(token) is not None


def has_letter(text: str) -> bool:
    """Whether a letter of any script is in it."""
    return _LETTER.search(text) is not None


def model_numbers(tokens: Iterable[str]) -> list[str]:
    """Words of letters and digits of at least three characters that are not measures: tx-20, cb401a; not 20cm, 2x4."""
    return [
        token
        for token in tokens
        if len(token) >= 3 and _DIGIT.search(token) and has_letter(token) and not is_measure(token)
    ]
