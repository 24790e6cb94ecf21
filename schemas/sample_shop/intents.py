"""What shoppers want: an intent is a product type and the attributes that matter; the words of a search for it.

An intent row is int64 [6] in the order of ATTRIBUTES, ANY where an attribute does not matter. An item matches when
every attribute that matters is equal.
"""

import random
from collections.abc import Callable

import numpy as np

from schemas.hashing import seed_of
from schemas.sample_shop.assortment import Assortment
from schemas.sample_shop.product_types import PRODUCT_TYPES
from schemas.sample_shop.products import BRANDS, COLOURS, MATERIALS, PATTERNS, STYLES, Word

ANY = -1
ATTRIBUTES = ("product_type", "colour", "pattern", "style", "brand", "material")

#: Which attributes (beside the type) a search names, how often.
_SEARCH_KINDS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("colour",), 0.36),
    (("colour", "pattern"), 0.18),
    (("pattern",), 0.12),
    (("style",), 0.1),
    (("brand",), 0.1),
    (("material",), 0.05),
    ((), 0.09),
)
_CLOSEUP_KINDS: tuple[tuple[tuple[str, ...], float], ...] = ((("colour", "pattern"), 0.8), (("colour",), 0.2))
_HOME_KINDS: tuple[tuple[tuple[str, ...], float], ...] = ((("colour",), 0.5), (("style",), 0.3), ((), 0.2))
KINDS = {"search": _SEARCH_KINDS, "closeup": _CLOSEUP_KINDS, "home": _HOME_KINDS}

_WORD_WEIGHTS = (6, 3, 2)
_TYPO_SHARE = 0.02
_TAILS = ("for women", "for men", "sale", "cheap", "gift", "2026", "small", "large")


def attributes_of(assortment: Assortment) -> np.ndarray:
    """int64 [N, 6]: the products' attributes, in the order of ATTRIBUTES."""
    return np.stack([assortment.column(name) for name in ATTRIBUTES], axis=1)


def draw_intents(anchors_EA: np.ndarray, surface: str, rng: np.random.Generator) -> np.ndarray:
    """int64 [E, 6]: for each anchor (the attributes of a product someone has in mind) what of it matters on `surface`.

    Nobody searches for a plain pattern: a search that would name one names the colour instead.
    """
    kinds = KINDS[surface]
    drawn_E = rng.choice(len(kinds), size=len(anchors_EA), p=[share for _, share in kinds])
    intents = np.full_like(anchors_EA, ANY)
    intents[:, 0] = anchors_EA[:, 0]
    for number, (names, _) in enumerate(kinds):
        rows = drawn_E == number
        for name in names:
            column = ATTRIBUTES.index(name)
            intents[rows, column] = anchors_EA[rows, column]
    if surface == "search":
        plain = intents[:, ATTRIBUTES.index("pattern")] == 0
        colour = ATTRIBUTES.index("colour")
        intents[plain, colour] = anchors_EA[plain, colour]
        intents[plain, ATTRIBUTES.index("pattern")] = ANY
    return intents


def matches(attributes_NA: np.ndarray, intents_NA: np.ndarray) -> np.ndarray:
    """bool [N]: which rows of attributes satisfy the intent beside them (or the one intent, broadcast)."""
    return ((attributes_NA == intents_NA) | (intents_NA == ANY)).all(axis=-1)


def search_queries(intents_EA: np.ndarray, seed: int) -> list[str]:
    """The text typed for each intent: shoppers' words in a few orders, rarely with a tail or a typo."""
    chance = random.Random(seed_of("search queries", seed))
    return [_query(chance, row) for row in intents_EA.tolist()]


def _query(chance: random.Random, intent: list[int]) -> str:
    kind, colour, pattern, style, brand, material = intent
    head = _weighted(chance, PRODUCT_TYPES[kind].shopper)
    named = [_shopper(chance, tuple_[number]) for tuple_, number in _named(colour, pattern, style, material)]
    if brand != ANY:
        named.insert(0, BRANDS[brand].lower())
    words = [*named, head] if chance.random() < 0.85 else [head, *named]
    if chance.random() < 0.05:
        words.append(chance.choice(_TAILS))
    query = " ".join(words)
    return _typo(chance, query) if chance.random() < _TYPO_SHARE else query


def _named(colour: int, pattern: int, style: int, material: int) -> list[tuple[tuple[Word, ...], int]]:
    pairs = [(COLOURS, colour), (PATTERNS, pattern), (STYLES, style), (MATERIALS, material)]
    return [(words, number) for words, number in pairs if number != ANY]


def _shopper(chance: random.Random, word: Word) -> str:
    return _weighted(chance, word.shopper)


def _weighted(chance: random.Random, words: tuple[str, ...]) -> str:
    return chance.choices(words, weights=_WORD_WEIGHTS[: len(words)])[0]


def _typo(chance: random.Random, query: str) -> str:
    """One letter doubled, dropped or swapped with the next."""
    place = chance.randrange(max(len(query) - 1, 1))
    edits: tuple[Callable[[str, str], str], ...] = (lambda a, b: a + a + b, lambda a, b: b, lambda a, b: b + a)
    return query[:place] + chance.choice(edits)(query[place], query[place + 1 : place + 2]) + query[place + 2 :]
