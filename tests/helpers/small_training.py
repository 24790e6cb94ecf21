"""The smallest model that the run folder of tests/model trains, how it is trained for a moment, and what comes out."""

import dataclasses
import json
from pathlib import Path

from torch import nn

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.training.config import TrainingConfig
from model.training.data import TrainingData
from model.training.train import train

SMALL = ItemSageConfig(
    vocabulary_size=500,
    picture_dim=16,
    hash_rows=300,
    hash_dim=24,
    width=32,
    heads=4,
    ffn_dim=48,
    mlp_dim=48,
    output_dim=32,
)
SHORT = TrainingConfig(
    batch_size=48,
    epochs=0.1,
    min_steps=14,
    learning_rate=3e-3,
    evaluate_every=4,
    checkpoint_every=5,
    log_every=1,
    interpolate=False,
)


def train_small(data: TrainingData, folder: Path, model: ItemSageConfig = SMALL, **changes: object) -> tuple:
    """(model, result) of a SHORT training in a folder, with changes to it."""
    itemsage = ItemSage(model)
    result = train(itemsage, data, dataclasses.replace(SHORT, **changes), folder)
    return itemsage, result


def read_curve(folder: Path) -> list[dict]:
    """The lines of metrics.jsonl that a training wrote in a folder."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights_of(model: nn.Module) -> dict[str, list]:
    """All weights as plain numbers."""
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}
