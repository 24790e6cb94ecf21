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

Which columns are masked is the caller's to say, see model.training.batch_loss: drawn is what a batch alone tells.

logQ makes up for how negatives are drawn (popular items are met more often). What is subtracted from s<q,p>:

                      positive         negative n
    itemsage          log P(p|q)       log P(n) + log(number of negatives)     P(p|q) = C(q,p)/C(q), P(n) = C(n)/C_total
    negatives_only    0                log P(n) + log(number of negatives)
    unbiased          0                log P(n) + log(number of negatives)     (Khrylchenko et al., RecSys 2025)
    yi2019            log P(p)         log P(n)                                (Yi et al., RecSys 2019)
    none              0                0

The number of negatives is the number of columns offered, the positive's own not counted. With random negatives drawn
uniformly from the catalogue P(n) is 1 / its size for every n: the caller gives the probabilities it sampled with.

"unbiased" (arXiv 2507.09331) is more than that. The gradient of the softmax over all items is

    (1 - P(p)) (-d s<q,p> + sum over n != p of P(n) / (1 - P(p)) d s<q,n>)         P: the model's softmax

so only the negatives are sampled, and a row weighs as much as the model is wrong about it:

    L = -w log( e^P / sum of e^N )      w = 1 - e^P / (e^P + sum of e^N), a constant to the gradient

Joint: the columns of both kinds are one sample of a mixture. The caller gives as P(n) of every column the mixture's
probability, N_b / (N_b + N_r) P_b(n) + N_r / (N_b + N_r) P_r(n), and the number of negatives is that of both kinds.

Known instability of "itemsage": a rare positive of a busy query gets up to log C(q) added to its logit. Its row is then
solved before the vectors are near, its gradient vanishes, and such pairs are learned last; unequal corrections of the
two sides also let a loss fall while recall does not rise. The others do not have this.

Matryoshka (Kusupati et al., NeurIPS 2022, arXiv 2205.13147): with nested_dims the loss is the mean over the whole
vectors and each prefix of them, brought to norm 1 again, so that the first entries are a vector of their own.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from model.items.layers import unit
from schemas.errors import UsageError

Correction = Literal["itemsage", "negatives_only", "unbiased", "yi2019", "none"]
CORRECTIONS: tuple[Correction, ...] = ("itemsage", "negatives_only", "unbiased", "yi2019", "none")


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
    """B rows, each with its positive in the column of its own number, and R random items.

    queries_BO, items_BO, randoms_RO: float32, norm 1. is_negative_BB, is_negative_BR: bool, which columns are a row's
    negatives; none is its positive. log_p_of_positive_B: log P(p|q), used by "itemsage" only. log_p_B, log_p_R:
    log P(n) of the columns.
    """

    queries_BO: Tensor
    items_BO: Tensor
    randoms_RO: Tensor
    is_negative_BB: Tensor
    is_negative_BR: Tensor
    log_p_of_positive_B: Tensor
    log_p_B: Tensor
    log_p_R: Tensor


@dataclass(frozen=True, kw_only=True)
class LossParts:
    """total is what to minimise; in_batch and random are its two terms (zero where joint or switched off)."""

    total: Tensor
    in_batch: Tensor
    random: Tensor


def sampled_softmax_loss(inputs: LossInputs, scale: Tensor, config: LossConfig) -> LossParts:
    """Mean over the rows, float32 scalars. A row without negatives of a kind adds 0 for it. With nested_dims: the mean
    over them and the whole vectors."""
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
        items_BO=unit(inputs.items_BO[:, :dim]),
        randoms_RO=unit(inputs.randoms_RO[:, :dim]),
    )


def _loss_parts(inputs: LossInputs, scale: Tensor, config: LossConfig) -> LossParts:
    correct_positive_B, correct_B, correct_R = _corrections(inputs, config)
    positive_B = scale * (inputs.queries_BO * inputs.items_BO).sum(dim=1) - correct_positive_B
    blocks = []
    if config.in_batch:
        logits_BB = scale * inputs.queries_BO @ inputs.items_BO.T - correct_B
        blocks.append(logits_BB.masked_fill(~inputs.is_negative_BB, -torch.inf))
    if config.random:
        logits_BR = scale * inputs.queries_BO @ inputs.randoms_RO.T - correct_R
        blocks.append(logits_BR.masked_fill(~inputs.is_negative_BR, -torch.inf))
    zero = positive_B.new_zeros(())
    softmax_loss = _unbiased_loss if config.correction == "unbiased" else _softmax_loss
    if config.joint:
        return LossParts(total=softmax_loss(positive_B, torch.cat(blocks, dim=1)), in_batch=zero, random=zero)
    losses = [softmax_loss(positive_B, block) for block in blocks]
    in_batch = losses[0] if config.in_batch else zero
    random = losses[-1] if config.random else zero
    return LossParts(total=in_batch + random, in_batch=in_batch, random=random)


def _corrections(inputs: LossInputs, config: LossConfig) -> tuple[Tensor, Tensor, Tensor]:
    """What is subtracted from the logits of positives [B], in-batch columns [B] and random columns [R]."""
    zeros_B = torch.zeros_like(inputs.log_p_of_positive_B)
    if config.correction == "none":
        return zeros_B, zeros_B, torch.zeros_like(inputs.log_p_R)
    if config.correction == "yi2019":
        return inputs.log_p_B, inputs.log_p_B, inputs.log_p_R
    of_positive_B = inputs.log_p_of_positive_B if config.correction == "itemsage" else zeros_B
    num_in_batch, num_random = len(inputs.items_BO) - 1, len(inputs.randoms_RO)
    if config.joint:
        num_in_batch = num_random = config.in_batch * num_in_batch + config.random * num_random
    log_num_in_batch, log_num_random = (math.log(max(number, 1)) for number in (num_in_batch, num_random))
    return of_positive_B, inputs.log_p_B + log_num_in_batch, inputs.log_p_R + log_num_random


def _softmax_loss(positive_B: Tensor, negatives_BX: Tensor) -> Tensor:
    """Mean of -log softmax of the positive among itself and the negatives (-inf = masked)."""
    return (torch.logsumexp(torch.cat([positive_B[:, None], negatives_BX], dim=1), dim=1) - positive_B).mean()


def _unbiased_loss(positive_B: Tensor, negatives_BX: Tensor) -> Tensor:
    """See "unbiased" above; 0 for a row without negatives, about which the model cannot be wrong."""
    has_negatives_B = (negatives_BX > -torch.inf).any(dim=1)
    positive_N, negatives_NX = positive_B[has_negatives_B], negatives_BX[has_negatives_B]
    log_sum_N = torch.logsumexp(negatives_NX, dim=1)
    weight_N = torch.sigmoid(log_sum_N - positive_N).detach()
    return (weight_N * (log_sum_N - positive_N)).sum() / len(positive_B)
