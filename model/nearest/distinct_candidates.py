"""Candidates that are no near-duplicates: of each other, nor of what the user has seen.

Legend: B rows of a block; D dimension; J projected dimension; S seen items. Vectors are float32 of norm 1.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

_BLOCK = 256
#: Coordinates that tell most near-duplicates from others, cosines from which they do, and what float32 may err.
_PROJECTED, _PROJECTED_FROM, _ROUNDING = 32, 0.98, 1e-4


def without_equal(order: np.ndarray, hashes_P: np.ndarray, seen_hashes: np.ndarray) -> np.ndarray:
    """`order` (places in hashes_P) without what has the hash of a seen item, or of an earlier place: equal vectors are
    near-duplicates, and most of these are equal, which needs no vector to be told.

    >>> without_equal(np.array([3, 0, 2, 1]), np.array([7, 8, 7, 9]), seen_hashes=np.array([8])).tolist()
    [3, 0]
    """
    hashes = hashes_P[order]
    first = np.sort(np.unique(hashes, return_index=True)[1])
    return order[first[~np.isin(hashes[first], seen_hashes)]]


def choose_distinct(
    order: np.ndarray,
    vectors_of: Callable[[np.ndarray], np.ndarray],
    seen_SD: np.ndarray,
    top: int,
    near_duplicate_cosine: float | None,
) -> np.ndarray:
    """The first `top` of `order` whose cosine to every seen item, and to every one chosen before, is below
    `near_duplicate_cosine` (None: all may come). int64, in the given order.

    vectors_of: positions of the pool (some of `order`) -> their vectors [n, D]; asked for as few as needed.
    """
    if near_duplicate_cosine is None:
        return order[:top]
    chosen, others = order[:0], [_Near(seen_SD, near_duplicate_cosine)]
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        vectors_BD = vectors_of(block)
        for other in others:
            is_far_B = other.are_far(vectors_BD)
            block, vectors_BD = block[is_far_B], vectors_BD[is_far_B]
        is_kept_B = _far_from_better(vectors_BD, near_duplicate_cosine)
        chosen = np.concatenate([chosen, block[is_kept_B]])
        if len(chosen) >= top:
            break
        others.append(_Near(vectors_BD[is_kept_B], near_duplicate_cosine))
    return chosen[:top]


class _Near:
    """What is near some of the unit rows [S, D].

    Most pairs are far, which a few coordinates show: a projection lengthens no distance, so rows whose projections are
    farther apart than near rows may be are far. Only the others are multiplied in full."""

    def __init__(self, vectors_SD: np.ndarray, cosine: float):
        self.vectors_SD, self.cosine = vectors_SD, cosine
        self.is_projected = min(vectors_SD.shape) > 2 * _PROJECTED and cosine > _PROJECTED_FROM
        if self.is_projected:
            self.projected_SJ = vectors_SD @ _projection(vectors_SD.shape[1])
            self.half_norm_S = (self.projected_SJ**2).sum(axis=1) / 2

    def are_far(self, vectors_BD: np.ndarray) -> np.ndarray:
        """bool [B]: no row has at least the cosine with it."""
        is_far_B = np.ones(len(vectors_BD), bool)
        if not (len(vectors_BD) and len(self.vectors_SD)):
            return is_far_B
        if not self.is_projected:
            return (vectors_BD @ self.vectors_SD.T).max(axis=1) < self.cosine
        projected_BJ = vectors_BD @ _projection(vectors_BD.shape[1])
        # |x - y|^2 / 2 = |x|^2 / 2 + |y|^2 / 2 - xy of the projections; at most 1 - cosine for near rows
        left_BS = projected_BJ @ self.projected_SJ.T
        left_BS -= self.half_norm_S
        least_B = (projected_BJ**2).sum(axis=1) / 2 - (1 - self.cosine) - _ROUNDING
        maybe_BS = left_BS >= least_B[:, None]
        maybe_B, maybe_S = np.flatnonzero(maybe_BS.any(axis=1)), np.flatnonzero(maybe_BS.any(axis=0))
        if len(maybe_B):
            is_far_B[maybe_B] = (vectors_BD[maybe_B] @ self.vectors_SD[maybe_S].T).max(axis=1) < self.cosine
        return is_far_B


@lru_cache(4)
def _projection(dim: int) -> np.ndarray:
    """float32 [dim, J]: orthonormal columns in no direction that data prefer."""
    normal = np.random.default_rng(0).standard_normal((dim, _PROJECTED))
    return np.linalg.qr(normal)[0].astype(np.float32)


def _far_from_better(vectors_BD: np.ndarray, cosine: float) -> np.ndarray:
    """bool [B]: kept, since no vector before it that is kept is that near."""
    near_BB = vectors_BD @ vectors_BD.T >= cosine
    is_kept_B = np.ones(len(vectors_BD), bool)
    for better in np.flatnonzero(near_BB.sum(axis=1) > 1):  # the others are near themselves at most
        if is_kept_B[better]:
            is_kept_B[better + 1 :] &= ~near_BB[better, better + 1 :]
    return is_kept_B
