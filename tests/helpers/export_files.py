"""The files that shops export, made of one list of products: by seed, with pictures on a server of the test."""

import csv
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq

KINDS = ("mug", "shirt", "lamp", "scarf", "bowl", "jacket", "basket", "candle", "cushion", "teapot")
COLOURS = ("red", "blue", "green", "white", "black", "yellow")
MATERIALS = ("linen", "wool", "clay", "oak", "glass", "cotton")
BRANDS = ("Acme", "Northwind", "Halden & Sons")
SIZES = ("S", "M", "L")
DAY_US = 86_400_000_000
#: 2026-06-01, midnight in UTC.
START_US = 1_780_272_000_000_000


@dataclass(frozen=True)
class Product:
    """number: from 1. pictures: addresses, one to three; sizes: of its variants, none for a product without."""

    number: int
    title: str
    words: str
    brand: str
    kind: str
    colour: str
    material: str
    pictures: tuple[str, ...]
    sizes: tuple[str, ...]

    @property
    def html(self) -> str:
        """The description as shops write it, line ends and commas in it."""
        return f'<p>{self.words}</p>\n<ul><li>Colour: <b>{self.colour}</b></li>\n<li>5" &amp; more</li></ul>'

    @property
    def handle(self) -> str:
        return f"{self.colour}-{self.material}-{self.kind}-{self.number}"

    @property
    def sku(self) -> str:
        return f"SKU-{self.number:04d}"


def made_products(seed: int, count: int, picture_urls: Sequence[str]) -> list[Product]:
    """So many products; every one has pictures of its own of the list, at least one."""
    random_ = random.Random(seed)
    urls = iter(picture_urls)
    products = []
    for number in range(1, count + 1):
        kind, colour, material = random_.choice(KINDS), random_.choice(COLOURS), random_.choice(MATERIALS)
        products.append(
            Product(
                number,
                f"{colour.title()} {material} {kind} no {number}",
                f"A {colour} {kind} of {material}, made by hand, number {number} of its series.",
                random_.choice(BRANDS),
                kind,
                colour,
                material,
                tuple(next(urls) for _ in range(1 + number % 2)),
                SIZES if kind in ("shirt", "jacket") else (),
            )
        )
    return products


def write_shopify(path: Path, products: Sequence[Product]) -> None:
    """The admin's CSV: UTF-8 with a BOM, a row a variant, further pictures in rows of their own."""
    names = [
        *("Handle", "Title", "Body (HTML)", "Vendor", "Product Category", "Type", "Tags", "Published", "Option1 Name"),
        *("Option1 Value", "Variant SKU", "Variant Grams", "Variant Price", "Image Src", "Image Position", "Gift Card"),
        *("SEO Title", "Color (product.metafields.shopify.color-pattern)", "Variant Image", "Cost per item", "Status"),
    ]
    rows = []
    for product in products:
        own: list[dict[str, Any]] = [
            {"Option1 Value": size, "Variant SKU": f"{product.sku}-{size}", "Variant Price": "19.90"}
            for size in product.sizes or ("Default Title",)
        ]
        own += [{} for _ in range(len(product.pictures) - len(own))]
        for position, (row, url) in enumerate(zip(own, product.pictures, strict=False), 1):
            row |= {"Image Src": url, "Image Position": position}
        own[0] |= {
            "Title": product.title,
            "Body (HTML)": product.html,
            "Vendor": product.brand,
            "Published": "true",
            "Type": product.kind,
            "Tags": f"{product.colour}, {product.material}",
            "Status": "active",
            "Product Category": "Home & Garden",
            "Option1 Name": "Size" if product.sizes else "Title",
            "Color (product.metafields.shopify.color-pattern)": product.colour,
        }
        rows += [{"Handle": product.handle, **row} for row in own]
    _write_csv(path, names, rows, encoding="utf-8-sig")


def write_woocommerce(path: Path, products: Sequence[Product], *, parents_by_sku: bool = True) -> None:
    """The built-in CSV exporter's file: variations in rows of their own, by the SKU of their parent or `id:`."""
    names = [
        *("ID", "Type", "SKU", "Name", "Published", "Is featured?", "Visibility in catalog", "Short description"),
        *("Description", "Tax status", "In stock?", "Regular price", "Categories", "Tags", "Images", "Parent"),
        *("Upsells", "Position", "Attribute 1 name", "Attribute 1 value(s)", "Attribute 1 visible"),
        *("Attribute 2 name", "Attribute 2 value(s)"),
    ]
    rows = []
    for product in products:
        number, sku = product.number * 10, product.sku if parents_by_sku else ""
        shared = {"Published": 1, "Visibility in catalog": "visible", "In stock?": 1, "Tax status": "taxable"}
        rows.append(
            {
                **shared,
                "ID": number,
                "Type": "variable" if product.sizes else "simple",
                "SKU": sku,
                "Name": product.title,
                "Short description": f"<p>{product.words}</p>",
                "Description": product.html.replace("\n", "\\n"),
                "Categories": f"Shop, Shop > {product.kind}",
                "Tags": product.material,
                "Images": ", ".join(product.pictures),
                "Attribute 1 name": "Color",
                "Attribute 1 value(s)": product.colour,
                **({"Attribute 2 name": "Size", "Attribute 2 value(s)": ", ".join(SIZES)} if product.sizes else {}),
            }
        )
        for offset, size in enumerate(product.sizes, 1):
            rows.append(
                {
                    **shared,
                    "ID": number + offset,
                    "Type": "variation",
                    "Name": f"{product.title} - {size}",
                    "SKU": f"{sku}-{size}" if sku else "",
                    "Parent": sku or f"id:{number}",
                    "Regular price": 20,
                    "Attribute 2 name": "Size",
                    "Attribute 2 value(s)": size,
                }
            )
    _write_csv(path, names, rows)


def write_google_tsv(path: Path, products: Sequence[Product]) -> None:
    """The feed as text: tabs, no quoting, attributes written with blanks."""
    names = ["id", "title", "description", "link", "image link", "additional image link", "availability", "price"]
    names += ["brand", "google product category", "product type", "color", "material", "condition"]
    lines = ["\t".join(names)]
    for product in products:
        lines.append("\t".join(_google_values(product).values()))
    path.write_text("\n".join(lines) + "\n")


def write_google_xml(path: Path, products: Sequence[Product]) -> None:
    """The feed as RSS; further pictures are repeated elements."""
    items = []
    for product in products:
        values = _google_values(product)
        values.pop("additional_image_link")
        elements = [f"<g:{name}>{escape(value)}</g:{name}>" for name, value in values.items() if value]
        more = "additional_image_link"
        elements += [f"<g:{more}>{escape(url)}</g:{more}>" for url in product.pictures[1:]]
        items.append("<item>" + "".join(elements) + "</item>")
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>'
        "<title>shop</title><link>https://shop.example</link>" + "\n".join(items) + "</channel></rss>"
    )


def _google_values(product: Product) -> dict[str, str]:
    return {
        "id": product.sku,
        "title": product.title,
        "description": f'{product.words} 5" wide',
        "link": f"https://shop.example/products/{product.handle}",
        "image_link": product.pictures[0],
        "additional_image_link": ",".join(product.pictures[1:]),
        "availability": "in_stock",
        "price": "19.90 EUR",
        "brand": product.brand,
        "google_product_category": "536",
        "product_type": f"Home > {product.kind}",
        "color": product.colour,
        "material": product.material,
        "condition": "new",
    }


def ga4_events(seed: int, ids: Sequence[str], num_sessions: int, terms: Sequence[str]) -> list[dict[str, Any]]:
    """Events as BigQuery has them, of sessions of 30 days: page views, searches, clicks, purchases. terms: what is
    searched for where the item of the same place is clicked."""
    random_ = random.Random(seed)
    events = []
    for session in range(num_sessions):
        time_us = START_US + random_.randrange(30 * DAY_US)
        user = f"{random_.randrange(num_sessions // 3)}.{seed}"
        place = random_.randrange(len(ids))
        names = ["session_start", "page_view", "view_item", *(["add_to_cart", "purchase"] if session % 3 == 0 else [])]
        for step, name in enumerate([*names, "newsletter_popup"] if session % 10 == 0 else names):
            params = [{"key": "ga_session_id", "value": {"string_value": None, "int_value": session}}]
            if name == "view_item" and session % 2:
                params.append({"key": "search_term", "value": {"string_value": terms[place], "int_value": None}})
            bought = [ids[place], random_.choice(ids)] if name == "purchase" else [ids[place]]
            has_items = name in ("view_item", "add_to_cart", "purchase")
            events.append(
                {
                    "event_date": "20260601",
                    "event_timestamp": time_us + step * 1_000_000,
                    "event_name": name,
                    "event_params": params,
                    "user_id": None,
                    "user_pseudo_id": user,
                    "items": [{"item_id": item, "item_name": "x", "quantity": 1} for item in bought if has_items],
                }
            )
    return sorted(events, key=lambda event: event["event_timestamp"])


def write_ga4_parquet(path: Path, events: Sequence[dict[str, Any]]) -> None:
    """As BigQuery's Parquet, lists without wrappers."""
    value = pa.struct([("string_value", pa.string()), ("int_value", pa.int64())])
    item = pa.struct([("item_id", pa.string()), ("item_name", pa.string()), ("quantity", pa.int64())])
    schema = pa.schema(
        [
            ("event_date", pa.string()),
            ("event_timestamp", pa.int64()),
            ("event_name", pa.string()),
            ("event_params", pa.list_(pa.struct([("key", pa.string()), ("value", value)]))),
            ("user_id", pa.string()),
            ("user_pseudo_id", pa.string()),
            ("items", pa.list_(item)),
        ]
    )
    pq.write_table(pa.Table.from_pylist(list(events), schema), path)


def write_ga4_json(path: Path, events: Sequence[dict[str, Any]]) -> None:
    """As BigQuery's JSON: whole numbers are text, what is null is left out."""
    lines = []
    for event in events:
        told = {name: value for name, value in event.items() if value is not None}
        told["event_timestamp"] = str(told["event_timestamp"])
        told["event_params"] = [
            {"key": p["key"], "value": {k: str(v) for k, v in p["value"].items() if v is not None}}
            for p in told["event_params"]
        ]
        lines.append(json.dumps(told))
    path.write_text("\n".join(lines) + "\n")


def write_own_csv(path: Path, products: Sequence[Product]) -> None:
    """A table of a shop's own: semicolons, names of its own."""
    names = ["Artikelnummer", "Bezeichnung", "Langtext", "Hersteller", "Farbe", "Preis", "Foto 1", "Foto 2", "Lager"]
    rows = [
        {
            "Artikelnummer": f"{product.number:05d}",
            "Bezeichnung": product.title,
            "Hersteller": product.brand,
            "Langtext": f"{product.words} {'It keeps for years and is easily cleaned. ' * 4}{product.handle}",
            "Farbe": product.colour,
            "Preis": "19,90",
            "Foto 1": product.pictures[0],
            "Lager": 3,
            "Foto 2": product.pictures[1] if len(product.pictures) > 1 else "",
        }
        for product in products
    ]
    _write_csv(path, names, rows, delimiter=";")


def _write_csv(
    path: Path, names: Sequence[str], rows: Sequence[dict[str, Any]], encoding: str = "utf-8", delimiter: str = ","
) -> None:
    with open(path, "w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, names, restval="", delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
