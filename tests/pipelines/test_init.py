"""`itemsage init`: what it finds in files of all kinds, what it writes, what it asks, and what it refuses."""

import base64
import io
import json
import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from export_files import (
    ga4_events,
    made_products,
    write_ga4_json,
    write_ga4_parquet,
    write_google_tsv,
    write_google_xml,
    write_own_csv,
    write_shopify,
    write_woocommerce,
)
from PIL import Image
from python_process import ROOT

from pipelines import init
from pipelines.starts.kinds import KINDS
from pipelines.starts.rehearsal import rehearse_items
from pipelines.starts.seen import PictureCell, look_at
from pipelines.starts.shop import look_at_shop
from pipelines.starts.shop_toml import toml_value
from schemas.errors import UsageError

PRODUCTS = made_products(1, 25, [f"https://shop.example/{number}.jpg" for number in range(60)])


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(*arguments: str) -> dict[str, Any]:
    """What `itemsage init` writes, of a call that succeeds."""
    assert init.main([*arguments, "--force"]) == 0
    text = Path("shop.toml").read_text()
    assert "allow_private" not in text
    return tomllib.loads(text)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """The message of a call that is refused, and writes nothing."""
    assert init.main(list(arguments)) == code
    assert not Path("shop.toml").exists()
    return capsys.readouterr().err


def write_csv(name: str, *lines: str) -> str:
    Path(name).write_text("\n".join(lines) + "\n")
    return name


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
        "size": {"source": "Option1 Value", "null_words": ["Default Title"]},
        "product_types": ["Type", "Tags"],
        "google_product_category": "Product Category",
        "images": ["Image Src", "Variant Image"],
    }
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


def test_the_newer_names_of_shopify():
    write_csv("p.csv", "Title,URL handle,Description,SKU,Product image URL", "A,a,text,1,https://x.example/1.jpg")
    assert written("p.csv")["columns"] == {
        "item_id": "URL handle",
        "title": "Title",
        "description": "Description",
        "images": "Product image URL",
    }


def test_options_that_mean_several_things_are_told():
    header = "Handle,Title,Body (HTML),Option1 Name,Option1 Value"
    write_csv("p.csv", header, "a,A,x,Size,S", "b,B,x,Size,M", "c,C,x,Scent,Rose", "d,D,x,Title,Default Title")
    config = written("p.csv")
    assert config["columns"]["size"]["source"] == "Option1 Value"
    assert "# Option1 Value is not always that: Scent in 1 rows" in Path("shop.toml").read_text()


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
    assert config["columns"]["colors"] == "Attribute 1 value(s)"
    assert "25 items (products, variations merged), 25 with text, 25 with pictures" in capsys.readouterr().out


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


@pytest.mark.parametrize(("name", "write"), [("e.parquet", write_ga4_parquet), ("e.jsonl", write_ga4_json)])
@pytest.mark.parametrize("variants", [False, True])
def test_ga4_takes_the_id_that_the_log_names(capsys, name, write, variants):
    write_shopify(Path("p.csv"), PRODUCTS)
    named = [f"{p.sku}-{p.sizes[0] if p.sizes else 'Default Title'}" if variants else p.handle for p in PRODUCTS]
    write(Path(name), ga4_events(3, named, 100, [product.title for product in PRODUCTS]))
    config = written("--from", "ga4", name, "--catalog", "p.csv")
    columns = config["columns"]
    if variants:
        assert (columns["item_id"], columns["group"], config["group_rows"]) == (
            "Variant SKU",
            "Handle",
            "share-pictures",
        )
        assert columns["images"] == ["Variant Image", "Image Src"]
    else:
        assert (columns["item_id"], config["group_rows"]) == ("Handle", "merge")
    log = columns["engagements"]
    action = log.pop("action")
    users = ["user_id", "user_pseudo_id"] if name == "e.parquet" else "user_pseudo_id"
    assert log == {
        "timestamp": "event_timestamp",
        "user_id": users,
        "session_id": "event_params.ga_session_id",
        "item_id": "items.item_id",
        "query": "event_params.search_term",
        "surface": {"source": "event_params.search_term", "present": "search", "absent": "home"},
    }
    assert action["source"] == "event_name"
    assert [action["values"][event] for event in ("view_item", "purchase", "page_view", "newsletter_popup")] == [
        *("click", "checkout", "", ""),
    ]
    told = capsys.readouterr().out
    assert "100% of the rows are on items of the catalogue" in told
    assert "? left out, for Google has not named them: newsletter_popup (10)" in told
    assert "--date 2026-06-30" in told  # the last day of the log


def test_ga4_in_parquet_with_wrapped_lists():
    """As BigQuery writes it unless it is told otherwise."""
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    events = ga4_events(3, [product.sku for product in PRODUCTS], 60, [product.title for product in PRODUCTS])
    for event in events:
        for name in ("items", "event_params"):
            event[name] = {"list": [{"element": member} for member in event[name]]}
    pq.write_table(pa.Table.from_pylist(events), "e.parquet")
    log = written("e.parquet", "--catalog", "f.tsv")["columns"]["engagements"]
    assert (log["item_id"], log["query"]) == ("items.item_id", "event_params.search_term")
    assert "e.g. SKU-" in Path("shop.toml").read_text()


def test_a_log_of_other_ids_is_told(capsys):
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    write_ga4_json(Path("e.jsonl"), ga4_events(3, ["x1", "x2"], 30, ["a", "b"]))
    written("e.jsonl", "--catalog", "f.tsv")
    assert "WARNING: the log names items otherwise than the catalogue, such as x" in capsys.readouterr().out


def test_a_flat_log_without_searches():
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    rows = [f"{1_781_000_000_000_000 + n},view_item,u{n},{product.sku}" for n, product in enumerate(PRODUCTS)]
    write_csv("e.csv", "event_timestamp,event_name,user_pseudo_id,item_id", *rows)
    log = written("e.csv", "--catalog", "f.tsv")["columns"]["engagements"]
    assert (log["item_id"], log["surface"]) == ("item_id", {"constant": "home"})
    assert "query" not in log


def test_a_log_of_our_own_words_and_googles():
    """Outside GA4 a click is one on an item."""
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    skus = [product.sku for product in PRODUCTS]
    said = [(sku, ("click", "view_item")[n % 2]) for n, sku in enumerate(skus)]
    rows = [f"2026-06-0{1 + n % 9} 10:00:00 UTC,u{n},home,{sku},{word}" for n, (sku, word) in enumerate(said)]
    write_csv("log.csv", "timestamp,user_id,surface,item_id,action", *rows)
    log = written("--from", "ga4", "log.csv", "--catalog", "f.tsv")["columns"]["engagements"]
    assert (log["timestamp"], log["surface"], log["action"]["source"]) == ("timestamp", "surface", "action")
    assert [log["action"]["values"][name] for name in ("click", "view_item", "login")] == ["click", "click", ""]


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


def test_a_log_is_no_catalogue(capsys):
    write_csv("t.csv", "timestamp,user_id,item_id,action", "2026-06-01,u,a,click", "2026-06-01,u,b,click")
    message = refused(capsys, "t.csv")
    assert "expected a catalogue, got what looks like a log in t.csv: user_id, timestamp, action" in message
    assert "itemsage init --from ga4 t.csv --catalog PRODUCTS" in message
    write_csv("u.csv", "key,page", "1,5", "2,6")
    assert "is it a log? Then give --from ga4 and the catalogue beside it" in refused(capsys, "u.csv")


def test_events_without_items_are_no_log(capsys):
    write_csv("t.csv", "key,page", "1,5", "2,6")
    message = refused(capsys, "--from", "ga4", "t.csv")
    assert "expected events of GA4, with event_name, event_timestamp and items (or item_id), got key, page" in message


def test_rows_of_one_id_are_merged():
    write_csv("t.csv", "sku,name,picture", "a,A,1.jpg", "a,,2.jpg", "b,B,3.jpg")
    config = written("--from", "csv", "t.csv")
    assert (config["group_rows"], config["columns"]["images"]) == ("merge", "picture")


def test_pictures_by_path_start_where_they_lie(capsys):
    write_csv("t.csv", "sku,name,picture", "a,A,pics/1.jpg", "b,B,pics/2.jpg")
    assert written("t.csv", "--image-root", "elsewhere")["image_root"] == "elsewhere"
    assert "where is pics/1.jpg?" in Path("shop.toml").read_text()
    Path("pics").mkdir()
    Path("pics/1.jpg").write_bytes(b"x")
    capsys.readouterr()
    assert written("t.csv")["image_root"] == "."
    assert "fetch-images" not in capsys.readouterr().out
    assert written("t.csv", "--image-root", "elsewhere")["image_root"] == "elsewhere"  # what is given is meant
    assert "where is pics/1.jpg?" in Path("shop.toml").read_text()


@pytest.mark.parametrize("path", [r"m\a.jpg?v=1", "/m/a.jpg", "%6D/a.jpg"])
def test_pictures_are_looked_for_as_the_jobs_do(path):
    write_csv("t.csv", "sku,name,image", f"a,A,{path}", f"b,B,{path}")
    Path("images/m").mkdir(parents=True)
    Path("images/m/a.jpg").write_bytes(b"x")
    assert written("t.csv")["image_root"] == "images"
    assert "the pictures' paths start here" in Path("shop.toml").read_text()


def png(grey: int) -> bytes:
    """A picture's file."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8), grey).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "cells",
    [
        [png(1), png(2)],
        [{"bytes": png(1), "path": "1.png"}, {"bytes": png(2), "path": None}],
        [[{"bytes": png(1), "path": None}], [{"bytes": png(2), "path": None}, {"bytes": png(3), "path": None}]],
    ],
    ids=["bytes", "structs", "lists of structs"],
)
def test_pictures_in_cells_of_parquet(capsys, cells):
    table = {"sku": ["a", "b"], "name": ["red scarf", "blue hat"], "digest": [bytes(range(16)), bytes(range(1, 17))]}
    pq.write_table(pa.table({**table, "picture": cells}), "t.parquet")
    config = written("t.parquet")
    assert config["columns"] == {"item_id": "sku", "title": "name", "images": "picture"}
    told = capsys.readouterr().out
    assert "2 with text, 2 with pictures" in told
    assert "fetch-images" not in told
    text = Path("shop.toml").read_text()
    assert "e.g. a picture\n" in text
    assert "where is" not in text
    assert Path(config["image_root"]).is_dir()
    assert isinstance(look_at(["t.parquet"]).columns["picture"].values[0], PictureCell)  # without its bytes


def test_pictures_in_cells_of_csv(capsys):
    noise = base64.b64encode(png(1) + bytes(200)).decode()
    uri = f"data:image/png;base64,{base64.b64encode(png(2)).decode()}"
    lines = ["a,A,", f"b,B,{noise}", f'c,C,"{uri}"', 'd,D,"data:image/png;base64,%%"', "e,E,https://x.example/1.jpg"]
    write_csv("t.csv", "sku,name,picture", *lines)
    assert written("t.csv")["columns"]["images"] == "picture"
    told = capsys.readouterr().out
    assert "5 items (rows by sku), 5 with text, 3 with pictures" in told
    assert "WARNING: 1 pictures in cells cannot be read: 1 not_a_picture" in told
    assert "fetch-images" in told


def test_one_bad_picture_among_addresses():
    lines = [f"{n},{name},https://x.example/{n}.jpg" for n, name in enumerate("ABC")]
    write_csv("t.csv", "sku,name,picture", *lines, '9,Z,"data:image/png;base64,%%"')
    assert written("t.csv")["columns"]["images"] == "picture"


def test_a_name_that_no_config_can_say():
    Path("t.jsonl").write_text('{"sku": "a", "name": "red scarf", "\\ud800": 1}\n')
    assert written("t.jsonl")["columns"] == {"item_id": "sku", "title": "name"}


def test_without_pictures_no_encoder_looks_at_any():
    write_csv("t.csv", "sku,name", "a,A", "b,B")
    config = written("t.csv")
    assert (config["image_encoder"], "image_root" in config) == ("none", False)


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


def test_a_file_that_is_there_stays(capsys):
    write_csv("t.csv", "sku,name", "a,A")
    Path("shop.toml").write_text("# mine\n")
    assert init.main(["t.csv"]) == 2
    assert "expected no file at shop.toml, got one: --force writes over it" in capsys.readouterr().err
    assert Path("shop.toml").read_text() == "# mine\n"
    assert init.main(["t.csv", "--out", "other.toml"]) == 0


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("shopify", "expected a Shopify product export, with a column Handle or URL handle, got sku, name"),
        ("woocommerce", "expected a WooCommerce product export, with the columns ID and Name, got sku, name"),
        ("google-feed", "expected a Google Merchant Center feed, with the attributes id and title, got sku, name"),
        ("ga4", "expected a log in t.csv (--from ga4), got what looks like a catalogue: name; is it the catalogue?"),
    ],
)
def test_files_of_another_kind(capsys, kind, message):
    assert message in refused(capsys, "--from", kind, write_csv("t.csv", "sku,name", "a,A"))


def test_what_cannot_be_begun_with(capsys):
    write_ga4_json(Path("e.jsonl"), ga4_events(3, ["x1", "x2"], 30, ["a", "b"]))
    assert "expected --catalog CATALOGUE beside GA4's log, got none" in refused(capsys, "e.jsonl")
    assert "got events of GA4 in e.jsonl" in refused(capsys, "e.jsonl", "--catalog", "e.jsonl")
    write_csv("t.csv", "sku,name", "a,A")
    assert "FILE is the catalogue" in refused(capsys, "t.csv", "--catalog", "t.csv")
    assert "expected a column of ids" in refused(capsys, write_csv("n.csv", "price,colour", "1,red", "1,red"))
    assert "expected rows in empty.csv" in refused(capsys, write_csv("empty.csv", "sku,name"))
    assert "expected FILE, got none" in refused(capsys)
    assert "where nothing is found" in refused(capsys, "missing.csv")
    Path("events.jsonl").write_text(json.dumps({"event_name": "view_item", "event_timestamp": 5, "items": []}))
    assert "no event has an item" in refused(capsys, "events.jsonl", "--catalog", "t.csv", code=3)


def test_a_folder_of_parts():
    Path("parts").mkdir()
    for part in range(2):
        write_google_xml(Path("parts", f"{part}.xml"), PRODUCTS[part * 10 : part * 10 + 10])
    assert written("parts")["catalog"] == "parts"
    assert "20 rows read, 20 items" in Path("shop.toml").read_text()


def test_every_kind_has_a_page():
    assert {path.stem for path in (ROOT / "docs" / "starts").glob("*.md")} == set(KINDS)


@pytest.mark.parametrize("arguments", [["x{date}/c.csv"], ["--from=ga4", "c.csv", "--catalog=x{date}.csv"]])
def test_the_file_of_one_day_is_asked_for(capsys, arguments):
    message = refused(capsys, *arguments)
    assert "expected the file of one day" in message
    assert "--date" not in message


def test_the_kind_must_be_known():
    with pytest.raises((SystemExit, UsageError)):
        init.main(["--from", "magento", "x.csv"])


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


LOG_LINES = ("2026-06-01 10:00:00 UTC,u,s,a,click,red scarf", "2026-06-01 10:01:00 UTC,u,s,b,click,blue hat")


@pytest.mark.parametrize(
    "header",
    [
        *("timestamp,user_id,session_id,item_id,action,title", "event_time,visitorid,user_session,sku,event_type,name"),
        "InvoiceDate,CustomerID,s,StockCode,InvoiceNo,Description",
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--from", "csv"]])
def test_a_log_with_texts_is_no_catalogue(capsys, header, arguments):
    names = header.split(",")
    message = refused(capsys, *arguments, write_csv("log.csv", header, *LOG_LINES))
    assert f"expected a catalogue, got what looks like a log in log.csv: {names[1]}, " in message
    assert f"{names[0]}, {names[4]}" in message
    assert "[columns.engagements]" in message
    assert "If it is the catalogue all the same, leave these columns out of it" in message


def test_a_log_whose_items_come_again_is_no_catalogue(capsys):
    rows = [f"2026-06-0{n},u{n},a,red scarf" for n in range(1, 5)]
    message = refused(capsys, write_csv("log.csv", "date,user_id,item_id,name", *rows))
    assert "got what looks like a log in log.csv: user_id, date" in message


def test_a_catalogue_of_a_marketplace_is_none_the_less_a_catalogue():
    """Its sellers are users, and its offers have dates."""
    write_csv("t.csv", "date,user_id,item_id,title", "2026-06-01,u,a,red scarf", "2026-06-01,u,b,blue hat")
    assert written("t.csv")["columns"]["title"] == "title"


def test_a_log_beside_a_log(capsys):
    write_ga4_json(Path("e.jsonl"), ga4_events(3, ["x1", "x2"], 30, ["a", "b"]))
    write_csv("log.csv", "timestamp,user_id,session_id,item_id,action,title", *LOG_LINES)
    message = refused(capsys, "e.jsonl", "--catalog", "log.csv")
    assert "expected a catalogue as --catalog, got what looks like a log in log.csv: user_id, session_id" in message


def test_a_catalogue_for_a_log(capsys):
    write_csv("p.csv", "sku,name,image", "a,red scarf,1.jpg")
    message = refused(capsys, "--from", "ga4", "p.csv")
    assert "got what looks like a catalogue: name, image; is it the catalogue? Then: itemsage init p.csv" in message
    write_ga4_json(Path("e.jsonl"), ga4_events(3, ["a"], 30, ["a"]))
    message = refused(capsys, "--from", "ga4", "p.csv", "--catalog", "e.jsonl")
    assert "the two are swapped: itemsage init --from ga4 e.jsonl --catalog p.csv" in message


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (("29.06.2026", "30.06.2026"), "%d.%m.%Y"),
        (("06/29/2026 10:00", "06/30/2026 23:59"), "%m/%d/%Y %H:%M"),
        (("05.06.2026", "06.06.2026"), "%d.%m.%Y"),
    ],
)
def test_the_format_of_a_logs_dates_is_written(capsys, days, told):
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    rows = [f"{days[n % 2]},view_item,u{n},{product.sku}" for n, product in enumerate(PRODUCTS)]
    write_csv("e.csv", "timestamp,event_name,user_pseudo_id,item_id", *rows)
    log = written("--from", "ga4", "e.csv", "--catalog", "f.tsv")["columns"]["engagements"]
    assert log["timestamp"] == {"source": "timestamp", "time": told}
    out = capsys.readouterr().out
    assert ("? timestamp: day or month first? All that was read fits" in out) == days[0].startswith("05")
    assert f"--date {'2026-06-06' if days[0].startswith('05') else '2026-06-30'}" in out


def test_a_list_within_an_object_is_told():
    """As shops answer at /products.json."""
    Path("t.json").write_text(json.dumps({"products": [{"id": 1, "title": "red scarf"}, {"id": 2, "title": "hat"}]}))
    with pytest.raises(UsageError, match=r"got one object, whose 'products' is a list of 2 objects: write that list"):
        look_at_shop("t.json", None, None)


def test_one_product_with_several_variants_is_no_such_list():
    product = {"id": 7, "title": "red scarf", "variants": [{"sku": "a"}, {"sku": "b"}]}
    Path("t.json").write_text(json.dumps([product]))
    assert written("t.json")["columns"]["item_id"] == "id"


def test_a_line_above_the_header_is_told(capsys):
    write_csv("t.csv", "Products of 30.06.2026", "", "sku,name", "a,red scarf")
    message = refused(capsys, "t.csv")
    assert "expected rows in t.csv below the columns Products of 30.06.2026, got none" in message
    assert "the first line must have the names of the columns" in message


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("event_time,event_type,product_id,user_id,user_session", ("view", "cart", "purchase", "remove_from_cart")),
        ("timestamp,event,itemid,visitorid,session", ("view", "addtocart", "transaction", "")),
    ],
)
def test_logs_of_other_systems(capsys, header, words):
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    rows = [f"2026-06-0{1 + n % 9} 10:00:00 UTC,{words[n % 4]},{p.sku},u{n},s{n}" for n, p in enumerate(PRODUCTS)]
    write_csv("log.csv", header, *rows)
    assert "itemsage init --from ga4 log.csv --catalog PRODUCTS" in refused(capsys, "log.csv")
    log = written("--from", "ga4", "log.csv", "--catalog", "f.tsv")["columns"]["engagements"]
    time, event, item, user, session = header.split(",")
    assert (log["timestamp"], log["item_id"], log["user_id"], log["session_id"]) == (time, item, user, session)
    assert log["action"]["source"] == event
    assert [log["action"]["values"][word] for word in words if word] == [
        *("click", "add_to_cart", "checkout", ""),
    ][: len([word for word in words if word])]
    assert "left out" not in capsys.readouterr().out


def test_words_of_other_systems_are_not_written_for_googles():
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    write_ga4_json(Path("e.jsonl"), ga4_events(3, [p.sku for p in PRODUCTS], 30, [p.title for p in PRODUCTS]))
    assert "cart" not in written("e.jsonl", "--catalog", "f.tsv")["columns"]["engagements"]["action"]["values"]


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
    assert (columns["images"], columns["product_types"]) == ("Product Image File - 1", ["Type", "Categories"])


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


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (("20260629", "20260630"), {"source": "event_date", "time": "%Y%m%d"}),
        (("29.06.2026", "30.06.2026"), {"source": "event_date", "time": "%d.%m.%Y"}),
        (("2026-06-29", "2026-06-30"), "event_date"),
    ],
)
def test_days_of_ga4_without_times(days, told):
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    rows = [f"{days[n % 2]},view_item,u{n},{product.sku}" for n, product in enumerate(PRODUCTS)]
    write_csv("e.csv", "event_date,event_name,user_pseudo_id,item_id", *rows)
    assert written("e.csv", "--catalog", "f.tsv")["columns"]["engagements"]["timestamp"] == told
    assert "# days alone: actions of one day have one time" in Path("shop.toml").read_text()


def test_tickets_with_a_day_and_an_event_are_a_catalogue():
    rows = [f"{n // 2},evening {n // 2},2026-07-0{1 + n // 2},concert,music of an evening" for n in range(4)]
    write_csv("t.csv", "sku,title,date,event,description", *rows)
    assert written("t.csv")["group_rows"] == "merge"


def test_one_cell_that_cannot_be_read_costs_only_itself():
    garbled = pa.array([b"\xff", *(f"{number}".encode() for number in range(19))]).cast(pa.string(), safe=False)
    titles = pa.array([*(f"Lamp {number}".encode() for number in range(19)), b"\xff"]).cast(pa.string(), safe=False)
    times = pa.array(range(20), pa.timestamp("s", "Mars/Olympus"))
    pq.write_table(pa.table({"sku": garbled, "name": titles, "made": times}), "t.parquet")
    assert written("t.parquet")["columns"]["item_id"] == "sku"
    text = Path("shop.toml").read_text()
    assert "'sku': 95% filled, e.g. 0" in text
    assert "'name': 95% filled, e.g. Lamp 0" in text


LOG = "timestamp,user_id,item_id,event"


def log_of(*words: str) -> dict[str, str]:
    """What init maps these words to, in a log that has each once."""
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    write_csv("log.csv", LOG, *(f"2026-06-01,u,{PRODUCTS[0].sku},{word}" for word in words))
    values = written("--from", "ga4", "log.csv", "--catalog", "f.tsv")["columns"]["engagements"]["action"]["values"]
    return {word: values[word] for word in words}


def test_case_and_signs_of_actions_do_not_count():
    words = {
        "Purchase": "checkout",
        "View_Item": "click",
        "addToCart": "add_to_cart",
        "Page View": "",
        "CLICK": "click",
    }
    assert log_of(*words) == words


def test_actions_of_segment_and_meta_are_known():
    words = {
        "Product Viewed": "click",
        "Product Added": "add_to_cart",
        "Order Completed": "checkout",
        "Product List Viewed": "impression",
        "Product Added to Wishlist": "save",
        "Order Refunded": "return",
        "ViewContent": "click",
        "AddToCart": "add_to_cart",
        "AddToWishlist": "save",
        "InitiateCheckout": "",
    }
    assert log_of(*words) == words


def test_a_log_of_unknown_actions_alone_is_told_so(capsys):
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    write_csv("log.csv", LOG, *(f"2026-06-01,u,{PRODUCTS[0].sku},{word}" for word in ("gesehen", "gekauft", "gesehen")))
    message = refused(capsys, "--from", "ga4", "log.csv", "--catalog", "f.tsv", code=3)
    assert "expected rows in log.csv, got none of 3 events" in message
    assert "gesehen (2), gekauft (1)" in message
    assert "[columns.engagements.action.values]" in message
    assert "no event has an item" not in message


def test_the_items_of_meta():
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    write_csv("log.csv", "event_time,user_id,content_id,event_name", f"2026-06-01,u,{PRODUCTS[0].sku},Purchase")
    log = written("--from", "ga4", "log.csv", "--catalog", "f.tsv")["columns"]["engagements"]
    assert (log["item_id"], log["action"]["values"]["Purchase"]) == ("content_id", "checkout")
