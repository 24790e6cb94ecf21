"""Pictures whose paths are written as other systems write them: used, counted, and reused like all others."""

import pytest
from features_runs import item, quarantine_of
from features_shop import counts_of, png

pytestmark = pytest.mark.slow

FORMS = [
    item("a", "magento", "/0.png"),
    item("b", "web", "1.png?v=3", "2%20b.png"),
    item("c", "as it is", "2 b.png", "3.png"),
    item("d", "missing", "/none.png", "3.PNG", "/../outside.png", "..%2foutside.png"),
    item("e", "url", "file://{images}/3.png"),
]


def test_other_forms_are_used_and_counted_day_by_day(shop):
    shop.put("2 b.png", png(7))
    rows = [{**row, "images": [uri.replace("{images}", str(shop.images)) for uri in row["images"]]} for row in FORMS]
    yesterday = shop.run("yesterday", rows)
    counts = counts_of(yesterday)
    assert counts["pictures_in_other_form"] == 3
    rejected = {row["where"]: row for row in quarantine_of(yesterday)}
    assert {where: row["reason"] for where, row in rejected.items()} == {
        "/none.png": "missing",
        "3.PNG": "missing",
        "/../outside.png": "outside_root",
        "..%2foutside.png": "outside_root",
    }
    assert "but there is '3.png'" in rejected["3.PNG"]["got"]
    today = shop.check(rows, yesterday)
    assert (today["pictures_read"], today["pictures_computed"], today["pictures_in_other_form"]) == (0, 0, 3)
    more = [*rows, item("f", "more", "\\1.png")]
    assert shop.check(more, yesterday)["pictures_in_other_form"] == 4
    shop.put("2%20b.png", png(8))  # from now on there is a file of the very name
    assert shop.check(rows, yesterday)["pictures_in_other_form"] == 2
    shop.put("3.PNG", png(3))
    assert shop.check(rows, yesterday)["pictures_quarantined"] == 3


def test_nothing_is_said_where_every_path_is_as_it_is(shop, yesterday):
    assert "pictures_in_other_form" not in counts_of(yesterday)
