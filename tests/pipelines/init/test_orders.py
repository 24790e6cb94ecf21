"""`itemsage init` of Shopify's export of orders: the first row of each order alone says when it was and whose."""

import pytest
from init_calls import write_csv, written

HEAD = "Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem name,Lineitem sku"


def orders(num_rows: int = 3, *, first_only: bool = True) -> list[str]:
    lines = []
    for order in range(12):
        for row in range(num_rows):
            told = row == 0 or not first_only
            who, when, paid = (
                (f"u{order % 4}@x.org", f"2026-06-20 1{order % 9}:00:00 +0200", "paid") if told else ("", "", "")
            )
            lines.append(f"#1{order:02},{who},{paid},{when},1,Mug {row},{row}")
    return lines


def catalogue() -> str:
    return write_csv("c.csv", "sku,name", *(f"{number},Mug of clay {number}" for number in range(5)))


def test_the_rows_below_an_order_are_read(capsys: pytest.CaptureFixture[str]):
    config = written("--from", "ga4", write_csv("o.csv", HEAD, *orders()), "--catalog", catalogue())
    columns = config["columns"]["engagements"]
    assert columns["timestamp"] == {"source": "Created at", "within": "Name"}
    assert columns["user_id"] == {"source": "Email", "within": "Name"}
    said = capsys.readouterr().out
    assert "36 rows, 0 events that are none; 100% of the rows are on items" in said
    assert "cannot be read" not in said


def test_where_each_row_says_it_nothing_is_carried():
    rows = orders(first_only=False)
    columns = written("--from", "ga4", write_csv("o.csv", HEAD, *rows), "--catalog", catalogue())["columns"]
    assert (columns["engagements"]["timestamp"], columns["engagements"]["user_id"]) == ("Created at", "Email")


def test_rows_of_an_order_that_stand_apart_are_not_taken_for_one(capsys: pytest.CaptureFixture[str]):
    rows = orders()
    rows = [*rows[::3], *rows[1::3], *rows[2::3]]
    columns = written("--from", "ga4", write_csv("o.csv", HEAD, *rows), "--catalog", catalogue())["columns"]
    assert columns["engagements"]["timestamp"] == "Created at"
    assert "24 null_timestamp" in capsys.readouterr().out
