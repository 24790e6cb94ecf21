"""From a global batch and its vectors to the loss: which columns the softmaxes have and how probable each was."""

import numpy as np
import torch
from torch import Tensor

from model.itemsage import ItemSage
from model.losses import LossConfig, LossInputs, LossParts, sampled_softmax_loss
from model.training_data import PairBatch, PairStream


class BatchLoss:
    """The loss of model.losses over a whole global batch, the same in every process.

    P(n) of an in-batch column is the probability with which the stream puts item n into a place of the batch (equal
    task mix and capped repeats included), not the raw C(n) / C_total; of a random column that with which it is drawn.
    P(p|q) is C(q, p) / C(q).
    """

    def __init__(self, stream: PairStream, config: LossConfig):
        self.config = config
        self._log_p_I = _log(stream.item_probabilities())
        self._log_p_random_I = _log(stream.negative_probabilities())

    def __call__(self, batch: PairBatch, queries_QO: Tensor, items_UO: Tensor, model: ItemSage) -> LossParts:
        """queries_QO, items_UO: unit vectors of the batch's distinct queries and items, as encode_batch gives them."""

        def put(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values).to(items_UO.device)

        rows_U, positive_B, negative_M = put(batch.items_U), put(batch.positive_B), put(batch.negative_M)
        log_p_of_positive = np.log(batch.query_item_count_B / batch.query_count_B)
        inputs = LossInputs(
            queries_BO=queries_QO[put(batch.query_B)],
            items_GO=items_UO[positive_B],
            randoms_RO=items_UO[negative_M],
            query_ids_G=put(batch.query_id_B),
            item_ids_G=rows_U[positive_B],
            random_ids_R=rows_U[negative_M],
            log_p_of_positive_B=put(log_p_of_positive.astype(np.float32)),
            log_p_G=put(self._log_p_I[batch.items_U[batch.positive_B]]),
            log_p_R=put(self._log_p_random_I[batch.items_U[batch.negative_M]]),
        )
        return sampled_softmax_loss(inputs, model.scale(), self.config)


def _log(probabilities_I: np.ndarray) -> np.ndarray:
    """float32; finite for the items that are never drawn."""
    return np.log(np.maximum(probabilities_I, np.finfo(np.float32).tiny)).astype(np.float32)
