"""Rows of norm 1, and rows of nothing: what has no vector in a source is a row of zeros there.

Legend: N rows, D dimension.
"""

import numpy as np

from schemas.errors import UsageError

#: A norm below which a row says nothing: float32 rounding of vectors of norm 1 is below it.
LEAST_NORM = 1e-6


def unit_or_zero(matrix_ND: np.ndarray) -> np.ndarray:
    """float32 [N, D]: rows scaled to norm 1 (in float64, each by itself), zeros for rows below LEAST_NORM. Raises
    UsageError for another shape or for numbers that are not finite.

    >>> unit_or_zero(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    if matrix_ND.ndim != 2:
        raise UsageError(f"expected vectors [N, D], got an array of shape {list(matrix_ND.shape)}")
    wide_ND = matrix_ND.astype(np.float64)
    bad_N = ~np.isfinite(wide_ND).all(axis=1)
    if bad_N.any():
        raise UsageError(
            f"expected finite vectors, got {int(bad_N.sum())} rows that are not, the first of them {bad_N.argmax()}"
        )
    norms_N = np.sqrt((wide_ND * wide_ND).sum(axis=1, keepdims=True))
    return np.where(norms_N > LEAST_NORM, wide_ND / np.maximum(norms_N, LEAST_NORM), 0).astype(np.float32)


def has_vector(matrix_ND: np.ndarray) -> np.ndarray:
    """bool [N]: which rows are not all zeros."""
    return (matrix_ND != 0).any(axis=1)
