"""From a global batch and its vectors to the loss: which columns the softmaxes have and how probable each was."""

import numpy as np
import torch
from torch import Tensor

from model.items.itemsage import ItemSage
from model.training.data import PairBatch, PairStream
from model.training.losses import LossConfig, LossInputs, LossParts, sampled_softmax_loss


class BatchLoss:
    """The loss of model.training.losses over a whole global batch, the same in every process.

    P(n) of an in-batch column is the probability with which the stream puts item n into a place of the batch (equal
    task mix and capped repeats included), not the raw C(n) / C_total; of a random column that with which it is drawn;
    of a joint softmax's columns that of the mixture of both. P(p|q) is C(q, p) / C(q).

    masks_known: an item that the training pairs of any task have for a row's query is no negative of that row. Without
    it only what the batch itself tells is masked: the row's positive, and in-batch the positives of the same query.
    """

    def __init__(self, stream: PairStream, config: LossConfig, masks_known: bool = True):
        self.config, self.masks_known = config, masks_known
        in_batch_I, random_I = stream.item_probabilities(), stream.negative_probabilities()
        if config.joint:
            num_in_batch = config.in_batch * (stream.batch_size - 1)
            num_random = config.random * stream.mean_num_negatives
            share = num_in_batch / max(num_in_batch + num_random, 1)
            in_batch_I = random_I = share * in_batch_I + (1 - share) * random_I
        self._log_p_I, self._log_p_random_I = _log(in_batch_I), _log(random_I)

    def __call__(self, batch: PairBatch, queries_QO: Tensor, items_UO: Tensor, model: ItemSage) -> LossParts:
        """queries_QO, items_UO: unit vectors of the batch's distinct queries and items, as encode_batch gives them."""

        def put(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values).to(items_UO.device)

        positive_B, negative_M = put(batch.positive_B), put(batch.negative_M)
        masked_BB, masked_BR = (put(mask) for mask in self.masked_columns(batch))
        log_p_of_positive = np.log(batch.query_item_count_B / batch.query_count_B)
        inputs = LossInputs(
            queries_BO=queries_QO[put(batch.query_B)],
            items_BO=items_UO[positive_B],
            randoms_RO=items_UO[negative_M],
            is_negative_BB=~masked_BB,
            is_negative_BR=~masked_BR,
            log_p_of_positive_B=put(log_p_of_positive.astype(np.float32)),
            log_p_B=put(self._log_p_I[batch.items_U[batch.positive_B]]),
            log_p_R=put(self._log_p_random_I[batch.items_U[batch.negative_M]]),
        )
        return sampled_softmax_loss(inputs, model.scale(), self.config)

    def masked_columns(self, batch: PairBatch) -> tuple[np.ndarray, np.ndarray]:
        """bool [B, B] of the in-batch columns and [B, M] of the random ones: which are no negatives of a row."""
        if self.masks_known:
            is_known_BU = batch.is_known_QU[batch.query_B]
            return is_known_BU[:, batch.positive_B], is_known_BU[:, batch.negative_M]
        same_item_BB = batch.positive_B[:, None] == batch.positive_B
        same_query_BB = batch.query_B[:, None] == batch.query_B
        return same_item_BB | same_query_BB, batch.positive_B[:, None] == batch.negative_M


def _log(probabilities_I: np.ndarray) -> np.ndarray:
    """float32; finite for the items that are never drawn."""
    return np.log(np.maximum(probabilities_I, np.finfo(np.float32).tiny)).astype(np.float32)
