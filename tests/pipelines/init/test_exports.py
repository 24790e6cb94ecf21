"""`itemsage init` of the exports that shop systems make: Shopify, WooCommerce and Google's feed."""

import json
from pathlib import Path

import pytest
from export_files import (
    write_google_tsv,
    write_google_xml,
    write_shopify,
    write_woocommerce,
)
from init_calls import PRODUCTS, write_csv, written

from pipelines.init.rehearsal import rehearse_items


def test_shopify_by_handle(capsys):
    write_shopify(Path("p.csv"), PRODUCTS)
    config = written("--from", "shopify", "p.csv")
    assert (config["catalog"], config["group_rows"], config["train"]) == ("p.csv", "merge", {"accept_untrained": True})
    assert config["columns"] == {
        "item_id": "Handle",
        "title": "Title",
        "description": "Body (HTML)",
        "brand": "Vendor",
        "colors": "Color (product.metafields.shopify.color-pattern)",
        "size": config["columns"]["size"],
        "product_types": ["Type", "Tags"],
        "google_product_category": "Product Category",
        "images": ["Image Src", "Variant Image"],
    }
    size = config["columns"]["size"]
    assert (size["source"], size["named_by"], size["within"]) == ("Option1 Value", ["Option1 Name"], "Handle")
    assert "size" in size["names"]
    text = Path("shop.toml").read_text()
    assert "# 'Option1 Value': " in text
    assert "e.g. S\n" in text  # not Default Title
    told = capsys.readouterr().out
    assert "25 items (products by Handle, rows merged), 25 with text, 25 with pictures" in told
    for command in ("fetch-images --config", "train --config", "daily --config", "search --config"):
        assert f"itemsage {command} shop.toml" in told
        assert f"itemsage {command} shop.toml" in text


def test_drafts_are_told():
    write_csv("p.csv", "Handle,Title,Body (HTML),Status", "a,A,x,active", "b,B,x,draft")
    written("--from=shopify", "p.csv")
    assert "# ? Status: draft in 1 rows. They are items too" in Path("shop.toml").read_text()


def test_the_options_of_shopify_in_json():
    """As they are called, whatever that is; of no product's own name, and without its title of one variant."""
    options = [
        [{"name": "Size", "position": 1, "values": ["S", "M"]}, {"name": "Color", "position": 2, "values": ["red"]}],
        [{"name": "Colour", "position": 1, "values": ["green"]}, {"name": "Scent", "position": 2, "values": ["rose"]}],
        [{"name": "Title", "position": 1, "values": ["Default Title"]}],
    ]
    products = [
        {"id": n, "handle": f"p-{n}", "title": f"Thing {n}", "body_html": "x", "vendor": "Acme", "options": given}
        | {"images": [], "variants": [{"sku": f"s-{n}", "option1": given[0]["values"][0]}]}
        for n, given in enumerate(options)
    ]
    Path("p.json").write_text(json.dumps({"products": products}))
    config = written("--from=shopify", "p.json")
    assert config["columns"]["size"] == "options.Size"
    assert config["columns"]["colors"] == ["options.Color", "options.Colour"]
    items = rehearse_items(["p.json"], config["columns"], config["group_rows"]).items
    assert items.select(["item_id", "size", "colors"]).to_pylist() == [
        {"item_id": "p-0", "size": "S M", "colors": "red"},
        {"item_id": "p-1", "size": None, "colors": "green"},
        {"item_id": "p-2", "size": None, "colors": None},
    ]


def test_the_newer_names_of_shopify():
    write_csv("p.csv", "Title,URL handle,Description,SKU,Product image URL", "A,a,text,1,https://x.example/1.jpg")
    assert written("p.csv")["columns"] == {
        "item_id": "URL handle",
        "title": "Title",
        "description": "Description",
        "images": "Product image URL",
    }


def _made(path, config):
    """Of each item of the file what the config makes of it: (id, title, size, colors, materials)."""
    items = rehearse_items([path], config["columns"], config.get("group_rows", "no")).items
    names = ["item_id", "title", "size", "colors", "materials"]
    return [tuple(row[name] for name in names) for row in items.select(names).to_pylist()]


def test_options_of_shopify_are_what_each_product_calls_them():
    header = "Handle,Title,Body (HTML),Option1 Name,Option1 Value,Option2 Name,Option2 Value,Option3 Name,Option3 Value"
    rows = [
        *("tee,Tee,x,Size,S,Color,Red,,", "tee,,,,M,,Red,,"),
        *("coat,Coat,x,Colour,Blue,Fabric,Wool,size,XL", "coat,,,,Green,,Wool,,L"),
        *("candle,Candle,x,Scent,Rose,,,,", "candle,,,,Vanilla,,,,", "mug,Mug,x,Title,Default Title,,,,"),
    ]
    write_csv("p.csv", header, *rows)
    config = written("--from", "shopify", "p.csv")
    assert _made("p.csv", config) == [
        ("candle", "Candle", None, None, None),
        ("coat", "Coat", "XL", "Blue", "Wool"),
        ("mug", "Mug", None, None, None),
        ("tee", "Tee", "S", "Red", None),
    ]
    assert "Option1 Name" not in Path("shop.toml").read_text().partition("# Not read:")[2]


def test_a_column_of_colors_beside_options():
    """Shopify's metafields are always colors, options where they are called so."""
    header = "Handle,Title,Body (HTML),Color (product.metafields.x),Option1 Name,Option1 Value"
    write_csv("p.csv", header, "a,A,x,navy,Size,S", "b,B,x,,Color,Red")
    config = written("p.csv")
    assert config["columns"]["colors"]["named_by"] == ["", "Option1 Name"]
    assert _made("p.csv", config) == [("a", "A", "S", "navy", None), ("b", "B", None, "Red", None)]


def test_attributes_of_woocommerce_are_what_each_row_calls_them():
    header = "ID,Type,SKU,Name,Images,Parent"
    header += "".join(f",Attribute {n} name,Attribute {n} value(s),Attribute {n} visible" for n in (1, 2))
    rows = [
        '11,variable,TEE,Tee,,,Size,"S, M",1,Color,Red,1',
        "12,variation,TEE-S,Tee - S,,TEE,Size,S,,Color,Red,",
        "13,simple,JKT,Jacket,,,pa_color,Blue,1,Size,XL,1",
        "14,simple,CAN,Candle,,,Scent,Vanilla,1,,,",
    ]
    write_csv("w.csv", header, *rows)
    config = written("--from", "woocommerce", "w.csv")
    assert _made("w.csv", config) == [
        ("CAN", "Candle", None, None, None),
        ("JKT", "Jacket", "XL", "Blue", None),
        ("TEE", "Tee", "S, M", "Red", None),
    ]


_GERMAN = (
    "ID,Typ,Artikelnummer,Name,Kurzbeschreibung,Beschreibung,Kategorien,Schlagwörter,Bilder,Übergeordnetes Produkt,"
    "Marken,Attribut 1 Name,Attribut 1 Wert(e)"
)
_FRENCH = (
    "ID,Type,UGS,Nom,Description courte,Description,Catégories,Étiquettes,Images,Parent,Marques,Nom de l’attribut 1,"
    "Valeur(s) de l’attribut 1"
)
_OTHER_FRENCH = _FRENCH.replace(
    "Nom de l’attribut 1,Valeur(s) de l’attribut 1", "Attribut 1 : nom,Attribut 1 : valeurs"
)
_SPANISH = (
    "ID,Tipo,SKU,Nombre,Descripción corta,Descripción,Categorías,Etiquetas,Imágenes,Superior,Marcas,"
    "Nombre del atributo 1,Valor(es) del atributo 1"
)


@pytest.mark.parametrize("kind", [[], ["--from", "woocommerce"], ["--from", "csv"]])
@pytest.mark.parametrize("header", [_GERMAN, _FRENCH, _OTHER_FRENCH, _SPANISH])
def test_woocommerce_in_other_languages(header, kind):
    rows = [
        "11,variable,TEE,Hemd,weich,aus Leinen,Hemden,neu,https://e.com/1.jpg,,Kumo,Farbe,Rot",
        "12,variation,TEE-S,Hemd - S,,,,,,TEE,,Farbe,Rot",
        "13,simple,JKT,Jacke,dicht,gegen Regen,Jacken,,https://e.com/2.jpg,,Kumo,Taille,XL",
    ]
    write_csv("w.csv", header, *rows)
    config = written(*kind, "w.csv")
    assert _made("w.csv", config) == [("JKT", "Jacke", "XL", None, None), ("TEE", "Hemd", None, "Rot", None)]
    named = header.split(",")
    columns = config["columns"]
    assert (columns["description"], columns["product_types"]) == (named[4:6], named[6:8])
    assert (columns["images"], columns["brand"]) == (named[8], named[10])


@pytest.mark.parametrize(
    ("parents_by_sku", "item_id"),
    [
        (True, {"source": ["Parent", "SKU", "ID"], "prefix": "id:"}),
        (False, {"source": ["Parent", "ID"], "prefix": "id:"}),
    ],
)
def test_woocommerce_merges_variations(capsys, parents_by_sku, item_id):
    write_woocommerce(Path("w.csv"), PRODUCTS, parents_by_sku=parents_by_sku)
    config = written("--from", "woocommerce", "w.csv")
    assert (config["columns"]["item_id"], config["group_rows"]) == (item_id, "merge")
    description = config["columns"]["description"]
    assert description == {"source": ["Short description", "Description"], "separator": r"\n"}
    assert config["columns"]["colors"]["source"] == ["Attribute 1 value(s)", "Attribute 2 value(s)"]
    assert config["columns"]["colors"]["named_by"] == ["Attribute 1 name", "Attribute 2 name"]
    assert "25 items (products, variations merged), 25 with text, 25 with pictures" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["WC-1", "id:1"])
def test_variations_above_their_parent_have_its_texts(name):
    """Of rows that are merged the first gives the texts: that is the one that the others name."""
    sku = "" if name.startswith("id:") else name
    rows = [f"2,variation,V-2,Mug - S,{name},", f"1,variable,{sku},Mug,,", f"3,variation,V-3,Mug - M,{name},"]
    write_csv("w.csv", "ID,Type,SKU,Name,Parent,Images", *rows)
    config = written("w.csv")
    items = rehearse_items(["w.csv"], config["columns"], config["group_rows"]).items
    assert items.select(["item_id", "title"]).to_pylist() == [{"item_id": name.removeprefix("id:"), "title": "Mug"}]


def test_line_ends_of_woocommerce_are_no_letters():
    write_csv("w.csv", "ID,Type,SKU,Name,Short description,Images,Parent", r"1,simple,,A,soft\nWarm\nred,,")
    config = written("w.csv")
    items = rehearse_items(["w.csv"], config["columns"], "no").items
    assert items["description"].to_pylist() == ["soft Warm red"]


def test_drafts_of_woocommerce_are_told():
    write_csv("w.csv", "ID,Type,SKU,Name,Published,Images,Parent", "1,simple,,A,1,,", "2,simple,x,B,-1,,")
    written("w.csv")
    assert "# ? Published: -1 in 1 rows. They are items too" in Path("shop.toml").read_text()


def test_woocommerce_without_variations():
    write_csv("w.csv", "ID,Type,SKU,Name,Images,Parent", "1,simple,,A,,", "2,simple,x,B,,")
    config = written("w.csv")
    assert (config["columns"]["item_id"], config.get("group_rows")) == ("ID", None)


@pytest.mark.parametrize(("name", "write"), [("f.tsv", write_google_tsv), ("f.xml", write_google_xml)])
def test_a_google_feed(name, write):
    write(Path(name), PRODUCTS)
    config = written("--from", "google-feed", name)
    images = ["image link", "additional image link"] if name == "f.tsv" else ["image_link", "additional_image_link"]
    assert (config["columns"]["item_id"], config["columns"]["images"]) == ("id", images)
    assert config["columns"]["colors"] == "color"


def test_the_address_of_a_page_is_no_picture_and_no_link():
    write_google_xml(Path("f.xml"), PRODUCTS)
    for kind in ("google-feed", "csv"):
        config = written("--from", kind, "f.xml")
        assert "links" not in config["columns"]
        assert "link" not in config["columns"]["images"]


def test_a_folder_of_parts():
    Path("parts").mkdir()
    for part in range(2):
        write_google_xml(Path("parts", f"{part}.xml"), PRODUCTS[part * 10 : part * 10 + 10])
    assert written("parts")["catalog"] == "parts"
    assert "20 rows read, 20 items" in Path("shop.toml").read_text()


def test_an_export_of_another_system_is_not_woocommerces():
    """It too has ID, Name, Type, SKU and Categories."""
    header = "Item,ID,Name,Type,SKU,Categories,Description,Product Image File - 1"
    write_csv(
        "b.csv",
        header,
        "Product,1,red scarf,physical,s1,Scarves,warm,a.jpg",
        "Product,2,hat,physical,s2,Hats,soft,b.jpg",
    )
    columns = written("b.csv")["columns"]
    assert (columns["images"], columns["product_types"]) == ("Product Image File - 1", "Categories")


def test_an_export_of_mongodb_is_not_woocommerces():
    """It too has an id, a name, a short description and images."""
    rows = [
        {
            "_id": {"$oid": f"{n:024x}"},
            "name": f"red scarf {n}",
            "shortDescription": f"warm {n}",
            "images": [f"{n}.jpg"],
        }
        for n in range(3)
    ]
    Path("m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = written("m.jsonl")["columns"]
    assert (columns["item_id"], columns["title"], columns["images"]) == ("_id", "name", "images")
    assert "(csv)" in Path("shop.toml").read_text()


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("ID,Name,Visibility in catalog", "visible"),
        ("ID,Name,In stock?", "1"),
        ("id,name,Type", "variable"),
        ("ID,Name,Short description,Images", "warm,https://e.com/{n}.jpg"),
    ],
)
def test_some_columns_of_woocommerce_are_enough(header, row):
    write_csv("w.csv", header, *(f"{n},red scarf {n},{row.format(n=n)}" for n in range(3)))
    columns = written("w.csv")["columns"]
    assert "(woocommerce)" in Path("shop.toml").read_text()
    assert (columns["item_id"], columns["title"]) == (header.partition(",")[0], header.split(",")[1])


@pytest.mark.parametrize("kind", [[], ["--from", "csv"]])
@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("in_stock", "true"),
        ("instock", "1"),
        ("In Stock", "yes"),
        ("tax_status", "taxable"),
        ("is_featured,tax status", "0,taxable"),
        ("attribute_1_name,attribute_1_value", "Color,red"),
    ],
)
def test_a_table_with_much_the_same_columns_is_read_whole(kind, header, cells):
    rows = [f"{n},red scarf {n},soft wool {n},{cells},https://e.com/{n}.jpg,Scarves" for n in range(3)]
    write_csv("t.csv", f"id,name,description,{header},image_url,category", *rows)
    columns = written(*kind, "t.csv")["columns"]
    assert (columns["images"], columns["product_types"], columns["title"]) == ("image_url", "category", "name")
    assert "(csv)" in Path("shop.toml").read_text()


@pytest.mark.parametrize(
    "header", ["id,name,images", "ID,Name,Images", "id,name,short_description,images", "ID,Name,Tax"]
)
def test_columns_that_others_have_are_not_woocommerces(header):
    cells = {"images": "https://e.com/{n}.jpg", "short_description": "soft wool {n}", "tax": "19"}
    rows = [",".join(cells[name].format(n=n) for name in header.lower().split(",")[2:]) for n in range(3)]
    write_csv("w.csv", header, *(f"{n},red scarf {n},{row}" for n, row in enumerate(rows)))
    written("w.csv")
    assert "(csv)" in Path("shop.toml").read_text()


def test_what_shopify_answers_as_json():
    """Products in an object, with their pictures and variants in lists."""
    products = [
        {
            "id": 1000 + n,
            "title": f"red scarf {n}",
            "body_html": f"<p>warm {n}</p>",
            "vendor": "Acme",
            "product_type": "Scarves",
            "images": [{"id": 5 + n, "position": 1, "src": f"https://e.com/{n}.jpg"}],
            "variants": [{"id": 9 * n, "title": "S", "sku": f"s{n}", "price": "1.00"}],
        }
        for n in range(3)
    ]
    Path("products.json").write_text(json.dumps({"products": products}))
    columns = written("products.json")["columns"]
    assert (columns["item_id"], columns["title"], columns["description"]) == ("id", "title", "body_html")
    assert "3 rows read, 3 items" in Path("shop.toml").read_text()
    assert columns["images"] in ("images", "images.src")
    assert columns["product_types"] == "product_type"


def test_product_types_of_shopifys_json():
    product = {"handle": "a", "title": "Scarf", "body_html": "x", "vendor": "Acme", "product_type": "Scarves"}
    Path("p.json").write_text(json.dumps({"products": [product | {"tags": "new"}, product | {"handle": "b"}]}))
    assert written("--from", "shopify", "p.json")["columns"]["product_types"] == ["product_type", "tags"]


FEED = "id\ttitle\tdescription\tlink\timage_link"


def test_products_of_a_feed_that_have_one_id_are_not_merged(capsys):
    """Merged, the one would have the picture of the other."""
    rows = ["A1\tRed wool scarf\twarm\tu1\t1.jpg", "A1\tBlue mug\tholds tea\tu2\t2.jpg", "A2\tShelf\toak\tu3\t3.jpg"]
    config = written("--from", "google-feed", write_csv("f.tsv", FEED, *rows))
    assert "group_rows" not in config
    items = rehearse_items(["f.tsv"], config["columns"], "no")
    assert [one.reason for one in items.rejections] == ["duplicate_id"]
    assert items.items["images"].to_pylist() == [["2.jpg"], ["3.jpg"]]
    asked = "? id: 1 ids are on rows with different titles, such as A1: 'Red wool scarf' and 'Blue mug'"
    assert asked in capsys.readouterr().out
    assert asked in Path("shop.toml").read_text()


@pytest.mark.parametrize("title", ["Red wool scarf", " red  Wool scarf", ""])
def test_rows_of_a_feed_that_go_on_are_merged(title):
    rows = ["A1\tRed wool scarf\twarm\tu1\t1.jpg", f"A1\t{title}\t\tu1\t2.jpg", "A2\tShelf\toak\tu3\t3.jpg"]
    config = written("--from", "google-feed", write_csv("f.tsv", FEED, *rows))
    assert config["group_rows"] == "merge"


@pytest.mark.parametrize(
    "header",
    [
        "ID,Tipo,SKU,Nome,Breve descrizione,Descrizione,Tag,Immagini,Genitore,Nome attributo 1,Valore attributo 1",
        "ID,Rodzaj,SKU,Nazwa,Krótki opis,Opis,Kategorie,Obrazki,Nadrzędny,Nazwa atrybutu 1,Wartość atrybutu 1",
        "ID,Typ,SKU,Namn,Kort beskrivning,Beskrivning,Kategorier,Bilder,Förälder,Namn attribut 1,Värde attribut 1",
    ],
)
def test_woocommerce_in_further_languages(header):
    """Of the last one the column of the parents is known by what it holds."""
    rows = [
        "100,variable,A,Wool jacket,warm,of wool,Jackets,https://x.example/1.jpg,,Colour,red",
        "101,variation,A-S,Wool jacket - S,,,,,A,Colour,red",
        "102,variation,,Wool jacket - M,,,,,A,Colour,blue",
    ]
    columns = written("--from", "woocommerce", write_csv("wc.csv", header, *rows))["columns"]
    names = header.split(",")
    assert columns["item_id"]["source"] == [names[8], "SKU", "ID"]
    expected = {"title": names[3], "description": names[4:6], "product_types": names[6], "images": names[7]}
    assert {name: columns[name] for name in expected} == expected
    assert columns["colors"]["named_by"] == [names[9]]
    assert written("wc.csv")["columns"] == columns
