"""Fixed-shape inference: bytes depend on the item alone, and an item that cannot be embedded fails alone."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.items.batch import ItemBatch, collate_items
from model.items.config import ItemSageConfig
from model.items.folded import FoldedItemEncoder
from model.items.inference import ItemFailure, embed_batches, embed_items
from model.items.itemsage import ItemSage
from schemas.errors import CorruptFileError
from schemas.records.tfrecords import ItemFeatures
from schemas.tables import MAX_PICTURES, NUM_TEXT_FIELDS

PICTURE_DIM = 24
CONFIG = ItemSageConfig(vocabulary_size=500, picture_dim=PICTURE_DIM, hash_rows=200)
TINY = ItemSage(CONFIG).eval()
#: A token that no item of make_items has: the encoders below fail on items with it.
MARK = 499


def make_items(count: int, seed: int = 0) -> list[ItemFeatures]:
    generator = np.random.default_rng(seed)
    items = []
    for number in range(count):
        lengths = generator.integers(0, 4, NUM_TEXT_FIELDS)
        pictures = generator.standard_normal((int(generator.integers(0, 21)), PICTURE_DIM))
        items.append(
            ItemFeatures(
                item_id=f"item-{number}",
                token_ids=generator.integers(1, MARK, lengths.sum()).astype(np.int32),
                token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
                pictures=pictures.astype(np.float16),
            )
        )
    return items


@pytest.fixture(scope="module")
def model() -> ItemSage:
    return TINY


def marked(item: ItemFeatures) -> ItemFeatures:
    """The item with MARK as one more token of its last field."""
    offsets = item.token_offsets.copy()
    offsets[-1] += 1
    tokens = np.append(item.token_ids, np.int32(MARK))
    return dataclasses.replace(item, token_ids=tokens, token_offsets=offsets)


def marked_rows(batch: ItemBatch) -> np.ndarray:
    segments = np.searchsorted(batch.token_offsets_BF, np.flatnonzero(batch.token_ids_T == MARK), side="right") - 1
    return segments // NUM_TEXT_FIELDS


def run_items(encoder, items, batch_size=16) -> tuple[dict[str, np.ndarray], dict[str, ItemFailure]]:
    """Vectors and failures by item id; every item must be in one of them, once."""
    vectors: dict[str, np.ndarray] = {}
    failures: dict[str, ItemFailure] = {}
    for batch in embed_batches(encoder, items, PICTURE_DIM, batch_size):
        for name, value in [
            *zip(batch.item_ids, batch.vectors_BD, strict=True),
            *((failure.item_id, failure) for failure in batch.failures),
        ]:
            assert name not in vectors.keys() | failures.keys()
            (failures if isinstance(value, ItemFailure) else vectors)[name] = value
    assert sorted([*vectors, *failures]) == sorted(item.item_id for item in items)
    return vectors, failures


def vectors_of(encoder, items, batch_size=16) -> dict[str, np.ndarray]:
    vectors, failures = run_items(encoder, items, batch_size)
    assert not failures
    return vectors


def test_every_item_once_and_equal_to_the_plain_encoder(model):
    items = make_items(100)
    found = vectors_of(FoldedItemEncoder.from_encoder(model.item_encoder), items)
    with torch.inference_mode():
        expected = model.item_encoder(collate_items(items, PICTURE_DIM)).numpy()
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


@pytest.mark.medium
@settings(deadline=None, max_examples=12)
@given(bad=st.sets(st.integers(0, 59)), how=st.sampled_from(["raise", "nan", "inf", "zero", "long"]))
def test_bad_items_fail_alone_and_the_others_keep_their_bytes(bad, how):
    items = make_items(60)
    folded = FoldedItemEncoder.from_encoder(TINY.item_encoder)

    def encoder(batch: ItemBatch) -> torch.Tensor:
        rows = marked_rows(batch)
        if how == "raise" and len(rows):
            raise RuntimeError("bad \x1b[31mitem")
        vectors = folded(batch).clone()
        value = {"nan": torch.nan, "inf": torch.inf, "zero": 0.0}.get(how)
        vectors[rows] = 1.5 * vectors[rows] if value is None else value
        return vectors

    expected = vectors_of(folded, items)
    given_items = [marked(item) if number in bad else item for number, item in enumerate(items)]
    vectors, failures = run_items(encoder, given_items)
    assert set(failures) == {f"item-{number}" for number in bad}
    assert {failure.reason for failure in failures.values()} <= {
        {"raise": "model_failed", "nan": "not_finite", "inf": "not_finite"}.get(how, "not_unit_norm")
    }
    assert all("\x1b" not in failure.got for failure in failures.values())
    assert all(vector.tobytes() == expected[name].tobytes() for name, vector in vectors.items())


def test_what_the_real_encoder_cannot_embed(model):
    """A token beyond the vocabulary and pictures that overflow: nothing is simulated here."""
    items = make_items(40)
    beyond = dataclasses.replace(marked(items[3]), token_ids=marked(items[3]).token_ids + 600)
    hot = dataclasses.replace(items[7], pictures=np.full((2, PICTURE_DIM), np.inf, np.float16))
    encoder = FoldedItemEncoder.from_encoder(model.item_encoder)
    expected = vectors_of(encoder, items)
    vectors, failures = run_items(encoder, [*items[:3], beyond, *items[4:7], hot, *items[8:]])
    assert {name: failure.reason for name, failure in failures.items()} == {
        "item-3": "model_failed",
        "item-7": "not_finite",
    }
    assert "IndexError" in failures["item-3"].got
    assert failures["item-7"].got == "256 that are not"
    assert all(vector.tobytes() == expected[name].tobytes() for name, vector in vectors.items())


def test_items_whose_arrays_do_not_fit_never_enter_a_batch(model):
    items = make_items(20)
    offsets = items[0].token_offsets
    total = len(items[0].token_ids)
    wrong = {
        "width": {"pictures": np.ones((2, PICTURE_DIM + 1), np.float16)},
        "flat": {"pictures": np.ones(PICTURE_DIM, np.float16)},
        "many": {"pictures": np.ones((MAX_PICTURES + 1, PICTURE_DIM), np.float16)},
        "few offsets": {"token_offsets": offsets[:-1]},
        "start": {"token_offsets": np.concatenate([[1], offsets[1:]]).astype(np.int32)},
        "end": {"token_offsets": np.concatenate([offsets[:-1], [total + 1]]).astype(np.int32)},
        "descending": {"token_offsets": np.array([0, total + 5, *[total] * (NUM_TEXT_FIELDS - 1)], np.int32)},
        "negative": {"token_offsets": np.array([0, -1, *[total] * (NUM_TEXT_FIELDS - 1)], np.int32)},
    }
    bad = [dataclasses.replace(items[0], item_id=name, **arrays) for name, arrays in wrong.items()]
    encoder = FoldedItemEncoder.from_encoder(model.item_encoder)
    vectors, failures = run_items(encoder, [*items, *bad])
    assert set(failures) == set(wrong)
    assert {failure.reason for failure in failures.values()} == {"bad_features"}
    assert failures["width"].got == f"an array of shape [2, {PICTURE_DIM + 1}]"
    expected = vectors_of(encoder, items)
    assert all(vector.tobytes() == expected[name].tobytes() for name, vector in vectors.items())
    pairs = list(embed_items(encoder, [*items, *bad], PICTURE_DIM))
    assert sorted(name for names, _ in pairs for name in names) == sorted(expected)
    assert sum(len(block) for _, block in pairs) == len(expected)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_a_batch_that_memory_does_not_hold_is_halved(model, error):
    folded = FoldedItemEncoder.from_encoder(model.item_encoder)
    shapes = set()

    def encoder(batch: ItemBatch) -> torch.Tensor:
        shapes.add(len(batch))
        if len(batch) > 5:
            raise error
        return folded(batch)

    items = make_items(50)
    with pytest.warns(UserWarning, match="memory does not hold a batch of 16 items") as warned:
        found = vectors_of(encoder, items)
    assert len(warned) == 1
    assert shapes == {16, 8, 4}
    expected = vectors_of(folded, items)
    assert max(np.abs(found[name] - expected[name]).max() for name in expected) < 1e-5


def test_one_item_that_memory_does_not_hold_fails_alone(model):
    folded = FoldedItemEncoder.from_encoder(model.item_encoder)

    def encoder(batch: ItemBatch) -> torch.Tensor:
        if len(marked_rows(batch)):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return folded(batch)

    items = [marked(item) if number == 11 else item for number, item in enumerate(make_items(50))]
    with pytest.warns(UserWarning, match="memory"):
        vectors, failures = run_items(encoder, items)
    assert len(vectors) == 49
    assert failures["item-11"].reason == "out_of_memory"


@pytest.mark.filterwarnings("ignore:memory does not hold")
def test_memory_that_holds_nothing_is_no_items_fault():
    def encoder(batch: ItemBatch) -> torch.Tensor:
        raise MemoryError("full")

    with pytest.raises(MemoryError, match="batch of 1 items"):
        run_items(encoder, make_items(20))


@pytest.mark.parametrize("fault", ["raise", "nan", "long", "shape", "weights"])
def test_a_broken_model_blames_no_item(fault):
    model = ItemSage(CONFIG).eval()
    if fault == "weights":
        with torch.no_grad():
            model.item_encoder.head_in.weight[3, 5] = torch.nan
    folded = FoldedItemEncoder.from_encoder(model.item_encoder)

    def encoder(batch: ItemBatch) -> torch.Tensor:
        vectors = folded(batch)
        if fault == "raise":
            raise KeyError("layer")
        return {"nan": vectors * torch.nan, "long": vectors * 2, "shape": vectors[:-1]}.get(fault, vectors)

    with pytest.raises(CorruptFileError, match="the model is at fault, not the items"):
        run_items(encoder, make_items(20))
