import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.losses import (
    CORRECTIONS,
    LossConfig,
    LossInputs,
    in_batch_mask,
    random_mask,
    sampled_softmax_loss,
)
from schemas.errors import UsageError


def make_inputs(query_ids, item_ids, random_ids, seed=0, weights=None) -> LossInputs:
    generator = torch.Generator().manual_seed(seed)
    G, R = len(item_ids), len(random_ids)

    def vectors(count):
        return torch.nn.functional.normalize(torch.randn(count, 6, generator=generator, dtype=torch.float64), dim=1)

    def log_probabilities(count):
        return torch.log(torch.rand(count, generator=generator, dtype=torch.float64) + 1e-3)

    return LossInputs(
        queries_BO=vectors(G),
        items_GO=vectors(G),
        randoms_RO=vectors(R),
        query_ids_G=torch.tensor(query_ids),
        item_ids_G=torch.tensor(item_ids),
        random_ids_R=torch.tensor(random_ids, dtype=torch.int64),
        log_p_of_positive_B=log_probabilities(G),
        log_p_G=log_probabilities(G),
        log_p_R=log_probabilities(R),
        row_weights_B=None if weights is None else torch.tensor(weights, dtype=torch.float64),
    )


def naive_loss(inputs: LossInputs, scale: float, config: LossConfig) -> float:
    """The same by loops over rows and columns, with plain exponentials."""
    queries, items, randoms = inputs.queries_BO.tolist(), inputs.items_GO.tolist(), inputs.randoms_RO.tolist()
    query_ids, item_ids = inputs.query_ids_G.tolist(), inputs.item_ids_G.tolist()
    random_ids = inputs.random_ids_R.tolist()
    total, weight_sum = 0.0, 0.0
    for i, query in enumerate(queries):

        def s(vector, query=query):
            return scale * sum(a * b for a, b in zip(query, vector, strict=True))

        log_p = inputs.log_p_G.tolist()
        correction = {
            "itemsage": inputs.log_p_of_positive_B[i].item(), "yi2019": log_p[i], "negatives_only": 0.0, "none": 0.0,
        }[config.correction]  # fmt: skip
        positive = math.exp(s(items[i]) - correction)

        def negative(vector, log_p_n, count, s=s):
            if config.correction == "none":
                return math.exp(s(vector))
            return math.exp(s(vector) - log_p_n - (0 if config.correction == "yi2019" else math.log(count)))

        in_batch = sum(
            negative(items[j], log_p[j], len(items) - 1)
            for j in range(len(items))
            if item_ids[j] != item_ids[i] and query_ids[j] != query_ids[i]
        )
        at_random = sum(
            negative(randoms[j], inputs.log_p_R[j].item(), len(randoms))
            for j in range(len(randoms))
            if random_ids[j] != item_ids[i]
        )
        denominators = []
        if config.joint:
            denominators = [config.in_batch * in_batch + config.random * at_random]
        else:
            denominators = [in_batch] * config.in_batch + [at_random] * config.random
        weight = 1.0 if inputs.row_weights_B is None else inputs.row_weights_B[i].item()
        total += weight * sum(-math.log(positive / (positive + negatives)) for negatives in denominators)
        weight_sum += weight
    return total / weight_sum


CONFIGS = [
    LossConfig(correction=correction, joint=joint, in_batch=in_batch, random=random)
    for correction, joint, (in_batch, random) in itertools.product(
        CORRECTIONS, (False, True), ((True, True), (True, False), (False, True))
    )
]


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=2, max_size=7),
    random_ids=st.lists(st.integers(0, 6), min_size=1, max_size=6),
    config=st.sampled_from(CONFIGS),
    weighted=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
def test_loss_equals_the_double_loop(rows, random_ids, config, weighted, seed):
    weights = [1.0 + i for i in range(len(rows))] if weighted else None
    inputs = make_inputs([q for q, _ in rows], [p for _, p in rows], random_ids, seed, weights)
    got = sampled_softmax_loss(inputs, torch.tensor(3.0, dtype=torch.float64), config)
    assert got.total.item() == pytest.approx(naive_loss(inputs, 3.0, config), rel=1e-9, abs=1e-12)
    if not config.joint:
        assert got.total.item() == pytest.approx(got.in_batch.item() + got.random.item())


@pytest.mark.parametrize("config", CONFIGS)
def test_the_nested_loss_is_the_mean_over_the_prefixes(config):
    inputs = make_inputs([0, 1, 2, 0], [0, 1, 0, 2], [5, 1, 6], seed=3)
    scale, nested = torch.tensor(3.0, dtype=torch.float64), dataclasses.replace(config, nested_dims=(2, 4))

    def cut(vectors, dim):
        return torch.nn.functional.normalize(vectors[:, :dim], dim=1)

    expected = [naive_loss(inputs, 3.0, config)]
    for dim in (2, 4):
        vectors = {name: cut(getattr(inputs, name), dim) for name in ("queries_BO", "items_GO", "randoms_RO")}
        expected.append(naive_loss(dataclasses.replace(inputs, **vectors), 3.0, config))
    got = sampled_softmax_loss(inputs, scale, nested)
    assert got.total.item() == pytest.approx(sum(expected) / 3, rel=1e-6)  # unit vectors are float32
    if not config.joint:
        assert got.total.item() == pytest.approx(got.in_batch.item() + got.random.item())


def test_the_nested_loss_has_gradients_in_every_entry_and_the_first_weigh_more():
    inputs = make_inputs([0, 1, 2, 0], [0, 1, 0, 2], [5, 1, 6], seed=3)
    inputs.queries_BO.requires_grad_()
    sampled_softmax_loss(inputs, torch.tensor(3.0), LossConfig(nested_dims=(1, 2))).total.backward()
    by_entry = inputs.queries_BO.grad.norm(dim=0)
    assert by_entry.min() > 0
    assert by_entry[:2].min() > by_entry[2:].max()


def test_impossible_nested_dimensions_are_refused():
    inputs = make_inputs([0, 1], [0, 1], [5])
    with pytest.raises(UsageError, match="below the 6 of the vectors, got 6"):
        sampled_softmax_loss(inputs, torch.tensor(3.0), LossConfig(nested_dims=(6,)))
    for dims in ((0, 2), (2, 2), (-1,)):
        with pytest.raises(UsageError, match="at least 1, each once"):
            LossConfig(nested_dims=dims)


def test_masks_are_those_drawn():
    a, b, c, x, y = range(5)
    inputs = make_inputs([0, 1, 2, 0], [a, b, a, c], [x, b, y])
    drawn = [["PN--", "NPNN", "-NPN", "N--P"], ["NNN", "N-N", "NNN", "NNN"]]
    drawn[0][3] = "-NNP"
    assert in_batch_mask(inputs).tolist() == [[letter == "N" for letter in row] for row in drawn[0]]
    assert random_mask(inputs).tolist() == [[letter == "N" for letter in row] for row in drawn[1]]


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_processes_with_a_slice_of_rows_average_to_the_whole(correction):
    whole = make_inputs([0, 1, 2, 0, 3, 4], [5, 6, 5, 7, 8, 6], [9, 6, 10])
    config = LossConfig(correction=correction)
    scale = torch.tensor(4.0, dtype=torch.float64)
    expected = sampled_softmax_loss(whole, scale, config).total
    parts = []
    for offset in (0, 3):
        rows = slice(offset, offset + 3)
        mine = {"queries_BO": whole.queries_BO[rows], "log_p_of_positive_B": whole.log_p_of_positive_B[rows]}
        inputs = LossInputs(**{**vars(whole), **mine, "row_offset": offset})
        parts.append(sampled_softmax_loss(inputs, scale, config).total)
    torch.testing.assert_close(sum(parts) / 2, expected)


def test_rows_without_any_negative_cost_nothing_and_have_finite_gradients():
    inputs = make_inputs([1, 1], [3, 4], [5])
    inputs.queries_BO.requires_grad_()
    loss = sampled_softmax_loss(inputs, torch.tensor(3.0), LossConfig(random=False)).total
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-12)
    assert inputs.queries_BO.grad.isfinite().all()


def test_wrong_calls_are_refused():
    with pytest.raises(UsageError, match="'logq'"):
        LossConfig(correction="logq")
    with pytest.raises(UsageError, match="neither"):
        LossConfig(in_batch=False, random=False)
    inputs = make_inputs([1, 2], [3, 4], [5])
    with pytest.raises(UsageError, match="columns 1 to 3"):
        sampled_softmax_loss(LossInputs(**{**vars(inputs), "row_offset": 1}), torch.tensor(1.0), LossConfig())
