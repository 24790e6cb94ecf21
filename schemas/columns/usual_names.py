"""What shops call the columns of their tables, in some languages: asked wherever a column of ours is looked for.

`itemsage init` takes them, together with what the columns hold. The jobs, which see names alone, only ask for them: a
name says less than its file's owner. Of a column of ours the likelier names come first; case and signs do not count.
"""

from collections.abc import Mapping, Sequence
from itertools import chain

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
    "contribution_sku",
    *("article_number", "item_number", "artikelnummer", "artnr", "item_code", "product_code", "code", "asin"),
    *("artikel_nr", "produktnummer", "bestellnummer", "référence", "reference", "referencia", "code_article"),
    *("código", "codigo", "artikelcode", "productcode", "codice", "oxid", "oxartnum"),
    *("product_internal_id", "internal_id", "uniq_id", "uuid", "object_id", "handle", "slug", "number", "offer_id"),
    *("salsify_id", "aid", "inventory_number", "stock_code", "item_no", "article_no", "gtin", "ean", "upc", "mpn"),
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
    *("line_item_sku", "variant_sku", "item_ids", "product_ids", "object_ids", "seller_sku", "custom_label"),
    "custom_label_sku",
)
#: Lists of the items of an event, whose `id` is that of an item.
LOG_LISTS = ("items", "products", "contents", "line_items", "lines", "cart", "basket", "product")
#: Ids of who acts, which complete each other: before a login and after it. Others stand for one where there is none.
USERS = (
    *("user_id", "user_pseudo_id", "visitor_id", "customer_id", "client_id", "external_id", "distinct_id"),
    *("anonymous_id", "domain_userid", "full_visitor_id", "idvisitor"),
)
#: Anonymous ids that stand where a row has none of USERS.
DEVICES = ("device_id",)
OTHER_USERS = (
    *("member_id", "household_id", "household_key", *DEVICES, "user", "visitor", "customer", "email", "kunde"),
    *("uid", "uuid_user", "user_key", "customer_key", "customer_number", "customer_no", "customer_code"),
    *("member_number", "buyer", "buyer_username", "buyer_email", "customer_email", "billing_email", "buyer_name"),
    *("buyer_id", "buyer_user_id", "shopper_id", "person_id", "contact_id", "contact_key"),
    *("subscriber_id", "subscriber_key", "profile_id", "account_id", "guest_id", "kundennummer", "kunden_nr"),
    *("kunden_id", "klantnummer", "klant_id", "id_client", "numero_client", "code_client", "id_cliente"),
    *("cliente_id", "codice_cliente"),
)
#: Objects that are somebody who acts, whose id is a user's.
OBJECTS_OF_USERS = (*OTHER_USERS, "shopper", "person", "contact", "member", "profile", "account")
#: Words in the names of columns that may say who acts, in some languages.
WORDS_OF_USERS = (
    *("user", "visitor", "customer", "buyer", "shopper", "person", "contact", "member", "client", "subscriber"),
    *("profile", "account", "household", "guest", "cookie", "device", "email", "phone", "loyalty", "kund", "klant"),
    *("nutzer", "besucher", "acheteur", "utilisateur", "usuario", "utente", "cliente", "gebruiker", "bezoeker"),
)
SESSIONS = (
    *("ga_session_id", "session_id", "user_session", "session", "visit_id", "domain_sessionid", "idvisit"),
    *("session_key", "id_session", "sitzung", "sitzungs_id"),
)
TIMES = (
    *("event_timestamp", "event_time", "timestamp", "time", "datetime", "date_time", "date_hour_minute", "date_hour"),
    *("date", "created_at", "ts"),
    *("server_time", "server_timestamp", "derived_tstamp", "collector_tstamp", "date_created", "hit_time_gmt"),
    *("occurred_at", "visit_time", "order_date", "purchase_date", "invoice_date", "t_dat"),
    *("sale_date", "sold_at", "date_paid", "paid_at", "purchased_at", "ordered_at", "order_time", "transaction_date"),
    *("payment_date", "viewed_at", "clicked_at", "zeitpunkt", "zeitstempel", "bestelldatum", "kaufdatum", "datum"),
    *("date_de_commande", "fecha_de_compra", "fecha", "data_ordine", "besteldatum"),
)
#: Before or behind the name of a column of times: that they are of UTC.
UTC_WORDS = ("utc", "gmt")
#: The zone of the clocks that wrote the times beside it, by its name or as an offset.
ZONES = (
    *("time_zone", "tz", "tzid", "tz_name", "time_zone_name", "iana_time_zone", "zeitzone", "fuseau_horaire"),
    *("zona_horaria", "tijdzone", "fuso_orario", "utc_offset", "gmt_offset", "tz_offset", "time_zone_offset"),
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
ORDERS = (
    *("order_id", "order_number", "invoice", "invoice_no", "lineitem_name", "bestellnummer", "auftragsnummer"),
    *("increment_id", "amazon_order_id", "sales_record_number", "numéro_de_commande", "numero_de_pedido"),
)
#: Words for flags that say whether customers see a product, that it is deleted, or that it is hidden otherwise; also
#: behind `is_` or `product_`.
VISIBLE = (
    *("online", "active", "enabled", "available", "published", "visible", "status", "live", "listed"),
    *("aktiv", "sichtbar", "actif", "activo", "attivo", "actief", "oxactive"),
)
DELETED = ("deleted", "archived")
HIDDEN = (
    *("hidden", "discontinued", "draft", "disabled", "inactive", "unpublished", "unlisted", "removed", "retired"),
    *("obsolete", "withdrawn", "suspended", "blocked", "trashed", "private", "expired", "del", "delete"),
    *("gelöscht", "geloescht", "versteckt", "archiviert", "supprimé", "eliminado", "archivado", "oxhidden"),
)
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
