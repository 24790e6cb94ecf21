"""What shops call the columns of their tables, in some languages: asked wherever a column of ours is looked for.

`itemsage init` takes them, together with what the columns hold. The jobs, which see names alone, only ask for them: a
name says less than its file's owner. Of a column of ours the likelier names come first; case and signs do not count.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

from schemas.tables import TEXT_FIELDS

#: Text field -> for each of its sources the names of it, of which a table may have one.
TEXTS: Mapping[str, Sequence[Sequence[str]]] = {
    "title": [
        (
            *("title", "product_title", "product_name", "item_name", "item_title", "name", "display_name"),
            *("product_display_name", "prod_name", "headline"),
        ),
        (
            *("titel", "bezeichnung", "artikelname", "produktname", "artikelbezeichnung", "nom", "titre", "nombre"),
            *("titulo", "titolo", "naam"),
        ),
    ],
    "description": [
        (
            *("description", "product_description", "item_description", "long_description", "full_description"),
            *("description_html", "html_description", "desc", "descr", "product_desc", "item_desc", "long_desc"),
            *("detail_desc", "body_html", "body", "details", "product_details", "content", "text"),
        ),
        (
            *("short_description", "short_desc", "about_product", "features", "bullet_points", "summary", "excerpt"),
            *("highlights", "overview"),
        ),
        (
            *("beschreibung", "produktbeschreibung", "artikelbeschreibung", "langbeschreibung", "kurzbeschreibung"),
            *("descriptif", "descripcion", "descripción", "descrizione", "omschrijving", "descricao", "descrição"),
        ),
    ],
    "brand": [("brand", "brand_name", "manufacturer", "vendor", "marke", "hersteller", "marque", "marca", "merk")],
    "colors": [
        (
            *("color", "colour", "colors", "colours", "color_name", "colour_name", "base_colour", "colour_group_name"),
            *("farbe", "couleur", "kleur"),
        )
    ],
    "size_type": [("size_type",)],
    "size": [("size", "sizes", "size_name", "groesse", "größe", "taille", "talla", "maat")],
    "patterns": [("pattern", "patterns", "muster", "motif")],
    "materials": [("material", "materials", "material_type", "fabric", "matiere", "materiau")],
    "product_types": [
        ("product_type", "product_types", "product_type_name", "feed_product_type", "article_type", "type"),
        ("category", "categories", "category_name", "product_category", "category_path", "kategorie", "categorie"),
        ("subcategory", "sub_category"),
        ("tags",),
    ],
    "google_product_category": [("google_product_category",)],
    "domains": [("domains", "domain")],
    "links": [("links",)],
}
#: The ids of a catalogue's rows.
ITEM_IDS = (
    *("item_id", "product_id", "id", "sku", "product_sku", "item_sku", "seller_sku", "custom_label", "article_id"),
    *("article_number", "item_number", "artikelnummer", "artnr", "item_code", "product_code", "code", "asin"),
    *("uniq_id", "uuid", "handle", "slug", "number", "gtin", "ean", "upc", "mpn"),
)
#: The items of a log, in which `id`, `code` or `number` may be the event's own.
LOG_ITEMS = (
    *("item_id", "items_item_id", "product_id", "sku", "variant_id", "article_id", "content_id", "product_sku"),
    *("article_number", "item_number", "artikelnummer", "item_code", "product_code", "asin", "content_ids"),
)
#: Lists of the items of an event, whose `id` is that of an item.
LOG_LISTS = ("items", "products", "contents", "line_items", "lines", "cart", "basket")
#: Ids of who acts, which complete each other: before a login and after it. Others stand for one where there is none.
USERS = (
    *("user_id", "user_pseudo_id", "visitor_id", "customer_id", "client_id", "external_id", "distinct_id"),
    "anonymous_id",
)
OTHER_USERS = ("member_id", "household_id", "household_key", "device_id", "user", "visitor", "customer", "email")
SESSIONS = ("ga_session_id", "session_id", "user_session", "session", "visit_id")
TIMES = (
    *("event_timestamp", "event_time", "timestamp", "time", "datetime", "date_time", "date_hour_minute", "date_hour"),
    *("date", "created_at", "ts"),
    *("occurred_at", "visit_time", "order_date", "purchase_date", "invoice_date", "t_dat"),
)
#: Words in the names of columns that have a clock beside a column of days.
CLOCKS = ("time", "hour", "clock", "uhrzeit", "heure", "hora")
#: Of a log that has days beside its times.
DAYS = ("event_date",)
ACTIONS = (
    *("event_name", "event", "action", "event_type", "action_type", "behavior", "behaviour", "interaction"),
    *("interaction_type", "activity", "activity_type", "behavior_type", "behaviour_type", "event_action"),
    *("action_name", "user_action", "verb"),
)
#: What people searched for, in a log.
SEARCHES = (
    *("search_term", "query", "search_query", "search_phrase", "search_keyword", "search_keywords", "search_text"),
    *("search_string", "searched_for", "site_search", "query_text", "query_string", "keyword", "keywords", "q"),
    *("suchbegriff", "suchanfrage"),
)
#: What only a log of orders has.
ORDERS = ("order_id", "order_number", "invoice", "invoice_no", "lineitem_name")
PICTURES = ("image", "img", "picture", "photo", "pic", "bild", "foto", "thumbnail")
#: Smaller copies of pictures that stand in another column.
SMALL_PICTURES = ("thumb", "icon", "swatch", "small")

#: Our column -> its usual names, in a catalogue and in a log.
OF_CATALOGUE: Mapping[str, Sequence[str]] = {
    **{name: tuple(chain.from_iterable(sources)) for name, sources in TEXTS.items()},
    "item_id": ITEM_IDS,
}
OF_LOG: Mapping[str, Sequence[str]] = {
    "timestamp": (*TIMES, *DAYS),
    "user_id": (*USERS, *OTHER_USERS),
    "session_id": SESSIONS,
    "item_id": (*LOG_ITEMS, "id"),
    "query": SEARCHES,
    "surface": ("surface", "page", "page_type", "source"),
    "action": (*ACTIONS, "type"),
}
#: Columns of ours that are always asked for by their usual names: a log is read without them, as if they had one value.
_ALWAYS_ASKED = ("surface", "action")
#: Columns of which a table has to have one, or nothing of their kind is read: then they are asked for likewise.
_ONE_OF = (frozenset(TEXT_FIELDS), frozenset({"user_id", "session_id"}))
#: A feed's `link` is the address of a page, no text.
_NEVER_MEANT = {"links": ("link",)}
#: How like ours, from 0 to 1, the name of a column is that is taken for a slip.
_NEAR = 0.88
_IN_BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\s*$")
#: What stands before and behind the word for a picture in the name of a column that has no more than pictures.
_BEFORE = "main|primary|first|front|cover|featured|default|large|big|full|additional|base|haupt"
_OF_WHAT = "product|prod|produkt|item|variant|article|artikel"
_BEHIND = "main|large|urls?|uris?|links?|href|src|paths?|files?|filenames?|names?|list"
_PICTURE_NAME = re.compile(rf"(?:{_BEFORE}|{_OF_WHAT})*(?:{'|'.join(PICTURES)})(?:s|er)?\d*(?:{_BEHIND})*\d*")


def plain_name(name: str) -> str:
    """A column's name without case and signs.

    >>> plain_name("Body (HTML)"), plain_name("additional image_link")
    ('bodyhtml', 'additionalimagelink')
    """
    return re.sub(r"[\W_]", "", name.casefold())


def bare_name(name: str) -> str:
    """plain_name without what stands in brackets behind it.

    >>> bare_name("Title (en)"), bare_name("Categories (x,y,z...)")
    ('title', 'categories')
    """
    return plain_name(_IN_BRACKETS.sub("", name))


def called(usual: Iterable[str], given: Sequence[str]) -> str | None:
    """The one of a file's columns that has the likeliest of some usual names, also in the plural or with something in
    brackets behind it; None if none has any.

    >>> called(OF_CATALOGUE["title"], ["SKU", "Name", "Product name"]), called(["desc"], ["title"])
    ('Product name', None)
    """
    by_name: dict[str, str] = {}
    for form in (plain_name, bare_name):
        for name in given:
            by_name.setdefault(_singular(form(name)), name)
    return next((by_name[plain] for name in usual if (plain := _singular(plain_name(name))) in by_name), None)


def meant_columns(missing: Sequence[str], others: Sequence[str], read: Collection[str]) -> dict[str, str]:
    """Of our columns that a table lacks, and that its mapping does not name, those that may be there by another name ->
    that one of its `others`, which nobody reads. read: our columns that are there.

    >>> meant_columns(["title", "brand"], ["Product name", "maker"], ["item_id"])
    {'title': 'Product name'}
    >>> meant_columns(["title"], ["Product name", "maker"], ["item_id", "brand"])
    {}
    """
    asked = set(_ALWAYS_ASKED).union(*(kind for kind in _ONE_OF if kind.isdisjoint(read)))
    usual = {name: {**OF_CATALOGUE, **OF_LOG}.get(name, ()) if name in asked else () for name in missing}
    found = {name: meant_name(name, others) or called(usual[name], others) for name in missing}
    return {name: theirs for name, theirs in found.items() if theirs is not None}


def meant_name(ours: str, others: Sequence[str]) -> str | None:
    """The one of the file's other columns that is ours but for case, signs, plural or a slip; of pictures also one that
    is called as only pictures are.

    >>> meant_name("title", ["SKU", "Title"]), meant_name("images", ["image_link"]), meant_name("links", ["likes"])
    ('Title', 'image_link', None)
    """
    plain = {_singular(plain_name(name)): name for name in others if name not in _NEVER_MEANT.get(ours, ())}
    if ours in _ALWAYS_ASKED:
        return plain.get(_singular(ours))
    near = difflib.get_close_matches(_singular(plain_name(ours)), plain, n=1, cutoff=_NEAR)
    if near:
        return plain[near[0]]
    return _picture_column(plain) if ours == "images" else None


def is_called_a_picture(name: str) -> bool:
    """Whether a name tells that a column has something to do with pictures.

    >>> is_called_a_picture("Bild-URL"), is_called_a_picture("image_count"), is_called_a_picture("price")
    (True, True, False)
    """
    return any(word in plain_name(name) for word in PICTURES)


def is_called_small(name: str) -> bool:
    """Whether the name of a column of pictures tells that they are small copies."""
    return any(word in plain_name(name) for word in SMALL_PICTURES)


def _picture_column(plain: Mapping[str, str]) -> str | None:
    """The column of pictures among some, by their plain names; one of small copies only where there is no other."""
    found = [name for word, name in plain.items() if word.startswith("image") or _PICTURE_NAME.fullmatch(word)]
    return min(found, key=is_called_small, default=None)


def _singular(plain: str) -> str:
    return plain.removesuffix("s")
