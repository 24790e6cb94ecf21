"""The catalogue's text: 12 fields with the gaps, other words and noise of a real feed.

A family decides which attributes its titles and fields name, so the colourways of one family often share their text and
differ only in the picture.
"""

import random
from dataclasses import dataclass

from schemas.hashing import seed_of
from schemas.sample_shop.assortment import Product
from schemas.sample_shop.product_types import PRODUCT_TYPES
from schemas.sample_shop.products import BRANDS, COLOURS, MATERIALS, MODEL_NAMES, PATTERNS, STYLES, Word
from schemas.tables import TEXT_FIELDS

Text = dict[str, str | None]

#: How often a family's titles name an attribute, and how often its structured fields are filled.
_TITLE_SHARES = {"brand": 0.42, "model": 0.7, "style": 0.3, "material": 0.28, "colour": 0.4, "pattern": 0.4}
_FIELD_SHARES = {
    "description": 0.78,
    "domains": 0.6,
    "brand": 0.8,
    "colors": 0.45,
    "size_type": 0.35,
    "links": 0.66,
    "size": 0.5,
    "patterns": 0.34,
    "materials": 0.55,
    "product_types": 0.58,
    "google_product_category": 0.52,
}
_SIZES = {
    "clothing": ("letters", ("XS", "S", "M", "L", "XL", "XXL")),
    "shoes and bags": ("EU", ("36", "38", "40", "42", "44", "one size")),
    "kitchen": ("metric", ("0,35 l", "0.5 l", "12 cm", "24 cm", "set of 4")),
    "furniture": ("cm", ("45 x 45 x 90", "120 x 80 x 75", "180 x 90", "200 x 60 x 40")),
    "home": ("cm", ("40 x 40", "60 x 120", "140 x 200", "Ø 32")),
    "toys": ("age", ("0-3 years", "3+", "6 - 9 years")),
}
_SENTENCES = (
    "Goes well with a {other_colour} {other_type} or a {other_type2}.",
    "Also available in {other_colour} and {other_colour2}.",
    "The {model} series by {brand} was designed in a small studio by the sea.",
    "Made of {material}, built to last for years.",
    "Hand wash only, do not tumble dry.",
    "Wipe clean with a damp cloth.",
    "Customers who bought this also looked at our {other_type}.",
    "Free returns within 30 days & carbon neutral delivery!",
    "A {style} favourite for every season.",
    "Not your average {listing}: every detail has been thought through.",
    "The perfect gift for birthdays, housewarmings and Mother's Day.",
    "Colours may differ slightly from the picture due to your screen settings.",
    "Part of our {other_style} edit, inspired by travels along the coast.",
    "Ships from our warehouse in 2–4 working days.",
    "<b>NEW</b>&nbsp;arrival, limited stock.",
    "★★★★★ 'I love it, so much better than my old {other_type}!'",
)
_OWN_ATTRIBUTE_SENTENCES = ("Shown here in {colour}.", "With its {pattern} finish it catches every eye.")
_PLAIN_WORD_SHARE = 0.55
_LISTING_WEIGHTS = (5, 3, 2)
_SUFFIXES = ("– New Collection", "(Set of 2)", "| free shipping", "✨ bestseller", "NEW!!", "- outlet", "2026")
_MARKETPLACES = ("bazaar.example", "homeandmore.example", "dealfinder.example")


@dataclass(frozen=True, slots=True)
class _Family:
    """What the items of a family share: the words chosen, the parts named, the fields filled, the description."""

    words: dict[str, str]
    parts: frozenset[str]
    fields: frozenset[str]
    sentences: tuple[str, ...]


def item_text(product: Product, seed: int) -> Text:
    """The 12 text fields of a product; None where the feed has nothing."""
    chance = random.Random(seed_of("text", seed, product.item_id))
    family = _family(product, seed)
    words = {
        **family.words,
        "colour": _listing(chance, COLOURS[product.colour]),
        "pattern": _listing(chance, PATTERNS[product.pattern]),
    }
    department = PRODUCT_TYPES[product.product_type].department
    size_type, sizes = _SIZES[department]
    slug = "-".join((words["model"] + " " + words["listing"]).lower().split())
    domain = _domain(words["brand"])
    text: Text = {
        "title": _title(chance, product, family.parts, words),
        "description": " ".join(sentence.format(**words) for sentence in family.sentences),
        "domains": domain if chance.random() < 0.6 else f"{domain} {chance.choice(_MARKETPLACES)}",
        "brand": words["brand"],
        "colors": words["colour"],
        "size_type": size_type,
        "links": f"https://www.{domain}/p/{slug}-{chance.randrange(10**5):05d}",
        "size": chance.choice(sizes),
        "patterns": words["pattern"],
        "materials": words["material"],
        "product_types": PRODUCT_TYPES[product.product_type].breadcrumb,
        "google_product_category": PRODUCT_TYPES[product.product_type].google,
    }
    return {name: text[name] if name == "title" or name in family.fields else None for name in TEXT_FIELDS}


def sparse_text(product: Product, seed: int) -> Text:
    """What a careless merchant sends: an article number or one word, nothing else."""
    chance = random.Random(seed_of("sparse", seed, product.item_id))
    listing = chance.choice(PRODUCT_TYPES[product.product_type].listing)
    title = chance.choice((f"Art. {chance.randrange(10**5):05d}", listing, f"{listing} {chance.randrange(90) + 10}"))
    return {**dict.fromkeys(TEXT_FIELDS), "title": title}


def _family(product: Product, seed: int) -> _Family:
    chance = random.Random(seed_of("family", seed, product.family))
    kind = PRODUCT_TYPES[product.product_type]
    others = chance.sample(PRODUCT_TYPES, 2)
    colours = chance.sample(COLOURS, 2)
    words = {
        "listing": chance.choices(kind.listing, weights=_LISTING_WEIGHTS[: len(kind.listing)])[0],
        "model": chance.choice(MODEL_NAMES),
        "brand": BRANDS[product.brand],
        "style": _listing(chance, STYLES[product.style]),
        "material": _listing(chance, MATERIALS[product.material]),
        "other_type": chance.choice(others[0].listing),
        "other_type2": chance.choice(others[1].listing),
        "other_colour": chance.choice(colours[0].listing),
        "other_colour2": chance.choice(colours[1].listing),
        "other_style": chance.choice(chance.choice(STYLES).listing),
    }
    sentences = chance.sample(_SENTENCES, chance.randint(2, 7))
    if chance.random() < 0.2:
        sentences.insert(chance.randrange(len(sentences)), chance.choice(_OWN_ATTRIBUTE_SENTENCES))
    return _Family(
        words,
        frozenset(name for name, share in _TITLE_SHARES.items() if chance.random() < share),
        frozenset(name for name, share in _FIELD_SHARES.items() if chance.random() < share),
        tuple(sentences),
    )


def _title(chance: random.Random, product: Product, parts: frozenset[str], words: dict[str, str]) -> str:
    named = parts - ({"pattern"} if product.pattern == 0 else set())
    order = ("brand", "model", "style", "colour", "pattern", "material")
    title = " ".join([words[name] for name in order if name in named] + [words["listing"]])
    title = title if product.family % 5 == 0 else title[0].upper() + title[1:]
    return f"{title} {chance.choice(_SUFFIXES)}" if chance.random() < 0.1 else title


def _listing(chance: random.Random, word: Word) -> str:
    """The catalogue's word: mostly the plain one."""
    return word.listing[0] if chance.random() < _PLAIN_WORD_SHARE else chance.choice(word.listing)


def _domain(brand: str) -> str:
    return "".join(letter for letter in brand.lower() if letter.isascii() and letter.isalnum()) + ".example"
