"""docs/starts/log.md: the names that it lists count, and its example reads the log that it describes."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from init_calls import refused
from python_process import ROOT

from pipelines.init.rehearsal import rehearse_log
from schemas.columns.usual_names import OF_LOG

PAGE = (ROOT / "docs" / "starts" / "log.md").read_text()


def test_the_names_of_the_page_count():
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert [ours for ours, _ in rows] == ["timestamp", "user_id", "session_id", "item_id", "action", "query"]
    for ours, names in rows:
        assert set(re.findall(r"`(\w+)`", names)) <= set(OF_LOG[ours])


def test_the_example_of_the_page_reads_such_a_log():
    top, columns = map(tomllib.loads, re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    person = {"userId": None, "anonymousId": "a1", "sentOn": "30.06.2026 23:30"}
    products = {"products": [{"ref": "B", "price": 1.5}, {"ref": "C"}]}
    events = [
        {**person, "event": "Product Viewed", "properties": {"ref": "A", "searched": "mug"}},
        {**person, "event": "Order Completed", "properties": products},
        {**person, "event": "Products Searched", "properties": {"searched": "mug"}},
        {**person, "event": "Page Viewed", "properties": {"title": "Home"}},
    ]
    path = Path(top["engagements"])
    path.mkdir()
    (path / "1.json").write_text("\n".join(map(json.dumps, events)))
    log = rehearse_log([str(path / "1.json")], columns["columns"]["engagements"])
    assert (log.num_rows, log.rejections, dict(log.items)) == (3, [], {"A": 1, "B": 1, "C": 1})
    assert log.no_rows == {"events_without_items": 2}
    assert str(log.last_day) == "2026-06-30"


def test_what_is_to_be_flattened_is_refused_and_read_once_it_is(capsys):
    """By the lines of the page."""
    matomo, adobe = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    of_items = {"type": "ecommerceOrder", "itemDetails": [{"itemSKU": "A", "price": 1.5}, {"itemSKU": "B", "price": 2}]}
    shown = {"type": "action", "url": "https://e.com/a", "productViewSku": "A"}
    actions = [shown, of_items, {"type": "action", "url": "https://e.com"}]
    at = [{**action, "timestamp": 1782813600 + n} for n, action in enumerate(actions)]
    visits = [{"idVisit": n, "userId": None, "visitorId": f"v{n}", "actionDetails": at} for n in range(2)]
    Path("visits.json").write_text(json.dumps(visits))
    action = {"source": "event", "values": {"action": "click", "ecommerceOrder": "checkout"}}
    found = flattened(capsys, "visits.json", matomo, "lists of actions with lists of items", {"action": action})
    assert found == {"A": 4, "B": 2}

    names = ["post_visid_high", "post_visid_low", "hit_time_gmt", "post_event_list", "post_product_list"]
    hits = [
        ["7", "8", "1782813600", "1,200", "Shoes;A;1;9.50;;eVar1=x,;B;2;5"],
        ["7", "8", "1782813601", "2", ";A"],
        ["7", "9", "1782813602", "", ""],
    ]
    Path("hits.tsv").write_text("".join("\t".join(row) + "\n" for row in [names, *hits]))
    assert flattened(capsys, "hits.tsv", adobe, "lists of products in post_product_list", {}) == {"A": 2, "B": 1}


def flattened(
    capsys: pytest.CaptureFixture[str], name: str, sql: str, told: str, columns: Mapping[str, Any]
) -> dict[str, int]:
    """The rows of each item once the lines of the page are run, of a log that `init` refuses."""
    Path("feed.csv").write_text("id,title\nA,red scarf\nB,blue hat\n")
    for arguments in ([name], ["--from", "ga4", name, "--catalog", "feed.csv"]):
        message = refused(capsys, *arguments)
        assert told in message
        assert "docs/starts/log.md" in message
    duckdb.sql(sql)
    log = rehearse_log(["log.parquet"], {"surface": "", **columns})
    assert log.rejections == []
    return dict(log.items)
