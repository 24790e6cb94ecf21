"""The loss: two sampled softmaxes over in-batch and random negatives, with logQ correction and masks.

Queries q0 q1 q2 q3 engaged with items a b a c; q0 and q3 are the same query. The columns are the items of the batch
and random items x b y. s<q,p> is the scaled cosine, P the positive, N a negative, - masked:

             a  b  a  c  |  x  b  y
    q0 (a)   P  N  -  -  |  N  N  N      column 2 is item a again; c is another positive of this query
    q1 (b)   N  P  N  N  |  N  -  N      the random b is the positive itself
    q2 (a)   -  N  P  N  |  N  N  N
    q3 (c)   -  N  N  P  |  N  N  N      column 0 is the positive of the same query

    in-batch softmax   L_b = -log( e^P / (e^P + sum of e^N, left block) )
    random softmax     L_r = -log( e^P / (e^P + sum of e^N, right block) )         L = L_b + L_r  (ItemSage)
    joint              L   = -log( e^P / (e^P + sum of e^N, both blocks) )         (Mixed Negative Sampling, Yang 2020)

logQ makes up for how negatives are drawn (popular items are met more often). What is subtracted from s<q,p>:

                      positive         negative n
    itemsage          log P(p|q)       log P(n) + log(number of negatives)     P(p|q) = C(q,p)/C(q), P(n) = C(n)/C_total
    negatives_only    0                log P(n) + log(number of negatives)     (arXiv 2507.09331: correct no positive)
    yi2019            log P(p)         log P(n)                                (Yi et al., RecSys 2019)
    none              0                0

The number of negatives is the number of columns offered, the positive's own not counted. With random negatives drawn
uniformly from the catalogue P(n) is 1 / its size for every n: the caller gives the probabilities it sampled with.

Known instability of "itemsage": a rare positive of a busy query gets up to log C(q) added to its logit. Its row is then
solved before the vectors are near, its gradient vanishes, and such pairs are learned last; unequal corrections of the
two sides also let a loss fall while recall does not rise. "negatives_only" and "yi2019" do not have this.

Matryoshka (Kusupati et al., NeurIPS 2022, arXiv 2205.13147): with nested_dims the loss is the mean over the whole
vectors and each prefix of them, brought to norm 1 again, so that the first entries are a vector of their own.

Several processes: each has its own rows and everybody's columns; its row i has its positive in column row_offset + i.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from model.layers import unit
from schemas.errors import UsageError

Correction = Literal["itemsage", "negatives_only", "yi2019", "none"]
CORRECTIONS: tuple[Correction, ...] = ("itemsage", "negatives_only", "yi2019", "none")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """correction: how logQ is read. joint: one softmax over both kinds of negatives instead of two. nested_dims: how
    many first entries of the vectors are vectors of their own."""

    correction: Correction = "itemsage"
    joint: bool = False
    in_batch: bool = True
    random: bool = True
    nested_dims: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.correction not in CORRECTIONS:
            raise UsageError(f"expected a correction of {CORRECTIONS}, got {self.correction!r}")
        if not (self.in_batch or self.random):
            raise UsageError("expected in-batch or random negatives, got neither: switch one on")
        if min(self.nested_dims, default=1) < 1 or len(set(self.nested_dims)) < len(self.nested_dims):
            raise UsageError(f"expected nested_dims of at least 1, each once, got {list(self.nested_dims)}")


@dataclass(frozen=True, kw_only=True)
class LossInputs:
    """B rows of this process, G columns of all processes (one row each), R random items.

    queries_BO, items_GO, randoms_RO: float32, norm 1. query_ids_G, item_ids_G, random_ids_R: int64 stable hashes.
    log_p_of_positive_B: log P(p|q), used by "itemsage" only. log_p_G, log_p_R: log P(n) of the columns. Row i is pair
    row_offset + i of the columns. row_weights_B: None for 1 each.
    """

    queries_BO: Tensor
    items_GO: Tensor
    randoms_RO: Tensor
    query_ids_G: Tensor
    item_ids_G: Tensor
    random_ids_R: Tensor
    log_p_of_positive_B: Tensor
    log_p_G: Tensor
    log_p_R: Tensor
    row_offset: int = 0
    row_weights_B: Tensor | None = None

    @property
    def own(self) -> slice:
        """The columns that are this process's positives."""
        return slice(self.row_offset, self.row_offset + len(self.queries_BO))


@dataclass(frozen=True, kw_only=True)
class LossParts:
    """total is what to minimise; in_batch and random are its two terms (zero where joint or switched off)."""

    total: Tensor
    in_batch: Tensor
    random: Tensor


def in_batch_mask(inputs: LossInputs) -> Tensor:
    """bool [B, G], True = a negative: neither the row's positive item nor a positive of the same query."""
    own = inputs.own
    same_item_BG = inputs.item_ids_G[own, None] == inputs.item_ids_G
    same_query_BG = inputs.query_ids_G[own, None] == inputs.query_ids_G
    return ~(same_item_BG | same_query_BG)


def random_mask(inputs: LossInputs) -> Tensor:
    """bool [B, R], True = a negative: not the row's positive item."""
    return inputs.item_ids_G[inputs.own, None] != inputs.random_ids_R


def sampled_softmax_loss(inputs: LossInputs, scale: Tensor, config: LossConfig) -> LossParts:
    """Weighted mean over the rows, float32 scalars. A row without negatives of a kind adds 0 for it. With nested_dims:
    the mean over them and the whole vectors."""
    parts = _loss_parts(inputs, scale, config)
    if not config.nested_dims:
        return parts
    every = [parts, *(_loss_parts(_prefix(inputs, dim), scale, config) for dim in config.nested_dims)]

    def mean(name: str) -> Tensor:
        return torch.stack([getattr(parts, name) for parts in every]).mean()

    return LossParts(total=mean("total"), in_batch=mean("in_batch"), random=mean("random"))


def _prefix(inputs: LossInputs, dim: int) -> LossInputs:
    """The first `dim` entries of the vectors, of norm 1."""
    if dim >= (whole := inputs.queries_BO.shape[1]):
        raise UsageError(f"expected nested dimensions below the {whole} of the vectors, got {dim}")
    return replace(
        inputs,
        queries_BO=unit(inputs.queries_BO[:, :dim]),
        items_GO=unit(inputs.items_GO[:, :dim]),
        randoms_RO=unit(inputs.randoms_RO[:, :dim]),
    )


def _loss_parts(inputs: LossInputs, scale: Tensor, config: LossConfig) -> LossParts:
    own = inputs.own
    positives_BO = inputs.items_GO[own]
    if len(positives_BO) != len(inputs.queries_BO):
        raise UsageError(
            f"expected columns {own.start} to {own.stop} as the rows' positives, got {len(inputs.items_GO)} columns"
        )
    correct_positive_B, correct_G, correct_R = _corrections(inputs, config)
    positive_B = scale * (inputs.queries_BO * positives_BO).sum(dim=1) - correct_positive_B
    blocks = []
    if config.in_batch:
        logits_BG = scale * inputs.queries_BO @ inputs.items_GO.T - correct_G
        blocks.append(logits_BG.masked_fill(~in_batch_mask(inputs), -torch.inf))
    if config.random:
        logits_BR = scale * inputs.queries_BO @ inputs.randoms_RO.T - correct_R
        blocks.append(logits_BR.masked_fill(~random_mask(inputs), -torch.inf))
    zero = positive_B.new_zeros(())
    if config.joint:
        total = _weighted_mean(_softmax_loss(positive_B, torch.cat(blocks, dim=1)), inputs.row_weights_B)
        return LossParts(total=total, in_batch=zero, random=zero)
    losses = [_weighted_mean(_softmax_loss(positive_B, block), inputs.row_weights_B) for block in blocks]
    in_batch = losses[0] if config.in_batch else zero
    random = losses[-1] if config.random else zero
    return LossParts(total=in_batch + random, in_batch=in_batch, random=random)


def _corrections(inputs: LossInputs, config: LossConfig) -> tuple[Tensor, Tensor, Tensor]:
    """What is subtracted from the logits of positives [B], in-batch columns [G] and random columns [R]."""
    zeros_B = torch.zeros_like(inputs.log_p_of_positive_B)
    if config.correction == "none":
        return zeros_B, torch.zeros_like(inputs.log_p_G), torch.zeros_like(inputs.log_p_R)
    if config.correction == "yi2019":
        return inputs.log_p_G[inputs.own], inputs.log_p_G, inputs.log_p_R
    of_positive_B = inputs.log_p_of_positive_B if config.correction == "itemsage" else zeros_B
    log_num_in_batch = math.log(max(len(inputs.item_ids_G) - 1, 1))
    log_num_random = math.log(max(len(inputs.random_ids_R), 1))
    return of_positive_B, inputs.log_p_G + log_num_in_batch, inputs.log_p_R + log_num_random


def _softmax_loss(positive_B: Tensor, negatives_BX: Tensor) -> Tensor:
    """-log softmax of the positive among itself and the negatives (-inf = masked), [B]."""
    return torch.logsumexp(torch.cat([positive_B[:, None], negatives_BX], dim=1), dim=1) - positive_B


def _weighted_mean(losses_B: Tensor, weights_B: Tensor | None) -> Tensor:
    if weights_B is None:
        return losses_B.mean()
    return (losses_B * weights_B).sum() / weights_B.sum().clamp_min(torch.finfo(torch.float32).tiny)
