"""Area under the ROC curve: how often a positive row scores above a negative one, ties half.

    AUC = sum over positive rows p and negative rows n of w_p w_n ([s_p > s_n] + [s_p = s_n] / 2) / (sum w_p sum w_n)

The weights w are how often the bootstrap drew a row's cluster.

Legend: P rows, C clusters, R draws, G groups of equal scores.
"""

import numpy as np

from model.measures.resampling import Figure

#: How reports call the figure.
AUC = "auc"


def auc(scores_P: np.ndarray, is_positive_P: np.ndarray) -> float:
    """NaN without rows of both kinds. Raises ValueError for scores that are not finite.

    >>> auc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    figure = auc_figure(scores_P, is_positive_P, np.arange(len(scores_P)))
    return float(figure(np.ones((1, len(scores_P)), np.int64))[0])


def auc_figure(scores_P: np.ndarray, is_positive_P: np.ndarray, cluster_P: np.ndarray) -> Figure:
    """The AUC as a function of how often each cluster counts, for model.measures.resampling; cluster_P: int64, of each
    row. Sorts once, whatever the number of draws."""
    if not np.isfinite(scores_P).all():
        raise ValueError(f"expected finite scores, got {int((~np.isfinite(scores_P)).sum())} that are not")
    order_P = np.argsort(scores_P, kind="stable")
    sorted_P, cluster_P = scores_P[order_P], cluster_P[order_P]
    positive_P = np.asarray(is_positive_P, bool)[order_P]
    starts_G = np.flatnonzero(np.concatenate([[True], sorted_P[1:] != sorted_P[:-1]])) if len(sorted_P) else None

    def figure(counts_RC: np.ndarray) -> np.ndarray:
        if starts_G is None:
            return np.full(len(counts_RC), np.nan)
        weights_RP = counts_RC[:, cluster_P].astype(np.float64)
        positive_RG = np.add.reduceat(weights_RP * positive_P, starts_G, axis=1)
        negative_RG = np.add.reduceat(weights_RP * ~positive_P, starts_G, axis=1)
        below_RG = np.cumsum(negative_RG, axis=1) - negative_RG / 2
        pairs_R = positive_RG.sum(axis=1) * negative_RG.sum(axis=1)
        won_R = (positive_RG * below_RG).sum(axis=1)
        return np.divide(won_R, pairs_R, out=np.full(len(counts_RC), np.nan), where=pairs_R > 0)

    return figure
