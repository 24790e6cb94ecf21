"""`itemsage init` of a log beside a catalogue: GA4's, those of other systems, and dates in other formats."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from export_files import (
    ga4_events,
    write_ga4_json,
    write_ga4_parquet,
    write_google_tsv,
    write_shopify,
)
from init_calls import PRODUCTS, refused, write_csv, written

from pipelines.init.rehearsal import rehearse_log


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


@pytest.mark.parametrize(("days", "is_asked"), [(("26-06-29", "26-06-30"), False), (("26-06-30", "26-06-30"), True)])
def test_which_part_of_a_date_is_the_year_is_found_or_asked(capsys, days, is_asked):
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    rows = [f"{days[n % 2]} 10:00,view_item,u{n},{product.sku}" for n, product in enumerate(PRODUCTS)]
    write_csv("e.csv", "timestamp,event_name,user_pseudo_id,item_id", *rows)
    time = written("--from", "ga4", "e.csv", "--catalog", "f.tsv")["columns"]["engagements"]["timestamp"]["time"]
    asked = "? timestamp: which part is the year? All that was read fits %d-%m-%y %H:%M and %y-%m-%d %H:%M"
    assert (asked in capsys.readouterr().out) is is_asked
    assert is_asked or time == "%y-%m-%d %H:%M"


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
        "Products Searched": "",
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


@pytest.mark.parametrize(
    ("names", "cells", "timestamp"),
    [
        ("dateHour,itemId", "2026062014,{}", {"source": "dateHour", "time": "%Y%m%d%H"}),
        ("dateHourMinute,itemId", "202606201405,{}", {"source": "dateHourMinute", "time": "%Y%m%d%H%M"}),
        ("date,time,itemId", "2026-06-20,14:05:00,{}", ["date", "time"]),
        ("time,date,itemId", "14:05:00,20260620,{}", ["date", "time"]),
        ("date,hour,itemId", "20260620,14,{}", ["date", "hour"]),
        (
            "order_date,order_time,itemId",
            "30.06.2026,14:05,{}",
            {"source": ["order_date", "order_time"], "time": "%d.%m.%Y %H:%M"},
        ),
        ("date,time,itemId", "2026-06-20 14:05,14:05,{}", "date"),
        ("date,lead_time,itemId", "2026-06-20,3 days,{}", "date"),
    ],
)
def test_days_hours_and_clocks(names, cells, timestamp):
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    rows = [f"{cells.format(product.sku)},u{n},view_item" for n, product in enumerate(PRODUCTS)]
    write_csv("e.csv", f"{names},user_id,event_name", *rows)
    log = written("--from", "ga4", "e.csv", "--catalog", "f.tsv")["columns"]["engagements"]
    assert log["timestamp"] == timestamp
    read = rehearse_log(["e.csv"], log)
    assert (read.num_rows, read.rejections, read.share_known({product.sku for product in PRODUCTS})) == (25, [], 1.0)


def _segment(n, sku):
    page = {"path": "/p", "search": ""}
    event = {"type": "track", "userId": f"u{n}", "anonymousId": "a", "timestamp": f"2026-06-20T10:00:{n:02}Z"}
    if n % 3:
        return {**event, "event": "Product Viewed", "properties": {"product_id": sku}, "context": {"page": page}}
    products = [{"product_id": sku, "price": 1.5}, {"product_id": sku, "quantity": 2}]
    return {**event, "event": "Order Completed", "properties": {"products": products}, "context": {"page": page}}


def _meta(n, sku):
    user = {"external_id": [f"u{n}"], "client_user_agent": "x"}
    data = {"content_ids": [sku], "content_type": "product", "value": 1.5}
    return {"event_name": "ViewContent", "event_time": 1_781_949_600 + n, "user_data": user, "custom_data": data}


def _meta_contents(n, sku):
    event = _meta(n, sku)
    return {**event, "custom_data": {"contents": [{"id": sku, "quantity": 1}], "currency": "EUR"}}


def _amplitude(n, sku):
    event = {"event_type": "Product Viewed", "user_id": f"u{n}", "event_time": "2026-06-20 10:00:00.123000"}
    return {**event, "event_properties": {"product_id": sku}, "session_id": 1_781_949_600_000 + n}


def _mixpanel(n, sku):
    properties = {"time": 1_781_949_600 + n, "distinct_id": f"u{n}", "$browser": "x", "product_id": sku}
    return {"event": "Product Viewed", "properties": properties}


def _mongo(n, sku):
    event = {"_id": {"$oid": f"65f{n}"}, "type": "view", "at": 1, "createdAt": {"$date": "2026-06-20T10:00:00Z"}}
    return {**event, "user": {"$oid": f"u{n}"}, "product_id": {"$oid": sku}}


@pytest.mark.parametrize(
    ("event", "expected", "num_rows"),
    [
        (
            _segment,
            {
                "timestamp": "timestamp",
                "user_id": ["userId", "anonymousId"],
                "item_id": ["properties.products.product_id", "properties.product_id"],
            },
            34,
        ),
        (
            _meta,
            {"timestamp": "event_time", "user_id": "user_data.external_id", "item_id": "custom_data.content_ids"},
            25,
        ),
        (
            _meta_contents,
            {"timestamp": "event_time", "user_id": "user_data.external_id", "item_id": "custom_data.contents.id"},
            25,
        ),
        (
            _amplitude,
            {"timestamp": "event_time", "user_id": "user_id", "item_id": "event_properties.product_id"},
            25,
        ),
        (
            _mixpanel,
            {"timestamp": "properties.time", "user_id": "properties.distinct_id", "item_id": "properties.product_id"},
            25,
        ),
        (_mongo, {"timestamp": "createdAt", "user_id": "user", "item_id": "product_id"}, 25),
    ],
)
def test_logs_whose_events_have_objects(event, expected, num_rows):
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    Path("e.jsonl").write_text("".join(json.dumps(event(n, p.sku)) + "\n" for n, p in enumerate(PRODUCTS)))
    log = written("--from", "ga4", "e.jsonl", "--catalog", "f.tsv")["columns"]["engagements"]
    assert {name: log[name] for name in expected} == expected
    read = rehearse_log(["e.jsonl"], log)
    assert (read.num_rows, read.rejections, read.share_known({p.sku for p in PRODUCTS})) == (num_rows, [], 1.0)


@pytest.mark.parametrize("name", ["search_query", "searchQuery", "search_phrase", "keywords", "q"])
def test_searches_under_other_names(capsys, name):
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    rows = [f"2026-06-0{1 + n % 9},view_item,u{n},{p.sku},{'red scarf' * (n % 2)},x" for n, p in enumerate(PRODUCTS)]
    write_csv("e.csv", f"timestamp,event_name,user_id,item_id,{name},device", *rows)
    log = written("--from", "ga4", "e.csv", "--catalog", "f.tsv")["columns"]["engagements"]
    assert (log["query"], log["surface"]) == (name, {"source": name, "present": "search", "absent": "home"})
    assert "\n# Not read: device.\n" in Path("shop.toml").read_text()
    lines = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line and line[0] in ("action", "query", "session_id")] == [
        ["query", name],
        ["action", "event_name"],
        ["session_id", "-"],
    ]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_events_that_occur_in_later_files_are_counted_and_named(capsys, suffix):
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    Path("log").mkdir()
    names = ("timestamp", "event_name", "user_id", "item_id")
    for number, word in enumerate(("view_item", "quiz_answer", "gesehen")):
        rows = [("2026-06-01 10:00:00", "view_item" if n % 2 else word, "u", p.sku) for n, p in enumerate(PRODUCTS)]
        if suffix == "csv":
            write_csv(f"log/{number}.csv", ",".join(names), *map(",".join, rows))
        else:
            pq.write_table(
                pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows]), f"log/{number}.parquet"
            )
    values = written("--from", "ga4", "log", "--catalog", "f.tsv")["columns"]["engagements"]["action"]["values"]
    assert (values["quiz_answer"], values["gesehen"]) == ("", "")
    text = Path("shop.toml").read_text()
    assert f'view_item = "click"  # {25 + 12 + 12} seen' in text
    assert 'quiz_answer = ""  # 13 seen. Not one of Google' in text
    assert "left out, for Google has not named them: quiz_answer (13), gesehen (13)" in capsys.readouterr().out


def test_times_that_are_yet_to_come_are_told_and_are_no_day_of_a_run(capsys):
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    rows = [f"{n % 28 + 1:02}/06/2569,view_item,u{n},{product.sku}" for n, product in enumerate(PRODUCTS)]
    write_csv("e.csv", "timestamp,event_name,user_pseudo_id,item_id", *rows)
    written("--from", "ga4", "e.csv", "--catalog", "f.tsv")
    out = capsys.readouterr().out
    assert "WARNING: 25 times are of 2569, which is yet to come" in out
    assert "2569 of the Buddhist calendar is 2026" in out
    assert "--date 2569" not in out


@pytest.mark.parametrize(
    ("time", "told"), [("26{:02}{:02}1005", "%y%m%d%H%M"), ("26{:02}{:02}", "%y%m%d"), ("17819{:02}{:02}0", None)]
)
def test_digits_of_a_date_are_no_seconds(capsys, time, told):
    write_google_tsv(Path("f.tsv"), PRODUCTS)
    rows = [f"{time.format(6, n + 1)},view_item,u{n},{product.sku}" for n, product in enumerate(PRODUCTS)]
    write_csv("e.csv", "timestamp,event_name,user_pseudo_id,item_id", *rows)
    log = written("--from", "ga4", "e.csv", "--catalog", "f.tsv")["columns"]["engagements"]
    assert log["timestamp"] == ({"source": "timestamp", "time": told} if told else "timestamp")
    out = capsys.readouterr().out
    assert ("? timestamp: digits of a date, %y%m%d%H%M, or seconds" in out) == (told == "%y%m%d%H%M")
    assert ("--date 2026-06-25" in out) == (told is not None)
