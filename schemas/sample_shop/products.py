"""What the shop sells: colours, patterns, styles, materials and brands, with the words of both sides.

`listing` words are those of the catalogue, `shopper` words those of the search box: they overlap, but not fully, and
that difference is what a model can learn from the engagements.
"""

from dataclasses import dataclass

from schemas.sample_shop.product_types import alternatives


@dataclass(frozen=True, slots=True)
class Word:
    """A colour, pattern, style or material: its name in the truth table and the words for it."""

    name: str
    listing: tuple[str, ...]
    shopper: tuple[str, ...]
    rgb: tuple[int, int, int] = (0, 0, 0)


def _words(table: str) -> tuple[Word, ...]:
    """Parses `name | listing words | shopper words | r g b`, one word a line, alternatives separated by commas."""
    words = []
    for line in table.strip().splitlines():
        name, listing, shopper, *rgb = (cell.strip() for cell in line.split("|"))
        red, green, blue = (int(value) for value in rgb[0].split()) if rgb else (0, 0, 0)
        words.append(Word(name, alternatives(listing), alternatives(shopper), (red, green, blue)))
    return tuple(words)


COLOURS = _words("""
black      | black, jet, onyx              | black                     | 38 38 42
white      | white, ivory, snow            | white, off white          | 238 236 230
grey       | grey, charcoal, slate         | grey, gray                | 132 136 142
red        | red, crimson, scarlet         | red, bright red           | 200 34 42
orange     | orange, tangerine, terracotta | orange, burnt orange      | 236 124 34
yellow     | yellow, mustard, sunflower    | yellow, mustard yellow    | 244 204 52
green      | green, emerald, forest        | green, dark green         | 46 128 66
teal       | teal, petrol, turquoise       | teal, turquoise           | 28 150 156
navy       | navy, midnight, marine        | navy, dark blue, navy blue | 34 48 104
light blue | sky blue, powder blue, azure  | light blue, blue, baby blue | 122 182 230
purple     | purple, plum, aubergine       | purple, violet            | 116 58 150
pink       | pink, blush, rose             | pink, light pink          | 240 142 172
brown      | brown, chestnut, cognac       | brown, chocolate brown    | 122 76 44
beige      | beige, sand, oatmeal          | beige, cream              | 216 194 158
""")

PATTERNS = _words("""
solid     | plain, solid, uni              | plain
striped   | striped, breton stripe, stripe | striped, stripy
dotted    | polka dot, dotted, spotted     | polka dot, dotty
checked   | checked, gingham, tartan       | checked, plaid
floral    | floral, botanical print, bloom | floral, flowery
zigzag    | zigzag, chevron                | zig zag, chevron
geometric | geometric, harlequin, diamond  | geometric, diamond pattern
leopard   | leopard, animal print          | leopard print, animal print
""")

STYLES = _words("""
modern       | modern, contemporary, clean line | modern, contemporary
vintage      | vintage, retro, mid-century      | vintage, retro
rustic       | rustic, farmhouse, country       | rustic, farmhouse
scandinavian | scandinavian, nordic, hygge      | scandinavian, scandi
industrial   | industrial, loft, factory        | industrial
boho         | boho, bohemian, ethnic           | boho, hippie
""")

MATERIALS = _words("""
oak       | oak, solid oak, oak veneer       | oak, wood
walnut    | walnut, american walnut          | walnut, dark wood
steel     | steel, brushed steel, stainless steel | metal, steel
brass     | brass, antique brass             | brass, gold
velvet    | velvet, plush velvet             | velvet
linen     | linen, stonewashed linen         | linen
cotton    | cotton, organic cotton, 100% cotton | cotton
wool      | wool, merino wool, lambswool     | wool, woolen
leather   | leather, full-grain leather, nappa | leather, real leather
canvas    | canvas, waxed canvas             | canvas
ceramic   | ceramic, stoneware, porcelain    | ceramic
enamel    | enamel, enamelled steel          | enamel
polyester | polyester, recycled polyester, nylon | polyester
plastic   | plastic, polypropylene           | plastic
plush     | plush, soft plush                | plush, fluffy
rattan    | rattan, woven cane               | rattan, wicker
""")

#: What legs, handles, buckles are painted with in each style: visible, so that a style shows in the picture.
STYLE_TRIMS = {
    "modern": (196, 200, 206),
    "vintage": (176, 128, 58),
    "rustic": (104, 66, 36),
    "scandinavian": (222, 190, 140),
    "industrial": (48, 48, 50),
    "boho": (190, 110, 70),
}

#: Each brand sells in one or two departments and mostly in one style.
BRANDS = (
    "Nordvik", "Maison Lune", "Oakhollow", "Harrow & Finch", "Atelier Brücke", "Little Fjord", "Vesterby",
    "Café Racer Co.", "Tilda Moon", "Brightwater", "Casa Olmo", "Bonanza Kids", "Kumo", "Pepperleaf", "Solenne",
    "Grey Heron", "Marrow & Pine", "Zephyra", "Hinterland", "Ostara", "Quill & Co", "Rivage", "Saltmarsh",
    "Tamarind", "Uptown Basics", "Vandermeer", "Wildgoose", "Yarrow", "Zoetrope", "Alder Street",
    "Ferrum Works", "Caldera", "Dovetail", "Éclat", "Fennimore", "Gumdrop",
)  # fmt: skip

MODEL_NAMES = (
    "Alma", "Bruno", "Cleo", "Dante", "Elin", "Fjord", "Greta", "Hugo", "Iris", "Juno", "Klint", "Luna", "Milo", "Nora",
    "Otto", "Pia", "Quinn", "Rosa", "Sven", "Tova", "Ulla", "Vera", "Wren", "Xenia", "Ylva", "Zeno", "Arlo", "Birch",
    "Cove", "Drift", "Ember", "Flint", "Grove", "Haven", "Isle", "Jade", "Knoll", "Lark", "Mesa", "North", "Onda",
    "Pebble", "Ridge", "Sage", "Tide", "Umber", "Vale", "Willow", "Yonder", "Zinnia",
)  # fmt: skip
