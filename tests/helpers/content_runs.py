"""Runs whose items have attributes and pictures, and what the sources that learn from them leave behind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from run_builder import RunBuilder

from pipelines.sources import job as sources
from schemas.hashing import seed_of
from schemas.records.tfrecords import ItemFeatures
from schemas.tables import ITEMS, NUM_TEXT_FIELDS, TEXT_FIELDS

ITEM_IDS = [f"item-{number:03d}" for number in range(60)]
NUM_BUCKETS, PICTURE_DIM = 3, 12
#: An item without attributes, and one without pictures.
PLAIN, BLIND = ITEM_IDS[7], ITEM_IDS[11]


def item_row(item_id: str) -> dict[str, Any]:
    """A row of ITEMS: of two brands and three colours, chosen by the number in its id."""
    number = int(item_id.rpartition("-")[2])
    row = {"item_id": item_id, **dict.fromkeys(TEXT_FIELDS), "title": f"number {number}", "images": []}
    if item_id == PLAIN:
        return row
    return row | {"brand": ("Acme", "Harrow & Finch")[number % 2], "colors": ("red", "green blue", "white")[number % 3]}


def item_features(item_id: str) -> ItemFeatures:
    """Three pictures around a point of the item's own; of BLIND none."""
    random = np.random.default_rng(seed_of(item_id))
    around = random.standard_normal(PICTURE_DIM)
    noise = random.standard_normal((0 if item_id == BLIND else 3, PICTURE_DIM))
    return ItemFeatures(
        item_id=item_id,
        token_ids=np.ones(1, np.int32),
        token_offsets=np.array([0] + [1] * NUM_TEXT_FIELDS, np.int32),
        pictures=(around + 0.3 * noise).astype(np.float16),
    )


def content_run(run: Path, item_ids: Sequence[str] = ITEM_IDS, num_buckets: int = NUM_BUCKETS, **facts: Any) -> Path:
    """A run folder with finished items and features. facts: of the features."""
    builder = RunBuilder(run).items([item_row(name) for name in item_ids], ITEMS, num_buckets)
    return builder.features([item_features(name) for name in item_ids], num_buckets, **facts).run


def run_content_sources(run: Path, *flags: str) -> int:
    """Exit code of `itemsage sources` for both, on small vectors."""
    return sources.main(["--run", str(run), "--sources", "dae,siamese", "--dim", "8", *flags])
