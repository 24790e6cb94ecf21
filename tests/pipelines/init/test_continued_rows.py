"""Exports whose further rows of a product are variants without a title: Ecwid's kinds of rows, Lightspeed's ids."""

import pytest
from init_calls import refused, write_csv, written

from pipelines.ingest import job as ingest
from schemas.columns.names_of_amounts import is_called_an_amount

ECWID = [
    "type,product_internal_id,product_sku,product_name,product_price",
    "product,701,SKU-1,Red mug,10.50",
    "product_variation,701,SKU-1-S,,10.60",
    "product_variation,701,SKU-1-L,,12.00",
    "product,702,,Blue plate,9.00",
    "product,703,SKU-3,Green bowl,11",
]
LIGHTSPEED = [
    "Internal_ID,Internal_Variant_ID,NL_Title_Short,Brand,Images,Variant_Title,SKU",
    "501,9001,Rode mok,Acme,https://shop.example/a.jpg,Klein,M-1",
    "501,9002,,,,Groot,M-2",
    "502,9003,Blauw bord,Acme,https://shop.example/b.jpg,Default,B-1",
    "503,9004,Groene kom,Acme,https://shop.example/c.jpg,Klein,K-1",
    "503,9005,,,,Groot,K-2",
]


@pytest.mark.medium
@pytest.mark.parametrize("with_skus", [True, False])
def test_ecwids_variations_are_merged_into_their_product(capsys, with_skus):
    lines = [line if with_skus else ",".join([*(c := line.split(","))[:2], "", *c[3:]]) for line in ECWID[1:]]
    write_csv("p.csv", ECWID[0], *lines)
    shop = written("p.csv")
    assert (shop["columns"]["item_id"], shop["group_rows"]) == ("product_internal_id", "merge")
    assert "product_types" not in {name for name, entry in shop["columns"].items() if entry}
    assert ingest.main(["--config", "shop.toml", "--run", "run"]) == 0
    assert "rows written 3" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["product_price", "Preis (EUR)", "stock", "salePrice"])
def test_a_price_is_no_id(capsys, name):
    write_csv("p.csv", f"what,{name}", "red mug,10", "blue plate,9", "green bowl,11")
    assert is_called_an_amount(name)
    assert "expected a column of ids" in refused(capsys, "p.csv")


def test_rows_without_a_title_below_their_product_are_its_variants(capsys):
    write_csv("p.csv", *LIGHTSPEED)
    shop = written("p.csv")
    assert (shop["columns"]["item_id"], shop["group_rows"]) == ("Internal_ID", "merge")
    assert "Are they its variants?" in capsys.readouterr().out
    assert ingest.main(["--config", "shop.toml", "--run", "run"]) == 0
    assert "rows written 3" in capsys.readouterr().out


def test_a_log_of_variants_takes_them_beside_their_product(capsys):
    write_csv("p.csv", *LIGHTSPEED)
    rows = [f"2026-06-20T10:0{number}:00Z,u{number},{sku},view" for number, sku in enumerate(("M-2", "K-2", "M-1"))]
    write_csv("log.csv", "event_time,user_id,sku,event", *rows)
    shop = written("log.csv", "--catalog", "p.csv")
    assert (shop["columns"]["item_id"], shop["columns"]["group"]) == ("SKU", "Internal_ID")
    assert ingest.main(["--config", "shop.toml", "--run", "run"]) == 0
    assert "rows written 5" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changed", ["501,9006,Rode mok groot,,,Reus,M-3", "502,9007,,,,Groot,B-2\n501,9008,,,,Reus,M-4"]
)
def test_rows_that_have_titles_or_lie_apart_are_no_continuation(changed):
    write_csv("p.csv", *LIGHTSPEED, changed)
    assert written("p.csv")["columns"]["item_id"] == "SKU"
