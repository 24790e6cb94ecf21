"""Features of random items, for models of random weights."""

import numpy as np

from schemas.records.tfrecords import ItemFeatures
from schemas.tables import NUM_TEXT_FIELDS

PICTURE_DIM, VOCABULARY = 40, 500


def make_items(count: int, seed: int, picture_dim: int = PICTURE_DIM) -> list[ItemFeatures]:
    """Items with 0-6 pictures of any length and 0-9 tokens a field; item 0 has neither."""
    rng = np.random.default_rng(seed)
    items = []
    for number in range(count):
        lengths = rng.integers(0, 10, NUM_TEXT_FIELDS) * rng.integers(0, 2, NUM_TEXT_FIELDS) * (number > 0)
        pictures = rng.standard_normal((rng.integers(0, 7) * (number > 0), picture_dim)) * rng.uniform(0.1, 9)
        items.append(
            ItemFeatures(
                item_id=f"item-{number}",
                token_ids=rng.integers(1, VOCABULARY, lengths.sum()).astype(np.int32),
                token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
                pictures=pictures.astype(np.float16),
            )
        )
    return items
