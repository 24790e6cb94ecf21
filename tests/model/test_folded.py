import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_items import PICTURE_DIM, VOCABULARY, make_items

from model.items.batch import ItemBatch, collate_items
from model.items.config import ItemSageConfig
from model.items.folded import FoldedItemEncoder
from model.items.itemsage import ItemEncoder, ItemSage
from schemas.errors import UsageError

SMALL = ItemSageConfig(vocabulary_size=VOCABULARY, picture_dim=PICTURE_DIM, hash_rows=200, width=64, ffn_dim=96)


def trained_like(config: ItemSageConfig) -> ItemEncoder:
    """Weights none of which is zero, so that no path is hidden."""
    encoder = ItemSage(config).item_encoder
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return encoder.eval()


def largest_difference(encoder: ItemEncoder, batch: ItemBatch) -> float:
    with torch.inference_mode():
        return float((encoder(batch) - FoldedItemEncoder.from_encoder(encoder)(batch)).abs().max())


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"start": "random"},
        {"field_layer_norm": False},
        {"field_weights": False},
        {"normalize_pictures": False},
        {"use_pictures": False},
        {"use_text": False},
        {"use_text": False, "start": "random"},
        {"picture_dim": 0},
        {"heads": 2, "dropout": 0.2},
    ],
)
def test_folded_equals_plain(switches):
    config = dataclasses.replace(SMALL, **switches)
    encoder = trained_like(config)
    batch = collate_items(make_items(21, seed=1, picture_dim=config.picture_dim or 8), config.picture_dim)
    with torch.inference_mode():
        spread = encoder(batch).std(dim=0).max()
    assert spread > 1e-2, "all vectors alike: equality would show nothing"
    assert largest_difference(encoder, batch) <= 2e-6


@given(seed=st.integers(0, 100_000), count=st.integers(1, 12), num_pictures=st.sampled_from([None, 0, 1, 3, 20]))
@settings(max_examples=20, deadline=None)
def test_folded_equals_plain_for_any_number_of_pictures(seed, count, num_pictures):
    batch = collate_items(make_items(count, seed), PICTURE_DIM, num_pictures)
    assert largest_difference(trained_like(SMALL), batch) <= 2e-6


def test_folded_equals_plain_at_full_size():
    config = ItemSageConfig(vocabulary_size=2_000, picture_dim=2048, hash_rows=1_000)
    encoder = trained_like(config)
    batch = collate_items(make_items(9, seed=2, picture_dim=2048), 2048, num_pictures=20)
    assert largest_difference(encoder, batch) <= 1e-5


def test_float16_pictures_give_the_bytes_of_their_float32_values():
    folded = FoldedItemEncoder.from_encoder(trained_like(SMALL))
    items = make_items(16, seed=3)
    half = collate_items(items, PICTURE_DIM, 8, torch.float16)
    assert torch.equal(folded(half), folded(collate_items(items, PICTURE_DIM, 8)))


@pytest.mark.medium
@pytest.mark.parametrize(("batch_size", "num_pictures"), [(64, 8), (256, 20), (32, 0)])
def test_bytes_depend_neither_on_neighbours_nor_on_place_in_a_batch_of_fixed_shape(batch_size, num_pictures):
    config = dataclasses.replace(SMALL, picture_dim=640, width=512, ffn_dim=1024)
    folded = FoldedItemEncoder.from_encoder(trained_like(config))
    items = make_items(batch_size, seed=4, picture_dim=640)
    others = make_items(batch_size, seed=5, picture_dim=640)
    expected = folded(collate_items(items, 640, num_pictures))
    order = np.random.default_rng(6).permutation(batch_size)
    shuffled = folded(collate_items([items[i] for i in order], 640, num_pictures))
    assert torch.equal(shuffled, expected[order])
    mixed = folded(collate_items(items[:5] + others[5:], 640, num_pictures))
    assert torch.equal(mixed[:5], expected[:5])
    assert not torch.equal(mixed[5:], expected[5:])


def test_encoders_that_do_not_fold_are_refused():
    with pytest.raises(UsageError, match="1 block, got 2"):
        FoldedItemEncoder.from_encoder(ItemSage(dataclasses.replace(SMALL, num_layers=2)).item_encoder)
