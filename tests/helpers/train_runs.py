"""Small shops to train on, `itemsage train` on them, and what it leaves behind."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipelines.train import job as train
from schemas.tables import ENGAGEMENTS

DATE = "2026-06-30"
#: A table of a hundred megabytes, which training writes nine times, shows nothing that one of 256 KB does not.
SMALL_MODEL = {"hash_rows": 1_000, "hash_dim": 64, "width": 64, "ffn_dim": 64, "mlp_dim": 64}
SMALL = tuple(f"--{name.replace('_', '-')}={value}" for name, value in SMALL_MODEL.items())
TINY = ("--pseudo-queries", "4", "--epochs", "1", "--min-steps", "4", "--batch-size", "32", "--device", "cpu", *SMALL)
COLOURS = ("red", "green", "blue", "white", "black")
ENCODER = ("--image-encoder", "efficientnet_lite0")


def write_catalogue(folder: Path, count: int = 40, missing: int = 0, **columns: list) -> None:
    """catalog.parquet of mugs with a picture each, of which the first `missing` are not there. columns: in place of
    ours, None for none."""
    folder.mkdir(parents=True, exist_ok=True)
    table = {
        "item_id": [f"item-{number:03d}" for number in range(count)],
        "title": [f"{COLOURS[number % 5]} mug number {number}" for number in range(count)],
        "images": [[f"{number}.png"] for number in range(count)],
    }
    for number in range(missing, count):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((32, 32)).save(folder / f"{number}.png")
    table = {name: values for name, values in (table | columns).items() if values is not None}
    pq.write_table(pa.table(table), folder / "catalog.parquet")


def write_log(folder: Path, count: int = 40, num_rows: int = 400) -> None:
    """log.parquet: who asks for a colour clicks on mugs of another one: training can learn it, its start cannot."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(num_rows):
        item = int(random.integers(count))
        when = dt.datetime(2026, 6, 1, tzinfo=dt.UTC) + dt.timedelta(hours=number)
        rest = {"user_id": None, "session_id": None, "surface": "search", "action": "click"}
        rows.append({"timestamp": when, "item_id": f"item-{item:03d}", "query": COLOURS[(item + 1) % 5], **rest})
    pq.write_table(pa.Table.from_pylist(rows, schema=ENGAGEMENTS), folder / "log.parquet")


def models_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Model id -> its manifest and metrics."""
    found = (folder / "store" / "models").glob("itemsage-*")
    read = {
        path.name: [json.loads((path / f"{name}.json").read_text()) for name in ("manifest", "metrics")]
        for path in found
    }
    return {name: {**manifest, "metrics": metrics} for name, (manifest, metrics) in read.items()}


def run_train(folder: Path, *flags: str) -> int:
    places = ("--catalog", f"{folder}/catalog.parquet", "--image-root", str(folder), "--store", f"{folder}/store")
    return train.main([*places, "--date", DATE, *TINY, *flags])


def training_folder(folder: Path) -> Path:
    (found,) = (folder / "store" / "training" / DATE).iterdir()
    return found
