"""Triplets: mining against loops over all negatives, the loss by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.sources.triplets import semi_hard_triplets, squared_distances, triplet_loss


def mined_by_loops(distances: np.ndarray, labels: list[int], margin: float) -> list[list[int]]:
    """Of each anchor and positive the nearest negative farther than the positive; none farther: the farthest of all."""
    found = []
    for anchor, own in enumerate(labels):
        for positive, other in enumerate(labels):
            if anchor == positive or own != other:
                continue
            negatives = [row for row, label in enumerate(labels) if label != own]
            farther = [row for row in negatives if distances[anchor, row] > distances[anchor, positive]]
            if farther:
                chosen = min(farther, key=lambda row: distances[anchor, row])
            elif negatives:
                chosen = max(negatives, key=lambda row: distances[anchor, row])
            else:
                continue
            if distances[anchor, chosen] < distances[anchor, positive] + margin:
                found.append([anchor, positive, chosen])
    return found


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=9),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.05, 0.2, 1.0, 4.0]),
)
def test_mining_is_that_of_loops(labels, seed, margin):
    vectors = np.random.default_rng(seed).integers(-2, 3, (len(labels), 3)) + 0.5  # few values: ties come
    unit = torch.nn.functional.normalize(torch.from_numpy(vectors), dim=1)
    distances = squared_distances(unit)
    found = semi_hard_triplets(distances, torch.tensor(labels), margin)
    assert found.tolist() == mined_by_loops(distances.numpy(), labels, margin)


def test_distances_are_those_of_numpy():
    vectors = torch.nn.functional.normalize(torch.from_numpy(np.random.default_rng(0).normal(size=(5, 4))), dim=1)
    by_hand = ((vectors[:, None] - vectors[None]) ** 2).sum(dim=2)
    assert torch.allclose(squared_distances(vectors), by_hand, atol=1e-12)


def test_the_loss_is_equation_3_over_all_pairs():
    distances = torch.tensor([[0.0, 0.3, 0.4, 1.5], [0.3, 0.0, 0.2, 1.0], [0.4, 0.2, 0.0, 0.9], [1.5, 1.0, 0.9, 0.0]])
    labels = torch.tensor([0, 0, 1, 1])
    triplets = semi_hard_triplets(distances, labels, margin=0.2)
    # (0, 1): 2 is farther, .4 < .3 + .2; (1, 0): 2 is nearer, so 3, which is 1.0, too far; (2, 3): none farther, so 0;
    # (3, 2): 1 is farther, 1.0 < .9 + .2
    assert triplets.tolist() == [[0, 1, 2], [2, 3, 0], [3, 2, 1]]
    by_hand = (0.3 - 0.4 + 0.2) + (0.9 - 0.4 + 0.2) + (0.9 - 1.0 + 0.2)
    assert triplet_loss(distances, triplets, 0.2, num_pairs=4).item() == pytest.approx(by_hand / 4)


def test_no_positive_or_no_negative_is_no_triplet_and_no_loss():
    distances = torch.ones(3, 3)
    for labels in ([0, 1, 2], [0, 0, 0]):
        triplets = semi_hard_triplets(distances, torch.tensor(labels), margin=0.2)
        assert triplets.shape == (0, 3)
        assert triplet_loss(distances, triplets, 0.2, num_pairs=0).item() == 0
