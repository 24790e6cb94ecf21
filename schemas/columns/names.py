"""The name of a column, without what systems write around it: signs, case, plurals, languages, brackets."""

import re

#: Languages that names of columns tell; of those whose sign is a word of its own in such names (id, no, is) none.
_LANGUAGE = r"(?:cs|da|de|el|en|es|fi|fr|hu|it|ja|ko|nb|nl|pl|pt|ro|ru|sk|sv|tr|zh)(?:[-_][A-Za-z]{2})?"
#: Behind a name: a language, and behind that a channel, as in `description-en_US-ecommerce`.
_IN_LANGUAGE = re.compile(rf"(?<=\w)[-_.](?P<language>{_LANGUAGE})(?:-\w+)?$")
_LANGUAGE_IN_BRACKETS = re.compile(rf"[(\[](?P<language>{_LANGUAGE})[)\]]\s*$")
#: Before a name: that it is one of the attributes, as in eBay's `C:Marke`, `attributes.brand` or `pa_color`.
_OF_ATTRIBUTES = re.compile(
    r"^[*#\s]*(?:C:|(?:attr|attributes?|attributs?|property|properties|merkmal|pa)\s*[:._])\s*", re.I
)
#: Behind a name: of which marketplace and language a value is, and which of several, as Amazon's listings have it.
_OF_LISTINGS = re.compile(r"(?P<name>[^\[\]#]++)(?:\[\w++=[^\[\]]*+\])*+(?:#\d++(?:\.\w++)++)++")
#: Words for the numbers that makers give to products, whoever sells them; some of several words are written as one.
_BARCODES = frozenset(("ean", "eans", "gtin", "gtins", "upc", "isbn", "jan", "mpn"))
_BARCODES_AS_ONE = (
    *("barcode", "strichcode", "streepjescode", "streckkod", "stregkode", "strekkode", "codebarre", "codeabarre"),
    *("codigodebarra", "códigodebarra", "codiceabarre", "kodkreskowy"),
)
#: Blanks are gone through from their first one alone, not from each.
_IN_BRACKETS = re.compile(r"(?<!\s)\s*+[(\[][^()\[\]]*+[)\]]\s*$")


def plain_name(name: str) -> str:
    """A column's name without case and signs.

    >>> plain_name("Body (HTML)"), plain_name("additional image_link")
    ('bodyhtml', 'additionalimagelink')
    """
    return re.sub(r"[\W_]", "", name.casefold())


def bare_name(name: str) -> str:
    """plain_name without what stands in brackets behind it, or a language, and without the sign of an attribute.

    >>> bare_name("*C:Marke"), bare_name("attributes.brand"), bare_name("name.en_US")
    ('marke', 'brand', 'name')
    >>> bare_name("item_name[language_tag=de_DE]#1.value"), bare_name("color#1.standardized_values#1.value")
    ('itemname', 'color')
    >>> bare_name("Title (en)"), bare_name("Categories (x,y,z...)"), bare_name("name-en_US"), bare_name("brand_id")
    ('title', 'categories', 'name', 'brandid')
    """
    listed = _OF_LISTINGS.fullmatch(name)
    own = _OF_ATTRIBUTES.sub("", listed["name"] if listed else name)
    return plain_name(_IN_LANGUAGE.sub("", _IN_BRACKETS.sub("", own)))


def singular_name(plain: str) -> str:
    return plain.removesuffix("s")


def is_language(name: str) -> bool:
    """Whether a name is a language's sign.

    >>> is_language("en"), is_language("de-DE"), is_language("id")
    (True, True, False)
    """
    return re.fullmatch(_LANGUAGE, name) is not None


def language_in(name: str) -> str | None:
    """The language that a column's name tells, as the name has it; None of one that tells none.

    >>> language_in("name-en_US"), language_in("Title (en)"), language_in("name.de-DE"), language_in("brand_id")
    ('en_US', 'en', 'de-DE', None)
    """
    if "." in name:
        return next(filter(is_language, reversed(name.split("."))), None)
    found = _IN_LANGUAGE.search(name) or _LANGUAGE_IN_BRACKETS.search(name)
    return found["language"] if found else None


def words_of(name: str) -> list[str]:
    """The words of a column's name, in small letters."""
    parted = re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])", " ", name)
    return re.split(r"[\W\d_]+", parted.casefold())


def is_called_a_barcode(name: str) -> bool:
    """Whether a name tells that a column has numbers that makers, not shops, give to products.

    >>> is_called_a_barcode("EAN13"), is_called_a_barcode("Code-barres"), is_called_a_barcode("meaning")
    (True, True, False)
    """
    return not _BARCODES.isdisjoint(words_of(name)) or any(word in plain_name(name) for word in _BARCODES_AS_ONE)
