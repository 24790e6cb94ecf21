"""`itemsage init` tells a catalogue from a log, and refuses the one in the place of the other."""

import json
from pathlib import Path

import pytest
from export_files import (
    ga4_events,
    write_ga4_json,
)
from init_calls import refused, write_csv, written


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
    assert "expected a log, with event_name, event_timestamp and items (or item_id), as GA4 calls them" in message
    assert "got key, page: no event_name (what somebody did), no event_timestamp (when), no items" in message


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


def test_tickets_with_a_day_and_an_event_are_a_catalogue():
    rows = [f"{n // 2},evening {n // 2},2026-07-0{1 + n // 2},concert,music of an evening" for n in range(4)]
    write_csv("t.csv", "sku,title,date,event,description", *rows)
    assert written("t.csv")["group_rows"] == "merge"


def test_a_log_of_other_names_is_told_what_it_lacks(capsys):
    write_csv("t.csv", "EVENT_NAME,EVENT_TS,SKU,USER", "view_item,2026-06-01,a,u")
    message = refused(capsys, "--from", "ga4", "t.csv", "--catalog", "t.csv")
    assert (
        "EVENT_NAME says what somebody did, SKU says with which item, no event_timestamp (when): is it EVENT_TS?"
        in (message)
    )
    assert '[columns.engagements], timestamp = "EVENT_TS"' in message
    assert "no event_name" not in message


PAGES = [
    {"anonymousId": f"a{n}", "timestamp": f"2026-06-20T10:00:0{n}Z", "type": "page", "name": "Home", "event": "Viewed"}
    for n in range(3)
]


def test_a_log_with_names_of_pages_is_no_catalogue(capsys):
    """And is told how it is added to a config, where init finds no items in it."""
    Path("log.jsonl").write_text("\n".join(map(json.dumps, PAGES)))
    write_csv("t.csv", "sku,title", "a,red scarf", "b,blue hat")
    for kind in ([], ["--from", "ga4"]):
        message = refused(capsys, *kind, "log.jsonl", "--catalog", "t.csv")
        assert "what looks like a catalogue" not in message
        assert "event says what somebody did, timestamp says when, no items or item_id (with which item)" in message
        assert "write the log into its shop.toml: engagements = its path" in message


def test_a_log_of_names_with_items_beside_a_catalogue_needs_no_kind():
    events = [
        {**page, "properties": {"product_id": "ab"[n % 2]}, "event": "Product Viewed"} for n, page in enumerate(PAGES)
    ]
    Path("log.jsonl").write_text("\n".join(map(json.dumps, events)))
    write_csv("t.csv", "sku,title", "a,red scarf", "b,blue hat")
    log = written("log.jsonl", "--catalog", "t.csv")["columns"]["engagements"]
    assert (log["item_id"], log["user_id"]) == ("properties.product_id", "anonymousId")


def test_what_is_told_apart_by_nothing_may_be_a_log_all_the_same(capsys):
    write_csv("t.csv", "number,name,description", "1,a,b", "2,c,d")
    message = refused(capsys, "--from", "ga4", "t.csv")
    assert 'engagements = "t.csv", with its columns (timestamp, user_id, item_id, action) in [columns.engagements]' in (
        message
    )


@pytest.mark.parametrize(
    ("header", "cells", "told"),
    [
        (
            "amazon-order-id,purchase-date,product-name,sku,quantity",
            "302-{0},2026-06-20T10:0{0}:00Z,Mug,SKU-{0},1",
            "is each row an order of an item? Then begin with the catalogue alone",
        ),
        (
            "timestamp,name,pathname,user_id,meta.value",
            "2026-06-20T10:0{0}:00Z,Purchase,/p,u{0},['SKU-{0}']",
            "no event_name (what somebody did): is it name?, no items or item_id (with which item). Name",
        ),
        (
            "ym:s:dateTime,ym:s:clientID,ym:s:purchasedProductID",
            "2026-06-20T10:0{0}:00Z,1700{0},SKU-{0}",
            "no items or item_id (with which item): is it ym:s:purchasedProductID?",
        ),
        (
            "website_id,session_id,event_name,created_at,string_value",
            "w,s{0},add-to-cart,2026-06-20T10:0{0}:00Z,SKU-{0}",
            "created_at says when, no items or item_id (with which item). Name",
        ),
    ],
)
def test_a_log_that_lacks_a_column_is_no_catalogue_and_no_other_id_is_proposed(capsys, header, cells, told):
    write_csv("p.csv", "sku,name", *(f"SKU-{number},red mug {number}" for number in range(5)))
    write_csv("log.csv", header, *(cells.format(number) for number in range(5)))
    assert told in refused(capsys, "--from", "ga4", "log.csv", "--catalog", "p.csv")


def test_the_orders_of_a_marketplace_are_a_log():
    write_csv("p.csv", "sku,name", *(f"SKU-{number},red mug {number}" for number in range(5)))
    rows = [f"06/2{number}/26,Mug,b{number},1,9,{number},SKU-{number}" for number in range(5)]
    write_csv("log.csv", "Sale Date,Item Name,Buyer,Quantity,Price,Order ID,SKU", *rows)
    log = written("--from", "ga4", "log.csv", "--catalog", "p.csv")["columns"]["engagements"]
    assert log["timestamp"] == {"source": "Sale Date", "time": "%m/%d/%y"}
    assert (log["user_id"], log["item_id"], log["action"]) == ("Buyer", "SKU", {"constant": "checkout"})
