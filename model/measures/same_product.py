"""Retrieval of the same product: a picture asks for others of its product among all other pictures.

Legend: P pictures, D dimension, Q queries, B pictures of a block.
"""

import numpy as np

_BLOCK_PICTURES = 1_024


def retrieval_ranks(vectors_PD: np.ndarray, label_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(queries int64 [Q], ranks int64 [Q]): each picture whose product has another one asks for it among all other
    pictures; its rank is that of the first picture of its product by cosine, ties against it. Unit rows.

    >>> retrieval_ranks(np.eye(3, 2)[[0, 0, 1]], np.array([5, 5, 6]))[1].tolist()
    [1, 1]
    """
    own_P, ahead_P = np.full(len(label_P), -np.inf), np.zeros(len(label_P), np.int64)
    for start in range(0, len(label_P), _BLOCK_PICTURES):
        rows = np.arange(start, min(start + _BLOCK_PICTURES, len(label_P)))
        scores_BP = vectors_PD[rows] @ vectors_PD.T
        scores_BP[np.arange(len(rows)), rows] = -np.inf
        same_BP = label_P[rows, None] == label_P[None, :]
        own_P[rows] = np.where(same_BP, scores_BP, -np.inf).max(axis=1)
        ahead_P[rows] = (~same_BP & (scores_BP >= own_P[rows, None])).sum(axis=1)
    queries_Q = np.flatnonzero(np.isfinite(own_P))
    return queries_Q, 1 + ahead_P[queries_Q]
