"""Tables of vectors that a step changes in some rows: how rows are updated, what noise is drawn, how many threads work.

Legend: V rows of a table, R rows of a gradient (repeats allowed), D dimension.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from schemas.errors import UsageError

_EPSILON = 1e-10


class RowAdagrad:
    """Adagrad (Duchi, Hazan and Singer, JMLR 2011) with one accumulator a row: s_r <- s_r + mean(g_r^2), then
    x_r <- x_r - rate g_r / sqrt(s_r), where g_r is the sum of the gradients of row r in this step.

    A step of many pairs sums many gradients of a frequent row: without the division that row would run away, with a
    rate that is safe for it rare rows would not move.
    """

    def __init__(self, matrix_VD: Tensor):
        self.matrix_VD = matrix_VD
        self.squares_V = torch.zeros(len(matrix_VD))

    def step_(self, rows_R: np.ndarray, gradient_RD: Tensor, rate: float) -> None:
        """One update; rows_R: int64, may repeat."""
        unique, place_R = np.unique(rows_R, return_inverse=True)
        rows = torch.from_numpy(unique)
        summed = torch.zeros(len(unique), gradient_RD.shape[1])
        summed.index_add_(0, torch.from_numpy(place_R), gradient_RD)
        squares = self.squares_V[rows].add_(summed.square().mean(dim=1))
        self.squares_V[rows] = squares
        self.matrix_VD.index_add_(0, rows, summed.mul_(squares.add_(_EPSILON).rsqrt_().mul_(-rate)[:, None]))


class Noise:
    """Draws rows in proportion to count^power (Mikolov et al. 2013, section 2.2: power .75). Raises UsageError unless
    counts are finite, not negative, and one is above 0.

    >>> Noise(np.array([1, 0, 16]), 0.5).share_V.tolist()
    [0.2, 0.0, 0.8]
    """

    def __init__(self, counts_V: np.ndarray, power: float):
        counts_V = np.asarray(counts_V, np.float64)
        if not np.isfinite(counts_V).all() or (counts_V < 0).any() or not counts_V.any():
            raise UsageError("expected finite counts >= 0, one of them above 0, of what noise is drawn from")
        weight_V = np.where(counts_V > 0, counts_V, np.inf) ** power if power < 0 else counts_V**power
        self.share_V = np.where(counts_V > 0, weight_V, 0) / weight_V[counts_V > 0].sum()
        self._cumulative_V = np.cumsum(self.share_V)
        self._last = int(np.flatnonzero(counts_V)[-1])

    def draw(self, generator: np.random.Generator, number: int) -> np.ndarray:
        """int64 [number]: the first row whose cumulative share is above a uniform number."""
        places = np.searchsorted(self._cumulative_V, generator.random(number), side="right")
        return np.minimum(places, self._last)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Torch with one thread: sums of a product are in one order then, so the bytes do not depend on the cores, and two
    sources may be trained side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def started(num_rows: int, dim: int, generator: np.random.Generator) -> Tensor:
    """float32 [num_rows, dim], uniform in +-.5 / dim, as word2vec starts."""
    return torch.from_numpy(((generator.random((num_rows, dim)) - 0.5) / dim).astype(np.float32))
