"""`itemsage init` of Magento's export with several views of the store: a product is its row of the default view."""

import tomllib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from init_calls import write_csv, written

from pipelines.ingest import job as ingest
from pipelines.ingest.config import IngestConfig
from pipelines.init.rehearsal import rehearse_items

HEAD = "sku,store_view_code,name,description,base_image,additional_images,product_type"


def rows(default: str = "", numbers: range = range(12)) -> list[str]:
    lines = []
    for number in numbers:
        own = (
            f'B-{number},{default},Bag {number},"A bag of leather, which lasts",/b/{number}.jpg,/b/{number}b.jpg,simple'
        )
        others = [f"B-{number},{view},{name} {number},,,," for view, name in (("de", "Tasche"), ("fr", "Sac"))]
        lines += [*others, own] if number % 3 == 0 else [own, *others]
    return lines


def items_of(name: str, config: dict) -> list[dict]:
    return rehearse_items([name], config["columns"], config.get("group_rows", "no")).items.to_pylist()


@pytest.mark.parametrize(("default", "texts"), [("", ["*"]), ("default", ["de", "fr"]), ("Admin", ["de", "fr"])])
def test_a_product_is_its_row_of_the_default_view(default: str, texts: list[str], capsys: pytest.CaptureFixture[str]):
    name = write_csv("c.csv", HEAD, *rows(default))
    config = written(name)
    assert config["columns"]["leave_out"] == {"store_view_code": texts}
    assert (config["columns"]["item_id"], config["image_encoder"] != "none") == ("sku", True)
    items = items_of(name, config)
    assert [(item["title"], item["images"]) for item in items if item["item_id"] == "B-3"] == [
        ("Bag 3", ["/b/3.jpg", "/b/3b.jpg"])
    ]
    assert (len(items), {item["title"].split()[0] for item in items}) == (12, {"Bag"})
    said = capsys.readouterr().out
    assert "store_view_code: 24 rows are what other views of the store have otherwise: de (12), fr (12)" in said
    assert "duplicate_id" not in said


def test_the_run_has_every_product_whole():
    config = written(write_csv("c.csv", HEAD, *rows()))
    given = IngestConfig(run="R", catalog="c.csv", columns=config["columns"], num_buckets=2)
    counts = ingest.run(given, PipelineOptions(["--runner=FnApiRunner"]))["counts"]
    assert (counts["rows_read"], counts["rows_written"], counts["rows_left_out"]) == (36, 12, 24)
    assert counts["rows_quarantined"] == 0
    assert pq.read_table("R/items")["description"].null_count == 0


def test_magento_1_names_a_view_in_rows_without_a_sku():
    lines = [line for n in range(6) for line in (f"B-{n},,Bag {n},/b/{n}.jpg", f",de,Tasche {n},")]
    name = write_csv("c.csv", "sku,_store,name,image", *lines)
    items = items_of(name, written(name))
    assert [item["title"] for item in items] == [f"Bag {n}" for n in range(6)]


def test_products_of_other_views_alone_are_asked_about(capsys: pytest.CaptureFixture[str]):
    written(write_csv("c.csv", HEAD, *rows(), "B-99,de,Tasche 99,,,,"))
    assert "1 ids, such as B-99, have rows of other views alone" in capsys.readouterr().out


@pytest.mark.parametrize("views", [["", ""], ["de", "de"], ["de", "fr"]])
def test_without_a_default_view_beside_others_nothing_is_left_out(views: list[str]):
    lines = [f"B-{n},{views[n % 2]},Bag {n},A bag,/b/{n}.jpg,,simple" for n in range(6)]
    assert "leave_out" not in written(write_csv("c.csv", HEAD, *lines))["columns"]


def test_with_hidden_products_one_line_leaves_out_both():
    lines = [f"{line},{1 + (number % 9 == 2)}" for number, line in enumerate(rows())]
    written(write_csv("c.csv", f"{HEAD},product_online", *lines))
    text = Path("shop.toml").read_text()
    (offered,) = (line for line in text.splitlines() if line.startswith("# leave_out = "))
    (written_line,) = (line for line in text.splitlines() if line.startswith("leave_out = "))
    config = tomllib.loads(text.replace(written_line, "").replace(offered, offered.removeprefix("# ")))
    assert config["columns"]["leave_out"].keys() == {"store_view_code", "product_online"}
