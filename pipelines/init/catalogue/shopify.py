"""Shopify's product export, of the admin or of an app that writes the same: several rows a product, by its handle."""

from collections import Counter
from dataclasses import replace

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

HANDLE = ("Handle", "URL handle")
SKU = ("Variant SKU", "SKU")
#: Our column -> for each source what Shopify has called it.
NAMES: Names = {
    "title": [("Title",)],
    "description": [("Body (HTML)", "Body HTML", "Description")],
    "brand": [("Vendor",)],
    "colors": [("Color (product.metafields*", "Google Shopping / Color")],
    "size": [("Size (product.metafields*",)],
    "patterns": [("Pattern (product.metafields*",)],
    "materials": [("Material (product.metafields*", "Fabric (product.metafields*", "Google Shopping / Material")],
    "product_types": [("Type", "Custom Product Type", "product_type"), ("Tags",)],
    "google_product_category": [
        ("Product Category", "Standard Product Type"),
        ("Google Shopping / Google Product Category",),
    ],
    "images": [("Image Src", "Product image URL"), ("Variant Image", "Variant image URL")],
}
#: What a product that customers see has, and what others.
_SHOWN = (
    Shown("Status", ("active",), ("draft", "archived")),
    *(Shown(name, ("true",), ("false",)) for name in ("Published", "Published on online store")),
)
_OPTIONS = [(f"Option{number} Name", f"Option{number} Value") for number in (1, 2, 3)]


def is_shopify(table: SeenTable) -> bool:
    """Whether the columns are those of a product export."""
    return table.column(HANDLE) is not None and any(
        table.has(name) for name in ("Body (HTML)", "Variant SKU", "Option1 Value", "Image Src", "Product image URL")
    )


def starts(table: SeenTable) -> list[Start]:
    """By product; by variant, if every row with a price or an option has a SKU of its own. Raises UsageError."""
    handle = table.column(HANDLE)
    if handle is None:
        raise UsageError(
            f"expected a Shopify product export, with a column Handle or URL handle, got {table.names_in_words}: "
            "export products as CSV in the admin, or try --from csv"
        )
    options = found_in_options(table, _OPTIONS, handle) or found_in_lists(table, "options")
    found = joined([*found_by_name(table, own_names(table, NAMES, (*TEXT_FIELDS, "images"))), *options])
    rest = (*found, *left_out(table, found, CATALOGUE.names[1:]))
    num_products = len(set(handle.texts))
    by_product = found_in([handle], "item_id", notes=[f"{num_products:,} products in {table.num_rows:,} rows"])
    hidden = hidden_products(table, _SHOWN)
    made = [
        Start((by_product, *rest), f"products by {handle.name}, rows merged", "merge", hidden=hidden),
    ]
    sku = table.column(SKU)
    if sku is not None and sku.texts and max(Counter(sku.texts).values()) == 1:
        ids = found_in([sku], "item_id", notes=["every variant is an item of its own"])
        group = found_in([handle], "group", notes=["variants complete each other, and share their pictures"])
        images = [_of_variants_first(one) if one.name == "images" else one for one in rest]
        made.append(
            Start(
                (ids, group, *images),
                f"variants by {sku.name} of products by {handle.name}",
                "share-pictures",
                hidden=hidden,
            )
        )
    return made


def _of_variants_first(images: FoundColumn) -> FoundColumn:
    return replace(images, sources=tuple(sorted(images.sources, key=lambda name: "variant" not in name.casefold())))
