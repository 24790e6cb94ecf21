"""BPR-MF: matrix factorisation that ranks what a user engaged with above what they did not.

Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback" (UAI 2009), with the model of One Embedding
To Do Them All:

    x_up = a + b_u + b_p + g_u . g_p
    L    = - mean over (u, p, q) of log sigma(x_up - x_uq)  +  l2 (|g_u|^2 + |g_p|^2 + |g_q|^2 + b_p^2 + b_q^2) / 2

p is an item of the user's, q one that is not. a and b_u cancel in the difference, so they are 0: ranking does not
define them. g_p is the item's vector; b_p, how popular it is, is kept beside it.

What differs from the paper's SGD of single triples: a step takes C chunks of up to P items of one user each, and all of
them share one draw of M items q, uniform over items; those which a user has are left out for that user. The expectation
is the same. Rows are updated by Adagrad (model.sources.embedding_rows). One thread: equal bytes on any number of cores.

Legend: U users, N items, I interactions, D dimension, C chunks, P items of a chunk, M drawn items.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from model.machine.columns import offsets_of
from model.sources.embedding_rows import RowAdagrad, one_torch_thread, started
from model.sources.engaged_rows import ranks_of
from schemas.errors import ThresholdError, UsageError
from schemas.hashing import seed_of


@dataclass(frozen=True, kw_only=True)
class BprConfig:
    """min_users: of an item that gets a vector. chunk_items: P, at most. chunks_a_step: C. draws_a_step: M.
    learning_rate falls in a line to last_learning_rate.

    Raises UsageError for a value out of its range.
    """

    dim: int = 64
    min_users: int = 2
    num_epochs: int = 10
    learning_rate: float = 0.1
    last_learning_rate: float = 0.01
    l2: float = 1e-3
    chunk_items: int = 16
    chunks_a_step: int = 128
    draws_a_step: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = (self.dim, self.min_users, self.num_epochs, self.chunk_items, self.chunks_a_step, self.draws_a_step)
        rates = (self.learning_rate, self.last_learning_rate, self.l2)
        if min(sizes) < 1 or not all(np.isfinite(rate) and rate >= 0 for rate in rates):
            raise UsageError(f"expected sizes of at least 1 and finite rates of at least 0, got {self}")


@dataclass(frozen=True, eq=False)
class BprVectors:
    """matrix_ND: g_p, float32, not normalised; bias_N: b_p; users_UD: g_u, by ascending user_ids. counts_N: users of
    each item."""

    item_ids: list[str]
    matrix_ND: np.ndarray
    bias_N: np.ndarray
    user_ids: list[str]
    users_UD: np.ndarray
    counts_N: np.ndarray


@dataclass(frozen=True, eq=False)
class Owned:
    """What users have: user_I and item_I by rank, sorted by user, then item."""

    user_ids: list[str]
    item_ids: list[str]
    user_I: np.ndarray
    item_I: np.ndarray

    @cached_property
    def keys_I(self) -> np.ndarray:
        """int64, ascending: user and item in one number."""
        return self.user_I * len(self.item_ids) + self.item_I

    def has(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """bool, of the broadcast shape: whether the user has the item."""
        keys_I, asked = self.keys_I, users * len(self.item_ids) + items
        return keys_I[np.minimum(np.searchsorted(keys_I, asked), len(keys_I) - 1)] == asked


def owned_items(interactions: pa.Table, min_users: int) -> Owned:
    """What users have of the items with at least min_users users, from INTERACTIONS in any order. Raises ThresholdError
    if fewer than two items are left, or every user has all of them."""
    pairs = (
        interactions.select(["user_id", "item_id"]).group_by(["user_id", "item_id"], use_threads=False).aggregate([])
    )
    item_I, names = ranks_of(pairs.column("item_id"))
    kept_I = np.bincount(item_I, minlength=1)[item_I] >= min_users
    user_I, user_names = ranks_of(pairs.column("user_id").filter(pa.array(kept_I)))
    kept_items, item_I = np.unique(item_I[kept_I], return_inverse=True)
    if len(kept_items) < 2 or len(item_I) == len(user_names) * len(kept_items):
        raise ThresholdError(
            f"expected two items of at least {min_users} users, and a user who lacks one, got {len(kept_items)} items:"
            " lower min_users or use a longer log"
        )
    order = np.lexsort((item_I, user_I))
    return Owned(user_names.to_pylist(), names.take(pa.array(kept_items)).to_pylist(), user_I[order], item_I[order])


def train_bpr(
    interactions: pa.Table, config: BprConfig, advance: Callable[[int], None] = lambda num_interactions: None
) -> BprVectors:
    """Trains from nothing; the rows' order does not matter; equal rows and config, equal bytes. Raises ThresholdError
    as `owned_items` does, or if the vectors overflow."""
    owned = owned_items(interactions, config.min_users)
    generator = np.random.default_rng(seed_of("bpr", config.seed))
    num_users, num_items = len(owned.user_ids), len(owned.item_ids)
    with one_torch_thread():
        users = RowAdagrad(started(num_users, config.dim, generator))
        items = RowAdagrad(started(num_items, config.dim, generator))
        biases = RowAdagrad(torch.zeros(num_items, 1))
        for epoch in range(config.num_epochs):
            chunk_users, chunks_CP = chunks_of(owned, config.chunk_items, generator)
            for first in range(0, len(chunk_users), config.chunks_a_step):
                progress = (epoch + first / len(chunk_users)) / config.num_epochs
                rate = config.learning_rate + progress * (config.last_learning_rate - config.learning_rate)
                part = slice(first, first + config.chunks_a_step)
                drawn_M = generator.integers(num_items, size=config.draws_a_step)
                _update((users, items, biases), owned, (chunk_users[part], chunks_CP[part], drawn_M), rate, config.l2)
                advance(int((chunks_CP[part] >= 0).sum()))
    if not (torch.isfinite(items.matrix_VD).all() and torch.isfinite(users.matrix_VD).all()):
        raise ThresholdError(f"expected finite vectors, got others: lower the learning rate {config.learning_rate}")
    bias_N, counts_N = biases.matrix_VD[:, 0].numpy(), np.bincount(owned.item_I, minlength=num_items)
    return BprVectors(
        owned.item_ids, items.matrix_VD.numpy(), bias_N, owned.user_ids, users.matrix_VD.numpy(), counts_N
    )


def chunks_of(owned: Owned, chunk_items: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(user int64 [C], items int64 [C, P], -1 where there are fewer): every interaction once, a user's shuffled, all
    chunks in random order."""
    order = np.lexsort((generator.random(len(owned.user_I)), owned.user_I))
    num_I = np.bincount(owned.user_I)
    place_I = np.arange(len(order)) - np.repeat(offsets_of(num_I)[:-1], num_I)
    chunks_U = -(-num_I // chunk_items)
    chunk_I = np.repeat(offsets_of(chunks_U)[:-1], num_I) + place_I // chunk_items
    chunks_CP = np.full((chunks_U.sum(), chunk_items), -1)
    chunks_CP[chunk_I, place_I % chunk_items] = owned.item_I[order]
    shuffled = generator.permutation(len(chunks_CP))
    return np.repeat(np.arange(len(num_I)), chunks_U)[shuffled], chunks_CP[shuffled]


def gradients(
    user_CD: Tensor, item_CPD: Tensor, drawn_MD: Tensor, bias_CPM: Tensor, weight_CPM: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of - sum weight log sigma(x_up - x_uq), by g_u [C, D], g_p [C, P, D], g_q [M, D] and the differences of scores
    [C, P, M]: sums of these are the gradients of biases. bias_CPM: b_p - b_q."""
    score_CP1 = torch.bmm(item_CPD, user_CD[:, :, None])
    margin_CPM = score_CP1 - (user_CD @ drawn_MD.T)[:, None, :] + bias_CPM
    slope_CPM = torch.sigmoid(-margin_CPM).mul_(weight_CPM).neg_()
    by_score_CP, by_drawn_CM = slope_CPM.sum(dim=2), slope_CPM.sum(dim=1).neg_()
    by_user_CD = torch.bmm(by_score_CP[:, None, :], item_CPD)[:, 0].addmm_(by_drawn_CM, drawn_MD)
    return by_user_CD, by_score_CP[:, :, None] * user_CD[:, None, :], by_drawn_CM.T @ user_CD, slope_CPM


def pair_weights(owned: Owned, user_C: np.ndarray, chunks_CP: np.ndarray, drawn_M: np.ndarray) -> Tensor:
    """float32 [C, P, M]: for an item of a chunk one over the drawn items that its user lacks, 0 for the others."""
    is_other_CM = torch.from_numpy(~owned.has(user_C[:, None], drawn_M[None, :]))
    share_CM = is_other_CM / is_other_CM.sum(dim=1, keepdim=True).clamp_(min=1)
    return torch.from_numpy(chunks_CP >= 0)[:, :, None] * share_CM[:, None, :]


def _update(
    tables: tuple[RowAdagrad, RowAdagrad, RowAdagrad],
    owned: Owned,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    rate: float,
    l2: float,
) -> None:
    (users, items, biases), (user_C, chunks_CP, drawn_M) = tables, rows
    is_item_CP = torch.from_numpy(chunks_CP >= 0)
    place_CP, drawn = torch.from_numpy(np.maximum(chunks_CP, 0)), torch.from_numpy(drawn_M)
    weight_CPM = pair_weights(owned, user_C, chunks_CP, drawn_M)
    user_CD = users.matrix_VD[torch.from_numpy(user_C)]
    item_CPD, drawn_MD = items.matrix_VD[place_CP], items.matrix_VD[drawn]
    bias_CP1, bias_M1 = biases.matrix_VD[place_CP], biases.matrix_VD[drawn]
    by_user_CD, by_item_CPD, by_drawn_MD, slope_CPM = gradients(
        user_CD, item_CPD, drawn_MD, bias_CP1 - bias_M1.T, weight_CPM
    )
    times_C1, times_M1 = is_item_CP.sum(dim=1)[:, None], weight_CPM.sum(dim=(0, 1))[:, None]
    by_bias_CP1, by_bias_M1 = slope_CPM.sum(dim=2)[:, :, None], -slope_CPM.sum(dim=(0, 1))[:, None]
    rows_I = np.concatenate([chunks_CP[chunks_CP >= 0], drawn_M])
    users.step_(user_C, by_user_CD + l2 * times_C1 * user_CD, rate)
    by_own_ID, by_own_I1 = (by_item_CPD + l2 * item_CPD)[is_item_CP], (by_bias_CP1 + l2 * bias_CP1)[is_item_CP]
    items.step_(rows_I, torch.cat([by_own_ID, by_drawn_MD + l2 * times_M1 * drawn_MD]), rate)
    biases.step_(rows_I, torch.cat([by_own_I1, by_bias_M1 + l2 * times_M1 * bias_M1]), rate)
