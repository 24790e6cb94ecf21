"""`itemsage init` of marketplaces' templates, and of tables in which variants name their product."""

import json
from pathlib import Path

import pytest
from init_calls import write_csv, written

from pipelines.init.rehearsal import rehearse_items


@pytest.mark.parametrize("above", [2, 3])
def test_a_marketplaces_flat_file(above):
    lines = [
        "TemplateType=fptcustom\tVersion=2021.0811\tThe top 3 rows are for Amazon.com use only.\t\t\t\t\t",
        "Product Type\tSeller SKU\tBrand Name\tProduct Name\tProduct Description\tMain Image URL\tOther Image URL1\t"
        "Color",
        "feed_product_type\titem_sku\tbrand_name\titem_name\tproduct_description\tmain_image_url\tother_image_url1\t"
        "color_name",
        "shirt\tA-1\tBrand\tLinen shirt\tsoft and warm\thttps://e.com/1.jpg\thttps://e.com/2.jpg\tred",
        "shirt\tA-2\tBrand\tWool shirt\twarm and soft\thttps://e.com/3.jpg\t\tblue",
    ]
    name = write_csv("flat.txt", *lines[3 - above :])
    assert written(name)["columns"] == {
        "item_id": "item_sku",
        "title": "item_name",
        "description": "product_description",
        "brand": "brand_name",
        "colors": "color_name",
        "product_types": "feed_product_type",
        "images": ["main_image_url", "other_image_url1"],
    }


def test_a_marketplaces_listings():
    lines = [
        "#INFO,Version=0.0.2,Template= eBay-draft-listings-template_US,,",
        "Action(SiteID=US|Country=US),Custom label (SKU),Category ID,Title,Item photo URL",
        "Draft,A-1,11450,Linen shirt,https://e.com/1.jpg",
        "Draft,A-2,169291,Wool shirt,https://e.com/2.jpg",
    ]
    columns = written(write_csv("listings.csv", *lines))["columns"]
    assert columns == {"item_id": "Custom label (SKU)", "title": "Title", "images": "Item photo URL"}


def test_a_catalogue_template_with_a_comment_for_each_column():
    lines = [
        '# Required | A unique ID.,"# Required | A title, specific.",# Required | A text.,# Required | The picture.',
        "id,title,description,image_link",
        "A-1,Linen shirt,soft,https://e.com/1.jpg",
    ]
    config = written(write_csv("meta.csv", *lines))
    assert config["columns"]["item_id"] == "id"
    assert config["columns"]["images"] == "image_link"
    assert len(rehearse_items(["meta.csv"], config["columns"], "no").items) == 1


@pytest.mark.parametrize(("number", "parent"), [("id", "parent_id"), ("item_sku", "parent_sku"), ("sku", "Parent SKU")])
def test_variants_that_name_their_product(number, parent):
    """As Shopware and Amazon have them: a variant may have no text of its own, and stand above its product."""
    rows = ["v1,p1,,red,", "p1,,Wool jacket,,https://x.example/1.jpg", "v2,p1,,blue,https://x.example/2.jpg"]
    name = write_csv("t.csv", f"{number},{parent},name,colour,picture", *rows, "p2,,Linen trousers,,")
    config = written(name)
    columns = config["columns"]
    assert (columns["item_id"], config["group_rows"]) == ([parent, number], "merge")
    items = rehearse_items([name], columns, config["group_rows"]).items
    assert items.select(["item_id", "title", "colors", "images"]).to_pylist() == [
        {
            "item_id": "p1",
            "title": "Wool jacket",
            "colors": "red",
            "images": ["https://x.example/1.jpg", "https://x.example/2.jpg"],
        },
        {"item_id": "p2", "title": "Linen trousers", "colors": None, "images": []},
    ]


def test_variants_that_the_log_names_are_items_beside_their_product():
    rows = ["v1,p1,,red", "p1,,Wool jacket,", "v2,p1,,blue", "p2,,Linen trousers,"]
    write_csv("t.csv", "id,parent_id,name,colour", *rows)
    events = [f"2026-06-20 10:00:0{n},u{n},{item},view" for n, item in enumerate(("v1", "v2", "p2"))]
    write_csv("e.csv", "event_time,user_id,product_id,event_type", *events)
    config = written("--from", "ga4", "e.csv", "--catalog", "t.csv")
    assert (config["columns"]["item_id"], config["columns"]["group"]) == ("id", ["parent_id", "id"])
    items = rehearse_items(["t.csv"], config["columns"], config["group_rows"]).items
    assert items["title"].to_pylist() == ["Wool jacket", "Linen trousers", "Wool jacket", "Wool jacket"]


def test_parents_that_are_no_rows_of_the_table_are_asked_about(capsys):
    write_csv("t.csv", "id,parent_id,name", "a,c1,Mug", "b,c1,Cup", "c,c2,Bowl")
    assert written("t.csv")["columns"]["item_id"] == "id"
    question = "? parent_id: 3 rows name 2 others, by which nothing is merged. Are those of one parent_id variants"
    assert question in Path("shop.toml").read_text()
    assert question in capsys.readouterr().out


@pytest.mark.parametrize("none", ["0", "-1", "", "NULL"])
def test_a_parent_that_is_no_id_is_none(none):
    rows = [f"100,{none},Wool jacket,", "101,100,Wool jacket S,S", f"200,{none},Mug,", "201,200,Mug M,M"]
    write_csv("t.csv", "id,parent_id,name,size", *rows)
    config = written("t.csv")
    items = rehearse_items(["t.csv"], config["columns"], config["group_rows"]).items
    assert items.select(["item_id", "title", "size"]).to_pylist() == [
        {"item_id": "100", "title": "Wool jacket", "size": "S"},
        {"item_id": "200", "title": "Mug", "size": "M"},
    ]


def test_no_row_has_a_parent(capsys):
    """As an interface answers of products without variants."""
    Path("t.json").write_text(json.dumps([{"id": n, "name": f"scarf {n}", "parent_id": 0} for n in range(1, 4)]))
    assert written("t.json")["columns"]["item_id"] == "id"
    assert "parent_id" not in capsys.readouterr().out


def test_rows_of_one_title_whose_product_is_no_row_are_its_variants(capsys):
    """As Akeneo exports products, whose models are in another file."""
    rows = [f"{model}-{size},{model},scarf {model},{size}" for model in ("m1", "m2") for size in "SM"]
    write_csv("t.csv", "sku,parent,name,size", *rows, "p3,,mug,")
    config = written("t.csv")
    assert config["columns"]["item_id"] == ["parent", "sku"]
    items = rehearse_items(["t.csv"], config["columns"], config["group_rows"]).items
    assert items["item_id"].to_pylist() == ["m1", "m2", "p3"]
    told = "? item_id: parent names no row: rows that share it, and a title, are merged. Are they variants?"
    assert told in capsys.readouterr().out


def _variants(kind, parent):
    rows = ["100,variable,A,,Wool jacket", "101,variation,A-S,A,Wool jacket", "102,variation,A-M,A,Wool jacket"]
    return write_csv("t.csv", f"ID,{kind},SKU,{parent},name", *rows, "200,simple,B,,Mug")


def test_variants_whose_product_is_in_a_column_of_any_name():
    name = _variants("Tyyppi", "Ylätuote")
    config = written(name)
    assert config["columns"]["item_id"] == ["Ylätuote", "SKU"]
    assert rehearse_items([name], config["columns"], config["group_rows"]).items["item_id"].to_pylist() == ["A", "B"]


def test_another_column_that_names_rows_is_no_parent():
    rows = ["1,simple,A,B,Jacket", "2,simple,B,A,Mug", "3,variation,C,B,Cup"]
    assert written(write_csv("t.csv", "ID,kind,SKU,related,name", *rows))["columns"]["item_id"] == "ID"


def test_variants_of_oxid_are_merged_into_their_product():
    product, other, variant = (digit * 32 for digit in "abc")
    lines = [
        '"OXID";"OXPARENTID";"OXACTIVE";"OXARTNUM";"OXTITLE";"OXSHORTDESC";"OXLONGDESC";"OXPIC1"',
        f'"{product}";"";"1";"01000";"Schal rot";"kurz";"<p>warm und weich</p>";"p0.jpg"',
        f'"{variant}";"{product}";"1";"01000-S";"";"";"";""',
        f'"{other}";"";"1";"01001";"Hut blau";"kurz";"<p>aus Filz</p>";"p1.jpg"',
    ]
    config = written("--from", "csv", write_csv("oxid.csv", *lines))
    columns = config["columns"]
    assert (columns["item_id"], config["group_rows"]) == (["OXPARENTID", "OXID"], "merge")
    assert (columns["title"], columns["description"]) == ("OXTITLE", ["OXSHORTDESC", "OXLONGDESC"])
    items = rehearse_items(["oxid.csv"], columns, "merge").items
    assert [(row["item_id"], row["title"]) for row in items.to_pylist()] == [
        (product, "Schal rot"),
        (other, "Hut blau"),
    ]


@pytest.mark.parametrize("hashes", ["{0}|{1}", '["{0}", "{1}"]', "{0}", "d077f244-def8-a70e-5ea7-58bd8352fcd8"])
def test_hashes_are_no_product_types(hashes):
    """As Shopware names its categories: by ids of another table."""
    cells = [hashes.format(f"{n:032x}", f"{n + 7:032X}").replace('"', '""') for n in range(3)]
    rows = [f'sw{n},red scarf {n},Kumo,"{cell}"' for n, cell in enumerate(cells)]
    columns = written(write_csv("s.csv", "product_number,name,manufacturer_name,categories", *rows))["columns"]
    assert "product_types" not in columns
    assert columns["brand"] == "manufacturer_name"


def test_words_that_look_a_little_like_hashes_are_product_types():
    rows = ["1,red scarf,facade", "2,blue scarf,decade"]
    assert written(write_csv("s.csv", "sku,name,categories", *rows))["columns"]["product_types"] == "categories"


def test_amazons_listings_are_read_by_their_names(capsys):
    names = (
        *("contribution_sku#1.value", "product_type#1.value"),
        *(f"{name}[marketplace_id=A1PA][language_tag=de_DE]#1.value" for name in ("item_name", "brand")),
        "main_product_image_locator[marketplace_id=A1PA]#1.media_location",
    )
    labels = ("SKU", "Produkttyp", "Artikelname", "Markenname", "URL des Hauptbilds")
    rows = [f"S-{n}\tSHIRT\tHemd {n}\tAcme\thttps://e.com/{n}.jpg" for n in range(4)]
    settings = "settings=attributeRow=3&contentLanguageTag=de_DE&dataRow=4&labelRow=2\tX\t\t\t"
    columns = written(write_csv("f.txt", settings, "\t".join(labels), "\t".join(names), *rows))["columns"]
    ours = ("item_id", "product_types", "title", "brand", "images")
    assert tuple(columns[name] for name in ours) == names
    assert "Is it the id?" not in capsys.readouterr().out
    assert "4 rows read, 4 items" in Path("shop.toml").read_text()
