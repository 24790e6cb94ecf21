"""Triplets of FaceNet (Schroff et al., CVPR 2015, section 3): an anchor, a positive of its product, a negative of
another, chosen inside the batch.

    L = sum over triplets of [ |a - p|^2 - |a - n|^2 + margin ]_+                              (equation 3)

    distance to a ->   0 ....... p ...... n1 .. n2 .. margin ...... n3
                       hard negatives      semi-hard ones           easy ones, whose loss is 0

Every pair of anchor and positive gets one negative: of those farther than the positive (equation 4), the nearest; it is
semi-hard if it is within the margin, else the pair has no loss. Where all negatives are nearer than the positive, the
farthest of them: the paper is silent here, and without it a start that is very wrong would never be mended.

Legend: B pictures of a batch, D dimension, T triplets.
"""

import torch
from torch import Tensor


def squared_distances(vectors_BD: Tensor) -> Tensor:
    """float32 [B, B] of unit rows: |a - b|^2 = 2 - 2 a . b, at least 0.

    >>> squared_distances(torch.eye(2)).tolist()
    [[0.0, 2.0], [2.0, 0.0]]
    """
    return (2 - 2 * vectors_BD @ vectors_BD.T).clamp(min=0)


def semi_hard_triplets(distances_BB: Tensor, labels_B: Tensor, margin: float) -> Tensor:
    """int64 [T, 3] (anchor, positive, negative), by anchor, then positive: those that have a loss. Equal distances: the
    first in the batch. Labels tell the product of each picture."""
    same_BB = labels_B[:, None] == labels_B[None, :]
    if bool(same_BB.all()):
        return torch.zeros((0, 3), dtype=torch.int64)
    anchor_T, positive_T = torch.nonzero(same_BB & ~torch.eye(len(labels_B), dtype=torch.bool), as_tuple=True)
    positive_distance_T = distances_BB[anchor_T, positive_T]
    to_negatives_TB = distances_BB[anchor_T].masked_fill(same_BB[anchor_T], torch.inf)
    farther_TB = to_negatives_TB.masked_fill(to_negatives_TB <= positive_distance_T[:, None], torch.inf)
    nearest_farther_T = farther_TB.argmin(dim=1)
    farthest_T = to_negatives_TB.masked_fill(torch.isinf(to_negatives_TB), -torch.inf).argmax(dim=1)
    has_farther_T = ~torch.isinf(farther_TB).all(dim=1)
    negative_T = torch.where(has_farther_T, nearest_farther_T, farthest_T)
    violates_T = distances_BB[anchor_T, negative_T] < positive_distance_T + margin
    return torch.stack([anchor_T, positive_T, negative_T], dim=1)[violates_T]


def triplet_loss(distances_BB: Tensor, triplets_T3: Tensor, margin: float, num_pairs: int) -> Tensor:
    """Equation 3 over the pairs of anchor and positive: those without a triplet have a loss of 0. 0 without pairs.

    >>> distances = torch.tensor([[0.0, 0.5, 0.6], [0.5, 0.0, 2.0], [0.6, 2.0, 0.0]])
    >>> round(triplet_loss(distances, torch.tensor([[0, 1, 2]]), 0.2, num_pairs=2).item(), 4)    # (.5 - .6 + .2) / 2
    0.05
    """
    anchor_T, positive_T, negative_T = triplets_T3.T
    losses_T = distances_BB[anchor_T, positive_T] - distances_BB[anchor_T, negative_T] + margin
    return losses_T.clamp(min=0).sum() / max(1, num_pairs)
