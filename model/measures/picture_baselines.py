"""What a trained model must beat, where queries are pictures: the vectors of the picture network as they are.

    mean of an item's catalogue pictures     nearest of its training photos     a vote of its training photos
    nearest of its photos and pictures       logistic probe on training photos

A training photo is a query picture of the model's training part; its label is the item that was engaged after it. Each
baseline gives float32 scores [Q, N] of queries against all items, larger is better.

Legend: Q queries, N items, M labelled photos, L labels (items that have one), P catalogue pictures, B pictures of a
block, D dimension of the picture network.
"""

import warnings
from collections.abc import Sequence

import numpy as np

from model.machine.blas_threads import one_blas_thread

#: Of labels x photos x dimension: a probe of more takes more than a minute or two.
MAX_PROBE_WORK = 2_000_000_000
#: The best of 1, 10, 100 and 1,000 on photos of groceries (efficientnet_lite0), inside the training part.
_PROBE_C, _PROBE_STEPS = 1_000.0, 200
#: Of a vote: a photo whose cosine is so much lower has a vote of 1 / e.
_VOTE_TAU = 0.03
_COSINES = 2.0
_BLOCK_PICTURES = 4096


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
        scores_QN[:, self._labels_L] = self._by_label(queries_QD @ self._photos_MD.T)
        return scores_QN

    def _by_label(self, cosines_QM: np.ndarray) -> np.ndarray:
        """float32 [Q, L] of the cosines to the photos, which are sorted by label."""
        return np.maximum.reduceat(cosines_QM, self._starts_L, axis=1)


class PictureVote(NearestPhoto):
    """Every training photo votes for its item, with exp((cosine - 1) / .03). The score is 1 + .03 log(sum of the
    votes): in their order, and on the scale of cosines, from -1 on, where small votes are no ties. Arguments, and items
    without a photo, as those of NearestPhoto."""

    def _by_label(self, cosines_QM: np.ndarray) -> np.ndarray:
        votes_QM = np.exp(cosines_QM / np.float32(_VOTE_TAU))  # from e^-34 to e^34: float32 holds the sums
        return np.float32(_VOTE_TAU) * np.log(np.add.reduceat(votes_QM, self._starts_L, axis=1))


class NearestPicture:
    """The largest cosine to a training photo or a catalogue picture of the item, -2 for an item that has neither.

    photos: (unit rows [M, D], the row of each one's item int64 [M]); pictures: the same of the catalogue's pictures,
    of any norm and float type, [P, D] and [P]. Nothing of their size is made: they are read block by block.
    """

    def __init__(self, photos: tuple[np.ndarray, np.ndarray], pictures: tuple[np.ndarray, np.ndarray], num_items: int):
        self._sources, self._num_items = (photos, pictures), num_items

    def scores(self, queries_QD: np.ndarray) -> np.ndarray:
        """float32 [Q, N] of unit rows."""
        scores_QN = np.full((len(queries_QD), self._num_items), -_COSINES, np.float32)
        for vectors_PD, labels_P in self._sources:
            for start in range(0, len(labels_P), _BLOCK_PICTURES):
                order_B = start + np.argsort(labels_P[start : start + _BLOCK_PICTURES], kind="stable")
                cosines_QB = queries_QD @ unit(vectors_PD[order_B].astype(np.float32)).T
                labels_L, starts_L = np.unique(labels_P[order_B], return_index=True)
                nearest_QL = np.maximum.reduceat(cosines_QB, starts_L, axis=1)
                scores_QN[:, labels_L] = np.maximum(scores_QN[:, labels_L], nearest_QL)
        return scores_QN


class LogisticProbe:
    """Log-probabilities of a multinomial logistic regression (L2) on training photos, whose labels are items; -inf for
    an item without one. Arguments as those of NearestPhoto; at least two labels, and no more work than MAX_PROBE_WORK
    (`why_no_probe`)."""

    def __init__(self, photos_MD: np.ndarray, labels_M: np.ndarray, num_items: int):
        from sklearn.linear_model import LogisticRegression  # a second that a day without change need not wait

        self._num_items = num_items
        with warnings.catch_warnings(), one_blas_thread():  # labels are items, many of which have one photo
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
