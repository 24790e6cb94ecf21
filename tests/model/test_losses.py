import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.training.losses import CORRECTIONS, LossConfig, LossInputs, sampled_softmax_loss
from schemas.errors import UsageError


def make_inputs(query_ids, item_ids, random_ids, seed=0) -> LossInputs:
    """Random vectors; masked is what the batch tells, see model.training.losses."""
    generator = torch.Generator().manual_seed(seed)
    B, R = len(item_ids), len(random_ids)

    def vectors(count):
        return torch.nn.functional.normalize(torch.randn(count, 6, generator=generator, dtype=torch.float64), dim=1)

    def log_probabilities(count):
        return torch.log(torch.rand(count, generator=generator, dtype=torch.float64) + 1e-3)

    queries_B, items_B = torch.tensor(query_ids), torch.tensor(item_ids)
    return LossInputs(
        queries_BO=vectors(B),
        items_BO=vectors(B),
        randoms_RO=vectors(R),
        is_negative_BB=(items_B[:, None] != items_B) & (queries_B[:, None] != queries_B),
        is_negative_BR=items_B[:, None] != torch.tensor(random_ids, dtype=torch.int64),
        log_p_of_positive_B=log_probabilities(B),
        log_p_B=log_probabilities(B),
        log_p_R=log_probabilities(R),
    )


def naive_loss(inputs: LossInputs, scale: float, config: LossConfig) -> float:
    """The same by loops over rows and columns, with plain exponentials."""
    queries, items, randoms = inputs.queries_BO.tolist(), inputs.items_BO.tolist(), inputs.randoms_RO.tolist()
    log_p, counts = inputs.log_p_B.tolist(), [len(items) - 1, len(randoms)]
    if config.joint:
        counts = [counts[0] * config.in_batch + counts[1] * config.random] * 2
    total = 0.0
    for i, query in enumerate(queries):

        def s(vector, query=query):
            return scale * sum(a * b for a, b in zip(query, vector, strict=True))

        correction = {"itemsage": inputs.log_p_of_positive_B[i].item(), "yi2019": log_p[i]}.get(config.correction, 0.0)
        positive = math.exp(s(items[i]) - correction)

        def negative(vector, log_p_n, count, s=s):
            if config.correction == "none":
                return math.exp(s(vector))
            return math.exp(s(vector) - log_p_n - (0 if config.correction == "yi2019" else math.log(count)))

        in_batch = sum(
            negative(items[j], log_p[j], counts[0]) for j in range(len(items)) if inputs.is_negative_BB[i, j]
        )
        at_random = sum(
            negative(randoms[j], inputs.log_p_R[j].item(), counts[1])
            for j in range(len(randoms))
            if inputs.is_negative_BR[i, j]
        )
        denominators = []
        if config.joint:
            denominators = [config.in_batch * in_batch + config.random * at_random]
        else:
            denominators = [in_batch] * config.in_batch + [at_random] * config.random
        for negatives in denominators:
            if config.correction != "unbiased":
                total -= math.log(positive / (positive + negatives))
            elif negatives:
                total -= negatives / (positive + negatives) * math.log(positive / negatives)
    return total / len(queries)


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
    seed=st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
def test_loss_equals_the_double_loop(rows, random_ids, config, seed):
    inputs = make_inputs([q for q, _ in rows], [p for _, p in rows], random_ids, seed)
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
        vectors = {name: cut(getattr(inputs, name), dim) for name in ("queries_BO", "items_BO", "randoms_RO")}
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


@pytest.mark.parametrize("joint", [False, True])
def test_the_unbiased_gradient_is_that_of_the_softmax_over_all_items(joint):
    """With every other item drawn once and its probability told, nothing is estimated: the gradients are equal."""
    generator = torch.Generator().manual_seed(5)
    catalogue_IO, queries_BO = (
        torch.nn.functional.normalize(torch.randn(rows, 6, generator=generator, dtype=torch.float64), dim=1)
        for rows in (9, 4)
    )
    positive_B, gradients = torch.tensor([2, 5, 2, 7]), []
    for exact in (True, False):
        items_IO, query_BO = (rows.clone().requires_grad_() for rows in (catalogue_IO, queries_BO))
        scale = torch.tensor(3.0, dtype=torch.float64)
        if exact:
            torch.nn.functional.cross_entropy(scale * query_BO @ items_IO.T, positive_B).backward()
        else:
            inputs = LossInputs(
                queries_BO=query_BO,
                items_BO=items_IO[positive_B],
                randoms_RO=items_IO,
                is_negative_BB=torch.zeros(4, 4, dtype=torch.bool),
                is_negative_BR=positive_B[:, None] != torch.arange(9),
                log_p_of_positive_B=torch.zeros(4, dtype=torch.float64),
                log_p_B=torch.zeros(4, dtype=torch.float64),
                log_p_R=torch.full((9,), -math.log(9), dtype=torch.float64),
            )
            config = LossConfig(correction="unbiased", joint=joint, in_batch=False)
            sampled_softmax_loss(inputs, scale, config).total.backward()
        gradients.append((items_IO.grad, query_BO.grad))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_rows_without_any_negative_cost_nothing_and_have_finite_gradients():
    inputs = make_inputs([1, 1], [3, 4], [5])
    inputs.queries_BO.requires_grad_()
    for correction in CORRECTIONS:
        loss = sampled_softmax_loss(inputs, torch.tensor(3.0), LossConfig(correction=correction, random=False)).total
        loss.backward()
        assert loss.item() == pytest.approx(0.0, abs=1e-12)
        assert inputs.queries_BO.grad.isfinite().all()


def test_wrong_calls_are_refused():
    with pytest.raises(UsageError, match="'logq'"):
        LossConfig(correction="logq")
    with pytest.raises(UsageError, match="neither"):
        LossConfig(in_batch=False, random=False)
