"""Search queries made from an item's own text, so that a shop without a search log has text search on day one.

    title          "Acme TX-20 Trail Running Shoe Red, 42"     brand Acme, colors Red, materials Mesh
    noun phrases   trail running shoe                          cut at brand, colours, numbers, punctuation, prepositions
    queries        shoe | running shoe | acme shoe | red running shoe | mesh shoe | tx-20 | acme tx-20 | acme | ...

Each kind of query has a share; within a kind candidates have weights; a seeded draw without replacement picks them.
Queries are short as people type them (1-4 words), and category-like words have the largest share, for most real
queries name a kind of thing. Item ids are only used as a seed: a query never holds what the text does not say.
"""

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, product

from model.text.phrases import (
    MAX_VALUES,
    clean,
    first_sentence,
    has_letter,
    is_measure,
    is_weak,
    join_measures,
    leaves,
    model_numbers,
    noun_phrases,
    roots_and_leaves,
    tokens_of,
    values_of,
)
from model.text.tokenizer import is_cjk, normalize, words
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
#: Words of a field that random ones are drawn from.
_MAX_FIELD_WORDS = 256
_MAX_SHORT_SENTENCE_WORDS = 8

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
    draw = random.Random(seed_of("pseudo_queries", seed, _name_of(row)))
    # Efraimidis and Spirakis (2006): the largest log(u) / weight are a weighted sample without replacement.
    keys = {query: math.log(1.0 - draw.random()) / weight for query, weight in weights.items()}
    return sorted(keys, key=lambda query: (-keys[query], query))[: max(count, 0)]


def random_word_queries(row: Mapping[str, str | None], count: int, seed: int) -> list[str]:
    """At most `count` distinct queries of one to MAX_WORDS random words of an item's text, in their order there. They
    are not what people type; beside those of pseudo_queries they meet many more words together.

    row, seed: as for pseudo_queries. Fewer queries, or none, come of few words.
    """
    text_words = [word for name in _FIELDS for word in words(clean(row.get(name)))[:_MAX_FIELD_WORDS]]
    draw = random.Random(seed_of("random_word_queries", seed, _name_of(row)))
    found: dict[str, None] = {}
    for _ in range(2 * count if text_words else 0):
        length = min(draw.randint(1, MAX_WORDS), len(text_words))
        query = _to_query([text_words[place] for place in sorted(draw.sample(range(len(text_words)), length))])
        if query is not None and len(found) < count:
            found[query] = None
    return list(found)


def _name_of(row: Mapping[str, str | None]) -> str:
    """What the draws for an item depend on."""
    return row.get("item_id") or fingerprint([row.get(name) for name in TEXT_FIELDS])


def _candidates(row: Mapping[str, str | None]) -> dict[str, Candidates]:
    """Weighted candidates of every kind, each a sequence of words."""
    text = {name: clean(row.get(name)) for name in _FIELDS}
    brand = tokens_of(text["brand"])[:2]
    colors = values_of(text["colors"], 2)
    title = text["title"] or first_sentence(text["description"])
    title_words = tokens_of(title)[:_MAX_TITLE_WORDS]
    phrases = noun_phrases(title, brand, colors)
    types = [*values_of(text["product_types"], MAX_WORDS), *leaves(text["google_product_category"])]
    nouns = [*types[:3], *([phrases[0][-2:], phrases[0][-1:]] if phrases else [])]
    attributes = [v for name in ("materials", "patterns", "size_type") for v in values_of(text[name], 2)]
    models = model_numbers(title_words)
    return {
        "head": _heads(phrases),
        "type": [
            *((2.0, value) for value in types),
            *((1.0, value[-1:]) for value in types),
            *((1.0, value) for value in roots_and_leaves(text["google_product_category"])),
        ],
        "span": _spans(join_measures(title_words)),
        "brand type": [(w, tokens) for n in nouns if brand for w, tokens in ((3.0, brand + n), (1.0, n + brand))],
        "color type": [(1.0, c + n) for c, n in product(colors, nouns)],
        "attribute type": [(1.0, a + n) for a, n in product(attributes[:MAX_VALUES], nouns)],
        "combination": [
            *((1.0, c + a + n) for c, a, n in product(colors[:2], attributes[:3], nouns)),
            *((1.0, brand + c + n) for c, n in product(colors[:2], nouns) if brand),
        ],
        "model": [(w, t) for m in models for w, t in ((1.0, [m]), (1.0, [*brand, m]))],
        "brand": [(1.0, brand)],
        "description": _heads(_short_description(text["description"], brand, colors)),
    }


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


def _short_description(description: str, brand: Sequence[str], colors: Iterable[Sequence[str]]) -> list[list[str]]:
    """Noun phrases of a description's first sentence if it is as short as a name, else none."""
    sentence = first_sentence(description)
    if not 0 < len(sentence.split()) <= _MAX_SHORT_SENTENCE_WORDS:
        return []
    return noun_phrases(sentence, brand, colors)


def _to_query(tokens: Sequence[str]) -> str | None:
    """The words as a query, ideographs unspaced; None if it is empty, too long, says a word twice, starts or ends with
    a weak word, or holds only numbers and measures."""
    if not 0 < len(tokens) <= MAX_WORDS or len(set(tokens)) < len(tokens):
        return None
    if is_weak(tokens[0]) or is_weak(tokens[-1]) or all(map(is_measure, tokens)):
        return None
    query = " ".join(tokens)
    if not query.isascii():
        query = tokens[0]
        for before, token in pairwise(tokens):
            query += token if is_cjk(before[-1]) and is_cjk(token[0]) else f" {token}"
        query = normalize(query)
    too_long = len(query) > MAX_CHARACTERS or query.count(" ") >= MAX_WORDS
    return query if has_letter(query) and not too_long else None
