"""`itemsage init` of a log: the columns that say who did something, and what is asked where none is found."""

import json
from pathlib import Path

import pytest
from init_calls import write_csv, written

MINUTES = [f"2026-06-20T10:{number:02}:00Z" for number in range(12)]


def log_of(header: str, *cells: str) -> dict[str, object]:
    """What is written of a log of clicks by users whose cells come in turn, beside its catalogue."""
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    rows = [f"{time},{number % 5:06},view,{cells[number % len(cells)]}" for number, time in enumerate(MINUTES)]
    write_csv("log.csv", f"event_time,sku,event,{header}", *rows)
    return written("log.csv", "--from", "ga4", "--catalog", "p.csv")["columns"]["engagements"]


@pytest.mark.parametrize(
    "name",
    [
        "fullVisitorId",
        "idvisitor",
        "uid",
        "buyer_id",
        "Person ID",
        "contact_key",
        "klantnummer",
        "Kunden-Nr",
        "ID Client",
    ],
)
def test_users_are_found_by_the_names_of_other_systems(capsys, name):
    assert log_of(name, "991", "992", "993")["user_id"] == name
    assert "? user_id" not in capsys.readouterr().out


def test_the_visits_of_matomo_are_sessions():
    log = log_of("idvisit,idvisitor", "1,a1", "2,a2")
    assert (log["session_id"], log["user_id"]) == ("idvisit", "idvisitor")


def test_an_object_that_is_called_a_buyer_is_a_user():
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    events = [{"time": time, "sku": "000001", "event": "view", "buyer": {"id": "b1"}} for time in MINUTES]
    Path("log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert (
        written("--from", "ga4", "log.jsonl", "--catalog", "p.csv")["columns"]["engagements"]["user_id"] == "buyer.id"
    )


@pytest.mark.parametrize(
    ("header", "cells", "asked"),
    [
        ("customer_ref,shop", ("991,x", "992,x"), "is it one of 'customer_ref'? Then write"),
        ("wer,shop", ("991,x", "992,x"), "is it one of 'wer'? Then write"),
        ("shop", ("x",), "Does none say who? Then write"),
        ("session_id", ("1", "2"), "a session may stand for one: user_id = 'session_id'"),
    ],
)
def test_where_nobody_is_found_it_is_asked(capsys, header, cells, asked):
    assert "user_id" not in log_of(header, *cells)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("? user_id: no column")]
    assert asked in line
    assert f"# {line}" in Path("shop.toml").read_text()


def test_where_the_column_of_users_is_empty_it_is_asked(capsys):
    log_of("userId,session_id", ",1", ",2")
    told = capsys.readouterr().out
    assert "? user_id: userId is empty" in told
    assert "a session may stand for one: user_id = 'session_id'" in told


def test_users_that_a_spreadsheet_rounded_are_told(capsys):
    log_of("user_id", "1.23451E+18", "1.23452E+18")
    assert "WARNING: 12 cells of user_id cannot be read, and are empty: of ids that a sp" in capsys.readouterr().out
