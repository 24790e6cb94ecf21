"""Names of columns of pictures, and of what has to do with pictures and is none of a product."""

import re
from collections.abc import Mapping

from schemas.columns.names import plain_name, words_of

PICTURES = ("image", "img", "picture", "photo", "pic", "bild", "foto", "thumbnail")
#: Smaller copies of pictures that stand in another column.
SMALL_PICTURES = ("thumb", "icon", "swatch", "small")
#: Words in the names of columns of pictures that are not of a product: of its brand or category, a table of sizes, a
#: label, a flag, the preview of a page; and such words that are often written as one.
_NOT_OF_PRODUCTS = frozenset(
    (
        *(
            "brand",
            "brands",
            "marke",
            "marque",
            "marca",
            "merk",
            "manufacturer",
            "hersteller",
            "logo",
            "logos",
            "seller",
        ),
        *("category", "categories", "kategorie", "chart", "charts", "guide", "table", "tabelle", "label", "labels"),
        *("energy", "energie", "flag", "flags", "flagge", "badge", "badges", "og", "opengraph", "social", "twitter"),
        *("facebook", "pinterest", "seo", "qr", "barcode", "certificate", "zertifikat"),
    )
)
_WITHOUT_SIGNS = (
    *("logo", "sizechart", "sizeguide", "sizetable", "energylabel", "energielabel", "energyclass", "ogimage"),
    *("grössentabelle", "groessentabelle", "opengraph"),
)
#: What the text that stands for a picture is called.
_TEXTS_OF_PICTURES = frozenset(("alt", "alts", "alttext", "alternativtext", "caption", "captions"))
#: A longer name is not looked at.
_MAX_CHARACTERS = 200
#: What stands before and behind the word for a picture in the name of a column that has no more than pictures.
_BEFORE = "main|primary|first|front|cover|featured|default|large|big|full|additional|base|haupt"
_OF_WHAT = "prod(?:uct|ukt)?|item|variant|article|artikel"
#: A plural's s that is not the first letter of `src`.
_S = "(?:s(?!rc))?"
_BEHIND = f"main|large|(?:ur[li]|link|path|file|name){_S}|href|src|list"
#: Each place has one reading, and what was read is never given back: of words that could be parted in several ways a
#: long name would have exponentially many.
_PICTURE_NAME = re.compile(rf"(?:{_BEFORE}|{_OF_WHAT})*+(?:{'|'.join(PICTURES)})(?:{_S}|er)\d*+(?:{_BEHIND})*+\d*+")


def is_called_a_picture(name: str) -> bool:
    """Whether a name tells that a column has something to do with pictures.

    >>> is_called_a_picture("Bild-URL"), is_called_a_picture("image_count"), is_called_a_picture("price")
    (True, True, False)
    """
    return any(word in plain_name(name) for word in PICTURES)


def is_called_small(name: str) -> bool:
    """Whether the name of a column of pictures tells that they are small copies."""
    return any(word in plain_name(name) for word in SMALL_PICTURES)


def is_of_no_product(name: str) -> bool:
    """Whether the name of a column of pictures tells that they are of something else than the product.

    >>> is_of_no_product("size_chart_url"), is_of_no_product("brandLogo"), is_of_no_product("main_image")
    (True, True, False)
    """
    return not _NOT_OF_PRODUCTS.isdisjoint(words_of(name)) or any(word in plain_name(name) for word in _WITHOUT_SIGNS)


def is_text_of_a_picture(name: str) -> bool:
    """Whether a name is that of the text which stands for a picture.

    >>> is_text_of_a_picture("image_1_alt"), is_text_of_a_picture("imageAltText"), is_text_of_a_picture("salt_image")
    (True, True, False)
    """
    return not _TEXTS_OF_PICTURES.isdisjoint(words_of(name))


def picture_column_of(plain: Mapping[str, str]) -> str | None:
    """The column of pictures among some, by their plain names; one of small copies only where there is no other.

    >>> picture_column_of({"price": "Price", "smallimage": "small_image", "produktbildurl": "Produktbild-URL"})
    'Produktbild-URL'
    """
    found = [name for word, name in plain.items() if _is_of_pictures_alone(word)]
    return min(found, key=is_called_small, default=None)


def _is_of_pictures_alone(plain: str) -> bool:
    if len(plain) > _MAX_CHARACTERS:
        return False
    return plain.startswith("image") or _PICTURE_NAME.fullmatch(plain) is not None
