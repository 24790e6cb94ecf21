"""Near-duplicates among items: which rows stand for others because their vectors are almost the same.

    row        0  1  2  3  4        threshold .9, cosines 0-1 .95, 1-2 .95, 0-2 .8, 3 = 1 bit for bit, 4 far away
    kept       0  .  2  .  4        1 is near 0, which is kept; 2 is near 1 alone, which is not; 3 is like 1
    stands for 0  0  2  0  4        1 is as near to 0 as to 2: the lower row

Rows are gone through in ascending order, so what is kept depends on the order of the rows: for items that of their ids.
Each kept row differs from all others that are kept, and each removed one has a kept row within the threshold; no chain
of near rows is followed, which would end far from its start.

The cosine of two rows is the float64 sum of products, 1 for equal rows and below 1 for others, whatever rounding says.
Matrix products in float32 only propose: what they leave open is decided in float64, so that neither block sizes nor
threads change the result.

Legend: N rows, M different rows (the first of each set of equal ones), K kept rows, B rows of a block, D dimension.
"""

import numpy as np

from model.machine.equal_rows import EqualRows

#: Rows that are compared with the kept rows at once, and kept rows that they are compared with: 64 MiB of scores.
_BLOCK_ROWS, _BLOCK_KEPT = 1024, 16_384
#: Pairs of rows that are decided in float64 at once.
_BLOCK_PAIRS = 1 << 13
#: Rounding error of a float32 sum, relative to the sum of magnitudes, for each of its terms.
_FLOAT32_ROUNDING = 2.0**-24
_BELOW_1 = float(np.nextafter(1.0, 0.0))


def near_duplicates(matrix_ND: np.ndarray, threshold_cosine: float) -> np.ndarray:
    """For each row of the float32 unit rows [N, D] the row that stands for it, int64 [N]: its own number if it is kept.

    A row is kept unless a kept row before it has a cosine of at least `threshold_cosine` (in (0, 1]; 1: only equal rows
    are near). The others are represented by the kept row of the highest cosine, of equal ones the lowest; so equal rows
    have one representative. Time grows with M times K (92,331 rows of 256, 20,707 of them different, 11,634 kept: 3 s;
    200,000, all different, 49,089 kept: 142 s, on two busy cores), memory beside the matrix with K rows and a block.
    Raises ValueError for a threshold out of range or rows that are not finite.

    >>> rows = np.array([[1, 0], [0.6, 0.8], [1, 0], [0.8, 0.6]], np.float32)
    >>> near_duplicates(rows, 0.95).tolist(), near_duplicates(rows, 1).tolist()
    ([0, 1, 0, 1], [0, 1, 0, 3])
    """
    if not 0 < threshold_cosine <= 1:
        raise ValueError(f"expected a threshold above 0 and at most 1, got {threshold_cosine}")
    if matrix_ND.ndim != 2 or matrix_ND.dtype != np.float32 or not all(np.isfinite(row).all() for row in matrix_ND):
        raise ValueError(f"expected finite float32 rows [N, D], got {matrix_ND.dtype} of shape {matrix_ND.shape}")
    equal = EqualRows.of(matrix_ND)
    first_M, equal_N = equal.first_U, equal.id_N
    if threshold_cosine == 1:
        return first_M[equal_N]
    kept, kept_KD = _choose(matrix_ND, first_M, threshold_cosine)
    representative_M = first_M.copy()
    removed = np.setdiff1d(np.arange(len(first_M)), kept, assume_unique=True)
    block_rows = max(1, _BLOCK_ROWS * _BLOCK_KEPT // max(1, len(kept)))
    for start in range(0, len(removed), block_rows):
        block = removed[start : start + block_rows]
        representative_M[block] = first_M[kept[_nearest(matrix_ND[first_M[block]], kept_KD)]]
    return representative_M[equal_N]


def kept_rows(representative_N: np.ndarray) -> np.ndarray:
    """The rows that are kept, ascending, int64 [K]."""
    return np.flatnonzero(representative_N == np.arange(len(representative_N)))


def cosines(rows_ND: np.ndarray, others_KD: np.ndarray, row_P: np.ndarray, other_P: np.ndarray) -> np.ndarray:
    """Cosines of pairs (number in the first, number in the second) of float32 unit rows, float64 [P]: 1 for equal rows,
    below 1 for others."""
    cosines_P = np.empty(len(row_P))
    for start in range(0, len(row_P), _BLOCK_PAIRS):
        block = slice(start, start + _BLOCK_PAIRS)
        some_BD, others_BD = rows_ND[row_P[block]], others_KD[other_P[block]]
        sums_B = (some_BD.astype(np.float64) * others_BD).sum(axis=1)
        are_equal_B = (some_BD == others_BD).all(axis=1)
        cosines_P[block] = np.where(are_equal_B, 1.0, np.minimum(sums_B, _BELOW_1))
    return cosines_P


def _choose(matrix_ND: np.ndarray, first_M: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """(positions in first_M of the rows that are kept, ascending; these rows, float32 [K, D])."""
    kept: list[int] = []
    kept_MD = np.empty((len(first_M), matrix_ND.shape[1]), np.float32)  # takes memory only as far as it is filled
    for start in range(0, len(first_M), _BLOCK_ROWS):
        block_BD = matrix_ND[first_M[start : start + _BLOCK_ROWS]]
        left_B = _without_near(block_BD, kept_MD[: len(kept)], threshold)
        left_B = left_B[_choose_in_block(block_BD[left_B], threshold)]
        kept_MD[len(kept) : len(kept) + len(left_B)] = block_BD[left_B]
        kept += (start + left_B).tolist()
    return np.array(kept, np.int64), kept_MD[: len(kept)]


def _without_near(rows_BD: np.ndarray, kept_KD: np.ndarray, threshold: float) -> np.ndarray:
    """The rows of the block, ascending, that no kept row is near."""
    left_B = np.arange(len(rows_BD))
    margin = _margin(rows_BD)
    for start in range(0, len(kept_KD), _BLOCK_KEPT):
        some_KD = kept_KD[start : start + _BLOCK_KEPT]
        scores_BK = rows_BD[left_B] @ some_KD.T
        best_B = scores_BK.max(axis=1, initial=-1)
        near_B = best_B >= threshold + margin
        for row in np.flatnonzero(~near_B & (best_B >= threshold - margin)):
            open_K = np.flatnonzero(scores_BK[row] >= threshold - margin)
            own_K = np.full(len(open_K), left_B[row])
            near_B[row] = (cosines(rows_BD, some_KD, own_K, open_K) >= threshold).any()
        left_B = left_B[~near_B]
    return left_B


def _choose_in_block(rows_BD: np.ndarray, threshold: float) -> np.ndarray:
    """Positions of the rows that are kept, ascending, among rows that no row before the block is near."""
    scores_BB = rows_BD @ rows_BD.T
    margin = _margin(rows_BD)
    is_left_B = np.ones(len(rows_BD), bool)
    for row in range(len(rows_BD)):
        if not is_left_B[row]:
            continue
        near_B = scores_BB[row] >= threshold + margin
        open_B = row + 1 + np.flatnonzero(np.abs(scores_BB[row, row + 1 :] - threshold) < margin)
        if len(open_B):
            near_B[open_B] = cosines(rows_BD, rows_BD, np.full(len(open_B), row), open_B) >= threshold
        is_left_B[row + 1 :] &= ~near_B[row + 1 :]
    return np.flatnonzero(is_left_B)


def _nearest(rows_BD: np.ndarray, kept_KD: np.ndarray) -> np.ndarray:
    """For each row the kept row of the highest cosine, of equal ones the lowest, int64 [B]."""
    scores_BK = rows_BD @ kept_KD.T
    least_B = scores_BK.max(axis=1) - 2 * _margin(rows_BD)
    flat_P = np.flatnonzero(scores_BK >= least_B[:, None])  # 5 times faster than nonzero of the matrix
    row_P, kept_P = np.divmod(flat_P, len(kept_KD))
    by_cosine = np.lexsort((kept_P, -cosines(rows_BD, kept_KD, row_P, kept_P), row_P))
    _, first = np.unique(row_P[by_cosine], return_index=True)
    return kept_P[by_cosine][first]


def _margin(rows_BD: np.ndarray) -> float:
    """How far a float32 product of unit rows may be from the true one, twice over."""
    return 2 * rows_BD.shape[1] * _FLOAT32_ROUNDING
