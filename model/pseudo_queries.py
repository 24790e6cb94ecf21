"""Search queries made from an item's own text, so that a shop without a search log has text search on day one.

    title          "Acme TX-20 Trail Running Shoe Red, 42"     brand Acme, colors Red, materials Mesh
    noun phrases   trail running shoe                          cut at brand, colours, numbers, punctuation, prepositions
    queries        shoe | running shoe | acme shoe | red running shoe | mesh shoe | tx-20 | acme tx-20 | acme | ...

Each kind of query has a share; within a kind candidates have weights; a seeded draw without replacement picks them.
Queries are short as people type them (1-4 words), and category-like words have the largest share, for most real
queries name a kind of thing. Item ids are only used as a seed: a query never holds what the text does not say.
"""

import html
import math
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, product

from model.tokenizer import is_cjk, normalize, words
from schemas.hashing import fingerprint, seed_of
from schemas.tables import TEXT_FIELDS

MAX_WORDS = 4
MAX_CHARACTERS = 60

#: How often a kind of query is drawn, relative to the others that the item's text allows.
SHARES = {
    "head": 3.0,
    "type": 3.0,
    "span": 2.0,
    "brand type": 2.0,
    "color type": 1.5,
    "attribute type": 1.5,
    "combination": 1.0,
    "model": 1.0,
    "brand": 0.5,
    "description": 0.5,
}
_FIELDS = tuple(name for name in TEXT_FIELDS if name not in ("domains", "links", "size"))
_MAX_TITLE_WORDS = 16
_MAX_PHRASES = 4
_MAX_SHORT_SENTENCE_WORDS = 8
_MAX_VALUES = 6
_MAX_UNIT_CHARACTERS = 4

_TAG = re.compile(r"<[^<>]{0,80}>")
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

Candidates = Iterable[tuple[float, Sequence[str]]]


def pseudo_queries(row: Mapping[str, str | None], count: int, seed: int) -> list[str]:
    """At most `count` distinct queries for an item, drawn by SHARES and normalised (tokenizer.normalize).

    row: text fields (schemas.tables.TEXT_FIELDS) and, if there, `item_id`. The draw depends on (seed, item_id), without
    an id on the text. Fewer queries, or none, come where the text allows no more. Reads title, description, brand,
    colors, patterns, materials, size_type, product_types and google_product_category.
    """
    weights: dict[str, float] = {}
    for kind, candidates in _candidates(row).items():
        queries = [(weight, query) for weight, tokens in candidates if (query := _to_query(tokens))]
        total = sum(weight for weight, _ in queries)
        for weight, query in queries:
            weights[query] = weights.get(query, 0.0) + SHARES[kind] * weight / total
    item = row.get("item_id") or fingerprint([row.get(name) for name in TEXT_FIELDS])
    draw = random.Random(seed_of("pseudo_queries", seed, item))
    # Efraimidis and Spirakis (2006): the largest log(u) / weight are a weighted sample without replacement.
    keys = {query: math.log(1.0 - draw.random()) / weight for query, weight in weights.items()}
    return sorted(keys, key=lambda query: (-keys[query], query))[: max(count, 0)]


def _candidates(row: Mapping[str, str | None]) -> dict[str, Candidates]:
    """Weighted candidates of every kind, each a sequence of words."""
    text = {name: _clean(row.get(name)) for name in _FIELDS}
    brand = _tokens(text["brand"])[:2]
    colors = _values(text["colors"], max_words=2)
    title = text["title"] or _SENTENCE.split(text["description"], maxsplit=1)[0]
    phrases = _noun_phrases(title, brand, colors)
    types = [*_values(text["product_types"]), *_leaves(text["google_product_category"])]
    nouns = [*types[:3], *([phrases[0][-2:], phrases[0][-1:]] if phrases else [])]
    attributes = [v for name in ("materials", "patterns", "size_type") for v in _values(text[name], max_words=2)]
    models = _models(title)
    return {
        "head": _heads(phrases),
        "type": [
            *((2.0, value) for value in types),
            *((1.0, value[-1:]) for value in types),
            *((1.0, value) for value in _roots_and_leaves(text["google_product_category"])),
        ],
        "span": _spans(_join_measures(_tokens(title)[:_MAX_TITLE_WORDS])),
        "brand type": [(w, tokens) for n in nouns if brand for w, tokens in ((3.0, brand + n), (1.0, n + brand))],
        "color type": [(1.0, c + n) for c, n in product(colors, nouns)],
        "attribute type": [(1.0, a + n) for a, n in product(attributes[:_MAX_VALUES], nouns)],
        "combination": [
            *((1.0, c + a + n) for c, a, n in product(colors[:2], attributes[:3], nouns)),
            *((1.0, brand + c + n) for c, n in product(colors[:2], nouns) if brand),
        ],
        "model": [(w, t) for m in models for w, t in ((1.0, [m]), (1.0, [*brand, m]))],
        "brand": [(1.0, brand)],
        "description": _heads(_short_description(text["description"], brand, colors)),
    }


def _clean(text: str | None) -> str:
    """Normalised, without HTML, and without the marks that NFKC would spell out ("brandtm")."""
    if not text:
        return ""
    if "&" in text or "<" in text:
        text = _TAG.sub(" ", html.unescape(text))
    return normalize(text if text.isascii() else _MARKS.sub(" ", text))


def _tokens(text: str) -> list[str]:
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


def _values(text: str, max_words: int = MAX_WORDS) -> list[list[str]]:
    """The words of each value of "jacket|hooded|soft shell"; slashes separate only where nothing else does.

    A value of more than `max_words` words, as a joined list is, counts word by word.
    """
    parts = _VALUES_AND_COMMAS.split(text)
    found: list[list[str]] = []
    for part in parts if len(parts) > 1 else re.split(r"\s*[>/]\s*", text):
        tokens = _tokens(part)
        found += [tokens] if len(tokens) <= max_words else [[token] for token in tokens]
    return [value for value in found if value][:_MAX_VALUES]


def _paths(category: str) -> Iterator[list[str]]:
    """The level names of every path of a category field: "a > b | c/d" gives [a, b] and [c, d]."""
    deep = ">" in category
    for value in (_VALUES if deep else _VALUES_AND_COMMAS).split(category):
        levels = [level.strip() for level in value.split(">" if deep else "/")]
        if any(levels):
            yield [level for level in levels if level]


def _parts(level: str) -> list[list[str]]:
    """A level's names: "hoodies & sweatshirts" gives [hoodies] and [sweatshirts]."""
    return [tokens for part in _LEVEL_PARTS.split(level) if (tokens := _tokens(part))]


def _leaves(category: str) -> list[list[str]]:
    return [part for path in _paths(category) for part in _parts(path[-1])][:_MAX_VALUES]


def _roots_and_leaves(category: str) -> list[list[str]]:
    """[men, jackets] of "men/tops/jackets": a root of one name before each leaf."""
    found = []
    for path in _paths(category):
        roots = _parts(path[0])
        if len(path) > 1 and len(roots) == 1:
            found += [roots[0] + leaf for leaf in _parts(path[-1])]
    return found[:_MAX_VALUES]


def _noun_phrases(title: str, brand: Sequence[str], colors: Iterable[Sequence[str]]) -> list[list[str]]:
    """Runs of plain words: a title cut at punctuation, brand, colours, numbers with their units and breaking words.

    The first few; those of several words, which more often name the thing, before single ones ("moto", "scanjet").
    """
    cut = _BREAKING | {word for color in colors for word in color}
    phrases: list[list[str]] = []
    for segment in _SEGMENT.split(title):
        run: list[str] = []
        for token in _join_measures(_without(brand, _tokens(segment))):
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


def _join_measures(tokens: Iterable[str]) -> list[str]:
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
    while kept and _is_weak(kept[0]):
        kept.pop(0)
    while kept and _is_weak(kept[-1]):
        kept.pop()
    return kept


def _is_weak(token: str) -> bool:
    return token in _WEAK or (len(token) == 1 and not is_cjk(token))


def _heads(phrases: Sequence[Sequence[str]]) -> Candidates:
    """The last words of noun phrases, where English and its neighbours put the head noun; the first phrase counts most.

    [trail, running, shoe] gives shoe, running shoe, trail running shoe.
    """
    for rank, phrase in enumerate(phrases):
        for length, weight in ((1, 4.0), (2, 4.0), (3, 2.0), (4, 1.0)):
            if length <= len(phrase):
                yield weight / (1 + 2 * rank), phrase[-length:]


def _spans(tokens: Sequence[str]) -> Candidates:
    """All spans of 2 to MAX_WORDS words, those at the start or the end of the title four times as likely."""
    for length in range(2, MAX_WORDS + 1):
        for start in range(len(tokens) - length + 1):
            at_edge = start == 0 or start + length == len(tokens)
            yield (4.0 if at_edge else 1.0), tokens[start : start + length]


def _models(title: str) -> list[str]:
    """Words of letters and digits of at least three characters that are not measures: tx-20, cb401a; not 20cm, 2x4."""
    return [
        token
        for token in _tokens(title)[:_MAX_TITLE_WORDS]
        if len(token) >= 3 and _DIGIT.search(token) and _LETTER.search(token) and not _MEASURE.match(token)
    ]


def _short_description(description: str, brand: Sequence[str], colors: Iterable[Sequence[str]]) -> list[list[str]]:
    """Noun phrases of a description's first sentence if it is as short as a name, else none."""
    sentence = _SENTENCE.split(description, maxsplit=1)[0]
    if not 0 < len(sentence.split()) <= _MAX_SHORT_SENTENCE_WORDS:
        return []
    return _noun_phrases(sentence, brand, colors)


def _to_query(tokens: Sequence[str]) -> str | None:
    """The words as a query, ideographs unspaced; None if it is empty, too long, says a word twice, starts or ends with
    a weak word, or holds only numbers and measures."""
    if not 0 < len(tokens) <= MAX_WORDS or len(set(tokens)) < len(tokens):
        return None
    if _is_weak(tokens[0]) or _is_weak(tokens[-1]) or all(_MEASURE.match(token) for token in tokens):
        return None
    query = " ".join(tokens)
    if not query.isascii():
        query = tokens[0]
        for before, token in pairwise(tokens):
            query += token if is_cjk(before[-1]) and is_cjk(token[0]) else f" {token}"
        query = normalize(query)
    too_long = len(query) > MAX_CHARACTERS or query.count(" ") >= MAX_WORDS
    return query if _LETTER.search(query) and not too_long else None
