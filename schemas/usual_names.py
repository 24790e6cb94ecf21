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
            *("titulo", "título", "titolo", "naam", "productnaam", "artikelnaam", "nom_du_produit"),
            *("désignation", "designation", "libellé", "libelle", "nombre_del_producto", "nombre_producto"),
            *("nome_prodotto", "nome", "produktbezeichnung", "produkttitel", "nazwa", "oxtitle"),
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
            *("highlights", "overview", "oxshortdesc"),
        ),
        (
            *("beschreibung", "produktbeschreibung", "artikelbeschreibung", "langbeschreibung", "kurzbeschreibung"),
            *("descriptif", "descripcion", "descripción", "descrizione", "omschrijving", "descricao", "descrição"),
            *("artikeltext", "kurztext", "productomschrijving", "description_longue", "description_courte"),
            *("descripción_larga", "descripcion_larga", "descripción_corta", "descripcion_corta", "oxlongdesc"),
        ),
    ],
    "brand": [
        (
            *(
                "brand",
                "brand_name",
                "brands",
                "manufacturer",
                "vendor",
                "marke",
                "hersteller",
                "marque",
                "marca",
                "merk",
            ),
            *("fabricant", "fabricante", "fabrikant", "manufacturer_name", "vendor_name", "herstellername"),
        )
    ],
    "colors": [
        (
            *("color", "colour", "colors", "colours", "color_name", "colour_name", "base_colour", "colour_group_name"),
            *("farbe", "farben", "couleur", "kleur", "colore", "color_family", "colour_family"),
        )
    ],
    "size_type": [("size_type",)],
    "size": [("size", "sizes", "size_name", "groesse", "größe", "taille", "talla", "maat", "taglia")],
    "patterns": [("pattern", "patterns", "muster", "motif")],
    "materials": [
        (
            *(
                "material",
                "materials",
                "material_name",
                "material_type",
                "fabric",
                "stoff",
                "matiere",
                "matière",
                "materiau",
            ),
            *("matériau", "materiaal", "product_material"),
        )
    ],
    "product_types": [
        ("product_type", "product_types", "product_type_name", "feed_product_type", "article_type", "type"),
        ("category", "categories", "category_name", "product_category", "category_path", "kategorie", "categorie"),
        (
            *("warengruppe", "produktgruppe", "artikelgruppe", "hauptwarengruppe", "sortiment", "produkttyp"),
            *("catégorie", "rayon", "famille", "categoría", "categoria", "familia", "tipo_de_producto", "productgroep"),
            *("artikelgroep", "rubriek", "reparto"),
        ),
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
    *("artikel_nr", "produktnummer", "bestellnummer", "référence", "reference", "referencia", "code_article"),
    *("código", "codigo", "artikelcode", "productcode", "codice", "oxid", "oxartnum"),
    *("product_internal_id", "internal_id", "uniq_id", "uuid", "object_id", "handle", "slug", "number", "gtin"),
    *("ean", "upc", "mpn"),
)
#: What a variant names its product by.
PARENTS = (
    *("parent_id", "parent_sku", "parent", "parent_item_id", "parent_product_id", "parent_product_number"),
    *("oxparentid", "übergeordnetes_produkt", "produit_parent", "genitore", "nadrzędny", "hoofd", "överordnad"),
)
#: The items of a log, in which `id`, `code` or `number` may be the event's own.
LOG_ITEMS = (
    *("item_id", "items_item_id", "product_id", "sku", "variant_id", "article_id", "content_id", "product_sku"),
    *("article_number", "item_number", "artikelnummer", "item_code", "product_code", "asin", "content_ids"),
    *("line_item_sku", "variant_sku", "item_ids", "product_ids", "object_ids"),
)
#: Lists of the items of an event, whose `id` is that of an item.
LOG_LISTS = ("items", "products", "contents", "line_items", "lines", "cart", "basket", "product")
#: Ids of who acts, which complete each other: before a login and after it. Others stand for one where there is none.
USERS = (
    *("user_id", "user_pseudo_id", "visitor_id", "customer_id", "client_id", "external_id", "distinct_id"),
    *("anonymous_id", "domain_userid"),
)
#: Anonymous ids that stand where a row has none of USERS.
DEVICES = ("device_id",)
OTHER_USERS = (
    *("member_id", "household_id", "household_key", *DEVICES, "user", "visitor", "customer", "email", "kunde"),
)
SESSIONS = ("ga_session_id", "session_id", "user_session", "session", "visit_id", "domain_sessionid")
TIMES = (
    *("event_timestamp", "event_time", "timestamp", "time", "datetime", "date_time", "date_hour_minute", "date_hour"),
    *("date", "created_at", "ts"),
    *("server_time", "server_timestamp", "derived_tstamp", "collector_tstamp", "date_created", "hit_time_gmt"),
    *("occurred_at", "visit_time", "order_date", "purchase_date", "invoice_date", "t_dat"),
    *("zeitpunkt", "zeitstempel", "bestelldatum", "datum", "fecha"),
)
#: Words in the names of columns that have a clock beside a column of days.
CLOCKS = ("time", "hour", "clock", "uhrzeit", "heure", "hora")
#: Of a log that has days beside its times.
DAYS = ("event_date",)
ACTIONS = (
    *("event_name", "event", "action", "event_type", "action_type", "behavior", "behaviour", "interaction"),
    *("interaction_type", "activity", "activity_type", "behavior_type", "behaviour_type", "event_action"),
    *("action_name", "user_action", "verb", "event_table_name", "aktion", "ereignis", "acción", "accion"),
)
#: What people searched for, in a log.
SEARCHES = (
    *("search_term", "query", "search_query", "search_phrase", "search_keyword", "search_keywords", "search_text"),
    *("search_string", "searched_for", "site_search", "query_text", "query_string", "keyword", "keywords", "q"),
    *("suchbegriff", "suchanfrage"),
)
#: What only a log of orders has.
ORDERS = ("order_id", "order_number", "invoice", "invoice_no", "lineitem_name", "bestellnummer", "auftragsnummer")
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

#: Columns that say whether customers see a product, and since when none does.
VISIBLE = ("product_online", "is_active", "active", "enabled", "available", "published", "visible", "status")
DELETED = ("deleted_at", "deleted", "archived_at", "archived", "is_archived", "date_deleted")
#: What exports and feeds have beside ours: a column of these names is none of ours, however like one it is called.
NONE_OF_OURS = (
    *("condition", "availability", "available", "in_stock", "stock", "quantity", "inventory", "status", "published"),
    *("price", "sale_price", "regular_price", "cost", "currency", "tax", "tax_class", "shipping", "weight"),
    *("url", "link", "mobile_link", "gender", "age_group", "position", "rating", "created_at", "updated_at"),
)

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
#: Languages that names of columns tell; of those whose sign is a word of its own in such names (id, no, is) none.
_LANGUAGE = r"(?:cs|da|de|el|en|es|fi|fr|hu|it|ja|ko|nb|nl|pl|pt|ro|ru|sk|sv|tr|zh)(?:[-_][A-Za-z]{2})?"
#: Behind a name: a language, and behind that a channel, as in `description-en_US-ecommerce`.
_IN_LANGUAGE = re.compile(rf"(?<=\w)[-_.](?P<language>{_LANGUAGE})(?:-\w+)?$")
_LANGUAGE_IN_BRACKETS = re.compile(rf"[(\[](?P<language>{_LANGUAGE})[)\]]\s*$")
#: Before a name: that it is one of the attributes, as in eBay's `C:Marke`, `attributes.brand` or `pa_color`.
_OF_ATTRIBUTES = re.compile(r"^(?:C:|(?:attr|attributes?|attributs?|property|properties|merkmal|pa)\s*[:._])\s*", re.I)
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
    """plain_name without what stands in brackets behind it, or a language, and without the sign of an attribute.

    >>> bare_name("C:Marke"), bare_name("attributes.brand"), bare_name("name.en_US")
    ('marke', 'brand', 'name')
    >>> bare_name("Title (en)"), bare_name("Categories (x,y,z...)"), bare_name("name-en_US"), bare_name("brand_id")
    ('title', 'categories', 'name', 'brandid')
    """
    return plain_name(_IN_LANGUAGE.sub("", _IN_BRACKETS.sub("", _OF_ATTRIBUTES.sub("", name))))


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
    found = {name: meant_name(name, others) or called(usual[name], that_may_be(name, others)) for name in missing}
    return {name: theirs for name, theirs in found.items() if theirs is not None}


def meant_name(ours: str, others: Sequence[str]) -> str | None:
    """The one of the file's other columns that is ours but for case, signs, plural or a slip; of pictures also one that
    is called as only pictures are.

    >>> meant_name("title", ["SKU", "Title"]), meant_name("images", ["image_link"]), meant_name("links", ["likes"])
    ('Title', 'image_link', None)
    """
    plain = {_singular(plain_name(name)): name for name in that_may_be(ours, others)}
    if ours in _ALWAYS_ASKED:
        return plain.get(_singular(ours))
    near = difflib.get_close_matches(_singular(plain_name(ours)), plain, n=1, cutoff=_NEAR)
    if near:
        return plain[near[0]]
    return _picture_column(plain) if ours == "images" else None


def that_may_be(ours: str, others: Iterable[str]) -> list[str]:
    """The columns of a file without those that are never our column, though they are called much like it.

    >>> that_may_be("links", ["link", "likes"])
    ['likes']
    """
    return [name for name in others if name not in _NEVER_MEANT.get(ours, ())]


def means_another(ours: str, name: str, usual: Mapping[str, Sequence[str]]) -> bool:
    """Whether a file's column is usually something else than ours. usual: OF_CATALOGUE or OF_LOG.

    >>> means_another("description", "Condition", OF_CATALOGUE), means_another("title", "Name", OF_CATALOGUE)
    (True, False)
    """
    plain = _singular(plain_name(name))
    if any(_singular(plain_name(own)) == plain for own in (ours, *usual.get(ours, ()))):
        return False
    others = chain(NONE_OF_OURS, usual, *usual.values())
    return any(_singular(plain_name(other)) == plain for other in others) or (
        ours != "images" and is_called_a_picture(name)
    )


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


def words_of(name: str) -> list[str]:
    """The words of a column's name, in small letters."""
    parted = re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])", " ", name)
    return re.split(r"[\W\d_]+", parted.casefold())


def _picture_column(plain: Mapping[str, str]) -> str | None:
    """The column of pictures among some, by their plain names; one of small copies only where there is no other."""
    found = [name for word, name in plain.items() if word.startswith("image") or _PICTURE_NAME.fullmatch(word)]
    return min(found, key=is_called_small, default=None)


def _singular(plain: str) -> str:
    return plain.removesuffix("s")
