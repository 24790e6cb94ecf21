"""BPR-MF against its loss written out, its draws against sets, and what it learns."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.sources.bpr import BprConfig, chunks_of, gradients, owned_items, pair_weights, train_bpr
from schemas.errors import ThresholdError, UsageError
from schemas.records.clickstream import INTERACTIONS

SMALL = BprConfig(dim=6, min_users=1, num_epochs=12, chunk_items=3, chunks_a_step=8, draws_a_step=8)


def table_of(pairs) -> pa.Table:
    rows = [{"user_id": user, "item_id": item, "count": 1} for user, item in pairs]
    return pa.Table.from_pylist(rows, schema=INTERACTIONS)


def test_gradients_are_those_of_the_loss():
    generator = torch.Generator().manual_seed(0)

    def made(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)

    user_CD, item_CPD, drawn_MD = made(3, 4), made(3, 2, 4), made(5, 4)
    bias_CP1, bias_M = made(3, 2, 1), made(5)
    weight_CPM = torch.rand(3, 2, 5, generator=generator, dtype=torch.float64)
    loss = torch.zeros((), dtype=torch.float64)
    for c in range(3):
        for p in range(2):
            for q in range(5):
                x_up = bias_CP1[c, p, 0] + user_CD[c] @ item_CPD[c, p]
                x_uq = bias_M[q] + user_CD[c] @ drawn_MD[q]
                loss = loss - weight_CPM[c, p, q] * torch.log(torch.sigmoid(x_up - x_uq))
    loss.backward()
    with torch.no_grad():
        found = gradients(user_CD, item_CPD, drawn_MD, bias_CP1 - bias_M, weight_CPM)
    for got, table in zip(found[:3], (user_CD, item_CPD, drawn_MD), strict=True):
        assert torch.allclose(got, table.grad)
    assert torch.allclose(found[3].sum(dim=2, keepdim=True), bias_CP1.grad)
    assert torch.allclose(-found[3].sum(dim=(0, 1)), bias_M.grad)


PAIRS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("stuvwxyz")), min_size=4, max_size=20)


@settings(deadline=None)
@given(PAIRS, st.integers(1, 5), st.integers(0, 9))
def test_an_epoch_has_every_interaction_once_and_draws_only_what_a_user_lacks(pairs, chunk_items, seed):
    pairs = [*pairs, ("a", "s"), ("b", "t")]
    distinct = sorted(set(pairs))
    owned = owned_items(table_of(pairs), 1)
    generator = np.random.default_rng(seed)
    user_C, chunks_CP = chunks_of(owned, chunk_items, generator)
    rows, places = np.nonzero(chunks_CP >= 0)
    got = [(owned.user_ids[user_C[c]], owned.item_ids[chunks_CP[c, p]]) for c, p in zip(rows, places, strict=True)]
    assert sorted(got) == distinct
    drawn_M = generator.integers(len(owned.item_ids), size=6)
    weight_CPM = pair_weights(owned, user_C, chunks_CP, drawn_M).numpy()
    for c, user in enumerate(user_C):
        lacks = [(owned.user_ids[user], owned.item_ids[item]) not in set(distinct) for item in drawn_M]
        for p, item in enumerate(chunks_CP[c]):
            expected = np.array(lacks) / max(sum(lacks), 1) if item >= 0 else np.zeros(6)
            assert weight_CPM[c, p] == pytest.approx(expected)


def two_worlds(seed: int = 0):
    generator = np.random.default_rng(seed)
    return [
        (f"u{user:02d}", f"{'ab'[user % 2]}{item}")
        for user in range(40)
        for item in generator.permutation(10)[: 5 if user else 10].tolist()
    ] + [(f"u{user:02d}", "popular") for user in range(40)]


def test_users_rank_the_items_of_their_world_first_and_the_popular_item_has_the_largest_bias():
    vectors = train_bpr(table_of(two_worlds()), SMALL)
    scores_UN = vectors.bias_N + vectors.users_UD @ vectors.matrix_ND.T
    in_a = np.array([name.startswith("a") for name in vectors.item_ids])
    in_b = np.array([name.startswith("b") for name in vectors.item_ids])
    lead_U = scores_UN[:, in_a].mean(axis=1) - scores_UN[:, in_b].mean(axis=1)
    assert (lead_U[0::2] > 0).all()
    assert (lead_U[1::2] < 0).all()
    assert vectors.item_ids[int(vectors.bias_N.argmax())] == "popular"
    assert dict(zip(vectors.item_ids, vectors.counts_N.tolist(), strict=True))["popular"] == 40


def test_equal_bytes_twice_and_in_any_order_of_rows():
    pairs = two_worlds(1)
    first = train_bpr(table_of(pairs), SMALL)
    again = train_bpr(table_of(pairs[::-1]), SMALL)
    assert (again.item_ids, again.user_ids) == (first.item_ids, first.user_ids)
    for name in ("matrix_ND", "bias_N", "users_UD"):
        assert getattr(again, name).tobytes() == getattr(first, name).tobytes()


def test_regularised_vectors_are_smaller():
    small = train_bpr(table_of(two_worlds()), BprConfig(**{**vars(SMALL), "l2": 0.3}))
    free = train_bpr(table_of(two_worlds()), BprConfig(**{**vars(SMALL), "l2": 0.0}))
    assert np.linalg.norm(small.matrix_ND) < 0.7 * np.linalg.norm(free.matrix_ND)


def test_rare_items_are_left_out():
    pairs = [("a", "x"), ("b", "x"), ("a", "y"), ("b", "y"), ("c", "x"), ("c", "z")]
    owned = owned_items(table_of(pairs), 2)
    assert (owned.user_ids, owned.item_ids) == (["a", "b", "c"], ["x", "y"])


def test_too_little_to_learn_from_and_bad_configs_are_told():
    with pytest.raises(ThresholdError, match="got 0 items"):
        train_bpr(table_of([]), SMALL)
    with pytest.raises(ThresholdError, match="got 1 items"):
        train_bpr(table_of([("a", "x"), ("b", "x")]), SMALL)
    with pytest.raises(ThresholdError, match="lacks one"):
        train_bpr(table_of([("a", "x"), ("a", "y")]), SMALL)
    with pytest.raises(UsageError, match="num_epochs=0"):
        BprConfig(num_epochs=0)
    with pytest.raises(UsageError, match="l2=nan"):
        BprConfig(l2=float("nan"))
    with pytest.raises(ThresholdError, match="learning rate"):
        train_bpr(table_of(two_worlds()), BprConfig(**{**vars(SMALL), "learning_rate": 3e38}))
