"""`itemsage init --format`: files whose names do not tell what they are, such as an unload or an archive of events."""

import gzip
import json
from pathlib import Path

import pytest
from export_files import write_google_tsv
from init_calls import PRODUCTS, refused, write_csv, written

from pipelines.ingest import job as ingest


def test_an_unload_without_endings(capsys):
    Path("unload").mkdir()
    for name, start in (("data_0_0_0", 0), ("data_0_1_0", 2)):
        write_csv(f"unload/{name}", "SKU,TITLE", *(f"a{n},red scarf {n}" for n in range(start, start + 2)))
    assert "--format csv|tsv|json|parquet|rss" in refused(capsys, "unload")
    shop = written("unload", "--format", "csv")
    assert (shop["format"], shop["catalog"]) == ({"type": "csv"}, "unload")
    assert shop["columns"]["item_id"] == "SKU"
    assert ingest.main(["--config", "shop.toml", "--run", "run"]) == 0  # as it is written


@pytest.mark.parametrize("from_flag", [[], ["--from", "ga4"]])
def test_an_archive_of_events_beside_an_unload(from_flag):
    Path("events").mkdir()
    write_google_tsv(Path("products"), PRODUCTS)
    event = {"event_name": "view_item", "user_pseudo_id": "u"}
    lines = [event | {"event_timestamp": 1_781_000_000_000_000 + n, "item_id": p.sku} for n, p in enumerate(PRODUCTS)]
    Path("events/1760000000000.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    Path("products").rename("products.tsv")
    shop = written(*from_flag, "events", "--catalog", "products.tsv", "--format", "json")
    assert (shop["format"], shop["engagements"], shop["catalog"]) == ({"type": "json"}, "events", "products.tsv")
    Path("products.tsv").rename("products")
    Path("events/1760000000000.gz").rename("events/1760000000000.json.gz")
    shop = written(*from_flag, "events", "--catalog", "products", "--format", "tsv")
    assert (shop["format"]["type"], shop["engagements"], shop["catalog"]) == ("tsv", "events", "products")


def test_a_table_whose_first_line_is_a_row(capsys):
    """Refused by init, also where a value that comes again alone shows it; read by the names that a config gives."""
    write_csv("t.csv", *(f"a{n},red scarf {n},Acme" for n in range(4)))
    told = refused(capsys, "t.csv")
    assert "'Acme' looks like a value" in told
    assert "all 3 in their order, into the config: [format] header = " in told
    columns = '[columns]\nitem_id = "sku"\ntitle = "name"\n'
    lines = ['catalog = "t.csv"', 'image_encoder = "none"', "[format]", 'header = ["sku", "name", ""]', columns]
    Path("shop.toml").write_text("\n".join(lines))
    assert ingest.main(["--config", "shop.toml", "--run", "run"]) == 0
    assert "items: t.csv: the config names its columns" in (told := capsys.readouterr().out)
    assert "rows read 4, rows written 4" in told
    Path("shop.toml").write_text(f'catalog = "t.csv"\nimage_encoder = "none"\n{columns}')
    assert ingest.main(["--config", "shop.toml", "--run", "other"]) == 2
    assert "'Acme' looks like a value" in capsys.readouterr().err
