"""What a day costs when little has changed: seconds of a whole `itemsage daily` process, as shares of the first run's.

    python -m benchmarks.cost_of_a_day --out FOLDER [--items 20000] [--change 0.01]

A sample shop with pictures and engagements, so that users are made and the run is evaluated; the model is trained on
another, small shop, so the first run computes everything. The next day has the same catalogue, the third a share of
changed rows: a quarter each new text, new picture, gone, new. Then the third day is run in a fresh store: its published
bytes must be the same. Bars: no change <= 10 %, 1 % changed <= 15 %.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.store import store
from schemas.hashing import seed_of
from schemas.records.user_rows import POPULARITY_FOLDER, USER_ACTIONS_FOLDER, USERS_FOLDER
from schemas.sample_shop.generate import finished_shop, generate

DAYS = ("2026-07-01", "2026-07-02", "2026-07-03")
#: Importance decays by day.
OF_USERS = (f"{USERS_FOLDER}/", f"{USER_ACTIONS_FOLDER}/", f"{POPULARITY_FOLDER}/")


def itemsage(*argv: str) -> float:
    """Seconds of a command in a process of its own."""
    started_s = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pipelines.cli", *argv], check=True, stdout=sys.stderr)
    return time.perf_counter() - started_s


def prepare(out: Path, items: int) -> None:
    """The shop, a small shop to train on, and the model."""
    for name, count, seed in (("shop", items, 0), ("small", 300, 99)):
        if finished_shop(out / name) is None:
            generate(out / name, items=count, seed=seed)
    small = out / "small"
    places = ["--catalog", f"{small}/catalog.parquet", "--image-root", str(small), "--store", str(out / "store")]
    places += ["--engagements", f"{small}/engagements.parquet", "--date", "2026-06-30"]
    itemsage("train", *places, "--image-encoder", "efficientnet_lite0", "--pseudo-queries", "4", "--epochs", "1")


def split_catalog(out: Path, change: float) -> tuple[pa.Table, pa.Table]:
    """(catalogue of the first days, catalogue of the third): a share of the rows differs, in four equal parts."""
    table = pq.read_table(out / "shop" / "catalog.parquet")
    generator = np.random.default_rng(seed_of("cost of a day"))
    quarter = max(1, int(len(table) * change / 4))
    picked = generator.choice(len(table), 4 * quarter, replace=False)
    texts, pictures, gone, new = (set(picked[i * quarter : (i + 1) * quarter].tolist()) for i in range(4))
    rows = table.to_pylist()
    first = [row for number, row in enumerate(rows) if number not in new]
    third = []
    for number, row in enumerate(rows):
        if number in texts:
            row = {**row, "title": f"{row['title']} limited edition {number}"}
        if number in pictures:
            row = {**row, "images": new_pictures(out / "shop", row["images"] or [], number)}
        if number not in gone:
            third.append(row)
    return pa.Table.from_pylist(first, schema=table.schema), pa.Table.from_pylist(third, schema=table.schema)


def new_pictures(shop: Path, uris: list[str], number: int) -> list[str]:
    """The item's own files, with other bytes: a comment after the end, which changes the content and not the look."""
    renewed = []
    for place, uri in enumerate(uris):
        source = shop / uri
        if source.is_file() and shop in source.resolve().parents:
            target = shop / "images" / f"renewed-{number}-{place}{source.suffix}"
            target.write_bytes(source.read_bytes() + f"renewed {number}".encode())
            uri = target.relative_to(shop).as_posix()
        renewed.append(uri)
    return renewed


def published(folder: Path) -> dict[str, str]:
    """Path -> sha256 of what readers see, and the counts of the run."""
    manifest = json.loads((store.current_run(str(folder)) / "manifest.json").read_text())
    return {entry["path"]: entry["sha256"] for entry in manifest["files"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the shop and the stores; may exist")
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--change", type=float, default=0.01, help="share of the rows that differ on the third day")
    arguments = parser.parse_args()
    out: Path = arguments.out.resolve()
    prepare(out, arguments.items)
    first, third = split_catalog(out, arguments.change)
    seconds, bytes_of_day = [], []
    fresh = out / "fresh"
    fresh.mkdir(exist_ok=True)
    (fresh / "models").symlink_to(out / "store" / "models")
    days = [(out / "store", date, table) for date, table in zip(DAYS, (first, first, third), strict=True)]
    for folder, date, table in [*days, (fresh, DAYS[-1], third)]:
        catalog = out / f"catalog-{date}.parquet"
        pq.write_table(table, catalog)
        places = ["--catalog", str(catalog), "--image-root", str(out / "shop"), "--store", str(folder)]
        places += ["--engagements", str(out / "shop" / "engagements.parquet")]
        seconds.append(itemsage("daily", *places, "--date", date))
        bytes_of_day.append(published(folder))
        counts = json.loads((store.current_run(str(folder)) / "manifest.json").read_text())["counts"]
        print(f"{date} {seconds[-1]:7.1f} s  {counts}", flush=True)
    print(f"no change: {seconds[1] / seconds[0]:.1%} of the first run's seconds (bar 10 %)")
    print(f"{arguments.change:.1%} changed: {seconds[2] / seconds[0]:.1%} of the first run's seconds (bar 15 %)")
    of_items = [{p: sha for p, sha in day.items() if not p.startswith(OF_USERS)} for day in bytes_of_day]
    print(f"same embeddings and index as the day before, no change: {of_items[1] == of_items[0]}")
    print(f"same bytes as a fresh store, changed: {bytes_of_day[2] == bytes_of_day[3]}")


if __name__ == "__main__":
    main()
