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
from init_calls import PRODUCTS, refused, write_csv, written

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


@pytest.mark.parametrize("num_filled", [1, 9, 10, 11])
@pytest.mark.parametrize("name", ["item_id", "sku"])
def test_an_id_that_many_rows_lack_is_taken_by_its_name(capsys, name, num_filled):
    ids = [f"N{number}" if number < num_filled else "" for number in range(20)]
    titles = [f"title of the {number}" for number in range(20)]
    write_csv("t.csv", f"{name},title", *map(",".join, zip(ids, titles, strict=True)))
    assert written("t.csv")["columns"]["item_id"] == name
    assert f"# {20 - num_filled} rows have none, and are no items" in Path("shop.toml").read_text()
    assert f"WARNING: {20 - num_filled} rows cannot be read" in capsys.readouterr().out


def test_an_id_that_no_row_has_is_none(capsys):
    write_csv("t.csv", "item_id,title", ",title of one", ",title of two")
    assert "expected a column of ids" in refused(capsys, "t.csv")


def test_our_own_name_goes_before_contents_and_a_filled_column_before_our_name():
    rows = [(f"N{number}" if number < 5 else "", f"s{number}", f"title of {number}") for number in range(20)]
    write_csv("t.csv", "item_id,key,title", *map(",".join, rows))
    assert written("t.csv")["columns"]["item_id"] == "item_id"
    write_csv("t.csv", "item_id,sku,title", *map(",".join, rows))
    assert written("t.csv")["columns"]["item_id"] == "sku"


def test_rows_without_an_id_are_told(capsys):
    write_csv("t.csv", "price,sku,name", "1.5,a,A", "2.5,NULL,B", "3.5,b,C")
    assert written("t.csv")["columns"]["item_id"] == "sku"
    assert "# 1 rows have none, and are no items" in Path("shop.toml").read_text()
    assert "WARNING: 1 rows cannot be read: 1 null_id (expected" in capsys.readouterr().out


def test_a_price_is_no_id():
    write_csv("t.csv", "price,key,name", "1.5,a,A", "2.5,b,B", "3.5,c,C")
    assert written("t.csv")["columns"]["item_id"] == "key"


def test_rows_of_one_id_are_merged():
    write_csv("t.csv", "sku,name,picture", "a,A,1.jpg", "a,,2.jpg", "b,B,3.jpg")
    config = written("--from", "csv", "t.csv")
    assert (config["group_rows"], config["columns"]["images"]) == ("merge", "picture")


def test_products_of_one_id_are_not_merged(capsys):
    write_csv("t.csv", "sku,name,picture", "a,Scarf,1.jpg", "a,Mug,2.jpg", "b,B,3.jpg")
    assert "group_rows" not in written("--from", "csv", "t.csv")
    told = capsys.readouterr().out
    assert "? sku: 1 ids are on rows with different titles, such as a: 'Scarf' and 'Mug'" in told
    assert "1 duplicate_id" in told


def test_ids_that_a_spreadsheet_rounded_are_refused(capsys):
    rows = ["4,01235E+12;Scarf;1.jpg", "4,01235E+12;Mug;2.jpg", "4,01299E+12;Shelf;3.jpg"]
    error = refused(capsys, "--from", "csv", write_csv("t.csv", "EAN;Bezeichnung;Bild", *rows), code=3)
    assert "3 rounded_id (expected an id with all its digits in" in error
    write_csv("t.csv", "EAN;Bezeichnung;Bild", *rows, "4012345678901;Cup;4.jpg")
    written("--from", "csv", "t.csv")
    assert "WARNING: 3 rows cannot be read: 3 rounded_id" in capsys.readouterr().out


def test_a_name_that_no_config_can_say():
    Path("t.jsonl").write_text('{"sku": "a", "name": "red scarf", "\\ud800": 1}\n')
    assert written("t.jsonl")["columns"] == {"item_id": "sku", "title": "name"}


def test_what_the_jobs_would_ask_for_is_said():
    """They refuse a table with such a column that nobody reads; the file says that it is not meant."""
    write_csv("t.csv", "sku,name,brandz", "a,A,x", "b,B,y")
    columns = written("t.csv")["columns"]
    assert columns["brand"] == ""
    assert "# is it 'brandz'? Then write its name here" in Path("shop.toml").read_text()


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


def test_a_title_that_nothing_may_be_is_asked_for(capsys):
    write_csv("t.csv", "sku,image", "a,1.jpg", "b,2.jpg")
    assert written("t.csv")["columns"] == {"item_id": "sku", "images": "image"}
    question = "? which column is the title? None looks like it: title = ... with its name\n"
    assert question in Path("shop.toml").read_text()
    assert question in capsys.readouterr().out


def test_a_second_column_of_pictures_is_no_text(capsys):
    """What it holds may be words, of what can be seen."""
    lines = [f"{n},mug {n},https://x.example/{n}.jpg,the {n} red mug on a table with a cloth" for n in range(5)]
    columns = written(write_csv("t.csv", "sku,name,images,picture", *lines))["columns"]
    assert columns == {"item_id": "sku", "title": "name", "images": "images"}
    assert "picture'" not in capsys.readouterr().out


def test_names_with_a_language():
    rows = [f"m{n},mug {n},Becher {n},soft and red,Acme{n % 2},7" for n in range(5)]
    header = "sku,name-en_US,name-de_DE,description-en_US-ecommerce,brand,brand_id"
    columns = written(write_csv("t.csv", header, *rows))["columns"]
    assert columns["title"] == "name-en_US"
    assert columns["description"] == "description-en_US-ecommerce"
    assert columns["brand"] == "brand"


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


def test_a_column_that_is_the_id_is_no_text(capsys):
    """As an ERP calls the number of a material."""
    write_csv("t.txt", "Material\tMaterial Description\tUnit", "4711\tred scarf\tEA", "4712\tblue hat\tEA")
    assert written("t.txt")["columns"] == {"item_id": "Material", "title": "Material Description"}
    question = (
        "? Material is called like the materials, but is taken as the id alone: if it is both, write materials = ... "
        "with its name, too\n"
    )
    assert f"# {question}" in Path("shop.toml").read_text()
    assert question in capsys.readouterr().out


def test_a_key_of_another_name_is_the_id_rather_than_the_title():
    write_csv("t.csv", "name,key", "scarf,k1", "hat,k2", "mug,k3")
    assert written("t.csv")["columns"] == {"item_id": "key", "title": "name"}


def test_the_path_of_a_document_is_its_id_and_no_title():
    """As Firestore has them: what is in the document has its type beside it."""
    fields = [{"title": {"stringValue": f"red scarf {n}"}, "brand": {"stringValue": "Acme"}} for n in range(3)]
    rows = [{"name": f"projects/x/products/{n}", "fields": one} for n, one in enumerate(fields)]
    Path("t.json").write_text(json.dumps({"documents": rows}))
    assert written("t.json")["columns"] == {
        "item_id": "name",
        "title": "fields.title.stringValue",
        "brand": "fields.brand.stringValue",
    }
    Path("t.json").write_text(json.dumps([{"name": row["name"], "price": 3} for row in rows]))
    assert written("t.json")["columns"] == {"item_id": "name"}
    assert "# ? name is called like the title, but is taken as the id alone" in Path("shop.toml").read_text()


@pytest.mark.parametrize("sign", ["C:", "attributes.", "Attribute: ", "pa_"])
def test_attributes_are_named_without_the_sign_of_one(sign):
    """As eBay's listings call them, and objects that were written into columns."""
    write_csv("t.csv", f"sku,name,{sign}Marke,{sign}Farbe,{sign}Größe", "a,scarf,Acme,rot,S", "b,hat,Acme,blau,M")
    columns = written("t.csv")["columns"]
    assert [columns[name] for name in ("brand", "colors", "size")] == [
        f"{sign}{n}" for n in ("Marke", "Farbe", "Größe")
    ]


def test_codes_are_no_title_beside_another_name_that_has_words(capsys):
    write_csv("t.csv", "id,name,display_name", "1,PRD-0001,red scarf", "2,PRD-0002,blue hat")
    assert written("t.csv")["columns"]["title"] == "display_name"
    assert "? title: 'name' is called so, too, but looks like codes (PRD-0001). Is it?" in capsys.readouterr().out
    assert '# title = "name"\n' in Path("shop.toml").read_text()
    write_csv("t.csv", "id,name,display_name", "1,scarf,a red scarf", "2,hat 2,a blue hat")
    assert written("t.csv")["columns"]["title"] == "name"
