"""What `itemsage init` cannot begin with, and what it says to do."""

import json
from pathlib import Path

import pytest
from export_files import (
    ga4_events,
    write_ga4_json,
)
from init_calls import refused, write_csv, written
from python_process import ROOT

from pipelines.init import job as init
from pipelines.init.kinds import KINDS
from pipelines.init.shop import look_at_shop
from schemas.errors import UsageError


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


def test_every_kind_has_a_page():
    assert {path.stem for path in (ROOT / "docs" / "starts").glob("*.md")} == {*KINDS, "log"}


@pytest.mark.parametrize("arguments", [["x{date}/c.csv"], ["--from=ga4", "c.csv", "--catalog=x{date}.csv"]])
def test_the_file_of_one_day_is_asked_for(capsys, arguments):
    message = refused(capsys, *arguments)
    assert "expected the file of one day" in message
    assert "--date" not in message


@pytest.mark.parametrize("flags", [("--from", "etsy"), ("--from=etsy",), ("--kind", "etsy")])
def test_of_a_kind_that_does_not_exist_what_reads_any_table_is_named(capsys, flags):
    write_csv("x.csv", "sku,name", "a,A mug")
    message = refused(capsys, *flags, "x.csv")
    assert "got 'etsy': --from csv reads any table" in message
    assert all(kind in message for kind in KINDS)


def test_a_feed_with_a_sign_that_was_not_escaped_is_the_call_that_is_wrong(capsys):
    item = "<item><id>1</id><title>Pots & pans</title><image_link>https://x.example/1.jpg</image_link></item>"
    Path("feed.xml").write_text(f"<rss><channel>{item}</channel></rss>")
    assert "write & as &amp; and < as &lt; in texts" in refused(capsys, "--from", "google-feed", "feed.xml")
    Path("feed.xml").write_text(f"<rss><channel>{item.replace('&', '&amp;')}")
    assert "write it again" in refused(capsys, "--from", "google-feed", "feed.xml", code=1)


def test_several_lists_within_an_object_are_named(capsys):
    rows = [{"id": 1, "title": "red scarf"}, {"id": 2, "title": "hat"}]
    Path("t.json").write_text(json.dumps({"products": rows, "collections": rows}))
    message = refused(capsys, "t.json")
    assert "got several: 'products', 'collections'" in message
    assert "write them alone into a file (jq '.products')" in message


def test_a_list_within_what_looks_like_a_row_is_told():
    Path("t.json").write_text(json.dumps({"title": "feed", "dinge": [{"a": 1}, {"a": 2}]}))
    with pytest.raises(UsageError, match=r"got one object, whose 'dinge' is a list of 2 objects\. Say which"):
        look_at_shop("t.json", None, None)


def test_a_line_above_the_header_is_read_over_or_told(capsys):
    rows = ["", "sku,name", "a,red scarf"]
    write_csv("t.csv", "Products of 30.06.2026", *rows)
    assert written("t.csv")["columns"]["item_id"] == "sku"
    Path("shop.toml").unlink()
    write_csv("t.csv", "Products", *rows)  # a word alone may be the name of a column
    message = refused(capsys, "t.csv")
    assert "expected rows in t.csv below the columns Products, got none" in message
    assert "the first line must have the names of the columns" in message


@pytest.mark.parametrize(
    ("header", "row", "told", "remedy"),
    [
        ("sku,name", '"1",A1,A shelf', "expected 2 cells, got 3", "row.names = FALSE"),
        ("sku;name", 'A1;<p style="color:red; top:1px">see</p>', "expected 2 cells, got 3", "semicolons into quotes"),
        ("sku,name", 'A1,"27" Monitor"', "',' expected after '\"'", "write each quote twice"),
        ("sku,name,size", "A1,x", "expected 3 cells, got 2", "[format] separator, quote, escape"),
    ],
)
def test_of_rows_that_are_all_broken_the_first_is_told_and_why(capsys, header, row, told, remedy):
    write_csv("t.csv", header, *[row] * 12)
    message = refused(capsys, "t.csv")
    assert "got 12 broken rows: line 2, " in message
    assert f": {told}. " in message
    assert remedy in message
    assert "the first line must have" not in message


@pytest.mark.parametrize(
    ("name", "start", "message"),
    [
        ("products.xlsx", b"PK\x03\x04", "as Excel's workbooks are: unpack it, or save the sheet as CSV"),
        ("products.zip", b"PK\x03\x04", "unpack it"),
        ("products.xls", b"\xd0\xcf\x11\xe0\xa1\xb1", "save the sheet as CSV"),
        ("products.csv.bz2", b"BZh91AY&SY", "a bzip2 archive: unpack it"),
        ("products", b"PAR1", "let its name end in .parquet"),
    ],
)
def test_what_another_name_would_not_make_text_is_not_to_be_renamed(capsys, name, start, message):
    Path(name).write_bytes(start + bytes(20))
    told = refused(capsys, name)
    assert message in told
    assert "--format" not in told


@pytest.mark.parametrize("flags", [(), ("--from", "csv")])
def test_a_table_without_names(capsys, flags):
    path = write_csv("t.csv", *(f"{n},Red mug,Acme,https://cdn.example/{n}.jpg" for n in (1001, 1002)))
    message = refused(capsys, *flags, path)
    assert "does the first line name the columns?" in message
    assert "write the names into a line above it" in message
