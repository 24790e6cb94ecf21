"""Which products the shop has: families of one type, brand, style and shape, in colourways and patterns.

This is the truth that similarity is judged by; texts and pictures are made from it, each with its own gaps.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.hashing import seed_of
from schemas.sample_shop.pictures import Look, Rgb
from schemas.sample_shop.product_types import DEPARTMENTS, PRODUCT_TYPES
from schemas.sample_shop.products import BRANDS, COLOURS, MATERIALS, PATTERNS, STYLE_TRIMS, STYLES
from schemas.sample_shop.returns import return_weight

TRUTH = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("family", pa.int32(), nullable=False),
        *[
            pa.field(name, pa.string(), nullable=False)
            for name in ("department", "product_type", "colour", "pattern", "style", "brand", "material")
        ],
        pa.field("popularity", pa.float64(), nullable=False),
        pa.field("return_weight", pa.float64(), nullable=False),
    ]
)

#: Share of the items that any one brand, colour or type may be asked for; `(rank + 1) ** -exponent`.
_COLOUR_EXPONENT, _PATTERN_EXPONENT, _POPULARITY_EXPONENT = 0.6, 0.6, 0.85
_SOLID_SHARE = 0.5
_FAMILY_SIZES, _FAMILY_WEIGHTS = (1, 2, 3, 4, 5, 6), (0.3, 0.22, 0.2, 0.14, 0.08, 0.06)
_MATERIAL_INDEX = {word.name: index for index, word in enumerate(MATERIALS)}
_LIGHT, _DARK = (240, 236, 226), (58, 48, 46)


@dataclass(frozen=True, slots=True)
class Product:
    """One item. Numbers index the tuples of products and product_types; `family` is shared by colourways."""

    item_id: str
    family: int
    product_type: int
    colour: int
    pattern: int
    style: int
    brand: int
    material: int
    look: Look


@dataclass(frozen=True, kw_only=True)
class Assortment:
    """All good products, in catalogue order, and how often each is wanted (float64 [N], sums to 1)."""

    products: list[Product]
    popularity_N: np.ndarray

    def column(self, name: str) -> np.ndarray:
        """int64 [N]: one of family, product_type, colour, pattern, style, brand, material."""
        return np.array([getattr(product, name) for product in self.products], dtype=np.int64)

    @property
    def return_weight_N(self) -> np.ndarray:
        """float64 [N]: how likely each comes back once it was bought, see schemas.sample_shop.returns."""
        kinds = [
            (PRODUCT_TYPES[product.product_type].department, COLOURS[product.colour].name) for product in self.products
        ]
        return np.array([return_weight(*kind) for kind in kinds])

    def truth(self) -> pa.Table:
        """The truth table: one row a product, in catalogue order."""
        rows = [
            {
                "item_id": product.item_id,
                "family": product.family,
                "department": PRODUCT_TYPES[product.product_type].department,
                "product_type": PRODUCT_TYPES[product.product_type].name,
                "colour": COLOURS[product.colour].name,
                "pattern": PATTERNS[product.pattern].name,
                "style": STYLES[product.style].name,
                "brand": BRANDS[product.brand],
                "material": MATERIALS[product.material].name,
                "popularity": popularity,
                "return_weight": weight,
            }
            for product, popularity, weight in zip(
                self.products, self.popularity_N.tolist(), self.return_weight_N.tolist(), strict=True
            )
        ]
        return pa.Table.from_pylist(rows, schema=TRUTH)


def make_assortment(num_items: int, seed: int) -> Assortment:
    """Draws families until there are `num_items` products, then shuffles them over the item ids."""
    rng = np.random.default_rng(seed_of("assortment", seed))
    drawn: list[Product] = []
    family = 0
    while len(drawn) < num_items:
        drawn += _family(family, rng)
        family += 1
    order = rng.permutation(num_items)
    products = [replace(drawn[old], item_id=f"shop-{new:07d}") for new, old in enumerate(order.tolist())]
    popularity = (rng.permutation(num_items) + 8.0) ** -_POPULARITY_EXPONENT
    return Assortment(products=products, popularity_N=popularity / popularity.sum())


def look_of(rng: np.random.Generator, kind: Product | dict[str, Any], shape: tuple[float, float, float]) -> Look:
    """A look of the given type, colour, pattern and style: shades, trim and pattern scale vary a little."""
    value = kind.__getitem__ if isinstance(kind, dict) else lambda name: getattr(kind, name)
    colour = _shade(rng, COLOURS[value("colour")].rgb, 9)
    second = _LIGHT if 0.3 * colour[0] + 0.6 * colour[1] + 0.1 * colour[2] < 150 else _DARK
    return Look(
        product_type=value("product_type"),
        colour=colour,
        second_colour=second,
        trim=_shade(rng, STYLE_TRIMS[STYLES[value("style")].name], 8),
        pattern=PATTERNS[value("pattern")].name,
        repeats=float(rng.uniform(2.2, 3.6)),
        shape=shape,
    )


def _family(family: int, rng: np.random.Generator) -> list[Product]:
    product_type = int(rng.choice(len(PRODUCT_TYPES), p=_TYPE_WEIGHTS))
    department = DEPARTMENTS.index(PRODUCT_TYPES[product_type].department)
    brands = [brand for brand in range(len(BRANDS)) if department in _departments(brand)]
    brand = brands[min(int(rng.exponential(len(brands) / 3)), len(brands) - 1)]
    style = brand % len(STYLES) if rng.random() < 0.65 else int(rng.integers(len(STYLES)))
    material = _MATERIAL_INDEX[str(rng.choice(PRODUCT_TYPES[product_type].materials))]
    pattern, shape = _pattern(product_type, rng), (float(rng.random()), float(rng.random()), float(rng.random()))
    size = int(rng.choice(_FAMILY_SIZES, p=_FAMILY_WEIGHTS))
    colours = rng.choice(len(COLOURS), size=size, replace=False, p=_COLOUR_WEIGHTS[product_type])
    products = []
    for colour in colours.tolist():
        kind = {
            "product_type": product_type,
            "colour": colour,
            "pattern": _pattern(product_type, rng) if rng.random() < 0.15 else pattern,
            "style": style,
        }
        look = look_of(rng, kind, shape)
        products.append(Product(item_id="", family=family, brand=brand, material=material, look=look, **kind))
    if rng.random() < 0.1:
        products.append(products[0])  # another size of the same product
    return products


def _pattern(product_type: int, rng: np.random.Generator) -> int:
    if rng.random() < _SOLID_SHARE:
        return 0
    return 1 + int(rng.choice(len(PATTERNS) - 1, p=_PATTERN_WEIGHTS[product_type]))


def _departments(brand: int) -> tuple[int, int]:
    return brand % len(DEPARTMENTS), (brand + brand // len(DEPARTMENTS)) % len(DEPARTMENTS)


def _shade(rng: np.random.Generator, rgb: Rgb, spread: int) -> Rgb:
    red, green, blue = (int(value) for value in np.clip(np.array(rgb) + rng.integers(-spread, spread + 1, 3), 0, 255))
    return red, green, blue


def _preferences(count: int, exponent: float, name: str) -> np.ndarray:
    """float64 [types, count]: how often each colour (or pattern) comes in each type; the same in every shop."""
    ranks = (np.random.default_rng(seed_of(name, kind.name)).permutation(count) + 1.0 for kind in PRODUCT_TYPES)
    weights = np.stack([rank**-exponent for rank in ranks])
    return weights / weights.sum(axis=1, keepdims=True)


_COLOUR_WEIGHTS = _preferences(len(COLOURS), _COLOUR_EXPONENT, "colours")
_PATTERN_WEIGHTS = _preferences(len(PATTERNS) - 1, _PATTERN_EXPONENT, "patterns")
_TYPE_WEIGHTS = (np.random.default_rng(seed_of("types")).permutation(len(PRODUCT_TYPES)) + 12.0) ** -0.7
_TYPE_WEIGHTS /= _TYPE_WEIGHTS.sum()
