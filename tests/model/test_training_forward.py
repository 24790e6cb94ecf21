"""The forward pass of training, against that of the modules."""

import dataclasses

import numpy as np
import pytest
import torch
from small_training import SMALL
from torch import nn

from model.items.itemsage import ItemSage
from model.training.data import TrainingData
from model.training.forward import encode_items, encode_text


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"start": "random"},
        {"field_layer_norm": True},
        {"picture_dim": 0},
        {"use_text": False},
        {"num_layers": 2},
        {"text_dim": 12},
        {"query_table_dim": 9, "start": "random"},
        {"query_table_dim": 9, "text_dim": 12},
    ],
    ids=str,
)
def test_the_forward_of_training_is_the_plain_one(data: TrainingData, switches: dict) -> None:
    model = ItemSage(dataclasses.replace(SMALL, **switches))
    for layer in (model.item_encoder.head_out, model.text_tower.out):
        nn.init.normal_(layer.weight)
    batch = data.items.batch(np.arange(40))
    tokens, offsets, *_ = data.train.text(np.flatnonzero(data.train.is_text(np.arange(len(data.train.query_id_Q)))))
    batch.text_vectors_BD, queries_BD = (torch.randn(size, model.config.text_dim) for size in (40, len(offsets) - 1))
    table_BD = torch.randn(len(offsets) - 1, model.config.query_table_dim)
    batch.text_vectors_BD[::4] = table_BD[::3] = 0
    direction = torch.linspace(-1, 1, SMALL.output_dim)
    results = []
    for items, text in (
        (model.item_encoder(batch), model.text_tower(tokens, offsets, queries_BD, table_BD)),
        (encode_items(model.item_encoder, batch), encode_text(model.text_tower, tokens, offsets, queries_BD, table_BD)),
    ):
        model.zero_grad()
        ((items @ direction).square().sum() + (text @ direction).sum()).backward()
        gradients = {name: p.grad.to_dense() for name, p in model.named_parameters() if p.grad is not None}
        results.append((items.detach(), text.detach(), gradients))
    plain, fast = results
    torch.testing.assert_close(fast[0], plain[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(fast[1], plain[1], atol=1e-5, rtol=0)
    assert fast[2].keys() == plain[2].keys()
    for name, gradient in plain[2].items():
        torch.testing.assert_close(fast[2][name], gradient, atol=1e-4 * float(gradient.abs().max()) + 1e-6, rtol=1e-3)
