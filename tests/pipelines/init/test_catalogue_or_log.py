"""`itemsage init` tells a catalogue from a log, and refuses the one in the place of the other."""

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
    assert "expected events of GA4, with event_name, event_timestamp and items (or item_id), got key, page" in message


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
