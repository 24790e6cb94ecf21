"""Linear maps of picture vectors that a Siamese network may start from, and must beat: m and W of z = W (v - m).

    identity       W = I, m = 0: the vectors as they are
    whitened       m the mean, W = (C + e I)^(-1/2), C the covariance of all pictures
    within         the same with C the covariance of pictures about their product's mean: what varies among pictures of
                   one product counts least
    discriminant   the first directions of most variance of what `within` makes: linear discriminant analysis (Fisher
                   1936; here with all pictures' variance for that among products, so that one picture of a product
                   counts too)

Legend: P pictures, D dimension, E dimension of what a map makes.
"""

import numpy as np

STARTS = ("identity", "whitened", "within", "discriminant")


def start_map(
    unit_PD: np.ndarray, label_P: np.ndarray, start: str, shrink: float, directions: int
) -> tuple[np.ndarray, np.ndarray]:
    """(m float64 [D], W float64 [E, D]) of one of STARTS, fitted on unit rows with the number of each one's product.
    directions: of "discriminant", E = min(directions, D); others have E = D."""
    dim = unit_PD.shape[1]
    if start == "identity":
        return np.zeros(dim), np.eye(dim)
    wide_PD = unit_PD.astype(np.float64)
    mean_D = wide_PD.mean(axis=0)
    map_DD = whitening(wide_PD - (mean_D if start == "whitened" else product_means(wide_PD, label_P)), shrink)
    if start != "discriminant":
        return mean_D, map_DD
    mapped_PD = (wide_PD - mean_D) @ map_DD
    _, directions_DD = np.linalg.eigh(mapped_PD.T @ mapped_PD)
    return mean_D, directions_DD[:, ::-1][:, :directions].T @ map_DD


def whitening(centred_PD: np.ndarray, shrink: float) -> np.ndarray:
    """float64 [D, D]: (C + e I)^(-1/2) of the rows' covariance C, e = shrink times the mean variance; scaled so that
    its largest factor is 1. Symmetric: no direction is turned."""
    covariance_DD = centred_PD.T @ centred_PD / len(centred_PD)
    variances_D, directions_DD = np.linalg.eigh(covariance_DD)
    floor = max(shrink * variances_D.mean(), np.finfo(np.float64).tiny)
    factors_D = (np.maximum(variances_D, 0) + floor) ** -0.5
    return (directions_DD * (factors_D / factors_D.max())) @ directions_DD.T


def product_means(vectors_PD: np.ndarray, label_P: np.ndarray) -> np.ndarray:
    """[P, D]: of each picture the mean of its product's pictures."""
    sums_LD = np.zeros((int(label_P.max(initial=-1)) + 1, vectors_PD.shape[1]))
    np.add.at(sums_LD, label_P, vectors_PD)
    counts_L = np.bincount(label_P, minlength=len(sums_LD))
    return sums_LD[label_P] / counts_L[label_P][:, None]
