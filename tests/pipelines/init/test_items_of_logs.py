"""`itemsage init` of a log whose items are written otherwise than in the catalogue: lists in a text, spellings."""

from pathlib import Path

import pytest
from init_calls import write_csv, written


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
    ],
)
def test_items_in_a_text_are_found_and_the_separator_is_written(capsys, cells, separator):
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    Path("log.csv").write_text(lines_of(*cells))
    log = written("log.csv", "--catalog", "p.csv")["columns"]["engagements"]
    assert log["item_id"] == {"source": "sku", "separator": separator}
    assert "100% of the rows are on items of the catalogue" in capsys.readouterr().out


def test_an_id_with_a_comma_in_it_is_one_item(capsys):
    write_csv("p.csv", "sku,name", '"1,2",red mug', "1,blue mug", "2,green mug")
    Path("log.csv").write_text(lines_of('"1,2"', "1", "2"))
    assert written("log.csv", "--catalog", "p.csv")["columns"]["engagements"]["item_id"] == "sku"


def test_ids_in_another_spelling_are_named(capsys):
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    Path("log.csv").write_text(lines_of("1", "2", "3"))
    written("log.csv", "--catalog", "p.csv")
    assert "'1' is '000001' there" in capsys.readouterr().out
