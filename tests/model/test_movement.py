"""How far weights have moved from their start."""

import dataclasses
import math

import pytest
import torch

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.training.movement import Movement, StartWeights

SMALL = ItemSageConfig(vocabulary_size=50, picture_dim=8, hash_rows=40, hash_dim=12, width=16, heads=4, ffn_dim=8)


def test_tables_move_by_the_rows_that_moved_and_towers_as_a_whole() -> None:
    model = ItemSage(dataclasses.replace(SMALL, table_std=0.5))
    start = StartWeights(model)
    assert all(moved.rms == 0 for moved in start.movement(model).values())
    tower = [parameter for parameter in model.text_tower.parameters() if parameter is not model.hash_embedder.table]
    tower = [parameter for parameter in tower if parameter is not model.hash_embedder.weights]
    entries = torch.cat([parameter.detach().flatten() for parameter in tower])
    with torch.no_grad():
        model.hash_embedder.table[:10] += 0.3
        model.hash_embedder.weights[5, 1] += 2.0
        for parameter in tower:
            parameter -= 0.1
    moved = start.movement(model)
    assert moved.keys() == {"table", "importances", "field_weights", "item_encoder", "text_tower", "picture_tower"}
    assert moved["table"].rms == pytest.approx(0.3, rel=1e-5)
    assert moved["table"].relative == pytest.approx(0.3 / 0.5, rel=0.1)
    assert moved["table"].moved_rows == 10 / 40
    assert moved["importances"] == Movement(rms=math.sqrt(4 / 2), relative=None, moved_rows=1 / 50)  # all began at 1
    assert moved["text_tower"].rms == pytest.approx(0.1, rel=1e-5)
    assert moved["text_tower"].relative == pytest.approx(0.1 / float(entries.std()), rel=1e-3)
    assert moved["text_tower"].moved_rows is None
    assert moved["item_encoder"].rms == moved["picture_tower"].rms == moved["field_weights"].rms == 0


def test_a_tower_with_a_table_of_its_own_and_a_model_without_pictures() -> None:
    model = ItemSage(dataclasses.replace(SMALL, picture_dim=0, share_text_table=False))
    start = StartWeights(model)
    with torch.no_grad():
        model.text_tower.hash_embedder.table[0] -= 0.5
    moved = start.movement(model)
    assert "picture_tower" not in moved
    assert moved["table"].rms == pytest.approx(0.5)
    assert moved["table"].moved_rows == 1 / 80
