"""Which columns of a batch are masked, and how probable the loss is told that they are."""

import numpy as np
import pytest
import torch

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.training import batch_loss
from model.training.batch_loss import BatchLoss
from model.training.data import PairStream, TrainingData
from model.training.losses import LossConfig, LossInputs

SMALL = ItemSageConfig(vocabulary_size=500, picture_dim=16, hash_rows=300, hash_dim=24, width=32, heads=4, ffn_dim=48)


def _stream(data: TrainingData) -> PairStream:
    return PairStream(pairs=data.train, num_items=len(data.items), batch_size=60, num_negatives=50, seed=3)


def test_what_a_query_is_known_for_is_no_negative_of_it(data: TrainingData) -> None:
    stream = _stream(data)
    loss, plain = BatchLoss(stream, LossConfig()), BatchLoss(stream, LossConfig(), masks_known=False)
    known = set(zip(data.train.query_P.tolist(), data.train.item_P.tolist(), strict=True))
    num_more = 0
    for step in range(5):
        batch = stream.batch(step)
        queries_B = np.concatenate([batch.text_queries, batch.picture_queries])[batch.query_B].tolist()
        for masked, of_batch, columns in zip(
            loss.masked_columns(batch),
            plain.masked_columns(batch),
            (batch.items_U[batch.positive_B].tolist(), batch.items_U[batch.negative_M].tolist()),
            strict=True,
        ):
            assert masked.tolist() == [[(query, item) in known for item in columns] for query in queries_B]
            assert masked[of_batch].all(), "what the batch tells, the pairs tell too"
            num_more += int((masked & ~of_batch).sum())
    assert num_more > 100


def test_without_it_only_what_the_batch_tells_is_masked(data: TrainingData) -> None:
    stream = _stream(data)
    batch = stream.batch(1)
    in_batch_BB, random_BM = BatchLoss(stream, LossConfig(), masks_known=False).masked_columns(batch)
    for row, (item, query) in enumerate(zip(batch.positive_B, batch.query_B, strict=True)):
        assert in_batch_BB[row].tolist() == ((batch.positive_B == item) | (batch.query_B == query)).tolist()
        assert random_BM[row].tolist() == (batch.negative_M == item).tolist()


@pytest.mark.parametrize("joint", [False, True])
def test_a_joint_softmax_is_corrected_by_the_probabilities_of_the_mixture(
    data: TrainingData, joint: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[LossInputs] = []
    monkeypatch.setattr(batch_loss, "sampled_softmax_loss", lambda inputs, *_: told.append(inputs))
    stream, model = _stream(data), ItemSage(SMALL)
    batch = stream.batch(2)
    vectors = torch.zeros(200, SMALL.output_dim)
    BatchLoss(stream, LossConfig(joint=joint))(batch, vectors, vectors, model)
    p_I, q_I = stream.item_probabilities(), stream.negative_probabilities()
    if joint:  # Yang et al. 2020: of all columns offered, 59 are drawn as positives are and the others at random
        num_random = stream.mean_num_negatives
        p_I = q_I = (59 * p_I + num_random * q_I) / (59 + num_random)
    np.testing.assert_allclose(told[0].log_p_B.exp(), p_I[batch.items_U[batch.positive_B]], rtol=1e-5)
    np.testing.assert_allclose(told[0].log_p_R.exp(), q_I[batch.items_U[batch.negative_M]], rtol=1e-5)
