"""A text field's own weight: what is asked for stands in one field, and another one says the same of other items."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.training import step_choice
from model.training.config import TrainingConfig, TrainingResult
from model.training.data import TrainingData
from model.training.train import train
from schemas.hashing import stable_hash
from schemas.records.tfrecords import ItemFeatures, Pair, encode_features, encode_pair, write_records
from schemas.tables import NUM_TEXT_FIELDS, TEXT_FIELDS

pytestmark = pytest.mark.slow

NUM_ITEMS = 400
MODEL = ItemSageConfig(
    vocabulary_size=NUM_ITEMS + 1,
    picture_dim=0,
    hash_rows=2_000,
    hash_dim=64,
    width=160,
    heads=4,
    ffn_dim=64,
    mlp_dim=128,
    output_dim=64,
)
STILL = {"learning_rate": 0.0, "table_learning_rate": 0.0, "importance_learning_rate": 0.0}


@pytest.fixture(autouse=True)
def few_pairs_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_choice, "MIN_PAIRS", 10)
    monkeypatch.setattr(step_choice, "MIN_QUERIES", 10)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """Items whose title is a word of their own, and whose description names another one."""
    folder, random = tmp_path_factory.mktemp("named"), np.random.default_rng(0)
    items: list[ItemFeatures] = []
    pairs: dict[str, list[Pair]] = {"train": [], "validation": []}
    for number in range(NUM_ITEMS):
        word = 1 + number
        tokens = [word, 1 + int(random.integers(NUM_ITEMS))]
        items.append(
            ItemFeatures(
                item_id=f"item-{number}",
                token_ids=np.array(tokens, np.int32),
                token_offsets=np.array([0, 1] + [len(tokens)] * (NUM_TEXT_FIELDS - 1), np.int32),
                pictures=np.zeros((0, 0), np.float16),
            )
        )
        pairs["validation" if number % 4 == 0 else "train"].append(
            Pair(
                task="search/click",
                query_id=stable_hash(f"{word}") >> 1,
                item_id=items[-1].item_id,
                query_token_ids=np.array([word], np.int32),
                query_picture=np.zeros(0, np.float16),
            )
        )
    (folder / "features").mkdir()
    write_records(folder / "features" / "a.tfrecord", map(encode_features, items))
    for part, found in pairs.items():
        (folder / "pairs" / part).mkdir(parents=True)
        write_records(folder / "pairs" / part / "a.tfrecord", map(encode_pair, found))
    return TrainingData.open(folder, folder / "cache", picture_dim=0)


def _train(data: TrainingData, folder: Path, config: ItemSageConfig = MODEL, **changes: Any) -> TrainingResult:
    given = TrainingConfig(min_steps=100, epochs=1, batch_size=64, patience=0, interpolate=False, **STILL, **changes)
    return train(ItemSage(config), data, given, folder)


def test_the_field_that_tells_the_item_becomes_the_heavier_one(data: TrainingData, tmp_path: Path) -> None:
    result = _train(data, tmp_path, drop_tokens=0.0)
    weights = result.field_weights
    assert weights["title"] > 1.2 > 0.9 > weights["description"]
    assert {weights[name] for name in TEXT_FIELDS} - {weights["title"], weights["description"]} == {1.0}
    start, best = result.validations[0], max(result.validations, key=lambda validation: validation.score)
    assert best.score > start.score + 0.1  # by the weights of the fields alone: all others stood still
    lines = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    evaluated = [line for line in lines if "field_weights" in line]
    assert {line["field_weights"]["title"] for line in evaluated[:1]} == {1.0}
    assert weights in [line["field_weights"] for line in evaluated]


def test_without_them_nothing_else_tells_the_fields_apart(data: TrainingData, tmp_path: Path) -> None:
    result = _train(data, tmp_path, dataclasses.replace(MODEL, field_weights=False))
    assert result.field_weights == {}
    assert {validation.score for validation in result.validations} == {result.validations[0].score}


def test_an_items_fields_weigh_together_what_they_weighed() -> None:
    encoder = ItemSage(MODEL).item_encoder
    sums_BFE = torch.randn(3, NUM_TEXT_FIELDS, 64)
    present_BF = torch.zeros(3, NUM_TEXT_FIELDS, dtype=torch.bool)
    present_BF[0, :2] = present_BF[1, 1] = True  # the third item has no text
    before_BFE = encoder.fields(sums_BFE, present_BF)
    with torch.no_grad():
        encoder.field_log_weight_F[:2] = torch.tensor([3.0, 4.0]).log()
    factor_BF = (encoder.fields(sums_BFE, present_BF) / before_BFE).mean(dim=2)
    root = math.sqrt(12.5)
    torch.testing.assert_close(factor_BF[0, :2], torch.tensor([3 / root, 4 / root]))
    torch.testing.assert_close(factor_BF[1, 1], torch.tensor(1.0))
    encoder.fields(sums_BFE, present_BF).sum().backward()
    assert encoder.field_log_weight_F.grad is not None
    assert encoder.field_log_weight_F.grad.isfinite().all()
