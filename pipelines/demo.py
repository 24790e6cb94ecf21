"""`itemsage demo FOLDER`: a shop, a model, a daily run, a few searches and a user's recommendations: the whole in
minutes.

What `make run` calls. Run it again and what is finished is not done again.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import sample_shop
from pipelines.console.jobs import beam_options, exit_code
from pipelines.console.paths import check_local
from pipelines.daily import job as daily
from pipelines.daily.config import DailyConfig
from pipelines.recommend import format_answer
from pipelines.search import format_results
from pipelines.serving.recommendation_types import Settings
from pipelines.serving.recommender import Recommender
from pipelines.serving.searcher import Searcher
from pipelines.train import job as train
from schemas import storage
from schemas.errors import UsageError
from schemas.records.user_rows import USERS_FOLDER
from schemas.records.users import read_users
from schemas.sample_shop import finished_shop

DATE = "2026-06-30"
EPOCHS = 3
BATCH_SIZE = 256
NUM_SEARCHES = 3
TOP = 5


def run(folder: Path, items: int, seed: int) -> None:
    """Makes the shop (once), trains, runs the day, searches."""
    started_s = time.monotonic()
    shop, store = folder / "shop", str(folder / "store")
    made = finished_shop(shop)
    if made is None or (made["items"], made["seed"]) != (items, seed):
        code = sample_shop.main([str(shop), "--items", str(items), "--seed", str(seed)])
        if code:
            raise UsageError(f"expected the sample shop in {shop}, got exit code {code} while making it")
    catalog, engagements = f"{shop}/catalog.parquet", f"{shop}/engagements.parquet"
    options = beam_options([])
    train.run(
        train.TrainConfig(
            catalog=catalog,
            engagements=engagements,
            image_root=str(shop),
            store=store,
            date=DATE,
            image_encoder="efficientnet_lite0",
            epochs=EPOCHS,
            batch_size=BATCH_SIZE,
            pseudo_queries=4,
            seed=seed,
        ),
        options,
    )
    places = DailyConfig(catalog=catalog, engagements=engagements, image_root=str(shop), store=store, date=DATE)
    daily.run(places, options)
    show_searches(store, shop)
    show_recommendations(store)
    print(f"\nall of it: {time.monotonic() - started_s:.0f} s. Next: itemsage search --store {store} --text '...'")


def show_searches(store: str, shop: Path) -> None:
    """Prints a few searches by text, by picture and by item; the queries are the last ones of the shop's own log."""
    searcher = Searcher(store)
    for surface, label in (("search", "text"), ("closeup", "picture")):
        for query in last_queries(shop, surface, NUM_SEARCHES):
            print(f"\n{label} -> items   {query}")
            found = searcher.by_text([query], TOP) if label == "text" else searcher.by_image([shop / query], TOP)
            print(format_results(found[0]))
    item = searcher.item_ids[len(searcher.item_ids) // 2].as_py()
    print(f"\nitem -> items   {item}   {searcher.titles([item])[0]}")
    print(format_results(searcher.by_item([item], TOP)[0]))


def show_recommendations(store: str) -> None:
    """Prints the interests of the first user of the run, and what they lead to."""
    recommender = Recommender(store)
    files = storage.paths_in(recommender.run / USERS_FOLDER, "*.parquet")
    user = next(user for file in files for user in read_users(file)[0].ids.to_pylist())
    print(f"\nuser -> items   {user}")
    print(format_answer(recommender.recommend(user, settings=Settings(top=TOP))))


def last_queries(shop: Path, surface: str, count: int) -> list[str]:
    """The last distinct queries of clicks on a surface."""
    log = pq.read_table(shop / "engagements.parquet", columns=["surface", "action", "query"])
    clicks = log.filter(
        (pc.field("surface") == surface) & (pc.field("action") == "click") & pc.field("query").is_valid()
    )
    return list(dict.fromkeys(reversed(clicks["query"].to_pylist())))[:count]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="itemsage demo",
        description=(__doc__ or "").split("\n\n")[0],
        epilog="example:\n  itemsage demo demo --items 2000",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", help="where the shop and the store go")
    parser.add_argument("--items", type=int, default=2000, help="items of the sample shop")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)

    def job() -> None:
        check_local(arguments.folder, "FOLDER")
        run(Path(arguments.folder), arguments.items, arguments.seed)

    return exit_code(job)


if __name__ == "__main__":
    sys.exit(main())
