"""`itemsage init` of a shop's own table: which column is what, by its name and by its contents."""

import json
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from export_files import (
    write_own_csv,
)
from init_calls import PRODUCTS, write_csv, written

from pipelines.init.rehearsal import rehearse_items
from pipelines.init.shop_toml import toml_value


def test_a_table_of_a_shops_own(capsys):
    write_own_csv(Path("own.csv"), PRODUCTS)
    columns = written("--from", "csv", "own.csv")["columns"]
    assert columns == {
        "item_id": "Artikelnummer",
        "title": "Bezeichnung",
        "brand": "Hersteller",
        "colors": "Farbe",
        "images": ["Foto 1", "Foto 2"],
        "description": "Langtext",
    }
    assert "# by its contents: no column is called so, and no other holds such texts. Is it?" in (
        Path("shop.toml").read_text()
    )


def test_what_may_be_several_things_is_asked_and_not_guessed(capsys):
    texts = [
        f"words of the {number} first long text{' and more' * 25},the {number} other one{' too' * 30}"
        for number in range(9)
    ]
    write_csv("t.csv", "key,one,other", *(f"k{number},{text}" for number, text in enumerate(texts)))
    columns = written("t.csv")["columns"]
    assert columns == {"item_id": "key"}
    question, told = "? which is the description: 'one', 'other'?", capsys.readouterr().out
    assert question in told
    assert "? item_id: by its contents: every row has a value of its own. Is it the id?" in told
    assert question in Path("shop.toml").read_text()
    assert "# by its contents: every row has a value of its own. Is it the id?" in Path("shop.toml").read_text()


def test_rows_without_an_id_are_told(capsys):
    write_csv("t.csv", "price,sku,name", "1.5,a,A", "2.5,NULL,B", "3.5,b,C")
    assert written("t.csv")["columns"]["item_id"] == "sku"
    assert "# 1 rows have none, and are no items" in Path("shop.toml").read_text()
    assert "WARNING: 1 rows cannot be read: 1 null_id: give the row its item_id" in capsys.readouterr().out


def test_a_price_is_no_id():
    write_csv("t.csv", "price,key,name", "1.5,a,A", "2.5,b,B", "3.5,c,C")
    assert written("t.csv")["columns"]["item_id"] == "key"


def test_rows_of_one_id_are_merged():
    write_csv("t.csv", "sku,name,picture", "a,A,1.jpg", "a,,2.jpg", "b,B,3.jpg")
    config = written("--from", "csv", "t.csv")
    assert (config["group_rows"], config["columns"]["images"]) == ("merge", "picture")


def test_a_name_that_no_config_can_say():
    Path("t.jsonl").write_text('{"sku": "a", "name": "red scarf", "\\ud800": 1}\n')
    assert written("t.jsonl")["columns"] == {"item_id": "sku", "title": "name"}


def test_what_the_jobs_would_ask_for_is_said():
    """They refuse a table with such a column that nobody reads; the file says that it is not meant."""
    write_csv("t.csv", "sku,name,brands_", "a,A,x", "b,B,y")
    columns = written("t.csv")["columns"]
    assert columns["brand"] == ""
    assert "# is it 'brands_'? Then write its name here" in Path("shop.toml").read_text()


def test_names_that_toml_must_escape():
    names = ["sku", 'name "x"\\', "bild\tklein"]
    pq.write_table(pa.table(dict(zip(names, [["a", "b"], ["A", "B"], ["1.jpg", "2.jpg"]], strict=True))), "t.parquet")
    columns = written("t.parquet")["columns"]
    assert columns["images"] == "bild\tklein"


@pytest.mark.parametrize("value", ["a", 'q"\\\n\x7f\x00é', ["a", "b"], {"a b": "c", "d": ["e"]}, True, 5])
def test_values_are_read_back(value):
    assert tomllib.loads(f"key = {toml_value(value)}")["key"] == value


@pytest.mark.parametrize(
    "name",
    [
        *(
            "desc",
            "body",
            "Body (HTML)",
            "short_description",
            "details",
            "Item Description",
            "long_desc",
            "detail_desc",
        ),
        *("product_desc", "content", "summary", "Produktbeschreibung", "description_html"),
    ],
)
def test_a_short_description_is_found_by_its_name(name):
    write_csv("t.csv", f"sku,name,{name}", "a,red scarf,warm and soft", "b,blue hat,of wool")
    assert written("t.csv")["columns"]["description"] == name


def test_texts_of_no_known_name_are_offered(capsys):
    lines = ["a,red scarf,warm and soft,2026-06-01 10:00,1 234", "b,blue hat,made of wool,2026-06-02 11:00,5 678"]
    write_csv("t.csv", "sku,name,My Notes,since,stock", *lines)
    columns = written("t.csv")["columns"]
    assert columns == {"item_id": "sku", "title": "name"}
    text, told = Path("shop.toml").read_text(), capsys.readouterr().out
    offered = '# description = "My Notes"'
    assert f"# 'My Notes': 100% filled, e.g. warm and soft\n{offered}\n" in text
    assert "? is 'My Notes' the description? Take away the # before its line, description = ..." in told
    assert '"since"' not in text
    assert '"stock"' not in text
    assert tomllib.loads(text.replace(offered, offered.removeprefix("# ")))["columns"]["description"] == "My Notes"


def test_one_product_with_several_variants_is_no_such_list():
    product = {"id": 7, "title": "red scarf", "variants": [{"sku": "a"}, {"sku": "b"}]}
    Path("t.json").write_text(json.dumps([product]))
    assert written("t.json")["columns"]["item_id"] == "id"


@pytest.mark.parametrize(
    ("header", "name", "theirs"),
    [
        ("Product ID,Name *,Categories (x,y,z...)".replace("x,y,z", "x y z"), "product_types", "Categories (x y z...)"),
        ("Product ID [Non Editable],Title,Brand [optional]", "item_id", "Product ID [Non Editable]"),
        ("article_id,prod_name,product_type_name", "product_types", "product_type_name"),
        ("article_id,prod_name,colour_group_name", "colors", "colour_group_name"),
    ],
)
def test_names_of_columns_with_more_to_them(header, name, theirs):
    write_csv("t.csv", header, "1,red scarf,Scarves", "2,blue hat,Hats")
    assert written("t.csv")["columns"][name] == theirs


def test_a_name_without_brackets_comes_first():
    write_csv("t.csv", "sku,name (internal),name,description", "1,x 1,red scarf,warm", "2,x 2,blue hat,soft")
    assert written("t.csv")["columns"]["title"] == "name"


def test_one_cell_that_cannot_be_read_costs_only_itself():
    garbled = pa.array([b"\xff", *(f"{number}".encode() for number in range(19))]).cast(pa.string(), safe=False)
    titles = pa.array([*(f"Lamp {number}".encode() for number in range(19)), b"\xff"]).cast(pa.string(), safe=False)
    times = pa.array(range(20), pa.timestamp("s", "Mars/Olympus"))
    pq.write_table(pa.table({"sku": garbled, "name": titles, "made": times}), "t.parquet")
    assert written("t.parquet")["columns"]["item_id"] == "sku"
    text = Path("shop.toml").read_text()
    assert "'sku': 95% filled, e.g. 0" in text
    assert "'name': 95% filled, e.g. Lamp 0" in text


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_columns_that_folders_give_are_taken_like_any(capsys, kind):
    """As Spark and Hive write a table in partitions: `category` is in no file."""
    for number, category in enumerate(["Arm%20Chairs", "__HIVE_DEFAULT_PARTITION__"]):
        folder = Path("products", "season=2026", f"category={category}")
        folder.mkdir(parents=True)
        table = pa.table({"sku": [f"{number}a", f"{number}b"], "name": ["red scarf", "blue hat"]})
        if kind == "parquet":
            pq.write_table(table, folder / "part-0.parquet")
        elif kind == "csv":
            write_csv(str(folder / "part-0.csv"), "sku,name", *(f"{number}{letter},red scarf" for letter in "ab"))
        else:
            (folder / "part-0.jsonl").write_text("".join(map("{}\n".format, map(json.dumps, table.to_pylist()))))
    assert written("products")["columns"] == {"item_id": "sku", "title": "name", "product_types": "category"}
    assert "# Not read: season.\n" in Path("shop.toml").read_text()
    assert "Arm Chairs" in capsys.readouterr().out


@pytest.mark.parametrize("sources", [["type", "category"], ["category", "type"]])
def test_a_folders_column_beside_one_of_the_file(sources):
    folder = Path("category=Chairs")
    folder.mkdir()
    pq.write_table(pa.table({"item_id": ["a"], "type": ["simple"]}), folder / "a.parquet")
    write_csv(str(folder / "b.csv"), "item_id,type", "b,simple")
    (folder / "c.jsonl").write_text('{"item_id": "c", "type": "simple"}\n')
    words = " ".join({"type": "simple", "category": "Chairs"}[name] for name in sources)
    for name in ("a.parquet", "b.csv", "c.jsonl"):
        items = rehearse_items([str(folder / name)], {"product_types": sources}, "no").items
        assert items["product_types"].to_pylist() == [words]


def test_what_is_in_objects_is_found_by_its_name():
    """As Elasticsearch dumps an index, and MongoDB a collection."""
    rows = [
        {
            "_id": {"$oid": f"m{n}"},
            "_type": "_doc",
            "_source": {"name": f"red scarf {n}", "attributes": {"brand": "Acme", "color": None}},
            "media": {"gallery": [{"file": f"https://x.example/{n}.jpg", "rank": 1}]},
        }
        for n in range(3)
    ]
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = written("t.jsonl")["columns"]
    assert columns == {
        "item_id": "_id",
        "title": "_source.name",
        "brand": "_source.attributes.brand",
        "colors": "_source.attributes.color",
        "product_types": "_type",
        "images": "media.gallery.file",
    }
    items = rehearse_items(["t.jsonl"], columns, "no").items
    assert items.select(["item_id", "title", "brand", "images"]).to_pylist()[1] == {
        "item_id": "m1",
        "title": "red scarf 1",
        "brand": "Acme",
        "images": ["https://x.example/1.jpg"],
    }


def test_objects_in_a_list_are_no_texts(capsys):
    """What is asked of the title says where it may be."""
    rows = [
        {"_id": f"m{n}", "brand": "A", "hits": [{"words": f"red scarf {n}", "score": n}, {"words": "x"}]}
        for n in range(3)
    ]
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert written("t.jsonl")["columns"] == {"item_id": "_id", "brand": "brand"}
    question = (
        "? which column is the title? None looks like it: title = ... with its name. 'hits' holds objects (words, "
        'score): what is in them is read by a name with a dot, title = "hits.words" or another\n'
    )
    assert question in Path("shop.toml").read_text()
    assert question in capsys.readouterr().out


@pytest.mark.parametrize("name", ["gallery", "images"])
def test_objects_that_are_pictures_are_pictures(name):
    pictures = [[{"src": f"https://x.example/{n}.jpg", "alt": "red", "position": n}] for n in range(3)]
    rows = [{"sku": str(n), "name": f"red scarf {n}", name: found} for n, found in enumerate(pictures)]
    Path("t.json").write_text(json.dumps(rows))
    assert written("t.json")["columns"]["images"] == name


def test_a_title_that_nothing_may_be_is_asked_for(capsys):
    write_csv("t.csv", "sku,image", "a,1.jpg", "b,2.jpg")
    assert written("t.csv")["columns"] == {"item_id": "sku", "images": "image"}
    question = "? which column is the title? None looks like it: title = ... with its name\n"
    assert question in Path("shop.toml").read_text()
    assert question in capsys.readouterr().out


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


def test_a_second_column_of_pictures_is_no_text(capsys):
    """What it holds may be words, of what can be seen."""
    lines = [f"{n},mug {n},https://x.example/{n}.jpg,the {n} red mug on a table with a cloth" for n in range(5)]
    columns = written(write_csv("t.csv", "sku,name,images,picture", *lines))["columns"]
    assert columns == {"item_id": "sku", "title": "name", "images": "images"}
    assert "picture'" not in capsys.readouterr().out


def _shop_api(number):
    picture = {"id": number, "src": f"https://x.example/{number}.jpg", "width": 10}
    product = {"id": 632 + number, "handle": f"mug-{number}", "title": f"mug {number}", "image": picture}
    return {**product, "body_html": "x", "images": [picture], "variants": [{"id": 8, "sku": f"M-{number}"}]}


def _woo_api(number):
    product = {"id": number, "sku": f"M-{number}", "name": f"mug {number}", "brand": [{"id": 1, "name": "Acme"}]}
    return {
        **product,
        "categories": [{"id": 1, "name": "Kitchen", "slug": "k"}, {"id": 2, "name": "Cups", "slug": "c"}],
    }


def _localised(number):
    current = {"name": {"en": f"mug {number}", "de": f"Becher {number}"}, "description": {"en": "soft"}}
    return {"id": f"m{number}", "masterData": {"current": {**current, "slug": {"en": f"mug-{number}"}}}}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (_shop_api, {"item_id": "handle", "title": "title", "description": "body_html", "images": "images"}),
        (
            _woo_api,
            {"item_id": "id", "title": "name", "brand": "brand.name", "product_types": "categories.name"},
        ),
        (
            _localised,
            {
                "item_id": "id",
                "title": "masterData.current.name.en",
                "description": "masterData.current.description.en",
            },
        ),
    ],
)
def test_answers_of_interfaces(row, expected):
    Path("t.json").write_text(json.dumps([row(number) for number in range(3)]))
    columns = written("t.json")["columns"]
    assert columns == expected
    items = rehearse_items(["t.json"], columns, "no").items
    assert items["title"].to_pylist() == ["mug 0", "mug 1", "mug 2"]
    assert None not in items["product_types" if row is _woo_api else "item_id"].to_pylist()


def test_names_with_a_language():
    rows = [f"m{n},mug {n},Becher {n},soft and red,Acme{n % 2},7" for n in range(5)]
    header = "sku,name-en_US,name-de_DE,description-en_US-ecommerce,brand,brand_id"
    columns = written(write_csv("t.csv", header, *rows))["columns"]
    assert columns["title"] == "name-en_US"
    assert columns["description"] == "description-en_US-ecommerce"
    assert columns["brand"] == "brand"


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


def test_a_parent_that_is_no_row_of_the_table_is_none():
    write_csv("t.csv", "id,parent_id,name", "a,c1,Mug", "b,c1,Cup", "c,c2,Bowl")
    assert written("t.csv")["columns"]["item_id"] == "id"


def test_magentos_kind_of_a_product_is_none_of_its_types(capsys):
    write_csv("t.csv", "sku,name,product_type,categories", "a,A mug,simple,Mugs", "b,A cup,configurable,Cups")
    assert written("--from", "csv", "t.csv")["columns"]["product_types"] == "categories"
    write_csv("t.csv", "sku,name,product_type", "a,A mug,simple", "b,A cup,bundle")
    assert written("--from", "csv", "t.csv")["columns"]["product_types"] == ""
    write_csv("t.csv", "sku,name,product_type", "a,A mug,simple", "b,A cup,Cups")
    assert written("--from", "csv", "t.csv")["columns"]["product_types"] == "product_type"


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("Artikel-Nr.,Artikelname,Warengruppe,Hersteller,Farbe", ("Artikel-Nr.", "Artikelname", "Warengruppe")),
        ("Référence,Désignation,Rayon,Marque,Couleur", ("Référence", "Désignation", "Rayon")),
        ("Referencia,Nombre del producto,Categoría,Marca,Color", ("Referencia", "Nombre del producto", "Categoría")),
        ("Artikelcode,Productnaam,Productgroep,Merk,Kleur", ("Artikelcode", "Productnaam", "Productgroep")),
    ],
)
def test_names_in_other_languages(capsys, header, columns):
    write_csv("t.csv", header, "a-1,Red mug,Mugs,Acme,red", "a-2,Blue mug,Mugs,Acme,blue")
    found = written("--from", "csv", "t.csv")["columns"]
    assert (found["item_id"], found["title"], found["product_types"]) == columns
    assert {"brand", "colors"} <= found.keys()


@pytest.mark.parametrize(
    ("name", "shown", "hidden"),
    [
        ("product_online", "1", "2"),
        ("is_active", "true", "false"),
        ("Active (0/1)", "1", "0"),
        ("available", "yes", "no"),
        ("status", "enabled", "disabled"),
        ("deleted_at", "", "2026-11-20 10:00:00"),
    ],
)
def test_products_that_customers_may_not_see_are_asked_about(capsys, name, shown, hidden):
    write_csv("t.csv", f"sku,name,{name}", f"a,A mug,{shown}", f"b,A cup,{hidden}", f"c,A jug,{shown}")
    written("--from", "csv", "t.csv")
    assert f"? {name}: {hidden} in 1 rows. They are items too" in capsys.readouterr().out
    write_csv("t.csv", f"sku,name,{name}", f"a,A mug,{shown}", f"b,A cup,{shown}")
    written("--from", "csv", "t.csv")
    assert "They are items too" not in capsys.readouterr().out
