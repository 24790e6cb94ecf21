"""`itemsage init` of tables in which rows of variants and pictures stand below their product."""

import re
from pathlib import Path

import pytest
from init_calls import refused, write_csv, written

from pipelines.init.rehearsal import rehearse_items

_PAGE = Path(__file__).parents[3] / "docs/starts/csv.md"
_BIGCOMMERCE = (
    "Item,ID,Name,Type,SKU,Description,Internal Image URL (Export)",
    "Product,111,Red scarf,physical,RS,<p>warm</p>,",
    "Variant,201,,,RS-S,,",
    "Image,301,,,,,https://e.com/1.jpg",
    "Image,112,,,,,https://e.com/2.jpg",
    "Product,112,Blue mug,physical,BM,<p>holds tea</p>,",
    "Image,303,,,,,https://e.com/3.jpg",
)
_OLDER = (
    "Item Type,Product ID,Product Name,Product Type,Price,Product Image File - 1",
    "Product,111,Red scarf,P,9.5,https://e.com/1.jpg",
    "  SKU,112,[S]Size=S,,9.5,https://e.com/2.jpg",
    "Product,112,Blue mug,P,8.5,https://e.com/3.jpg",
)
_SQUARESPACE = (
    "Product ID [Non Editable],Product Type [Non Editable],Title,SKU,Hosted Image URLs",
    "111,PHYSICAL,Red scarf,RS-S,https://e.com/1.jpg",
    ",,,RS-M,https://e.com/2.jpg",
    "112,PHYSICAL,Blue mug,BM-1,https://e.com/3.jpg",
)
_ERPNEXT = (
    "ID,Item Name,Description,ID (Barcodes),Barcode (Barcodes),Image",
    "111,Red scarf,warm,b1,4006381333931,https://e.com/1.jpg",
    ",,,b2,4006381333932,https://e.com/2.jpg",
    ",,,b3,4006381333933,",
    "112,Blue mug,tea,b4,4006381333934,https://e.com/3.jpg",
)
_EBAY = (
    "CustomLabel,Title,PicURL,Relationship,RelationshipDetails,StartPrice",
    "111,Red scarf,https://e.com/1.jpg,,Size=S;M,9.5",
    "111-M,,https://e.com/2.jpg,Variation,Size=M,9.5",
    "111-S,,,Variation,Size=S,9.5",
    "112,Blue mug,https://e.com/3.jpg,,,8.5",
)
_COMMERCETOOLS = (
    "key,variantId,sku,name.en,image",
    "111,1,RS,Red scarf,https://e.com/1.jpg",
    ",2,RS-M,,https://e.com/2.jpg",
    "112,1,BM,Blue mug,https://e.com/3.jpg",
)


def code_below(heading: str) -> str:
    """The lines of Python in that part of the page."""
    _, _, part = _PAGE.read_text().partition(f"## {heading}\n")
    return re.findall("```python\n(.*?)```", part, re.DOTALL)[0]


@pytest.mark.parametrize(
    ("lines", "got", "names"),
    [
        (_BIGCOMMERCE, "rows of other kinds in 'Item' (Image, Variant)", ("ID", "Item")),
        (_OLDER, "rows of other kinds in 'Item Type' (SKU)", ("Product ID", "Item Type")),
        (_SQUARESPACE, "rows without 'Product ID [Non Editable]' and 'Title'", ("Product ID [Non Editable]", "")),
        (_ERPNEXT, "rows without 'ID' and 'Item Name'", ("ID", "")),
        (_EBAY, "rows of other kinds in 'Relationship' (Variation)", ("CustomLabel", "Relationship")),
        (_COMMERCETOOLS, "rows without 'key' and 'name.en'", ("key", "")),
    ],
)
def test_rows_whose_place_alone_says_whose_they_are(capsys, lines, got, names):
    """They are refused, and the lines of the page make a table of them that is read."""
    error = refused(capsys, "--from", "csv", write_csv("export.csv", *lines))
    assert got in error
    assert "docs/starts/csv.md has the lines that do it, under 'Rows below a product'" in error
    exec(re.sub("^ID, KIND = .*$", f"ID, KIND = {names!r}", code_below("Rows below a product"), flags=re.MULTILINE), {})
    config = written("--from", "csv", "products.csv")
    assert (config["columns"]["item_id"], config["group_rows"]) == ("product_row_id", "merge")
    assert not config["columns"].get("product_types")
    items = rehearse_items(["products.csv"], config["columns"], "merge").items
    assert items["item_id"].to_pylist() == ["111", "112"]
    assert items["title"].to_pylist() == ["Red scarf", "Blue mug"]
    pictures = [["https://e.com/1.jpg", "https://e.com/2.jpg"], ["https://e.com/3.jpg"]]
    assert items["images"].to_pylist() == pictures


def test_simple_products_of_magento_are_merged_into_the_configurable_that_names_them():
    """They name no product themselves: the lines of the page write it into each row."""
    write_csv(
        "export.csv",
        "sku,product_type,name,description,visibility,base_image,configurable_variations",
        "a-S,simple,A mug S,,Not Visible Individually,/s.jpg,",
        'a,configurable,A mug,holds tea,"Catalog, Search",/a.jpg,"sku=a-S,size=S|sku=a-M,size=M"',
        "a-M,simple,A mug M,,Not Visible Individually,/m.jpg,",
        'b,simple,A cup,holds milk,"Catalog, Search",/b.jpg,',
    )
    exec(code_below("Magento's configurable products"), {})
    config = written("--from", "csv", "products.csv")
    assert (config["columns"]["item_id"], config["group_rows"]) == (["parent_sku", "sku"], "merge")
    items = rehearse_items(["products.csv"], config["columns"], "merge").items
    assert items.select(["item_id", "title", "images"]).to_pylist() == [
        {"item_id": "a", "title": "A mug", "images": ["/a.jpg", "/s.jpg", "/m.jpg"]},
        {"item_id": "b", "title": "A cup", "images": ["/b.jpg"]},
    ]


def test_rows_that_name_their_product_are_merged_into_it():
    rows = ["p1,Product,Scarf,warm,1.jpg,s", "p1,Variant,,,,s-S", "p1,Variant,,,,s-M", "p2,Product,Mug,tea,2.jpg,m"]
    name = write_csv("wix.csv", "handleId,fieldType,name,description,productImageUrl,sku", *rows)
    config = written("--from", "csv", name)
    assert (config["columns"]["item_id"], config["group_rows"]) == ("handleId", "merge")
    assert len(rehearse_items([name], config["columns"], "merge").items) == 2


@pytest.mark.parametrize(
    "rows",
    [
        ("111,Red scarf,,a,", "111-M,Red scarf M,Variation,b,111", "112,Blue mug,,c,"),  # a title of its own
        ("111,Red scarf,,a,", "111-M,,Variation,b,111", "112,Blue mug,,c,"),  # its product is named
        ("111,Red scarf,,a,", ",,,,", "112,Blue mug,,c,"),  # nothing
        ("111,Red scarf,,a,x", ",,,,x", "112,Blue mug,,c,x"),  # nothing of its own
        ("111,Red scarf,,a,", "112,Blue mug,,c,", ",,,sum,"),  # below all
    ],
)
def test_rows_below_that_are_no_nameless_parts(rows):
    name = write_csv("t.csv", "sku,title,relationship,code,parent_sku", *rows)
    assert "sku" in written(name)["columns"]["item_id"]


def test_a_column_of_a_child_table_is_no_id():
    """As ERPNext names it behind the column's own name; the products' ids are in few of the rows."""
    rows = ["A-1,Red mug,b1", ",cup of A-1,b2", ",saucer of A-1,b3", "A-2,Blue mug,b4", ",cup of A-2,b5"]
    name = write_csv("t.csv", "ID,Item Name,ID (Barcodes)", *rows)
    assert written(name)["columns"]["item_id"] == "ID"


@pytest.mark.parametrize("kinds", [("Product", "Product"), ("Product", "Poster"), ("image", "video")])
def test_words_that_say_nothing_of_rows(kinds):
    """All of one kind, or of kinds that are the shop's own: a row is a product."""
    name = write_csv("t.csv", "kind,sku,name", f"{kinds[0]},a,A mug", f"{kinds[1]},b,A cup")
    assert written(name)["columns"]["item_id"] == "sku"


def test_variants_that_customers_do_not_see_alone_are_asked_about(capsys):
    rows = ["a-S,simple,A mug S,Not Visible Individually", 'a,configurable,A mug,"Catalog, Search"']
    written("--from", "csv", write_csv("t.csv", "sku,product_type,name,visibility", *rows))
    assert "? visibility: Not Visible Individually in 1 rows. They are items too" in capsys.readouterr().out


def test_names_of_columns_that_are_there_twice(capsys):
    error = refused(capsys, "--from", "csv", write_csv("t.csv", "id,name,image,name,image", "1,A,1.jpg,B,2.jpg"))
    assert "got 'name' and 'image' twice" in error


@pytest.mark.parametrize(
    ("groups", "names", "twice"),
    [
        ("Product,,Price,,Price,", "sku,name,net,gross,net,gross", "'Price'"),
        ("Product,Product,Price,Price,Price,Price", "sku,name,net,gross,buy,sell", "'Product' and 'Price'"),
        ("ID,Product,Product,Price,Price,Price", "sku,name,colour,net,gross,buy", "'Product' and 'Price'"),
    ],
)
def test_names_of_groups_in_the_first_line(capsys, groups, names, twice):
    rows = [f"a{n},A mug,{n},2.50,3,4" for n in range(1, 6)]
    error = refused(capsys, write_csv("t.csv", groups, names, *rows))
    assert f"got {twice} twice" in error
    assert "the names in the line below" in error
    assert "Is it a log" not in error


def test_orders_have_one_action(capsys):
    write_csv("c.csv", "sku,name", "a,A mug", "b,A cup")
    row = "#1,k@example.com,2026-06-01 00:15:09 +0200,A mug,a"
    write_csv("o.csv", "Name,Email,Created at,Lineitem name,Lineitem sku", row)
    columns = written("--from", "ga4", "o.csv", "--catalog", "c.csv")["columns"]["engagements"]
    assert columns["action"] == {"constant": "checkout"}
    assert (columns["timestamp"], columns["item_id"]) == ("Created at", "Lineitem sku")
    assert "every row counts as checkout, for there is Lineitem name. Is it so?" in capsys.readouterr().out


def test_items_that_are_in_json_in_a_text():
    write_csv("c.csv", "sku,name", "a,A mug", "b,A cup")
    write_csv("p.csv", "event,properties,timestamp", 'view,"{""product_id"": ""a""}",2026-06-01 00:00:00')
    columns = written("--from", "ga4", "p.csv", "--catalog", "c.csv")["columns"]
    assert columns["engagements"]["item_id"] == "properties.product_id"


@pytest.mark.parametrize(
    ("text", "told", "code"),
    [
        ("<rss><item><id>1</id><title>A & B</title></item></rss>", "write & as &amp;", 2),
        ("<yml_catalog><shop/></yml_catalog>", "export a Google feed", 2),
    ],
)
def test_xml_that_is_no_feed(capsys, text, told, code):
    Path("f.xml").write_text(text)
    assert told in refused(capsys, "--from", "google-feed", "f.xml", code=code)
