"""`itemsage init` of a log whose items are written otherwise than in the catalogue: lists in a text, spellings."""

import json
from pathlib import Path
from typing import Any

import pytest
from init_calls import refused, write_csv, written

from pipelines.init.rehearsal import rehearse_log


def lines_of(*items: str) -> str:
    """A log's lines, an event each, of clicks on items as the cells are written."""
    lines = [f"2026-06-20T10:{number:02}:00Z,u{number},{item},view" for number, item in enumerate(items)]
    return "\n".join(["event_time,user_id,sku,event", *lines]) + "\n"


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (['"000001,000002"', "000003", '"000001,000003"'], ","),
        (["000001|000002", "000003|000001", "000002|000003"], "|"),
        (['"[""000001"", ""000002""]"', '"[""000003""]"'], ","),
        (['"[000001, 000002]"', "[000003]"], ","),
        (["[000001]", "[000003]"], ","),
        (['"{000001,000002}"', "{000003}"], ","),
    ],
)
def test_items_in_a_text_are_found_and_the_separator_is_written(capsys, cells, separator):
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    Path("log.csv").write_text(lines_of(*cells))
    log = written("log.csv", "--catalog", "p.csv")["columns"]["engagements"]
    assert log["item_id"] == {"source": "sku", "separator": separator}
    assert "100% of the rows are on items of the catalogue" in capsys.readouterr().out


def test_of_objects_that_are_no_json_it_is_said_how_to_write_them(capsys):
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    Path("log.csv").write_text(lines_of('"[{sku=000001, quantity=2}, {sku=000002, quantity=1}]"', '"[{sku=000003}]"'))
    written("log.csv", "--catalog", "p.csv")
    told = capsys.readouterr().out
    assert "2 rows have objects in one text that is no JSON" in told
    assert "Write the column as JSON in the export" in told


def test_an_id_with_a_comma_in_it_is_one_item(capsys):
    write_csv("p.csv", "sku,name", '"1,2",red mug', "1,blue mug", "2,green mug")
    Path("log.csv").write_text(lines_of('"1,2"', "1", "2"))
    assert written("log.csv", "--catalog", "p.csv")["columns"]["engagements"]["item_id"] == "sku"


def test_ids_in_another_spelling_are_named(capsys):
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    Path("log.csv").write_text(lines_of("1", "2", "3"))
    written("log.csv", "--catalog", "p.csv")
    assert "'1' is '000001' there" in capsys.readouterr().out


def test_of_two_columns_of_items_the_one_is_taken_that_the_catalogue_has(capsys):
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    write_csv(
        "log.csv",
        "event_time,user_id,product_id,sku,event",
        *(f"2026-06-20T10:0{number}:00Z,u{number},9{number},{number:06},view" for number in range(5)),
    )
    assert written("log.csv", "--catalog", "p.csv")["columns"]["engagements"]["item_id"] == "sku"
    assert "100% of the rows are on items of the catalogue" in capsys.readouterr().out


def events_log(*events: dict[str, Any]) -> dict[str, Any]:
    """What is written of a log of such events, beside a catalogue of the items 000000 to 000004."""
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    times = ({"timestamp": f"2026-06-20T10:{number:02}:00Z", "user_id": f"u{number}"} for number in range(len(events)))
    lines = [json.dumps({**time, **event}) + "\n" for time, event in zip(times, events, strict=True)]
    Path("log.jsonl").write_text("".join(lines))
    return written("--from", "ga4", "log.jsonl", "--catalog", "p.csv")["columns"]["engagements"]


VIEWS = [{"event": "product_viewed", "product_id": f"{number:06}"} for number in range(4)]
ORDERED = [{"product_id": "000001"}, {"product_id": "000004"}]
BOTH = ["products.product_id", "product_id"]


@pytest.mark.parametrize("products", [ORDERED, json.dumps(ORDERED)])
def test_views_with_an_item_and_orders_with_a_list_are_both_read(capsys, products):
    log = events_log(*VIEWS, {"event": "order_completed", "products": products})
    assert (log["item_id"], "item_id:" in capsys.readouterr().out) == (BOTH, False)
    assert rehearse_log(["log.jsonl"], log).items == {"000000": 1, "000001": 2, "000002": 1, "000003": 1, "000004": 1}


def test_a_list_beside_the_item_of_an_event_is_asked_about(capsys):
    added = {"event": "product_added", "product_id": "000002", "products": ORDERED}
    log = events_log(*VIEWS, added, {"event": "order_completed", "products": ORDERED})
    assert log["item_id"] == BOTH[::-1]
    assert "? item_id: 1 of 6 rows have both, product_id and products.product_id: which" in capsys.readouterr().out
    assert rehearse_log(["log.jsonl"], log).items["000002"] == 2
    assert events_log(*VIEWS, added)["item_id"] == "product_id"


def test_items_that_no_source_reads_are_asked_about(capsys):
    ordered = {"event": "order_completed", "products": "[{product_id:000001},{product_id:000002}]"}
    assert events_log(*VIEWS, ordered)["item_id"] == "product_id"
    assert "? item_id: 1 of 5 rows have none by product_id, and have products ([{product_id:" in capsys.readouterr().out


@pytest.mark.parametrize(("listed", "id_of"), [("items", "product_id"), ("line_items", "id")])
def test_of_the_ids_in_a_list_those_are_taken_that_the_catalogue_has(capsys, listed, id_of):
    lines = [{id_of: 700 + number, "sku": f"{number:06}", "quantity": 1} for number in range(5)]
    log = events_log(*({listed: [line]} for line in lines))
    assert (log["item_id"], log["action"]) == (f"{listed}.sku", {"constant": "checkout"})
    assert "100% of the rows are on items of the catalogue" in capsys.readouterr().out


@pytest.mark.parametrize("whose", ["item", "product"])
def test_an_object_that_is_called_an_item_has_its_id(whose):
    log = events_log(*({"event": "VIEW", whose: {"id": f"{number:06}", "type": "mug"}} for number in range(5)))
    assert log["item_id"] == f"{whose}.id"


def test_a_device_stands_for_a_user_who_is_not_known(capsys):
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    rows = [f"2026-06-20T10:0{number}:00Z,{f'u{number}' if number % 2 else ''},d{number}" for number in range(5)]
    for name, whole in (("half.csv", False), ("whole.csv", True)):
        users = [row.replace(",,", ",u,") if whole else row for row in rows]
        lines = [f"{row},{number:06},view" for number, row in enumerate(users)]
        write_csv(name, "event_time,user_id,device_id,sku,event", *lines)
        log = written(name, "--catalog", "p.csv", "--force")["columns"]["engagements"]
        assert log["user_id"] == ("user_id" if whole else ["user_id", "device_id"])


def refused_log(capsys, header: str, *rows: str, code: int = 2) -> str:
    """What is said of a log beside a catalogue of the items 000000 to 000004."""
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    write_csv("log.csv", header, *rows)
    return refused(capsys, "--from", "ga4", "log.csv", "--catalog", "p.csv", code=code)


def test_objects_in_a_text_have_the_items():
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    products = '"[{""product_id"": ""000001"", ""quantity"": 1}, {""product_id"": ""000002""}]"'
    write_csv("log.csv", "event,user_id,timestamp,products", f"view,u,2026-06-20T10:00:00Z,{products}")
    log = written("--from", "ga4", "log.csv", "--catalog", "p.csv")["columns"]["engagements"]
    assert log["item_id"] == "products.product_id"
    items = rehearse_log(["log.csv"], log).items
    assert items == {"000001": 1, "000002": 1}


def test_no_action_is_proposed_for_an_event_that_nobody_knows(capsys):
    told = refused_log(capsys, "event,user_id,timestamp,sku", "obscure_deed,u,2026-06-20T10:00:00Z,000001", code=3)
    assert 'obscure_deed = "..."' in told
    assert "one of click, save, add_to_cart, checkout" in told
    assert '"click"' not in told


def test_a_log_without_an_action_and_a_user_is_told_of_the_constant(capsys):
    told = refused_log(capsys, "timestamp,sku", "2026-06-20T10:00:00Z,000001")
    assert 'action = your column, or {constant = "..."}' in told


def test_german_orders_are_told_that_each_is_a_checkout(capsys):
    line = "B0,20.06.2026 10:00,K,000001"
    told = refused_log(capsys, "Bestellnummer,Bestelldatum,Wer,Artikelnummer", line)
    assert 'action = {constant = "checkout"}' in told
    assert "timestamp = 'Bestelldatum'" in told
    write_csv("log.csv", "Bestellnummer,Bestelldatum,Kundennummer,Artikelnummer", line)
    log = written("--from", "ga4", "log.csv", "--catalog", "p.csv")["columns"]["engagements"]
    assert (log["user_id"], log["action"]) == ("Kundennummer", {"constant": "checkout"})
    assert "? action: no column says what somebody did: every row counts as checkout" in capsys.readouterr().out


def test_times_that_cannot_be_read_are_named_with_their_column(capsys):
    told = refused_log(capsys, "timestamp,user_id,sku,event", *["1.78195E+12,u,000001,view"] * 3, code=3)
    assert "3 wrong_type (expected" in told
    assert "timestamp" in told
    assert "1.78195E+12" in told


INVISIBLE = ["\u200b", "\u200c", "\u200d", "\ufeff", "\u00ad", "\u2060"]


@pytest.mark.parametrize("sign", INVISIBLE)
def test_characters_that_nobody_sees_are_no_part_of_an_id(capsys, sign):
    write_csv("p.csv", "sku,name", *(f"A-{number}{sign},red mug {number}" for number in range(5)))
    Path("log.csv").write_text(lines_of("A-1", f"{sign}A-2 {sign}", "A-3"))
    written("log.csv", "--catalog", "p.csv")
    assert "100% of the rows are on items of the catalogue" in capsys.readouterr().out


@pytest.mark.parametrize("sign", INVISIBLE)
def test_within_an_id_they_are_named_as_the_difference(capsys, sign):
    write_csv("p.csv", "sku,name", *(f"A{sign}-{number},red mug {number}" for number in range(5)))
    Path("log.csv").write_text(lines_of("A-1", "A-2", "A-3"))
    written("log.csv", "--catalog", "p.csv")
    told = capsys.readouterr().out
    assert "invisible characters" in told
    assert "map item_id of either table" not in told


@pytest.mark.parametrize(
    ("event", "action"),
    [
        ("Added to Cart", "add_to_cart"),
        ("Item Added to Cart", "add_to_cart"),
        ("Viewed Product", "click"),
        ("Product Saved", "save"),
        ("Purchase Completed", "checkout"),
        ("Removed from Cart", ""),
    ],
)
def test_actions_in_the_past_tense_are_known(event, action):
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    Path("log.csv").write_text(lines_of("000001", "000002") + f"2026-06-21T10:00:00Z,u,000003,{event}\n")
    log = written("log.csv", "--catalog", "p.csv")["columns"]["engagements"]
    assert log["action"]["values"][event] == action


@pytest.mark.parametrize(("user", "is_asked"), [("0", True), ("-1", True), ("7", False)])
def test_a_user_who_may_be_every_guest_is_asked_about(capsys, user, is_asked):
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    rows = [f"2026-06-20T10:{n:02}:00Z,{user if n % 2 else n + 20},{n % 5:06},view" for n in range(20)]
    write_csv("log.csv", "event_time,user_id,sku,event", *rows)
    log = written("log.csv", "--catalog", "p.csv")["columns"]["engagements"]
    assert ("are these guests?" in capsys.readouterr().out) == is_asked
    mapped = {**log, "user_id": {"source": "user_id", "values": {user: ""}}}
    assert rehearse_log(["log.csv"], mapped).num_rows == 20


@pytest.mark.parametrize(
    ("columns", "cells", "asked"),
    [
        ("Quantity", ["1", "-2", "3"], "Quantity is below 0 in 1 rows: are these returns?"),
        ("Status", ["paid", "Refunded", "refunded"], "Status is Refunded or refunded in 2 rows: are these returns?"),
        ("Quantity", ["1", "-0", "3"], ""),
    ],
)
def test_returns_that_another_column_says_are_asked_about(capsys, columns, cells, asked):
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    rows = [f"2026-06-20T10:0{n}:00Z,u{n},{n:06},purchase,{cell}" for n, cell in enumerate(cells)]
    write_csv("log.csv", f"event_time,user_id,sku,event,{columns}", *rows)
    written("log.csv", "--catalog", "p.csv")
    told = capsys.readouterr().out
    assert asked in told
    assert ("are these returns?" in told) == bool(asked)
