"""What a trained model must beat, where queries are pictures: the vectors of the picture network as they are.

    mean of an item's catalogue pictures     nearest training photo     logistic probe on training photos

A training photo is a query picture of the model's training part; its label is the item that was engaged after it. Each
baseline gives float32 scores [Q, N] of queries against all items, larger is better.

Legend: Q queries, N items, M labelled photos, L labels (items that have one), D dimension of the picture network.
"""

import warnings
from collections.abc import Sequence

import numpy as np

#: Of labels x photos x dimension: a probe of more takes more than a minute or two.
MAX_PROBE_WORK = 2_000_000_000
#: The best of 1, 10, 100 and 1,000 on photos of groceries (efficientnet_lite0), inside the training part.
_PROBE_C, _PROBE_STEPS = 1_000.0, 200
_COSINES = 2.0


class NearestPhoto:
    """The largest cosine to a training photo of the item. Items without one follow below all others, by the cosine to
    their catalogue pictures.

    photos_MD: unit rows; labels_M: int64, the row of each one's item; catalogue_ND: unit or zero rows of all items.
    """

    def __init__(self, photos_MD: np.ndarray, labels_M: np.ndarray, catalogue_ND: np.ndarray):
        order_M = np.argsort(labels_M, kind="stable")
        self._photos_MD, self._catalogue_ND = photos_MD[order_M], catalogue_ND
        self._labels_L, self._starts_L = np.unique(labels_M[order_M], return_index=True)

    def scores(self, queries_QD: np.ndarray) -> np.ndarray:
        """float32 [Q, N] of unit rows."""
        scores_QN = queries_QD @ self._catalogue_ND.T - np.float32(_COSINES)
        cosines_QM = queries_QD @ self._photos_MD.T
        scores_QN[:, self._labels_L] = np.maximum.reduceat(cosines_QM, self._starts_L, axis=1)
        return scores_QN


class LogisticProbe:
    """Log-probabilities of a multinomial logistic regression (L2) on training photos, whose labels are items; -inf for
    an item without one. Arguments as those of NearestPhoto; at least two labels, and no more work than MAX_PROBE_WORK
    (`why_no_probe`)."""

    def __init__(self, photos_MD: np.ndarray, labels_M: np.ndarray, num_items: int):
        from sklearn.linear_model import LogisticRegression  # a second that a day without change need not wait

        self._num_items = num_items
        with warnings.catch_warnings():  # labels are items, many of which have one photo
            warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%", UserWarning)
            self._probe = LogisticRegression(C=_PROBE_C, max_iter=_PROBE_STEPS).fit(photos_MD, labels_M)

    def scores(self, queries_QD: np.ndarray) -> np.ndarray:
        """float32 [Q, N] of unit rows."""
        scores_QN = np.full((len(queries_QD), self._num_items), -np.inf, np.float32)
        scores_QN[:, self._probe.classes_] = self._probe.predict_log_proba(queries_QD)
        return scores_QN


def why_no_probe(photos_MD: np.ndarray, labels_M: np.ndarray) -> str | None:
    """Why a probe is not trained on these, None if it can be."""
    num_labels = len(np.unique(labels_M))
    if num_labels < 2:
        return f"expected training photos of at least 2 items, got {num_labels}"
    if num_labels * photos_MD.size > MAX_PROBE_WORK:
        return (
            f"expected items x photos x dimension of at most {MAX_PROBE_WORK:,}, got {num_labels:,} x "
            f"{len(photos_MD):,} x {photos_MD.shape[1]:,}"
        )
    return None


def mean_picture_vectors(pictures: Sequence[np.ndarray], picture_dim: int) -> np.ndarray:
    """float32 [N, D]: the unit mean of each item's unit picture vectors [n, D]; zeros for an item without pictures."""
    means_ND = np.zeros((len(pictures), picture_dim), np.float32)
    for row, vectors_PD in enumerate(pictures):
        if len(vectors_PD):
            means_ND[row] = unit(vectors_PD.astype(np.float32)).mean(axis=0)
    return unit(means_ND)


def unit(matrix_ND: np.ndarray) -> np.ndarray:
    """Rows scaled to norm 1; zero rows stay zero."""
    return matrix_ND / np.maximum(np.linalg.norm(matrix_ND, axis=1, keepdims=True), 1e-12)
