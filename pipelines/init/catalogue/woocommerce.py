"""WooCommerce's product export, and its REST API's answer: a row a product, and one for each variation, which names
its parent."""

import re
from dataclasses import replace

from pipelines.init.catalogue.variants import parent_by_kind
from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import (
    FoundColumn,
    Names,
    Start,
    found_by_name,
    found_in,
    found_in_lists,
    found_in_options,
    joined,
    left_out,
    own_names,
)
from pipelines.init.table.hidden import Shown, hidden_products
from pipelines.init.table.seen import SeenTable
from schemas.errors import UsageError
from schemas.tables import CATALOGUE, TEXT_FIELDS

#: Where extensions put a brand.
_OF_METADATA = ("Meta: _brand", "Meta: brand")
#: Our column -> for each source what the exporter calls it: in English, German, French, Spanish, Dutch, Italian,
#: Portuguese, Polish, Swedish.
NAMES: Names = {
    "title": [("Name", "Nom", "Nombre", "Naam", "Nome", "Nazwa", "Namn")],
    "description": [
        (
            *("Short description", "Kurzbeschreibung", "Description courte", "Descripción corta", "Korte beschrijving"),
            *("Breve descrizione", "Descrizione breve", "Descrição curta", "Descrição breve", "Krótki opis"),
            "Kort beskrivning",
        ),
        (
            *("Description", "Beschreibung", "Descripción", "Beschrijving", "Descrizione", "Descrição", "Opis"),
            "Beskrivning",
        ),
    ],
    "brand": [
        ("Brands", "Brand", "Marken", "Marke", "Marques", "Marque", "Marcas", "Marca", "Merken", "Merk", *_OF_METADATA)
    ],
    "product_types": [
        (
            *("Categories", "Kategorien", "Catégories", "Categorías", "Categorieën", "Categorie", "Categorias"),
            *("Kategorie", "Kategorier"),
        ),
        ("Tags", "Schlagwörter", "Étiquettes", "Etiquetas", "Tag", "Znaczniki", "Tagi", "Etiketter"),
    ],
    "images": [("Images", "Bilder", "Imágenes", "Afbeeldingen", "Immagini", "Imagens", "Obrazki")],
}
_KIND = ("Type", "Typ", "Tipo", "Rodzaj")
_PARENT = (
    *("Parent", "Übergeordnetes Produkt", "Produit parent", "Superior", "Principal", "Hoofd", "Genitore", "Ascendente"),
    *("Nadrzędny", "Överordnad"),
)
_SKU = ("SKU", "Artikelnummer", "UGS")
#: Columns that only its export has, as it spells them: in_stock and is_featured have others, too; some of others as it
#: spells them, which some export without those; and its Type of a product of several and of a part.
_ONLY_HERE = (
    *("Visibility in catalog", "In stock?", "Tax status", "Is featured?", "Backorders allowed?", "Sold individually?"),
    *("Allow customer reviews?", "Download expiry days", "Sichtbarkeit im Katalog", "Übergeordnetes Produkt"),
    *("Visibilité dans le catalogue", "Visibilidad en el catálogo"),
    *("catalog_visibility", "backorders_allowed", "sold_individually"),  # of the REST API
)
_SPELT = ("ID", "Name", "Short description", "Images")
_KINDS = ("variable", "variation")
#: What a parent without a SKU is called by is its ID behind this.
_PARENT_PREFIX = "id:"
#: What the exporter writes for a line end in a text.
_LINE_END = r"\n"
#: What a product that customers see has; 0 is private, -1 a draft.
_SHOWN = (
    *(
        Shown(name, ("1",), ("0", "-1"))
        for name in (
            *("Published", "Veröffentlicht", "Publié", "Publicado", "Gepubliceerd", "Pubblicato", "Opublikowano"),
            *("Publicerad", "Publicerat"),
        )
    ),
    *(
        Shown(name, ("visible", "catalog", "search"), ("hidden",))
        for name in ("Visibility in catalog", "Sichtbarkeit im Katalog")
    ),
    Shown("catalog_visibility", ("visible", "catalog", "search"), ("hidden",)),
    Shown("status", ("publish",), ("draft", "pending", "private")),
)
#: An attribute's columns, `Attribute 1 name` and `Attribute 1 value(s)`, in these languages and whatever order.
_ATTRIBUTE, _NUMBER = re.compile(r"\b(?:attribut|atribut|attribuut|atrybut)"), re.compile(r"\d+")
_NAME = re.compile(r"\b(?:name|nom|nombre|naam|nome|nazwa|namn)\b")
_VALUE = re.compile(r"\b(?:value|wert|valeur|valor|waarde|wartoś|värde)")


def is_woocommerce(table: SeenTable) -> bool:
    """Whether the columns are those of a product export, of all or of some columns: ID and Name have other tables too,
    and images, so it is told by what nobody else has."""
    kinds = table.column(_KIND)
    has_kinds = kinds is not None and not set(_KINDS).isdisjoint(kinds.texts)
    is_spelt = set(_SPELT) <= table.columns.keys()
    has_names = table.has("ID") and any(table.has(name) for name in NAMES["title"][0])
    is_only_here = not table.columns.keys().isdisjoint(_ONLY_HERE)
    has_attributes = "ID" in table.columns and bool(_attributes(table))
    return has_names and (is_only_here or has_kinds or is_spelt or has_attributes)


def _attributes(table: SeenTable) -> list[tuple[str, str]]:
    """The columns of each attribute that has both: what it is called, and its values."""
    names: dict[str, str] = {}
    values: dict[str, str] = {}
    for column in table.columns:
        folded = column.casefold()
        number = _NUMBER.search(folded)
        if number is None or not _ATTRIBUTE.search(folded):
            continue
        if _VALUE.search(folded):
            values.setdefault(number[0], column)
        elif _NAME.search(folded):
            names.setdefault(number[0], column)
    return [(names[number], values[number]) for number in names if number in values]


def starts(table: SeenTable) -> list[Start]:
    """By product, variations merged into their parents; by row. Raises UsageError."""
    number, sku = table.column(["ID"]), table.column(_SKU)
    if number is None or not any(table.has(name) for name in NAMES["title"][0]):
        raise UsageError(
            f"expected a WooCommerce product export, with the columns ID and Name, got {table.names_in_words}: export "
            "all columns (Products, Export), or try --from csv"
        )
    parent = table.column(_PARENT) or _parent_by_kind(table, number, sku)
    names = own_names(table, NAMES, (*TEXT_FIELDS, "images"))
    attributes = found_in_options(table, _attributes(table)) or found_in_lists(table, "attributes")
    found = joined([*found_by_name(table, names), *attributes])
    found = [_with_line_ends(one, table) for one in found]
    rest = (*found, *left_out(table, found, CATALOGUE.names[1:]))
    hidden = hidden_products(table, _SHOWN)
    by_row = [Start((found_in([number], "item_id"), *rest), f"rows by {number.name}", hidden=hidden)]
    if sku is not None and sku.is_key:
        by_row.append(Start((found_in([sku], "item_id"), *rest), f"rows by {sku.name}", hidden=hidden))
    if parent is None or not parent.filled:
        return by_row
    found_by_parent = (_of_parents(table, number, parent, sku), *rest)
    merged = [Start(found_by_parent, "products, variations merged", "merge", hidden=hidden)]
    group = _group(number, parent, sku)
    return merged + [
        Start(
            (one.found[0], group, *rest), f"{one.told_apart}, variations beside their parents", "merge", hidden=hidden
        )
        for one in by_row
    ]


def _parent_by_kind(table: SeenTable, number: SeenColumn, sku: SeenColumn | None) -> SeenColumn | None:
    """The column of the parents in whatever language."""
    known = {*(f"{_PARENT_PREFIX}{text}" for text in number.texts), *(sku.texts if sku is not None else ())}
    return parent_by_kind(table, known)


def _with_line_ends(found: FoundColumn, table: SeenTable) -> FoundColumn:
    """A description whose line ends, as the exporter writes them, are blanks: `soft\\nWarm` has no word nWarm."""
    texts = [text for name in found.sources if name in table.columns for text in table.columns[name].texts]
    if found.name != "description" or not any(_LINE_END in text for text in texts):
        return found
    note = rf"line ends are written as {_LINE_END}: read as blanks"
    return replace(found, options={**found.options, "separator": _LINE_END}, notes=(*found.notes, note))


def _of_parents(table: SeenTable, number: SeenColumn, parent: SeenColumn, sku: SeenColumn | None) -> FoundColumn:
    """An id that variations share with their parent: as they name it."""
    own = _own_names_of_parents(number, parent, sku)
    notes = [
        f"the {parent.name} in {len(parent.filled):,} of {table.num_rows:,} rows, which are variations, else their own"
    ]
    return found_in([parent, *own], "item_id", options={"prefix": _PARENT_PREFIX}, notes=notes)


def _own_names_of_parents(number: SeenColumn, parent: SeenColumn, sku: SeenColumn | None) -> list[SeenColumn]:
    """What a variation may call its parent by: its SKU if that has one, else `id:` and its ID."""
    by_sku = sku is not None and not all(text.startswith(_PARENT_PREFIX) for text in parent.texts)
    return [sku, number] if by_sku and sku is not None else [number]


def _group(number: SeenColumn, parent: SeenColumn, sku: SeenColumn | None) -> FoundColumn:
    sources = [parent, *_own_names_of_parents(number, parent, sku)]
    return found_in(
        sources, "group", options={"prefix": _PARENT_PREFIX}, notes=["variations have what they lack of it"]
    )
