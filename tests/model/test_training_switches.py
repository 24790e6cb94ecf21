"""That what a training is told reaches the step that it is told of: each switch changes what it is there to change."""

import copy
import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from exploration import representatives
from small_training import SHORT, SMALL, read_curve, train_small, weights_of

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.items.start import KIND_WEIGHTS, start_from_catalogue_
from model.text.vocabulary import TokenCounts, Vocabulary
from model.training.config import TrainingConfig, TrainingResult
from model.training.data import PairStream, TrainingData
from model.training.distributed import Processes
from model.training.dropout import Dropout
from model.training.forward import BatchInputs, read_inputs
from model.training.tables import PairTable
from model.training.train import train
from model.training.validation import evaluate_recall
from schemas.errors import UsageError
from schemas.tables import NUM_TEXT_FIELDS, PSEUDO_TASK

pytestmark = pytest.mark.medium

#: Nothing is left out.
WHOLE = dataclasses.replace(SHORT, drop_tokens=0, drop_fields=0, drop_pictures=0, drop_modalities=0, max_field_tokens=0)
LEAVES_OUT = [
    {"drop_tokens": 0.5},
    {"drop_fields": 0.5},
    {"drop_pictures": 0.5},
    {"drop_modalities": 0.5},
    {"max_field_tokens": 1},
]


def _first_loss(data: TrainingData, folder: Path, config: TrainingConfig, model: ItemSageConfig = SMALL) -> float:
    """The loss before the first update: what a step reads and how it passes through the model is all that it shows."""
    train(ItemSage(model), data, dataclasses.replace(config, epochs=1e-6, min_steps=1), folder)
    (loss,) = [line["loss"] for line in map(json.loads, (folder / "metrics.jsonl").open()) if "loss" in line]
    return float(loss)


@pytest.mark.parametrize("switch", [*LEAVES_OUT, {"seed": 1}], ids=str)
def test_a_step_leaves_out_what_the_config_says(data: TrainingData, tmp_path: Path, switch: dict) -> None:
    whole, again = (_first_loss(data, tmp_path / name, WHOLE) for name in ("whole", "again"))
    assert whole == again
    assert _first_loss(data, tmp_path / "less", dataclasses.replace(WHOLE, **switch)) != whole


def test_a_step_drops_out_inside_the_item_encoder(data: TrainingData, tmp_path: Path) -> None:
    whole = _first_loss(data, tmp_path / "whole", WHOLE)
    assert _first_loss(data, tmp_path / "less", WHOLE, dataclasses.replace(SMALL, dropout=0.5)) != whole


def _inputs(data: TrainingData, dropout: Dropout) -> BatchInputs:
    stream = PairStream(pairs=data.train, num_items=len(data.items), batch_size=48, num_negatives=48, seed=0)
    return read_inputs(stream.batch(0), data, Processes(), dropout, 5)


def test_what_is_read_for_a_step_has_less_of_each_kind_and_of_that_alone(data: TrainingData) -> None:
    """Of items; of queries it is their tokens."""
    sizes = {}
    for name in ("", "tokens", "fields", "pictures", "modalities"):
        inputs = _inputs(data, Dropout(**{name: 0.5} if name else {}))
        assert inputs.items is not None
        assert inputs.text is not None
        fields_BF = inputs.items.token_offsets_BF.diff().view(-1, NUM_TEXT_FIELDS)
        sizes[name] = {
            "queries": len(inputs.text[0]),
            "tokens": len(inputs.items.token_ids_T),
            "fields": int((fields_BF > 0).sum()),
            "pictures": int(inputs.items.picture_mask_BN.sum()),
            "both": int(((fields_BF > 0).any(dim=1) & inputs.items.picture_mask_BN.any(dim=1)).sum()),
        }
    whole = sizes.pop("")
    less = {name: {kind for kind in whole if found[kind] < whole[kind]} for name, found in sizes.items()}
    assert less == {
        "tokens": {"queries", "tokens"},
        "fields": {"tokens", "fields"},
        "pictures": {"pictures"},
        "modalities": {"tokens", "fields", "pictures", "both"},
    }


def _moved(result: TrainingResult) -> dict[str, float]:
    return {name: found.rms for name, found in result.movement.items()}


def test_decay_holds_all_weights_near_their_start(data: TrainingData, tmp_path: Path) -> None:
    free, held = (
        _moved(train(ItemSage(SMALL), data, dataclasses.replace(WHOLE, weight_decay=decay), tmp_path / str(decay)))
        for decay in (0.0, 100.0)
    )
    for name in ("item_encoder", "text_tower", "picture_tower", "table", "importances", "field_weights"):
        assert 0 < held[name] < 0.7 * free[name], name


@pytest.mark.parametrize(
    ("rate", "still"),
    [
        ("learning_rate", {"item_encoder", "text_tower", "picture_tower"}),
        ("table_learning_rate", {"table"}),
        ("importance_learning_rate", {"importances"}),
        ("field_weight_learning_rate", {"field_weights"}),
    ],
)
def test_each_rate_moves_its_own_weights(data: TrainingData, tmp_path: Path, rate: str, still: set[str]) -> None:
    moved = _moved(train(ItemSage(SMALL), data, dataclasses.replace(WHOLE, **{rate: 0.0}), tmp_path))
    assert {name for name, rms in moved.items() if rms == 0} == still


def _with_pseudo_queries(table: PairTable) -> PairTable:
    """Its checkouts are pseudo-queries."""
    renamed = copy.copy(table)
    renamed.tasks = [PSEUDO_TASK if task == "search/checkout" else task for task in table.tasks]
    return renamed


def test_the_share_of_pseudo_queries_is_that_of_the_config(data: TrainingData, tmp_path: Path) -> None:
    """The less of a batch they take, the more of the log is in it, and the fewer steps are an epoch."""
    train_pairs, validation_pairs = map(_with_pseudo_queries, (data.train, data.validation))
    both = dataclasses.replace(data, train=train_pairs, validation=validation_pairs)
    repeats_P = np.minimum(both.train.count_P, WHOLE.count_cap)
    num_log = int(repeats_P[~both.train.is_pseudo()].sum())
    losses = []
    for share, num_pseudo in ((1.0, 16), (0.25, 12), (0.05, 2)):
        config = dataclasses.replace(WHOLE, batch_size=48, pseudo_share=share)
        losses.append(_first_loss(both, tmp_path / f"loss-{share}", config))
        result = train(ItemSage(SMALL), both, dataclasses.replace(config, min_steps=1), tmp_path / str(share))
        assert result.steps_per_epoch == -(-num_log // (48 - num_pseudo))
    assert len(set(losses)) == 3


def test_a_start_from_the_catalogue_weighs_tokens_by_how_few_items_have_them(data: TrainingData) -> None:
    """Inverse document frequencies counted here by hand, words before bigrams and trigrams, with a mean of 1."""
    counts = TokenCounts()
    words = ["".join(letters) for letters in np.random.default_rng(0).choice(list("abcdefghij"), (100, 5))]
    for first, second in itertools.pairwise(words):
        counts.add_text(f"{first} {second}")
    vocabulary = Vocabulary.from_counts(counts.table())
    config = dataclasses.replace(SMALL, vocabulary_size=vocabulary.size)
    batch = data.items.batch(np.arange(len(data.items)))
    has_VI = torch.zeros(vocabulary.size, len(batch), dtype=torch.bool)
    item_T = torch.arange(len(batch)).repeat_interleave(batch.token_offsets_BF[::NUM_TEXT_FIELDS].diff())
    has_VI[batch.token_ids_T, item_T] = True
    num_V = has_VI.sum(dim=1).double()
    expected_V = torch.log1p((len(batch) - num_V + 0.5) / (num_V + 0.5)) * (num_V > 0)
    kinds = vocabulary.id_ranges()
    assert KIND_WEIGHTS["word"] > max(KIND_WEIGHTS["bigram"], KIND_WEIGHTS["trigram"])
    for kind, ids in kinds.items():
        assert (num_V[ids.start : ids.stop] > 0).any(), f"no {kind} in the catalogue: nothing is shown"
        expected_V[ids.start : ids.stop] *= KIND_WEIGHTS[kind]
    expected_V /= expected_V[expected_V > 0].mean()
    model, plain = ItemSage(config), ItemSage(config)
    start_from_catalogue_(model, data.items, vocabulary)
    got_VK = model.hash_embedder.weights.detach() / plain.hash_embedder.weights.detach()
    torch.testing.assert_close(got_VK, expected_V.float()[:, None].expand_as(got_VK), rtol=1e-4, atol=1e-5)
    assert float(expected_V[expected_V > 0].std()) > 0.1


@pytest.mark.usefixtures("a_few_pairs_choose")
def test_each_kind_of_negatives_can_train_alone(data: TrainingData, tmp_path: Path) -> None:
    for kind, other in (("in_batch", "random"), ("random", "in_batch")):
        train_small(data, tmp_path / kind, min_steps=2, **{f"{other}_negatives": False})
        losses = [line for line in read_curve(tmp_path / kind) if "loss" in line]
        assert all(line[f"loss_{kind}"] == line["loss"] > 0 for line in losses)
        assert all(line[f"loss_{other}"] == 0 for line in losses)
    with pytest.raises(UsageError, match="got neither"):
        TrainingConfig(in_batch_negatives=False, random_negatives=False)


@pytest.mark.usefixtures("a_few_pairs_choose")
def test_a_task_can_train_and_validate_alone(data: TrainingData, tmp_path: Path) -> None:
    _, result = train_small(data, tmp_path, tasks=("search/click",))
    assert result.num_pairs_by_task == {"search/click": data.train.num_pairs_by_task()["search/click"]}
    assert {name for validation in result.validations for name in validation.tasks} == {"search/click"}


@pytest.mark.usefixtures("a_few_pairs_choose")
def test_the_task_mix_decides_what_is_met(data: TrainingData, tmp_path: Path) -> None:
    equal, natural = (train_small(data, tmp_path / mix, task_mix=mix)[0] for mix in ("equal", "natural"))
    assert weights_of(equal) != weights_of(natural)
    with pytest.raises(UsageError, match="'odd'"):
        TrainingConfig(task_mix="odd")  # type: ignore[arg-type]


@pytest.mark.usefixtures("a_few_pairs_choose")
def test_prefixes_that_are_trained_are_worth_more(data: TrainingData, tmp_path: Path) -> None:
    def score_of_prefix(name: str, **changes: object) -> float:
        model, _ = train_small(data, tmp_path / name, min_steps=60, evaluate_every=60, **changes)
        found = evaluate_recall(model, data.items, data.validation, dim=4)
        return sum(recall.recall + recall.reciprocal_rank for recall in found.values()) / 2 / len(found)

    assert score_of_prefix("nested", nested_dims=(4, 8)) > score_of_prefix("plain") + 0.1
    with pytest.raises(UsageError, match="nested_dims below the 32 dimensions"):
        train_small(data, tmp_path / "wrong", nested_dims=(8, 32))


@pytest.mark.usefixtures("a_few_pairs_choose")
@pytest.mark.parametrize(
    "switches",
    representatives(
        [
            {"aggregator": "mlp_concat_mlp"},
            {"aggregator": "sum_mlp"},
            {"aggregator": "sum"},
            {"aggregator": "linear"},
            {"num_layers": 2},
            {"num_hashes": 1},
            {"num_hashes": 3},
            {"output_dim": 8},
            {"output_dim": 64},
        ],
        *(0, 3, 5, 7),
    ),
    ids=str,
)
def test_every_rung_learns(data: TrainingData, tmp_path: Path, switches: dict) -> None:
    config = dataclasses.replace(SMALL, **switches)
    model, result = train_small(data, tmp_path, config, min_steps=60, evaluate_every=20)
    assert result.is_better_than_start
    assert max(validation.score for validation in result.validations) > result.validations[0].score + 0.05
    assert model.item_encoder(data.items.batch(np.arange(3))).shape == (3, config.output_dim)
