"""The sums of hash embeddings in training, against HashEmbedder: values and gradients."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import SMALL

from model.items.hash_embedder import HashEmbedder
from model.training.hash_fields import _transposed, _transposed_by_sort, hash_fields

#: Fewer rows than tokens: most rows serve several of them.
CONFIG = dataclasses.replace(SMALL, vocabulary_size=60, hash_rows=40, hash_dim=8)


def _gradients(embedder: HashEmbedder, sums_SE: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    embedder.zero_grad(set_to_none=True)
    direction_SE = torch.linspace(-1, 2, sums_SE.numel()).reshape(sums_SE.shape)
    (sums_SE.square() * direction_SE).sum().backward()
    return embedder.table.grad, embedder.weights.grad


@pytest.mark.medium
@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, CONFIG.vocabulary_size - 1), max_size=12), min_size=1, max_size=9),
    st.integers(1, 3),
)
def test_values_and_gradients_are_those_of_the_embedder(segments: list[list[int]], num_hashes: int) -> None:
    torch.manual_seed(0)
    embedder = HashEmbedder(dataclasses.replace(CONFIG, num_hashes=num_hashes, weight_init="normal"))
    tokens_T = torch.tensor([token for segment in segments for token in segment], dtype=torch.int64)
    offsets_S = torch.from_numpy(np.cumsum([0, *map(len, segments)]))
    got_SE, wanted_SE = hash_fields(embedder, tokens_T, offsets_S), embedder(tokens_T, offsets_S)
    torch.testing.assert_close(got_SE, wanted_SE, atol=1e-5, rtol=1e-5)
    got, wanted = _gradients(embedder, got_SE), _gradients(embedder, wanted_SE)
    for found, expected in zip(got, wanted, strict=True):
        assert found is not None
        assert expected is not None
        torch.testing.assert_close(found.to_dense(), expected.to_dense(), atol=1e-4, rtol=1e-4)
        rows = found._indices()[0].tolist()
        assert rows == sorted(set(rows)), "a row for each distinct row"
    assert got[1] is not None
    assert got[1]._indices()[0].tolist() == sorted(set(tokens_T.tolist()))


@given(st.lists(st.lists(st.integers(0, 6), max_size=5), max_size=6), st.booleans())
def test_a_gpu_sorts_to_what_the_cpu_has_without(segments: list[list[int]], has_weights: bool) -> None:
    index_T = torch.tensor([column for segment in segments for column in segment], dtype=torch.int64)
    starts_S = torch.tensor([0, *map(len, segments)]).cumsum(0)
    weights_T = torch.linspace(1, 2, len(index_T)) if has_weights else None
    by_sort, by_scipy = (make(index_T, starts_S, 7, weights_T) for make in (_transposed_by_sort, _transposed))
    for one, other in zip(by_sort, by_scipy, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert (by_sort[2] is None) != has_weights


@pytest.mark.parametrize("frozen", ["table", "weights"])
def test_what_is_frozen_gets_no_gradient(frozen: str) -> None:
    embedder = HashEmbedder(CONFIG)
    getattr(embedder, frozen).requires_grad_(False)
    table, weights = _gradients(embedder, hash_fields(embedder, torch.tensor([3, 5, 3]), torch.tensor([0, 2, 3])))
    assert (table is None, weights is None) == (frozen == "table", frozen == "weights")


def test_the_number_of_threads_changes_no_bit() -> None:
    embedder = HashEmbedder(dataclasses.replace(CONFIG, vocabulary_size=5000, hash_rows=3000, hash_dim=64))
    generator = np.random.default_rng(0)
    tokens_T = torch.from_numpy(generator.integers(0, 5000, 60_000))
    offsets_S = torch.from_numpy(np.concatenate([[0], np.sort(generator.integers(0, 60_000, 300)), [60_000]]))
    found, before = [], torch.get_num_threads()
    try:
        for num_threads in (1, 2, 3):
            torch.set_num_threads(num_threads)
            sums_SE = hash_fields(embedder, tokens_T, offsets_S)
            gradients = [gradient.to_dense() for gradient in _gradients(embedder, sums_SE) if gradient is not None]
            found.append([sums_SE.detach(), *gradients])
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))
