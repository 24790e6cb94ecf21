"""Before the log: BM25 distilled into the token tables."""

import copy
import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from small_training import SHORT, SMALL, weights_of

from model.items.itemsage import ItemSage
from model.measures.baselines import BM25
from model.training.data import TrainingData
from model.training.distillation import TEMPERATURE, Distilled, QueriesOfItems, compared, distill
from model.training.forward import encode_items, encode_text
from model.training.lexical_teacher import LexicalTeacher
from model.training.optimizers import is_field_weights, is_table
from model.training.tables import PairTable
from schemas.errors import UsageError
from schemas.tables import NUM_TEXT_FIELDS

pytestmark = pytest.mark.medium

WORDS = range(1, SMALL.vocabulary_size)
CONFIG = dataclasses.replace(SHORT, distill_epochs=120.0, max_distill_steps=40)


def _texts_of_items(data: TrainingData, word_ids: range = WORDS) -> list[str]:
    """The items' words, each written as its id."""
    batch = data.items.batch(np.arange(len(data.items)))
    tokens, offsets = batch.token_ids_T.numpy(), batch.token_offsets_BF.numpy()[::NUM_TEXT_FIELDS]
    return [_as_text(tokens[a:b], word_ids) for a, b in pairwise(offsets)]


def _as_text(token_ids_T: np.ndarray, word_ids: range) -> str:
    return " ".join(f"w{token}" for token in token_ids_T if token in word_ids)


@pytest.mark.parametrize("word_ids", [WORDS, range(1, 130)])
def test_the_teacher_is_bm25(data: TrainingData, word_ids: range) -> None:
    rows_Q = np.flatnonzero(data.train.is_text(np.arange(len(data.train.query_id_Q))))
    items_U = np.arange(3, len(data.items), 5)
    tokens_T, offsets = data.train.tokens(rows_Q)
    queries = [_as_text(tokens_T[a:b], word_ids) for a, b in pairwise(offsets)]
    naive_QI = BM25(_texts_of_items(data, word_ids)).scores(queries)
    teacher = LexicalTeacher(data.items, SMALL.vocabulary_size, word_ids)
    scores_QU = teacher.scores(*data.train.text(rows_Q)[:2], data.items.batch(items_U))
    np.testing.assert_allclose(scores_QU, naive_QI[:, items_U], rtol=1e-5, atol=1e-6)
    assert scores_QU.max() > 1


def _divergence(model: ItemSage, data: TrainingData) -> float:
    """KL of the softmax of BM25 from that of the cosines at the best scale, of all text queries of the validation part
    over all items."""
    rows_Q = np.flatnonzero(data.validation.is_text(np.arange(len(data.validation.query_id_Q))))
    batch, query = data.items.batch(np.arange(len(data.items))), data.validation.text(rows_Q)
    with torch.inference_mode():
        cosine_QI = encode_text(model.text_tower, *query) @ encode_items(model.eval().item_encoder, batch).T
    bm25_QI = LexicalTeacher(data.items, SMALL.vocabulary_size, WORDS).scores(*query[:2], batch)
    wanted_QI = (bm25_QI / TEMPERATURE).log_softmax(dim=1)
    scaled = [(scale * cosine_QI).log_softmax(dim=1) for scale in range(1, 40)]
    return min(float((wanted_QI.exp() * (wanted_QI - got_QI)).sum(dim=1).mean()) for got_QI in scaled)


def test_cosines_come_nearer_to_bm25_on_queries_that_were_never_seen(data: TrainingData, tmp_path: Path) -> None:
    model = ItemSage(SMALL)
    before = _divergence(model, data)
    steps: list[tuple[int, int]] = []
    distilled = distill(model, data, CONFIG, WORDS, tmp_path, lambda *step: steps.append(step))
    assert steps == [(number, 40) for number in range(1, 41)]
    assert distilled.steps == 40
    assert distilled.last_loss < 0.8 * distilled.first_loss
    assert _divergence(model, data) < 0.8 * before


def test_only_tables_and_weights_of_fields_move(data: TrainingData, tmp_path: Path) -> None:
    start, model = ItemSage(SMALL), ItemSage(SMALL)
    distill(model, data, CONFIG, WORDS, tmp_path)
    after = dict(model.named_parameters())
    moved = {name for name, value in start.named_parameters() if not torch.equal(value, after[name])}
    assert moved == {name for name in after if is_table(name) or is_field_weights(name)}
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_frozen_tables_stay(data: TrainingData, tmp_path: Path) -> None:
    start, model = ItemSage(SMALL), ItemSage(SMALL)
    distill(model, data, dataclasses.replace(CONFIG, frozen=("hash_embedder",)), WORDS, tmp_path)
    assert torch.equal(start.hash_embedder.table, model.hash_embedder.table)
    assert model.item_encoder.field_weights() != start.item_encoder.field_weights()


def test_the_same_call_reads_what_it_made(data: TrainingData, tmp_path: Path) -> None:
    first, again, elsewhere = ItemSage(SMALL), ItemSage(SMALL), ItemSage(SMALL)
    made = distill(first, data, CONFIG, WORDS, tmp_path / "one")

    def no_step(*_: int) -> None:
        raise AssertionError("distilled again")

    assert distill(again, data, CONFIG, WORDS, tmp_path / "one", no_step) == made
    assert distill(elsewhere, data, CONFIG, WORDS, tmp_path / "two") == made
    assert weights_of(first) == weights_of(again) == weights_of(elsewhere)
    with pytest.raises(UsageError, match="got that of others: delete it"):
        distill(again, data, dataclasses.replace(CONFIG, seed=1), WORDS, tmp_path / "one")


def test_no_pair_of_the_log_is_read(data: TrainingData, tmp_path: Path) -> None:
    nothing = PairTable.build(tmp_path / "none", data.items, tmp_path / "cache")
    first, second = ItemSage(SMALL), ItemSage(SMALL)
    distill(first, data, CONFIG, WORDS, tmp_path / "one")
    distill(second, dataclasses.replace(data, train=nothing, validation=nothing), CONFIG, WORDS, tmp_path / "two")
    assert weights_of(first) == weights_of(second)
    without = dataclasses.replace(data, distillation=nothing)
    assert distill(ItemSage(SMALL), without, CONFIG, WORDS, tmp_path / "three") == Distilled()


def test_items_without_queries_are_not_met(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, met = QueriesOfItems(data.distillation), set()
    kept = queries.items_N[::2]
    monkeypatch.setattr(queries, "items_N", kept)
    monkeypatch.setattr(queries, "of_step", lambda step, seed: (kept[:5], np.arange(3)))
    batch = data.items.batch
    monkeypatch.setattr(data.items, "batch", lambda rows_U: met.update(rows_U.tolist()) or batch(rows_U))
    teacher = LexicalTeacher(data.items, SMALL.vocabulary_size, WORDS)
    compared(ItemSage(SMALL), data, CONFIG, teacher, queries, 0)
    assert met == set(kept.tolist()) < set(range(len(data.items)))


@pytest.mark.parametrize("without", [{"use_text": False}, {"epochs": 0.0}, {"steps": 0}])
def test_nothing_is_distilled_without_text_or_passes(data: TrainingData, tmp_path: Path, without: dict) -> None:
    switches = dataclasses.replace(SMALL, use_text=without.get("use_text", True))
    config = dataclasses.replace(
        CONFIG, distill_epochs=without.get("epochs", 1.0), max_distill_steps=without.get("steps", 9)
    )
    model = ItemSage(switches)
    assert distill(model, data, config, WORDS, tmp_path) == Distilled()
    assert weights_of(model) == weights_of(ItemSage(switches))
    assert not list(tmp_path.iterdir())


def test_a_pass_meets_each_item_once_with_queries_of_its_own(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.training.distillation.NUM_ITEMS", 7)
    queries, pairs = QueriesOfItems(data.distillation), data.distillation
    has = set(zip(np.asarray(pairs.item_P).tolist(), np.asarray(pairs.query_P).tolist(), strict=True))
    steps = [queries.of_step(step, seed=0) for step in range(len(queries.items_N) // 7)]
    met = np.concatenate([items for items, _ in steps])
    assert len(np.unique(met)) == len(met)
    for items_M, queries_Q in steps:
        assert all(any((item, query) in has for item in items_M.tolist()) for query in queries_Q.tolist())
        assert all(any((item, query) in has for query in queries_Q.tolist()) for item in items_M.tolist())
    later = [queries.of_step(step + len(steps), seed=0) for step in range(len(steps))]
    assert {tuple(items) for items, _ in later} != {tuple(items) for items, _ in steps}
    assert len({query for _, found in steps + later for query in found}) > len(
        {query for _, found in steps for query in found}
    )


def test_impossible_lengths_are_refused() -> None:
    with pytest.raises(UsageError, match="distill_epochs and max_distill_steps of at least 0"):
        dataclasses.replace(SHORT, distill_epochs=-1.0)


def _with_text_vectors(data: TrainingData, seed: int) -> TrainingData:
    items = copy.copy(data.items)
    items.text_vectors = np.random.default_rng(seed).normal(size=(len(items), 6)).astype(np.float16)
    return dataclasses.replace(data, items=items)


def test_vectors_beside_words_are_left_out(data: TrainingData, tmp_path: Path) -> None:
    switches = dataclasses.replace(SMALL, text_dim=6, query_table_dim=5)
    one, other = ItemSage(switches), ItemSage(switches)
    distilled = distill(one, _with_text_vectors(data, 1), CONFIG, WORDS, tmp_path / "one")
    assert distilled.last_loss < 0.8 * distilled.first_loss
    assert distill(other, _with_text_vectors(data, 2), CONFIG, WORDS, tmp_path / "other") == distilled
    assert weights_of(one) == weights_of(other)
    start = dict(ItemSage(switches).named_parameters())
    moved = {name for name, value in one.named_parameters() if not torch.equal(value, start[name])}
    assert moved == {name for name in start if is_table(name) or is_field_weights(name)}


def test_words_alone_are_a_query_without_vectors(data: TrainingData) -> None:
    """Exactly so where no bias centres the vectors."""
    tower = ItemSage(dataclasses.replace(SMALL, text_dim=6, query_table_dim=5)).text_tower
    tokens_T, offsets = data.distillation.text(np.arange(20))[:2]
    sums_BE = tower.hash_embedder(tokens_T, offsets)
    with torch.no_grad():
        tower.hidden.bias.zero_()
        without = tower.of_sums(sums_BE, torch.zeros(20, 6), torch.zeros(20, 5))
        torch.testing.assert_close(tower.of_words(sums_BE), without)
        tower.hidden.bias += 1
        torch.testing.assert_close(tower.of_words(sums_BE), without)
