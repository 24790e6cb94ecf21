"""Skip-gram with negative sampling over sequences of items: Prod2Vec, and ProdSI2Vec if the corpus has attributes.

Mikolov et al., "Distributed Representations of Words and Phrases and their Compositionality" (NIPS 2013), equation 4,
summed over every ordered pair (i, j) of two different tokens of a sequence at most `window` apart, each pair weighing
m_ij = the lesser weight of the two:

    L = - sum_ij m_ij ( log sigma(u_i . v_j) + k E_{n ~ P} log sigma(-u_i . v_n) )        P(n) ~ count(n)^.75

u are the vectors of items (what is used afterwards), v those of contexts. Frequent tokens are left out of an epoch
with the probability of word2vec's code (see `kept_share`).

What differs from word2vec, which steps pair by pair: a step takes some thousand tokens, and all of them share one draw
of M noise tokens, each counted k / M times: the same expectation, and products of matrices instead of single rows. A
token's pairs are found in blocks of b >= window tokens, each against itself and its neighbours:

          tokens of blocks 0 .. 4        block 1 against 0, 1, 2; window 2, b 3; "/" = another sequence
    a b c|d e f|g/h i|...                d  . x x|. x x|. . .
                                         e  . . x|x . x|x . .
                                         f  . . .|x x .|x/. .

Rows are updated by Adagrad (model.sources.embedding_rows) at a rate that falls in a line. One thread: equal bytes
however many cores there are.

Legend: V tokens, D dimension, B blocks, b tokens of a block, E tokens of a step (B b), M noise tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.sources.corpus import Corpus
from model.sources.embedding_rows import Noise, RowAdagrad, one_torch_thread, started
from schemas.errors import ThresholdError, UsageError
from schemas.hashing import seed_of

#: Tokens of no sequence, before the first and after the last.
_BEFORE, _AFTER = -1, -2


@dataclass(frozen=True, kw_only=True)
class SkipGramConfig:
    """window: in tokens, attributes among them. negatives: k. subsample: the share of all tokens above which a token
    is left out at times; 0 leaves none out. noise_power: of counts. learning_rate falls to last_learning_rate.
    tokens_a_step and noise_a_step: E (about) and M.

    Raises UsageError for a value out of its range.
    """

    dim: int = 64
    window: int = 16
    num_epochs: int = 5
    negatives: float = 5.0
    subsample: float = 1e-3
    noise_power: float = 0.75
    learning_rate: float = 0.2
    last_learning_rate: float = 0.02
    tokens_a_step: int = 2048
    noise_a_step: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = (self.dim, self.window, self.num_epochs, self.tokens_a_step, self.noise_a_step)
        rates = (self.negatives, self.subsample, self.learning_rate, self.last_learning_rate)
        if min(sizes) < 1 or not all(np.isfinite(rate) and rate >= 0 for rate in (*rates, abs(self.noise_power))):
            raise UsageError(f"expected sizes of at least 1 and finite rates of at least 0, got {self}")


@dataclass(frozen=True, eq=False)
class SkipGramVectors:
    """names: of tokens, items first. vectors_VD: u, contexts_VD: v, float32, not normalised. counts_N: how often each
    item was seen."""

    names: list[str]
    vectors_VD: np.ndarray
    contexts_VD: np.ndarray
    counts_N: np.ndarray
    facts: Mapping[str, float]

    @property
    def item_ids(self) -> list[str]:
        """Ascending."""
        return self.names[: len(self.counts_N)]

    @property
    def matrix_ND(self) -> np.ndarray:
        """The items' vectors."""
        return self.vectors_VD[: len(self.counts_N)]


def train_skip_gram(
    corpus: Corpus, config: SkipGramConfig, advance: Callable[[int], None] = lambda num_tokens: None
) -> SkipGramVectors:
    """Trains from nothing; equal corpus and config, equal bytes. Raises ThresholdError if the vectors overflow."""
    generator = np.random.default_rng(seed_of("skip-gram", config.seed))
    counts_V = corpus.token_counts()
    keep_V, noise = kept_share(counts_V, config.subsample), Noise(counts_V, config.noise_power)
    with one_torch_thread():
        items = RowAdagrad(started(len(counts_V), config.dim, generator))
        contexts = RowAdagrad(torch.zeros(len(counts_V), config.dim))
        num_pairs = 0.0
        for epoch in range(config.num_epochs):
            tokens, sequence, weight = corpus.epoch(generator)
            kept = generator.random(len(tokens)) < keep_V[tokens]
            blocks = Blocks(tokens[kept], sequence[kept], weight[kept], config.window)
            num_blocks = max(config.tokens_a_step // blocks.size, 1)
            for first in range(0, len(blocks), num_blocks):
                progress = (epoch + first / len(blocks)) / config.num_epochs
                rate = config.learning_rate + progress * (config.last_learning_rate - config.learning_rate)
                step = blocks.step(first, first + num_blocks)
                num_pairs += _update(items, contexts, step, noise.draw(generator, config.noise_a_step), rate, config)
                advance(step.num_tokens)
    if not torch.isfinite(items.matrix_VD).all():
        raise ThresholdError(f"expected finite vectors, got others: lower the learning rate {config.learning_rate}")
    facts = {**corpus.facts, "pairs": num_pairs}
    return SkipGramVectors(corpus.names, items.matrix_VD.numpy(), contexts.matrix_VD.numpy(), corpus.counts_N, facts)


def kept_share(counts_V: np.ndarray, subsample: float) -> np.ndarray:
    """float64 [V]: the probability that a token is kept in an epoch, sqrt(t / f) + t / f, at most 1, f its share of all
    tokens: word2vec's code; the paper's equation 5 has sqrt(t / f).

    >>> kept_share(np.array([1, 99]), 0.01).round(3).tolist()
    [1.0, 0.111]
    """
    if not subsample:
        return np.ones(len(counts_V))
    ratio_V = subsample * counts_V.sum() / np.maximum(counts_V, 1)
    return np.minimum(np.sqrt(ratio_V) + ratio_V, 1)


@dataclass(frozen=True, eq=False)
class Step:
    """tokens: int64 [(B + 2) b], a block before and one after the B whose tokens are centers. weight_BbC: float32
    [B, b, 3 b], m of each center and context, 0 where they are no pair."""

    tokens: np.ndarray
    weight_BbC: Tensor

    @property
    def num_tokens(self) -> int:
        """E, centers."""
        return self.weight_BbC.shape[0] * self.weight_BbC.shape[1]


class Blocks:
    """The tokens of an epoch in blocks; a token's sequence tells where its neighbours end."""

    def __init__(self, tokens: np.ndarray, sequence: np.ndarray, weight: np.ndarray, window: int):
        self.size = max(window, 16)
        missing = -len(tokens) % self.size
        self._tokens = np.pad(tokens, (self.size, missing + self.size))
        self._sequence = torch.from_numpy(
            np.concatenate([np.full(self.size, _BEFORE), sequence, np.full(missing + self.size, _AFTER)])
        )
        is_uniform = not len(weight) or weight.min() == weight.max() == 1
        self._weight = None if is_uniform else torch.from_numpy(np.pad(weight, (self.size, missing + self.size)))
        apart = torch.arange(3 * self.size)[None, :] - self.size - torch.arange(self.size)[:, None]
        self._band_bC = ((apart != 0) & (apart.abs() <= window)).float()

    def __len__(self) -> int:
        """How many blocks of centers there are."""
        return len(self._tokens) // self.size - 2

    def step(self, first: int, end: int) -> Step:
        """Those from `first` to before `end`, or the last."""
        size, num_blocks = self.size, min(end, len(self)) - first
        span = slice(first * size, (first + num_blocks + 2) * size)
        sequence = self._sequence[span]
        is_own = self._center(sequence, num_blocks) == self._context(sequence, num_blocks)
        weight_BbC = is_own.float().mul_(self._band_bC)
        if self._weight is not None:
            weight = self._weight[span]
            weight_BbC.mul_(torch.minimum(self._center(weight, num_blocks), self._context(weight, num_blocks)))
        tokens = torch.from_numpy(self._tokens[span])
        weight_BbC.mul_(self._center(tokens, num_blocks) != self._context(tokens, num_blocks))
        return Step(self._tokens[span], weight_BbC)

    def _center(self, flat: Tensor, num_blocks: int) -> Tensor:
        return flat[self.size : -self.size].view(num_blocks, self.size, 1)

    def _context(self, flat: Tensor, num_blocks: int) -> Tensor:
        return flat.as_strided((num_blocks, 1, 3 * self.size), (self.size, 0, 1), flat.storage_offset())


def gradients(
    center_ED: Tensor, context_XD: Tensor, noise_MD: Tensor, weight_BbC: Tensor, negatives: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Of the loss of a step (see the module, the expectation being the mean of the M noise tokens) by the vectors of
    centers u, of contexts v and of noise v, in the shapes of those; X = E + 2 b."""
    (num_blocks, size, _), dim = weight_BbC.shape, center_ED.shape[1]
    center_BbD = center_ED.view(num_blocks, size, dim)
    context_BCD = context_XD.as_strided((num_blocks, 3 * size, dim), (size * dim, dim, 1))
    slope_BbC = torch.sigmoid(torch.bmm(center_BbD, context_BCD.transpose(1, 2))).sub_(1).mul_(weight_BbC)
    by_center_ED = torch.bmm(slope_BbC, context_BCD).view(-1, dim)
    by_context_BCD = torch.bmm(slope_BbC.transpose(1, 2), center_BbD)
    by_context_XbD = torch.zeros(num_blocks + 2, size, dim)
    for place in range(3):
        by_context_XbD[place : place + num_blocks] += by_context_BCD[:, place * size : (place + 1) * size]
    each_E = weight_BbC.sum(dim=2).view(-1, 1) * (negatives / len(noise_MD))
    slope_EM = torch.sigmoid(center_ED @ noise_MD.T).mul_(each_E)
    return by_center_ED.addmm_(slope_EM, noise_MD), by_context_XbD.view(-1, dim), slope_EM.T @ center_ED


def _update(
    items: RowAdagrad, contexts: RowAdagrad, step: Step, noise_M: np.ndarray, rate: float, config: SkipGramConfig
) -> float:
    """One step; returns how many pairs it had, by weight."""
    centers = step.tokens[step.weight_BbC.shape[1] : -step.weight_BbC.shape[1]]
    context_XD, noise_MD = (contexts.matrix_VD[torch.from_numpy(rows)] for rows in (step.tokens, noise_M))
    center_ED = items.matrix_VD[torch.from_numpy(centers)]
    by_center, by_context, by_noise = gradients(center_ED, context_XD, noise_MD, step.weight_BbC, config.negatives)
    items.step_(centers, by_center, rate)
    contexts.step_(np.concatenate([step.tokens, noise_M]), torch.cat([by_context, by_noise]), rate)
    return float(step.weight_BbC.sum())
