"""The pages of docs/starts: their commands are run as they stand, on an export of a made shop, and every product comes
out with its texts and its pictures."""

import gzip
import json
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from exploration import soak
from export_files import (
    Product,
    ga4_events,
    made_products,
    write_ga4_json,
    write_ga4_parquet,
    write_google_tsv,
    write_google_xml,
    write_own_csv,
    write_shopify,
    write_woocommerce,
)
from made_pictures import encoded, smooth_picture
from picture_server import PictureServer, picture_server
from python_process import ROOT
from train_runs import SMALL

from pipelines import cli
from pipelines.store import store
from schemas.pictures.urls import fetched_path

pytestmark = pytest.mark.slow
COUNT = 30
#: What a test adds to the commands of a page: pictures lie on this machine, and training is short.
ADDED = {
    "fetch-images": ["--allow-private", "--max-requests-per-host-s", "1000", "--concurrent-per-host", "8"],
    "train": ["--min-steps", "4", "--epochs", "1", "--batch-size", "32", "--device", "cpu", *SMALL],
}
_COMMANDS = re.compile(r"^```\n(itemsage .*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def pictures() -> PictureServer:
    with picture_server() as server:
        for number in range(2 * COUNT):
            server.put(f"/{number}.jpg?v={number}", encoded(smooth_picture(number, (48, 48)), "JPEG"))
        yield server


@pytest.fixture(scope="module")
def products(pictures: PictureServer) -> list[Product]:
    return made_products(5, COUNT, [pictures.url(path) for path in pictures.answers])


def commands_of(page: str) -> list[list[str]]:
    """The commands that the page tells to type, without `itemsage`."""
    (block,) = _COMMANDS.findall((ROOT / "docs" / "starts" / page).read_text())
    return [shlex.split(line)[1:] for line in block.splitlines()]


def log_of(path: Path, products: Sequence[Product], id_of: Callable[[Product], str]) -> None:
    write = write_ga4_parquet if path.suffix == ".parquet" else write_ga4_json
    write(path, ga4_events(7, list(map(id_of, products)), 200, [product.title.lower() for product in products]))


def handle_of(product: Product) -> str:
    return product.handle


def sku_of(product: Product) -> str:
    return product.sku


def ga4_beside_shopify(folder: Path, products: Sequence[Product]) -> None:
    write_shopify(folder / "products_export.csv", products)
    log_of(folder / "events.parquet", products, handle_of)


def segment_beside_feed(folder: Path, products: Sequence[Product]) -> None:
    """Tracked events as Segment archives them: files without an ending that tells what they are."""
    write_google_xml(folder / "feed.xml", products)
    events = []
    for number in range(200):
        person = {
            "anonymousId": f"a{number % 20}",
            "timestamp": f"2026-06-{1 + number % 30:02}T10:{number % 60:02}:00Z",
        }
        product, other = products[number % len(products)], products[(7 * number + 1) % len(products)]
        ordered = {"products": [{"product_id": product.sku}, {"product_id": other.sku}]}
        viewed = {"product_id": product.sku, "name": product.title}
        told = ("Product Viewed", viewed) if number % 4 else ("Order Completed", ordered)
        events.append({**person, "type": "track", "event": told[0], "properties": told[1]})
        events.append({**person, "type": "page", "name": "Home", "properties": {"path": "/"}})
    (folder / "segment-logs").mkdir()
    for number in range(2):
        lines = "\n".join(map(json.dumps, events[number::2]))
        (folder / "segment-logs" / f"{1_760_000_000_000 + number}.gz").write_bytes(gzip.compress(lines.encode()))


def in_the_folder(name: str, write: Callable[[Path, Sequence[Product]], None]) -> Callable[..., None]:
    return lambda folder, products: write(folder / name, products)


STARTS = {
    "shopify": ("shopify.md", in_the_folder("products_export.csv", write_shopify), handle_of),
    "woocommerce": ("woocommerce.md", in_the_folder("wc-product-export.csv", write_woocommerce), sku_of),
    "google-xml": ("google-feed.md", in_the_folder("feed.xml", write_google_xml), sku_of),
    "google-tsv": ("google-feed.md", in_the_folder("feed.tsv", write_google_tsv), sku_of),
    "ga4": ("ga4.md", ga4_beside_shopify, handle_of),
    "log": ("log.md", segment_beside_feed, sku_of),
    "csv": ("csv.md", in_the_folder("products.csv", write_own_csv), lambda product: f"{product.number:05d}"),
}
#: Tables, as Shopify's and the shop's feed: what `init` finds in each form, tests/pipelines/init has without training.
LIKE_OTHERS = ("woocommerce", "google-tsv", "csv")
#: Added to the same where training is as long as the page says.
NO_LESS = ADDED | {"train": []}


@pytest.mark.parametrize(
    ("start", "added"),
    [
        *((start, ADDED) for start in STARTS if start not in LIKE_OTHERS),
        *soak(*((start, ADDED) for start in LIKE_OTHERS), ("shopify", NO_LESS), ("ga4", NO_LESS)),
    ],
)
def test_the_commands_of_a_page_publish_every_product_with_its_texts_and_pictures(
    start, added, products, tmp_path, monkeypatch, capsys
):
    page, write, id_of = STARTS[start]
    write(tmp_path, products)
    monkeypatch.chdir(tmp_path)
    commands = commands_of(page)
    assert [command for command, *_ in commands] == ["init", "fetch-images", "train", "daily", "search"]
    for command, *arguments in commands:
        arguments = ["feed.tsv" if start == "google-tsv" and word == "feed.xml" else word for word in arguments]
        assert cli.main([command, *arguments, *added.get(command, [])]) == 0, capsys.readouterr()
    run = store.current_run("store")
    published = {row["item_id"]: row for row in ds.dataset(run / "items").to_table().to_pylist()}
    assert published.keys() == {id_of(product) for product in products}
    assert set(ds.dataset(run / "embeddings").to_table()["item_id"].to_pylist()) == published.keys()
    for product in products:
        item = published[id_of(product)]
        assert item["images"] == list(product.pictures)
        assert all(Path("images", str(fetched_path(url))).is_file() for url in product.pictures)
        assert item["title"] == product.title
        assert product.words in item["description"]
        assert product.colour in item["colors"]
        assert start == "woocommerce" or item["brand"] == product.brand
    quarantined = [row for path in run.glob("quarantine/*.parquet") for row in pq.read_table(path).to_pylist()]
    assert quarantined == []
