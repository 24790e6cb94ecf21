"""docs/starts/log.md: the names that it lists count, and its example reads the log that it describes."""

import json
import re
import tomllib
from pathlib import Path

from python_process import ROOT

from pipelines.init.rehearsal import rehearse_log
from schemas.usual_names import OF_LOG

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
