"""Which rows of a matrix are equal, and lists of different rows written out as rows.

    rows   a b a c b     different rows   a b c      members   a: 0 2   b: 1 4   c: 3
    different rows 1 0, as at most 3 rows            1 4 0

Legend: N rows, U different rows, numbered by their first row, D columns, Q lists, K rows a list.
"""

import numpy as np
import xxhash

from schemas.errors import CorruptFileError


class EqualRows:
    """id_N: int64, which of the different rows a row is; first_U: int64, the first row of each, ascending.

    Raises CorruptFileError for numbers that do not ascend from 0 in the order in which they first occur.
    """

    def __init__(self, id_N: np.ndarray):
        self.id_N = id_N.astype(np.int64)
        numbers, self.first_U = np.unique(self.id_N, return_index=True)
        if not np.array_equal(numbers, np.arange(len(numbers))) or (np.diff(self.first_U) <= 0).any():
            raise CorruptFileError(
                "expected different vectors numbered from 0 in the order in which they first occur, got other numbers"
            )
        self.counts_U = np.bincount(self.id_N, minlength=len(numbers))
        self._members = np.argsort(self.id_N, kind="stable")
        self._starts_U = np.cumsum(self.counts_U) - self.counts_U

    @classmethod
    def of(cls, matrix_ND: np.ndarray) -> "EqualRows":
        """Of float32 rows; -0 equals 0."""
        digests = [xxhash.xxh3_128_digest(row + np.float32(0)) for row in matrix_ND]
        _, first, inverse = np.unique(np.array(digests, "V16"), return_index=True, return_inverse=True)
        place = np.empty(len(first), np.int64)
        place[np.argsort(first)] = np.arange(len(first))
        return cls(place[inverse.reshape(-1)])

    def __len__(self) -> int:
        """The number of different rows."""
        return len(self.first_U)

    def members(self, ids: np.ndarray, most: int) -> np.ndarray:
        """The rows of the different rows `ids`, one after the other, the rows of each ascending; at most `most`."""
        return self._rows_of(ids, self._taken(ids, most))

    def written_out(self, ids_QU: np.ndarray, scores_QU: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Lists of different rows with falling scores as lists of `top` rows: (rows int64 [Q, top], scores float32
        [Q, top]), equal scores by ascending row. Ids below 0 are padding, -1 and -inf pad what comes out."""
        rows_QK, into_QK = np.full((len(ids_QU), top), -1, np.int64), np.full((len(ids_QU), top), -np.inf, np.float32)
        for query, (ids_U, scores_U) in enumerate(zip(ids_QU, scores_QU, strict=True)):
            ids, scores = ids_U[ids_U >= 0], scores_U[ids_U >= 0]
            taken = self._taken(ids, top)
            ids = ids[: np.count_nonzero(taken)]
            if (scores[1:] == scores[:-1])[: len(ids)].any():  # different rows share a score, rarely
                rows, row_scores = self._sorted(ids_U[ids_U >= 0], scores, top)
            else:
                taken = taken[: len(ids)]
                rows, row_scores = self._rows_of(ids, taken), np.repeat(scores[: len(ids)], taken)
            rows_QK[query, : len(rows)], into_QK[query, : len(rows)] = rows, row_scores
        return rows_QK, into_QK

    def _sorted(self, ids: np.ndarray, scores: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """The best `top` rows of all members, by score, then by row."""
        rows, row_scores = self._rows_of(ids, self.counts_U[ids]), np.repeat(scores, self.counts_U[ids])
        best = np.lexsort((rows, -row_scores))[:top]
        return rows[best], row_scores[best]

    def _taken(self, ids: np.ndarray, most: int) -> np.ndarray:
        """How many members of each are among the first `most` of all."""
        counts = self.counts_U[ids]
        return np.clip(most - (np.cumsum(counts) - counts), 0, counts)

    def _rows_of(self, ids: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """The first `taken` members of each."""
        within = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
        return self._members[np.repeat(self._starts_U[ids], taken) + within]
