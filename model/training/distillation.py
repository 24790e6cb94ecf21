"""Before the log: the token tables learn to rank items as a lexical ranker does.

At the start a token's vector is random, so every cosine has noise of about 1 / sqrt(256), as much as an overlap of a
few words: a search in 256 dimensions finds less than BM25. A dense encoder can learn to imitate a lexical one (SPAR:
Chen et al., arXiv 2110.06918), by knowledge distillation (Hinton et al., arXiv 1503.02531):

    loss = mean over queries of KL( softmax(BM25 / TEMPERATURE) || softmax(s cosine) )     over the items of a batch

BM25 knows words alone: items and queries of a model with a text encoder, or with a table of query vectors, are without
their text vectors and those of the table here, and its queries need none. Pictures of items stay.

A batch has items, queries made of their texts (model.text.pseudo_queries), and random others of those that have such
queries: none that the split holds out. It is from queries of many different words that such a distillation generalises;
on two an item it learns these by heart. What is learned are the tables E and W, the fields' weights, and s, which is
forgotten; all dense weights stay, those of pictures with them. What the log says of a query, beyond its words, comes
after.

P pairs of a table, Q queries, N items with such queries, M of them in a step, U all distinct items of a step.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model.items.itemsage import START_SCALE, ItemSage
from model.training.checkpoint import read_checkpoint, save_checkpoint
from model.training.config import TrainingConfig
from model.training.data import TrainingData
from model.training.dropout import Dropout, drop_from_items
from model.training.forward import encode_items
from model.training.hash_fields import hash_fields
from model.training.lexical_teacher import LexicalTeacher
from model.training.optimizers import (
    is_field_weights,
    is_table,
    learning_rate_factor,
    make_optimizers,
    set_learning_rate,
)
from model.training.tables import PairTable
from model.training.train import deterministic, trains_only
from schemas.errors import UsageError
from schemas.hashing import fingerprint, seed_of

DISTILLED_NAME = "distilled.safetensors"
#: What BM25 scores, a few units for each word that matches, are divided by. On Amazon's searches 1.5 was above 3.
TEMPERATURE = 1.5
#: Items whose queries a step has, at most so many of each, and random items beside them. Items are what a step costs.
NUM_ITEMS, MAX_QUERIES, NUM_RANDOM = 256, 4, 256
#: Times the rates of the training: there is no log here that could be learned by heart.
RATE = 2.0
_STATE_VERSION = 4


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """steps: as many were taken. first_loss, last_loss: the mean KL, in nats, of the first and of the last tenth of
    them; 0 without steps."""

    steps: int = 0
    first_loss: float = 0.0
    last_loss: float = 0.0


def distill(
    model: ItemSage,
    data: TrainingData,
    config: TrainingConfig,
    word_ids: range,
    folder: str | os.PathLike[str],
    on_step: Callable[[int, int], None] | None = None,
) -> Distilled:
    """Distils BM25 into `model`, in place, on the CPU: config.distill_epochs passes over the items of
    data.distillation, at most config.max_distill_steps steps. Nothing for a model that reads no text, or without
    such items.

    word_ids: the ids of words, whose matches BM25 counts. folder: where what comes out is kept; the same call reads it
    back. on_step: called after each step with (finished steps, planned steps). Raises UsageError if the folder has that
    of another config, model or data.
    """
    if not model.config.use_text:
        return Distilled()
    queries = QueriesOfItems(data.distillation)
    num_steps = min(math.ceil(config.distill_epochs * len(queries.items_N) / NUM_ITEMS), config.max_distill_steps)
    if not num_steps:
        return Distilled()
    path, key = Path(folder, DISTILLED_NAME), _key(model, data, config)
    if (kept := read_checkpoint(path)) is not None:
        if kept.state["key"] != key:
            raise UsageError(
                f"expected what this config, model and data were distilled to in {path}, got that of others: delete it"
            )
        model.load_state_dict(kept.model)
        return Distilled(**kept.state["distilled"])

    def is_learned(name: str) -> bool:
        return (is_table(name) or is_field_weights(name)) and not name.startswith(config.frozen)

    losses = []
    with deterministic(), trains_only(model, is_learned):
        teacher = LexicalTeacher(data.items, model.config.vocabulary_size, word_ids)
        for loss in _steps(model, data, config, teacher, queries, num_steps):
            losses.append(loss)
            if on_step is not None:
                on_step(len(losses), num_steps)
    tenth = math.ceil(num_steps / 10)
    distilled = Distilled(
        steps=num_steps, first_loss=float(np.mean(losses[:tenth])), last_loss=float(np.mean(losses[-tenth:]))
    )
    state = {"key": key, "distilled": dataclasses.asdict(distilled)}
    save_checkpoint(path, model=model.state_dict(), best={}, optimizers=[], state=state)
    return distilled


class QueriesOfItems:
    """The queries of a table of pairs by item; those of which no token is known are left out."""

    def __init__(self, pairs: PairTable):
        query_P, item_P = np.asarray(pairs.query_P), np.asarray(pairs.item_P)
        is_asked_Q = pairs.num_tokens_Q() > 0
        rows_P = np.flatnonzero(is_asked_Q[query_P])
        asked = np.unique(np.stack([item_P[rows_P], query_P[rows_P]]).astype(np.int64), axis=1)
        self.items_N, counts_N = np.unique(asked[0], return_counts=True)
        self._query_X, self._counts_N, self._starts_N = asked[1], counts_N, np.cumsum(counts_N) - counts_N
        self._order: tuple[tuple[int, int], np.ndarray] | None = None

    def of_step(self, step: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """NUM_ITEMS of the items, or all, int64, and their distinct queries, int64 [Q]. Each pass over the items is
        shuffled with a seed of its own, and takes other queries of an item with more than MAX_QUERIES."""
        epoch, place = divmod(step, max(len(self.items_N) // NUM_ITEMS, 1))
        chosen_M = self._order_N(epoch, seed)[place * NUM_ITEMS : (place + 1) * NUM_ITEMS]
        taken_M = np.minimum(self._counts_N[chosen_M], MAX_QUERIES)
        number_Q = np.arange(taken_M.sum()) - np.repeat(np.cumsum(taken_M) - taken_M, taken_M) + epoch * MAX_QUERIES
        number_Q %= np.repeat(self._counts_N[chosen_M], taken_M)
        return self.items_N[chosen_M], np.unique(self._query_X[np.repeat(self._starts_N[chosen_M], taken_M) + number_Q])

    def _order_N(self, epoch: int, seed: int) -> np.ndarray:
        """Of all items in a pass over them, int64; made once a pass."""
        if self._order is None or self._order[0] != (epoch, seed):
            generator = np.random.default_rng(seed_of("distillation", seed, epoch))
            self._order = (epoch, seed), generator.permutation(len(self.items_N))
        return self._order[1]


def _steps(
    model: ItemSage,
    data: TrainingData,
    config: TrainingConfig,
    teacher: LexicalTeacher,
    queries: QueriesOfItems,
    num_steps: int,
) -> Iterator[float]:
    """Takes the steps; the loss before each."""
    log_scale = torch.tensor(math.log(START_SCALE), requires_grad=True)
    optimizers = make_optimizers(
        model,
        learning_rate=0.0,
        table_learning_rate=RATE * config.table_learning_rate,
        importance_learning_rate=RATE * config.importance_learning_rate,
        field_weight_learning_rate=config.field_weight_learning_rate,
        decay=0.0,
    )
    optimizers.append(torch.optim.Adam([{"params": [log_scale], "base_lr": 1e-2}]))
    model.train()
    for step in range(num_steps):
        set_learning_rate(optimizers, learning_rate_factor(step, num_steps, math.ceil(num_steps / 10)))
        cosine_QU, wanted_QU = compared(model, data, config, teacher, queries, step)
        got_QU = (log_scale.exp() * cosine_QU).log_softmax(dim=1)
        loss = F.kl_div(got_QU, wanted_QU.log_softmax(dim=1), reduction="batchmean", log_target=True)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        yield loss.item()
    model.eval()


def compared(
    model: ItemSage,
    data: TrainingData,
    config: TrainingConfig,
    teacher: LexicalTeacher,
    queries: QueriesOfItems,
    step: int,
) -> tuple[Tensor, Tensor]:
    """Cosines and the teacher's logits [Q, U] of the step's queries against its items, those that they are of and
    random ones; items without queries, as those that are held out, are not met. The model reads at most
    max_field_tokens of a field, as in training; BM25 reads all."""
    items_M, queries_Q = queries.of_step(step, config.seed)
    generator = np.random.default_rng(seed_of("distillation items", config.seed, step))
    random_items = generator.choice(queries.items_N, min(NUM_RANDOM, len(queries.items_N)), replace=False)
    items_U = np.union1d(items_M, random_items)
    batch = data.items.batch(items_U)
    batch = dataclasses.replace(batch, text_vectors_BD=torch.zeros_like(batch.text_vectors_BD))
    query = data.distillation.text(queries_Q)[:2]
    thinned = Dropout(max_field_tokens=config.max_field_tokens)
    seen = drop_from_items(batch, items_U, thinned, seed_of("distillation tokens", config.seed, step))
    query_QO = model.text_tower.of_words(hash_fields(model.text_tower.hash_embedder, *query))
    cosine_QU = query_QO @ encode_items(model.item_encoder, seen).T
    wanted_QU = teacher.scores(*query, batch) / TEMPERATURE
    return cosine_QU, wanted_QU


def _key(model: ItemSage, data: TrainingData, config: TrainingConfig) -> str:
    names = ("distill_epochs", "max_distill_steps", "max_field_tokens", "seed", "frozen")
    rates = ("table_learning_rate", "importance_learning_rate", "field_weight_learning_rate")
    settings = [getattr(config, name) for name in (*names, *rates)]
    sizes = [len(data.items), len(data.distillation), len(data.distillation.query_id_Q)]
    return fingerprint([_STATE_VERSION, settings, model.config.to_json(), sizes])
