"""A small store with a published run, a random model and pictures, made by hand: what `itemsage search` reads."""

from pathlib import Path

import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from PIL import Image
from run_builder import RunBuilder

from model.items.itemsage import ItemSage, ItemSageConfig
from model.items.store import save_model
from model.text.vocabulary import Vocabulary
from pipelines.index import job as index
from schemas.tables import EMBEDDING_DIM, ITEMS

NUM_BUCKETS = 3
NUM_TEXT_ITEMS, NUM_PICTURE_ITEMS = 60, 3
WORDS = ("red", "blue", "green", "wool", "silk", "dress", "lamp", "chair", "table", "scarf")
ESCAPE_TITLE = "night \x1b[31mlamp\u202e \u96ea"
TEXT_TASKS, PICTURE_TASKS = {"search/click": 10}, {"closeup/click": 10}


def titles() -> list[str | None]:
    named = [f"{WORDS[n % 10]} {WORDS[(n * 7 + n // 10) % 10]} number {n}" for n in range(NUM_TEXT_ITEMS - 1)]
    return [*named, ESCAPE_TITLE, *[None] * NUM_PICTURE_ITEMS]


def item_ids() -> list[str]:
    return [f"item-{n:03d}" for n in range(NUM_TEXT_ITEMS + NUM_PICTURE_ITEMS)]


def picture_path(folder: Path, number: int) -> Path:
    return folder / f"picture-{number}.png"


def write_pictures(folder: Path) -> None:
    for number in range(NUM_PICTURE_ITEMS):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((300, 260)).save(picture_path(folder, number))


def write_model(
    store: Path,
    image_encoder: Path,
    towers: dict[str, dict[str, int]],
    seed: int = 0,
    vocabulary: Vocabulary | None = None,
) -> str:
    vocabulary = vocabulary or Vocabulary.hashing(5_000)
    vocabulary.save(store / "vocabulary")
    config = ItemSageConfig(
        vocabulary_size=vocabulary.size, picture_dim=512, hash_rows=2_000, width=32, ffn_dim=32, mlp_dim=32, seed=seed
    )
    model_id = save_model(
        ItemSage(config),
        store / ".model",
        vocabulary_folder=store / "vocabulary",
        image_encoder_folder=image_encoder,
        towers=towers,
        split={"kind": "query_hash"},
        metrics={},
    )
    (store / "models").mkdir()
    (store / ".model").rename(store / "models" / model_id)
    return model_id


def write_run(store: Path, model_id: str, vectors: np.ndarray) -> Path:
    """A finished run by hand: items, embeddings, the index stage, manifest, COMPLETED, CURRENT."""
    run = store / "runs" / "2026-06-30" / "0123456789abcdef"
    named = zip(item_ids(), titles(), strict=True)
    rows = [{"item_id": item_id, "title": title, "images": []} for item_id, title in named]
    builder = RunBuilder(run, model_id).items(rows, ITEMS, NUM_BUCKETS).embeddings(item_ids(), vectors)
    builder.features([], NUM_BUCKETS)
    index.run(index.IndexConfig(run=str(run)), PipelineOptions(["--runner=FnApiRunner"]))
    return builder.publish(point=True).run


def random_vectors() -> np.ndarray:
    vectors = np.random.default_rng(0).standard_normal((len(item_ids()), EMBEDDING_DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
