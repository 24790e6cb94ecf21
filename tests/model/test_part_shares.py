"""What the parts of the item encoder are worth to a trained model: nothing where there is nothing, something where
there is something to learn."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.items.batch import ItemChange, collate_items
from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.training import step_choice
from model.training.config import TrainingConfig, TrainingResult
from model.training.data import TrainingData
from model.training.part_shares import measure_without
from model.training.train import train
from schemas.hashing import stable_hash
from schemas.records.tfrecords import ItemFeatures, Pair, encode_features, encode_pair, write_records
from schemas.tables import NUM_TEXT_FIELDS

pytestmark = pytest.mark.slow

NUM_COATS, NUM_LINES, NUM_COLOURS = 1200, 12, 8
#: Token ids: 1 or 2 says which side is seen; then what the field that names another line starts with; then the first of
#: the lines, of the colours as words, and of the same words as the field of the outside or the inside has them.
GOES_WITH, LINE, COLOUR, OUTSIDE, INSIDE = 3, 10, 30, 50, 70
MODEL = ItemSageConfig(
    vocabulary_size=100,
    picture_dim=0,
    hash_rows=400,
    hash_dim=32,
    width=96,
    heads=4,
    ffn_dim=128,
    mlp_dim=96,
    output_dim=32,
)


def write_coats(folder: Path) -> Path:
    """Coats of two colours, one outside and one inside, a field that says which of the two is seen, one that names the
    line, and one that names another line, which goes with it: which of the two is which a word tells, not the place,
    and so no weights of fields. People ask for a line and the colour that is seen: a sum of what the fields say cannot
    tell the coats of a colour from those that hide it, nor a coat's line from the one that goes with it.

    For a query of line l and colour c let u(c) be what a coat's score gains from the outside's colour c, v(c) from the
    inside's, and w1, w2 from what is seen. The coats that are wanted have u(c) + w1 and v(c) + w2, those that hide the
    colour u(c) + w2 and v(c) + w1: the sums are equal, so no weights put both that are wanted above both that are not.
    """
    random = np.random.default_rng(0)
    items: list[ItemFeatures] = []
    pairs: dict[str, list[Pair]] = {"train": [], "validation": []}
    for number in range(NUM_COATS):
        outside, inside = random.choice(NUM_COLOURS, 2, replace=False)
        line, seen = int(random.integers(NUM_LINES)), int(random.integers(2))
        lines = [[LINE + line], [GOES_WITH, LINE + int(random.integers(NUM_LINES))]]
        fields = [
            [1 + seen],
            [COLOUR + outside, OUTSIDE + outside],
            [COLOUR + inside, INSIDE + inside],
            *(lines if number % 2 else lines[::-1]),
        ]
        lengths = [len(field) for field in fields] + [0] * (NUM_TEXT_FIELDS - len(fields))
        items.append(
            ItemFeatures(
                item_id=f"coat-{number:04d}",
                token_ids=np.concatenate(fields).astype(np.int32),
                token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32),
                pictures=np.zeros((0, 0), np.float16),
            )
        )
        asked = [LINE + line, COLOUR + (inside if seen else outside)]
        part = "validation" if stable_hash(f"{asked}") % 4 == 0 else "train"
        pairs[part].append(
            Pair(
                task="search/click",
                query_id=stable_hash(f"{asked}") >> 1,
                item_id=items[-1].item_id,
                query_token_ids=np.array(asked, np.int32),
                query_picture=np.zeros(0, np.float16),
            )
        )
    (folder / "features").mkdir(parents=True)
    write_records(folder / "features" / "a.tfrecord", map(encode_features, items))
    for part, found in pairs.items():
        (folder / "pairs" / part).mkdir(parents=True)
        write_records(folder / "pairs" / part / "a.tfrecord", map(encode_pair, found))
    return folder


@pytest.fixture(autouse=True)
def few_queries_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are 24 queries in the validation part."""
    monkeypatch.setattr(step_choice, "MIN_QUERIES", 10)


@pytest.fixture(scope="module")
def coats(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = write_coats(tmp_path_factory.mktemp("coats"))
    return TrainingData.open(folder, folder / "cache", picture_dim=0)


def _train(data: TrainingData, folder: Path, **changes: Any) -> TrainingResult:
    config = TrainingConfig(min_steps=200, epochs=1, batch_size=256, learning_rate=3e-3, patience=0, **changes)
    return train(ItemSage(MODEL), data, config, folder)


def test_the_block_earns_its_place_where_a_sum_of_fields_cannot_do_it(coats: TrainingData, tmp_path: Path) -> None:
    result = _train(coats, tmp_path)
    best = max(validation.score for validation in result.validations)
    assert best > result.validations[0].score + 0.5
    assert result.without.keys() == {"block", "attention"}
    assert result.without["block"].score < best - 0.05
    assert result.without["attention"].score < best - 0.01
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert (last["step"], last["best_step"]) == (200, result.best_step)
    assert last["without"] == {
        part: {"score": found.score, "tasks": found.tasks} for part, found in result.without.items()
    }


def test_a_block_that_learned_nothing_has_no_share(coats: TrainingData, tmp_path: Path) -> None:
    result = _train(coats, tmp_path, frozen=("item_encoder.blocks",))
    assert result.best_step > 0
    assert {found.score for found in result.without.values()} == {max(found.score for found in result.validations)}


def test_a_block_that_is_switched_off_is_the_starts_and_equal_attention_asks_no_key() -> None:
    """Whatever its weights are, norms included, the block without what it has learned is that of an untrained model;
    where keys are all equal, attention is equal, whatever CLS asks for."""
    config = dataclasses.replace(MODEL, num_layers=2)
    fields = np.full(NUM_TEXT_FIELDS, 3).cumsum()
    item = ItemFeatures(
        item_id="a",
        token_ids=np.arange(1, fields[-1] + 1, dtype=np.int32),
        token_offsets=np.concatenate([[0], fields]).astype(np.int32),
        pictures=np.zeros((0, 0), np.float16),
    )
    batch = collate_items([item], 0, text_dim=0)
    torch.manual_seed(0)
    trained, untrained, without_keys = (ItemSage(config).eval().item_encoder for _ in range(3))
    for parameter in trained.blocks.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    without_keys.load_state_dict(trained.state_dict())
    for block in without_keys.blocks:
        for qkv in (block.qkv.weight, block.qkv.bias):
            torch.nn.init.zeros_(qkv[config.width : 2 * config.width])
    with torch.no_grad():
        measured = measure_without(trained, lambda _: trained(batch))
        torch.testing.assert_close(measured["block"], untrained(batch))
        torch.testing.assert_close(measured["attention"], without_keys(batch))
        assert (measured["block"] - measured["attention"]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("switches", "parts"),
    [
        ({"picture_dim": 16, "text_dim": 8}, ["text", "text_vector", "pictures"]),
        ({"picture_dim": 16}, ["text", "pictures"]),
        ({"text_dim": 8}, ["text_vector"]),
        ({"picture_dim": 16, "text_dim": 8, "use_text": False}, []),
        ({"picture_dim": 16, "text_dim": 8, "use_pictures": False}, ["text_vector"]),
    ],
    ids=str,
)
def test_what_is_switched_off_is_all_that_is_and_comes_back(switches: dict[str, Any], parts: list[str]) -> None:
    torch.manual_seed(0)
    model = ItemSage(dataclasses.replace(MODEL, num_layers=2, **switches)).eval()
    encoder = model.item_encoder
    for parameter in encoder.blocks.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    item = ItemFeatures(
        item_id="a",
        token_ids=np.array([1, 2, 3], np.int32),
        token_offsets=np.minimum(np.arange(NUM_TEXT_FIELDS + 1), 3).astype(np.int32),
        pictures=np.ones((2, 16), np.float16)[:, : model.config.picture_dim],
        text_vector=np.ones(model.config.text_dim, np.float16),
    )
    batch = collate_items([item], model.config.picture_dim, text_dim=model.config.text_dim)

    def encode(change: ItemChange | None) -> torch.Tensor:
        with torch.no_grad():
            return encoder(change(batch) if change else batch)

    before = encode(None)
    measured = measure_without(encoder, encode)
    assert measured.keys() == {"block", "attention"} | set(parts)
    assert all((vector - before).abs().max() > 1e-3 for vector in measured.values())
    assert torch.equal(encode(None), before)
    bare = {
        "text": dataclasses.replace(
            item, token_ids=item.token_ids[:0], token_offsets=0 * item.token_offsets, text_vector=item.text_vector[:0]
        ),
        "text_vector": dataclasses.replace(item, text_vector=item.text_vector[:0]),
        "pictures": dataclasses.replace(item, pictures=item.pictures[:0]),
    }
    for part in parts:
        lacks_it = collate_items([bare[part]], model.config.picture_dim, text_dim=model.config.text_dim)
        with torch.no_grad():
            torch.testing.assert_close(measured[part], encoder(lacks_it))
