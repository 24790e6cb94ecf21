"""The optimisers of training: what moves how far, and the rate of a step."""

import dataclasses

import pytest
import torch
from torch import nn

from model.items.config import ItemSageConfig
from model.items.itemsage import ItemSage
from model.training.optimizers import AdamTowardsStart, RowAdam, learning_rate_factor, make_optimizers
from schemas.tables import NUM_TEXT_FIELDS

SMALL = ItemSageConfig(vocabulary_size=500, picture_dim=16, hash_rows=300, hash_dim=24, width=32, heads=4, ffn_dim=48)


def test_weights_without_a_reason_to_move_go_back_to_their_start() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = AdamTowardsStart([weight], lr=0.1, decay=0.5, betas=(0.9, 0.98))
    reference = nn.Parameter(weight.detach().clone())
    plain = torch.optim.Adam([reference], lr=0.1, betas=(0.9, 0.98))
    for gradient in ([3.0, 1.0], [1.0, -4.0]):
        weight.grad = reference.grad = torch.tensor(gradient)
        with torch.no_grad():
            reference.copy_(weight)
        optimizer.step()
        plain.step()
        by_hand = reference - 0.1 * 0.5 * (reference - torch.tensor([1.0, -2.0]))
        torch.testing.assert_close(weight.detach(), by_hand.detach())
    with torch.no_grad():
        weight += 5
    for _ in range(200):
        weight.grad = torch.zeros(2)
        optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([1.0, -2.0]), atol=1e-2, rtol=0)


def test_tables_get_sparse_optimizers_with_rates_of_their_own() -> None:
    model = ItemSage(dataclasses.replace(SMALL, share_text_table=False))
    rates = {
        "learning_rate": 1e-3,
        "field_weight_learning_rate": 3e-2,
        "table_learning_rate": 2e-3,
        "importance_learning_rate": 1e-2,
    }
    optimizers = make_optimizers(model, **rates, decay=0.1)
    sizes = [sum(p.numel() for group in o.param_groups for p in group["params"]) for o in optimizers]
    assert sizes[1:] == [NUM_TEXT_FIELDS, 2 * 300 * 24, 2 * 500 * 2]
    assert sum(sizes) == sum(p.numel() for p in model.parameters())
    assert [o.param_groups[0]["base_lr"] for o in optimizers] == [1e-3, 3e-2, 2e-3, 1e-2]
    assert [type(o) for o in optimizers] == [AdamTowardsStart, AdamTowardsStart, RowAdam, RowAdam]
    assert [o.decay for o in optimizers] == [0.1] * 4


def test_row_adam_equals_its_exact_twin() -> None:
    torch.manual_seed(0)
    twins = [torch.nn.Parameter(torch.full((50, 4), 0.5)) for _ in range(2)]
    optimizers = [
        RowAdam([twins[0]], 1e-2, betas=(0.9, 0.98)),
        torch.optim.SparseAdam([twins[1]], lr=1e-2, betas=(0.9, 0.98)),
    ]
    for _ in range(30):
        rows, values = torch.randint(0, 50, (1, 20)), torch.randn(20, 4)  # some rows are met twice in a step
        for parameter, optimizer in zip(twins, optimizers, strict=True):
            parameter.grad = torch.sparse_coo_tensor(rows, values, (50, 4))
            optimizer.step()
    torch.testing.assert_close(twins[0], twins[1], rtol=1e-5, atol=1e-6)


def test_row_adam_decays_touched_rows_towards_their_start() -> None:
    start = torch.arange(12.0).view(6, 2)
    decayed, plain = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimizers = [RowAdam([decayed], 0.1, betas=(0.9, 0.98), decay=0.5), RowAdam([plain], 0.1, betas=(0.9, 0.98))]
    for rows in ([1, 4, 4], [4, 0, 1]):
        before = decayed.detach().clone()
        for parameter, optimizer in zip((decayed, plain), optimizers, strict=True):
            with torch.no_grad():
                parameter.copy_(before)
            parameter.grad = torch.sparse_coo_tensor(torch.tensor([rows]), torch.ones(3, 2), (6, 2))
            optimizer.step()
        by_hand = plain.detach().clone()
        by_hand[rows] -= 0.1 * 0.5 * (by_hand[rows] - start[rows])
        torch.testing.assert_close(decayed.detach(), by_hand)
    assert (decayed[[2, 3, 5]] == start[[2, 3, 5]]).all()


def test_row_adam_leaves_other_rows_alone() -> None:
    untouched = torch.nn.Parameter(torch.ones(3, 2))
    untouched.grad = torch.sparse_coo_tensor(torch.tensor([[1]]), torch.ones(1, 2), (3, 2))
    RowAdam([untouched], 1e-2, betas=(0.9, 0.98)).step()
    assert (untouched[[0, 2]] == 1).all()
    assert (untouched[1] < 1).all()


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    factors = [learning_rate_factor(step, 100, 10) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == factors[10] == 1.0
    assert factors[100] == pytest.approx(0.0)
    assert factors[10:] == sorted(factors[10:], reverse=True)
