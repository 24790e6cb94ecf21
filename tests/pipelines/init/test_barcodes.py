"""`itemsage init` of exports that have barcodes beside the export's own ids."""

import pytest
from init_calls import write_csv, written

_EANS = ("4006381333931", "", "4006381333955", "4006381333962")


def _table(name: str, barcode: str, eans=_EANS, ids=("x7", "x9", "x3", "x5"), extra: str = "") -> str:
    more = f",{extra}" if extra else ""
    cells = zip(eans, ids, strict=True)
    rows = [f"Red mug {n},{ean},{own}{',EAN' if extra else ''}" for n, (ean, own) in enumerate(cells)]
    return write_csv("p.csv", f"title,{barcode},{name}{more}", *rows)


@pytest.mark.parametrize(
    "name",
    [
        "offer-id",
        "offerId",
        "salsify:id",
        "No.",
        "aid",
        "seller-sku",
        "Inventory Number",
        "Indeks",
        "Stock Code",
        "kod",
    ],
)
@pytest.mark.parametrize("eans", [_EANS, ("1", "2", "3", "4")])
def test_the_exports_own_id_goes_before_barcodes(name, eans):
    assert written(_table(name, "ean", eans))["columns"]["item_id"] == name


@pytest.mark.parametrize("barcode", ["GTIN", "upc", "ean13", "Barcode", "isbn", "Code-barres", "EAN (GTIN-13)"])
@pytest.mark.parametrize("eans", [_EANS, ("1", "2", "3", "4")])
def test_barcodes_of_any_name_stand_back(barcode, eans):
    assert written(_table("offer-id", barcode, eans))["columns"]["item_id"] == "offer-id"
    assert written(_table("kod", barcode, eans))["columns"]["item_id"] == "kod"


def test_amazons_id_of_a_product_is_a_barcode_where_its_type_stands_beside_it():
    name = _table("seller-sku", "product-id", extra="product-id-type")
    assert written(name)["columns"]["item_id"] == "seller-sku"


@pytest.mark.parametrize("name", ["No.", "Nr", "index"])
def test_numbers_of_rows_are_no_ids_beside_barcodes(name):
    name = _table(name, "ean", ("41", "42", "43", "44"), ("1", "2", "3", "4"))
    assert written(name)["columns"]["item_id"] == "ean"


@pytest.mark.parametrize("own", ["offer-id", "merkmal"])
def test_the_log_tells_which_column_is_the_id(own):
    table = _table(own, "ean")
    events = [f"2026-06-20 10:00:0{n},u{n},{item},view" for n, item in enumerate(("x7", "x9", "x3"))]
    log = write_csv("e.csv", "event_time,user_id,product_id,event_type", *events)
    assert written("--from", "ga4", log, "--catalog", table)["columns"]["item_id"] == own


def test_the_log_may_name_barcodes():
    table = _table("offer-id", "ean", ("41", "42", "43", "44"))
    events = [f"2026-06-20 10:00:0{n},u{n},{item},view" for n, item in enumerate(("41", "42", "44"))]
    log = write_csv("e.csv", "event_time,user_id,product_id,event_type", *events)
    assert written("--from", "ga4", log, "--catalog", table)["columns"]["item_id"] == "ean"


def test_barcodes_are_the_ids_where_nothing_else_is():
    rows = ["41,Red mug", "42,Blue mug"]
    assert written(write_csv("p.csv", "EAN,title", *rows))["columns"]["item_id"] == "EAN"
    assert written(write_csv("p.csv", "Barcode,title", *rows))["columns"]["item_id"] == "Barcode"
