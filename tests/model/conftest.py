"""A tiny run folder to train on: items of eight kinds, text and picture queries that tell the kind."""

from pathlib import Path

import numpy as np
import pytest

from model.training import step_choice
from model.training.data import TrainingData
from schemas.hashing import stable_hash
from schemas.records.tfrecords import ItemFeatures, Pair, encode_features, encode_pair, write_records
from schemas.tables import DISTILLATION, NUM_TEXT_FIELDS

NUM_ITEMS, NUM_KINDS, PICTURE_DIM, VOCABULARY = 96, 8, 16, 500


def _item(number: int, generator: np.random.Generator, kinds: np.ndarray) -> ItemFeatures:
    lengths = generator.integers(0, 4, NUM_TEXT_FIELDS) * (number % 7 != 3)
    own_words = generator.integers(100, VOCABULARY, lengths.sum())
    words = np.where(generator.random(lengths.sum()) < 0.5, 1 + number % NUM_KINDS, own_words)
    num_pictures = number % 4 or (1 if lengths.sum() == 0 else 0)
    pictures = kinds[number % NUM_KINDS] + 0.5 * generator.normal(size=(num_pictures, PICTURE_DIM))
    return ItemFeatures(
        item_id=f"item-{number:03d}",
        token_ids=words.astype(np.int32),
        token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
        pictures=pictures.astype(np.float16).reshape(num_pictures, PICTURE_DIM if num_pictures else 0),
    )


def _pairs(count: int, generator: np.random.Generator, kinds: np.ndarray) -> list[Pair]:
    pairs = []
    for _ in range(count):
        item = int(generator.integers(NUM_ITEMS))
        draw = generator.random()
        task = "search/click" if draw < 0.5 else "closeup/save" if draw < 0.95 else "search/checkout"
        query = int(generator.integers(30))
        own = np.random.default_rng([item % NUM_KINDS, query])  # one query, one picture
        picture = kinds[item % NUM_KINDS] + 0.3 * own.normal(size=PICTURE_DIM)
        is_text = task.startswith("search")
        tokens = np.array([1 + item % NUM_KINDS, 100 + query], np.int32)
        pairs.append(
            Pair(
                task=task,
                query_id=stable_hash(f"{is_text}-{tokens[0]}-{query}") >> 1,
                item_id=f"item-{item:03d}",
                query_token_ids=tokens if is_text else np.zeros(0, np.int32),
                query_picture=np.zeros(0, np.float16) if is_text else picture.astype(np.float16),
                count=1 + int(generator.integers(3)),
                query_item_count=2.0,
                query_count=5.0,
            )
        )
    return pairs


def write_run(folder: Path, seed: int = 0) -> Path:
    """Features and pairs of a run folder: 96 items, 600 training pairs, 120 validation pairs, three tasks; 300 others
    that are text queries of the distillation."""
    generator = np.random.default_rng(seed)
    kinds = generator.normal(size=(NUM_KINDS, PICTURE_DIM))
    items = [_item(number, generator, kinds) for number in range(NUM_ITEMS)]
    (folder / "features").mkdir(parents=True)
    for bucket in range(2):
        payloads = [encode_features(item) for item in items[bucket::2]]
        write_records(folder / "features" / f"bucket-{bucket:05d}-of-00002.tfrecord", payloads)
    parts = {part: _pairs(count, generator, kinds) for part, count in (("train", 600), ("validation", 120))}
    others = _pairs(600, np.random.default_rng([seed, 1]), kinds)
    parts[DISTILLATION] = [pair for pair in others if len(pair.query_token_ids)][:300]
    for part, pairs in parts.items():
        (folder / "pairs" / part).mkdir(parents=True)
        payloads = [encode_pair(pair) for pair in pairs]
        write_records(folder / "pairs" / part / "bucket-00000-of-00001.tfrecord", payloads)
    return folder


@pytest.fixture(scope="session")
def training_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with features and pairs, read-only by convention."""
    return write_run(tmp_path_factory.mktemp("training") / "run")


@pytest.fixture(scope="module")
def data(training_run: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return TrainingData.open(training_run, tmp_path_factory.mktemp("cache"), picture_dim=PICTURE_DIM)


@pytest.fixture
def a_few_pairs_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run folder is small: let its validation choose the step all the same."""
    monkeypatch.setattr(step_choice, "MIN_PAIRS", 0)
    monkeypatch.setattr(step_choice, "MIN_QUERIES", 0)
