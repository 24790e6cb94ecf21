import numpy as np
import pytest
import torch

from model.folded import FoldedItemEncoder
from model.inference import embed_items
from model.itemsage import ItemSage, ItemSageConfig, collate_items
from schemas.records import ItemFeatures
from schemas.tables import NUM_TEXT_FIELDS

PICTURE_DIM = 24


def make_items(count: int, seed: int = 0) -> list[ItemFeatures]:
    generator = np.random.default_rng(seed)
    items = []
    for number in range(count):
        lengths = generator.integers(0, 4, NUM_TEXT_FIELDS)
        pictures = generator.standard_normal((int(generator.integers(0, 21)), PICTURE_DIM))
        items.append(
            ItemFeatures(
                item_id=f"item-{number}",
                token_ids=generator.integers(1, 500, lengths.sum()).astype(np.int32),
                token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
                pictures=pictures.astype(np.float16),
            )
        )
    return items


@pytest.fixture(scope="module")
def model() -> ItemSage:
    return ItemSage(ItemSageConfig(vocabulary_size=500, picture_dim=PICTURE_DIM, hash_rows=200)).eval()


def vectors_of(encoder, items, batch_size=16) -> dict[str, np.ndarray]:
    found = {}
    for ids, vectors in embed_items(encoder, items, PICTURE_DIM, batch_size):
        assert not set(ids) & set(found)
        found.update(zip(ids, vectors, strict=True))
    return found


def test_every_item_once_and_equal_to_the_plain_encoder(model):
    items = make_items(100)
    found = vectors_of(FoldedItemEncoder.from_encoder(model.item_encoder), items)
    with torch.inference_mode():
        expected = model.item_encoder(collate_items(items, PICTURE_DIM)).numpy()
    assert sorted(found) == sorted(item.item_id for item in items)
    assert max(np.abs(found[item.item_id] - row).max() for item, row in zip(items, expected, strict=True)) < 1e-5


def test_bytes_depend_on_the_item_alone(model):
    items = make_items(90)
    encoder = FoldedItemEncoder.from_encoder(model.item_encoder)
    all_of_them = vectors_of(encoder, items)
    for some in (items[::-1], items[40:], items[3::7], items[5:6]):
        for name, vector in vectors_of(encoder, some).items():
            assert vector.tobytes() == all_of_them[name].tobytes()


def test_no_items_no_batches(model):
    assert vectors_of(model.item_encoder, []) == {}


def test_a_vector_that_is_not_finite_names_its_item(model):
    def broken(batch):
        vectors = model.item_encoder(batch).clone()
        vectors[2] = torch.nan
        return vectors

    items = [item for item in make_items(60) if len(item.pictures) > 8][:5]
    with pytest.raises(ValueError, match=f"1 that are not, of items '{items[2].item_id}'"):
        vectors_of(broken, items)
