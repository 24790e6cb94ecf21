"""The 40 product types of the sample shop, with the words of the catalogue and those of its shoppers for each."""

from collections.abc import Callable
from dataclasses import dataclass

from schemas.sample_shop import (
    silhouettes_bags_toys,
    silhouettes_clothing,
    silhouettes_furniture,
    silhouettes_home,
    silhouettes_kitchen,
)
from schemas.sample_shop.shapes import Part

Silhouette = Callable[[float, float, float], list[Part]]


@dataclass(frozen=True, slots=True)
class ProductType:
    """One kind of product; `breadcrumb` and `google` fill product_types and google_product_category."""

    name: str
    department: str
    listing: tuple[str, ...]
    shopper: tuple[str, ...]
    breadcrumb: str
    google: str
    materials: tuple[str, ...]
    draw: Silhouette


def _types(table: str) -> tuple[ProductType, ...]:
    """Parses three lines a type: `name | department | breadcrumb | materials`, `listing | shopper words`, `google`."""
    lines = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    types = []
    for (name, department, breadcrumb, materials), (listing, shopper), (google,) in zip(
        lines[0::3], lines[1::3], lines[2::3], strict=True
    ):
        words = alternatives(listing), alternatives(shopper)
        types.append(ProductType(name, department, *words, breadcrumb, google, alternatives(materials), _draw(name)))
    return tuple(types)


def alternatives(cell: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in cell.split(","))


def _draw(name: str) -> Silhouette:
    function = name.replace(" ", "_").replace("-", "_")
    return next(getattr(module, function) for module in _MODULES if hasattr(module, function))


DEPARTMENTS = ("furniture", "home", "kitchen", "clothing", "shoes and bags", "toys")

_MODULES = (
    silhouettes_furniture,
    silhouettes_home,
    silhouettes_kitchen,
    silhouettes_clothing,
    silhouettes_bags_toys,
)

PRODUCT_TYPES = _types("""
chair | furniture | Dining Room > Chairs | oak, walnut, steel, velvet
    chair, dining chair, side chair | chair, dining chair, kitchen chair
    Furniture > Chairs > Kitchen & Dining Room Chairs
armchair | furniture | Living Room > Armchairs | velvet, linen, leather
    armchair, lounge chair, fauteuil | armchair, accent chair, reading chair
    Furniture > Chairs > Arm Chairs, Recliners & Sleeper Chairs
sofa | furniture | Living Room > Sofas | velvet, linen, leather
    sofa, settee, couch | couch, sofa, settee
    Furniture > Sofas
table | furniture | Dining Room > Tables | oak, walnut, steel
    dining table, table | table, dinner table, kitchen table
    Furniture > Tables > Kitchen & Dining Room Tables
bookcase | furniture | Storage > Bookcases | oak, walnut, steel
    bookcase, shelving unit, etagere | bookshelf, bookcase, shelf
    Furniture > Shelving > Bookcases & Standing Shelves
stool | furniture | Dining Room > Stools | oak, walnut, steel, rattan
    stool, footstool, bar stool | stool, bar stool, counter stool
    Furniture > Chairs > Table & Bar Stools
dresser | furniture | Bedroom > Drawers | oak, walnut
    chest of drawers, dresser, sideboard | dresser, chest of drawers
    Furniture > Cabinets & Storage > Dressers
bed | furniture | Bedroom > Beds | oak, walnut, steel, rattan
    bed frame, bedstead, bed | bed, double bed, queen bed
    Furniture > Beds & Accessories > Beds & Bed Frames
table lamp | home | Lighting > Table | ceramic, brass, oak
    table lamp, bedside lamp | lamp, nightstand lamp, table lamp
    Home & Garden > Lighting > Lamps
floor lamp | home | Lighting > Floor | brass, steel, oak
    floor lamp, standard lamp | standing lamp, floor lamp
    Home & Garden > Lighting > Lamps
pendant lamp | home | Lighting > Ceiling | brass, steel, rattan
    pendant light, suspension lamp | hanging lamp, ceiling light, pendant light
    Home & Garden > Lighting > Lighting Fixtures
cushion | home | Textiles > Cushions | velvet, linen, cotton, wool
    cushion, scatter cushion | throw pillow, cushion, pillow
    Home & Garden > Decor > Throw Pillows
rug | home | Textiles > Rugs | wool, cotton
    rug, flatweave, runner | rug, carpet, area rug
    Home & Garden > Decor > Rugs
curtain | home | Textiles > Curtains | linen, cotton, velvet, polyester
    curtain, drapes, curtain panel | curtains, drapes
    Home & Garden > Decor > Window Treatments
towel | home | Bathroom > Towels | cotton, linen
    bath towel, towel, bath sheet | towel, bath towel
    Home & Garden > Linens & Bedding > Towels
umbrella | home | Outdoor > Umbrellas | polyester, cotton
    umbrella, brolly | umbrella, rain umbrella
    Home & Garden > Parasols & Rain Umbrellas
mug | kitchen | Tableware > Mugs | ceramic, enamel
    mug, tumbler, beaker | coffee cup, mug, coffee mug
    Home & Garden > Kitchen & Dining > Mugs
teapot | kitchen | Tableware > Teapots | ceramic, enamel
    teapot, tea kettle | teapot, tea pot
    Home & Garden > Kitchen & Dining > Coffee & Tea Pots
saucepan | kitchen | Cookware > Pans | enamel, steel
    saucepan, casserole, pan | pot, cooking pot, saucepan
    Home & Garden > Kitchen & Dining > Saucepans
bottle | kitchen | Drinkware > Bottles | steel, plastic
    water bottle, flask, bottle | water bottle, thermos, drink bottle
    Home & Garden > Kitchen & Dining > Water Bottles
bowl | kitchen | Tableware > Bowls | ceramic, enamel
    bowl, serving bowl, dish | bowl, salad bowl, cereal bowl
    Home & Garden > Kitchen & Dining > Bowls
plate | kitchen | Tableware > Plates | ceramic, enamel
    plate, dinner plate, charger | plate, plates, dish
    Home & Garden > Kitchen & Dining > Plates
apron | kitchen | Kitchen Textiles > Aprons | cotton, linen, canvas
    apron, pinafore | apron, cooking apron
    Home & Garden > Kitchen & Dining > Aprons
t-shirt | clothing | Clothing > Tops | cotton, linen, polyester
    t-shirt, tee, jersey top | t shirt, tshirt, top
    Apparel & Accessories > Clothing > Shirts & Tops
dress | clothing | Clothing > Dresses | cotton, linen, velvet
    dress, frock, gown | dress, summer dress, party dress
    Apparel & Accessories > Clothing > Dresses
skirt | clothing | Clothing > Skirts | cotton, linen, velvet, leather
    skirt, midi skirt | skirt, midi skirt
    Apparel & Accessories > Clothing > Skirts
trousers | clothing | Clothing > Bottoms | cotton, linen, wool
    trousers, chinos, slacks | pants, trousers
    Apparel & Accessories > Clothing > Pants
hoodie | clothing | Clothing > Knit & Sweat | cotton, wool, polyester
    hoodie, hooded sweatshirt, hooded jumper | hoodie, sweater, hooded sweater
    Apparel & Accessories > Clothing > Outerwear
socks | clothing | Clothing > Socks | cotton, wool
    socks, crew socks, hosiery | socks, crew socks
    Apparel & Accessories > Clothing > Underwear & Socks
cap | clothing | Accessories > Headwear | cotton, wool, canvas
    cap, snapback, peaked cap | baseball cap, hat, cap
    Apparel & Accessories > Clothing Accessories > Hats
sneaker | shoes and bags | Shoes > Casual | canvas, leather, polyester
    trainers, low-top shoes, plimsolls | sneakers, trainers, running shoes
    Apparel & Accessories > Shoes
boot | shoes and bags | Shoes > Boots | leather, canvas, plastic
    boots, ankle boots, chelsea boots | boots, winter boots
    Apparel & Accessories > Shoes
backpack | shoes and bags | Bags > Backpacks | canvas, polyester, leather
    backpack, rucksack, daypack | backpack, school bag, rucksack
    Luggage & Bags > Backpacks
tote | shoes and bags | Bags > Totes | canvas, cotton, leather
    tote, shopper, carryall | tote bag, shopping bag
    Luggage & Bags > Shopping Totes
handbag | shoes and bags | Bags > Handbags | leather, velvet, canvas
    handbag, satchel, shoulder bag | purse, handbag, crossbody bag
    Apparel & Accessories > Handbags
suitcase | shoes and bags | Bags > Travel | plastic, polyester
    suitcase, trolley case, cabin case | luggage, carry on, suitcase
    Luggage & Bags > Suitcases
teddy | toys | Toys > Soft Toys | plush, cotton, wool
    teddy bear, cuddly bear, plush bear | stuffed animal, teddy bear, teddy
    Toys & Games > Toys > Dolls, Playsets & Toy Figures
ball | toys | Toys > Outdoor Play | plastic, leather
    ball, play ball, playground ball | ball, kids ball, beach ball
    Toys & Games > Outdoor Play Equipment
toy car | toys | Toys > Vehicles | oak, plastic, steel
    toy car, roadster, push car | toy car, car toy, kids car
    Toys & Games > Toys > Play Vehicles
kite | toys | Toys > Kites | polyester, cotton
    kite, stunt kite | kite, flying kite
    Toys & Games > Outdoor Play Equipment
""")
