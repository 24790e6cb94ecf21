"""A shop made by hand whose days are evaluated one after the other: runs of a random model, engagements, pictures."""

import datetime as dt
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from random_models import PICTURE_DIM
from run_builder import RunBuilder

from model.items.query_encoder import QueryEncoder
from pipelines.evaluate.job import evaluate_or_reuse
from pipelines.evaluate.query_pictures import PATH
from schemas.files import write_json
from schemas.records.tfrecords import ItemFeatures, encode_features, write_records
from schemas.tables import EMBEDDING_DIM, ENGAGEMENTS, ITEMS

NUM_ITEMS = 40
BUCKET = "bucket-00000-of-00001"
WORDS = ("red", "blue", "green", "wool", "silk", "dress", "lamp", "chair", "table", "scarf")
IDS = [f"item-{number:02d}" for number in range(NUM_ITEMS)]
PICTURES = [f"queries/q{number}.png" for number in range(4)]
CUT = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
LAST = dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC)
DATE, NEXT_DATE = "2026-06-30", "2026-07-01"
Row = dict[str, Any]


def row(surface: str, query: str | None, item: int, action: str = "click", when: dt.datetime = LAST) -> Row:
    """An engagement with the item of that number; query: words, or the path of a picture."""
    return {"timestamp": when, "surface": surface, "query": query, "item_id": IDS[item], "action": action}


ROWS = [
    *[row("search", f"{WORDS[n]} {WORDS[n - 3]}", n) for n in range(10)],
    row("search", WORDS[0], 3, "save"),
    *[row("closeup", uri, 5 + number) for number, uri in enumerate(PICTURES)],
    row("home", None, 4),
    row("search", "red", 7, "impression"),
    *[row("search", "blue", n % 3, when=CUT - dt.timedelta(days=1)) for n in range(6)],
]


def write_rows(path: Path, rows: list[Row]) -> str:
    """The log of these engagements."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=ENGAGEMENTS), path)
    return str(path)


def draw_picture(path: Path, seed: int) -> None:
    """A picture that is no longer fresh; of one size in bytes, whatever is drawn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).resize((64, 64)).save(path, format="BMP")
    settle(path)


def settle(path: Path) -> None:
    """Makes a file that was written now one that was written a minute ago."""
    settled_ns = path.stat().st_mtime_ns - 60_000_000_000
    os.utime(path, ns=(settled_ns, settled_ns))


def write_unit(run: Path, stage: str, path: str, write: Callable[[str], object], **facts: Any) -> None:
    """A finished stage of one unit with one file."""
    RunBuilder(run).stage(stage, {path: write}, **facts)


def write_run(
    run: Path, model: Path, item_pictures: dict[int, tuple[bytes, np.ndarray]] | None = None, **caps: int
) -> Path:
    """items/, features/ (item -> sha256 and vector of its one picture), made with these caps, and embeddings/."""
    item_pictures = item_pictures or {}
    titles = [f"{WORDS[n % 10]} {WORDS[(n * 7 + n // 10) % 10]}" for n in range(NUM_ITEMS)]
    items = [{"item_id": IDS[n], "title": titles[n], "images": []} for n in range(NUM_ITEMS)]
    table = pa.Table.from_pylist(items, schema=ITEMS)
    write_unit(run, "items", f"items/{BUCKET}.parquet", lambda path: pq.write_table(table, path), num_buckets=1)
    blank = np.zeros((0, PICTURE_DIM), np.float16)
    records = [
        ItemFeatures(
            item_id=IDS[n],
            token_ids=np.zeros(0, np.int32),
            token_offsets=np.zeros(13, np.int32),
            pictures=item_pictures[n][1][None] if n in item_pictures else blank,
            picture_sha256=(item_pictures[n][0],) if n in item_pictures else (),
        )
        for n in range(NUM_ITEMS)
    ]
    write_unit(
        run,
        "features",
        f"features/{BUCKET}.tfrecord",
        lambda path: write_records(path, map(encode_features, records)),
        encoder_id=QueryEncoder(model).image_encoder_spec.encoder_id,
        **caps,
    )
    vectors = np.random.default_rng(0).standard_normal((NUM_ITEMS, EMBEDDING_DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return RunBuilder(run, model.name).embeddings(IDS, vectors).run


@dataclass
class Days:
    """A shop whose days are evaluated one after the other; `loads` counts what the last one loaded and opened."""

    folder: Path
    model: Path
    loads: Counter[str]
    run: Path | None = None

    @property
    def image_root(self) -> Path:
        return self.folder / "images"

    def new_run(self, **given: Any) -> Path:
        number = len(list(self.folder.glob("runs/*/*")))
        return write_run(self.folder / "runs" / DATE / f"{number:016x}", self.model, **given)

    def day(self, rows: list[Row] | str = ROWS, run: Path | None = None, **given: Any) -> tuple[dict[str, Any], bool]:
        """Evaluates the next day's run, with the last one as yesterday, and writes its metrics.json."""
        run = run or self.new_run()
        log = rows if isinstance(rows, str) else write_rows(self.folder / f"{run.name}.parquet", rows)
        self.loads.clear()
        facts = {"engagements": log, "image_root": str(self.image_root), "date": DATE, "columns": {}, **given}
        report, reused = evaluate_or_reuse(run, self.model, self.run, **facts)
        assert json.loads(json.dumps(report)) == report
        write_json(run / "metrics.json", report)
        self.run = run
        return report, reused

    def from_scratch(self, rows: list[Row] | str = ROWS, **given: Any) -> dict[str, Any]:
        """The report of a shop without a yesterday."""
        other = Days(self.folder / "fresh", self.model, self.loads)
        shutil.rmtree(other.folder, ignore_errors=True)
        shutil.copytree(self.image_root, other.image_root)
        report, reused = other.day(rows, **given)
        assert not reused
        return report

    def cached(self) -> list[Row]:
        assert self.run is not None
        return pq.read_table(self.run / PATH).to_pylist()


def task(report: dict[str, Any], name: str) -> dict[str, Any]:
    """The report's entry of that task."""
    return next(entry for entry in report["tasks"] if entry["task"] == name)


def publish_by_hand(shop: Days) -> None:
    """The last day's run as far as the command looks at it."""
    store, run = shop.folder, shop.run
    (store / "models").mkdir()
    (store / "models" / shop.model.name).symlink_to(shop.model)
    RunBuilder(run, shop.model.name).publish(point=True)
