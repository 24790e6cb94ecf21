"""PinnerSage: a user as several medoids of the items they acted on (Pal et al., KDD 2020, arXiv 2007.03634, section 3).

    actions --Ward, cut at alpha--> clusters --medoid, importance--> sample 3 --nearest items--> 400 candidates

Ward (section 3.2): merging clusters i and j costs d_ij; with squared Euclidean distances between single items,

    d(ij, k) = [(n_i + n_k) d_ik + (n_j + n_k) d_jk - n_k d_ij] / (n_i + n_j + n_k)                  (Lance-Williams)

and merges of cost <= alpha are kept. scipy's Ward has the square roots of these costs as heights, so its tree is cut at
sqrt(alpha). Of unit vectors, cos >= 0.8 is d <= 0.4.

Medoid (3.3): the member with the least sum of squared distances to the members. Importance (3.4): sum over the
cluster's actions of exp(-decay_per_day x age in days). Medoids are sampled in proportion to it (section 4).

Deviations: sampling is without replacement (the paper does not say). Equally central members are ordered by their
number of actions, then the latest one, then the smallest row. An action is one point, so an item of three actions pulls
three times as hard.

Legend: M actions of a user, in the canonical order of `action_order`; D dimension; C clusters.
"""

from dataclasses import dataclass

import numpy as np

US_PER_DAY = 86_400_000_000
#: Squared distances below this are equal vectors: float64 sums over float32 components are off by less than 1e-14.
_EQUAL = 1e-12
#: Members this close to the most central one count as equally central.
_CENTRAL_TOLERANCE = 1e-9
#: Stands for 0 in divisions: an Exp(1) draw over it is finite.
_LEAST_IMPORTANCE = 1e-300

#: Alpha where nobody gave or calibrated one: near what suits the sample shop at e = 3 and a grocer's log at e = 20.
DEFAULT_ALPHA = 5.0


@dataclass(frozen=True)
class Clusters:
    """A user's clusters, numbered in the order of their first action.

    labels_M: int32, the cluster of each action. medoid_C: int64, the action whose item is the medoid. size_C: int32,
    number of actions. last_us_C: int64, time of the latest (microseconds since 1970).
    """

    labels_M: np.ndarray
    medoid_C: np.ndarray
    size_C: np.ndarray
    last_us_C: np.ndarray


def action_order(item_rows_M: np.ndarray, times_us_M: np.ndarray) -> np.ndarray:
    """The canonical order of a user's actions, by item, then time: where distances tie, Ward depends on the order of
    its input, and the same actions must always make the same clusters. `item_rows_M`: int, ordered as the item ids.

    >>> action_order(np.array([7, 3, 7]), np.array([1, 5, 0])).tolist()
    [1, 2, 0]
    """
    return np.lexsort((times_us_M, item_rows_M))


def distances(vectors_MD: np.ndarray) -> np.ndarray:
    """Euclidean distances between rows, condensed as scipy's pdist (float64 [M (M - 1) / 2]), by one matrix product."""
    from scipy.spatial.distance import squareform  # half a second that a day without new actions need not wait for

    wide_MD = vectors_MD.astype(np.float64)
    gram_MM = wide_MD @ wide_MD.T
    squares_M = gram_MM.diagonal().copy()
    gram_MM *= -2
    gram_MM += squares_M
    gram_MM += squares_M[:, None]
    condensed = squareform(gram_MM, checks=False)
    condensed[condensed < _EQUAL] = 0
    return np.sqrt(condensed, out=condensed)


def merge_tree(vectors_MD: np.ndarray, method: str = "ward") -> np.ndarray:
    """scipy's linkage matrix of the rows, float64 [M - 1, 4]; empty for a single row.

    `method`: "ward", or another of scipy's as a baseline ("complete"). Depends on the order of the rows where distances
    tie.
    """
    if len(vectors_MD) < 2:
        return np.zeros((0, 4))
    from scipy.cluster.hierarchy import linkage

    return linkage(distances(vectors_MD), method)


def cut(tree: np.ndarray, height: float) -> np.ndarray:
    """int32 [M]: the cluster of each row when merges of at most `height` are kept; numbered by their first rows."""
    if not len(tree):
        return np.zeros(1, np.int32)
    num_rows, num_kept = len(tree) + 1, int(np.searchsorted(tree[:, 2], height, "right"))
    top = list(range(num_rows + num_kept))
    children = tree[:num_kept, :2].astype(int).tolist()
    for merge in reversed(range(num_kept)):
        left, right = children[merge]
        top[left] = top[right] = top[num_rows + merge]
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(node, len(numbers)) for node in top[:num_rows]], np.int32)


def cut_ward(tree: np.ndarray, alpha: float) -> np.ndarray:
    """The clusters of a Ward tree at the paper's alpha, a bound on squared distances."""
    return cut(tree, float(np.sqrt(alpha)))


def describe_clusters(
    vectors_MD: np.ndarray, labels_M: np.ndarray, item_rows_M: np.ndarray, times_us_M: np.ndarray
) -> Clusters:
    """Medoids, sizes and last actions of the clusters `labels_M`; unit vectors, actions in canonical order.

    The sum of x's squared distances to the n members is, but for what they share, n |x|^2 - 2 x . (sum of the members):
    the medoid has the largest x . sum - n |x|^2 / 2. The norms of unit vectors in float32 differ by more than a tie.
    """
    order = np.argsort(labels_M, kind="stable")
    starts = np.flatnonzero(np.diff(labels_M[order], prepend=-1))
    wide_MD = vectors_MD[order].astype(np.float64)
    sums_CD = np.add.reduceat(wide_MD, starts)
    size_C = np.diff(starts, append=len(labels_M)).astype(np.int32)
    closeness_M = np.einsum("md,md->m", wide_MD, sums_CD[labels_M[order]])
    closeness_M -= size_C[labels_M[order]] / 2 * np.einsum("md,md->m", wide_MD, wide_MD)
    best_C = np.maximum.reduceat(closeness_M, starts)
    is_central_M = closeness_M >= (best_C - _CENTRAL_TOLERANCE)[labels_M[order]]
    repeats_M, latest_us_M = _repeats(labels_M[order], item_rows_M[order], times_us_M[order])
    preferred = np.lexsort((item_rows_M[order], -latest_us_M, -repeats_M, ~is_central_M, labels_M[order]))
    return Clusters(
        labels_M=labels_M,
        medoid_C=order[preferred[starts]],
        size_C=size_C,
        last_us_C=np.maximum.reduceat(times_us_M[order], starts),
    )


def cluster_actions(vectors_MD: np.ndarray, item_rows_M: np.ndarray, times_us_M: np.ndarray, alpha: float) -> Clusters:
    """PinnerSage's clusters of one user: float32 unit vectors of the items acted on, at least one, in the order of
    `action_order`.

    >>> east, north = [1.0, 0.0], [0.0, 1.0]
    >>> north_by_east = [np.sin(0.1), np.cos(0.1)]
    >>> vectors = np.array([east, north, north, north_by_east], np.float32)
    >>> found = cluster_actions(vectors, np.array([0, 1, 1, 2]), np.array([40, 10, 30, 20]), alpha=0.4)
    >>> found.labels_M.tolist(), found.medoid_C.tolist(), found.size_C.tolist(), found.last_us_C.tolist()
    ([0, 1, 1, 1], [0, 1], [1, 3], [40, 30])
    """
    labels_M = cut_ward(merge_tree(vectors_MD), alpha)
    return describe_clusters(vectors_MD, labels_M, item_rows_M, times_us_M)


def importances(labels_M: np.ndarray, times_us_M: np.ndarray, now_us: int, decay_per_day: float) -> np.ndarray:
    """float64 [C]: the sum over each cluster's actions of exp(-decay_per_day x age), age in days before `now_us`.

    >>> day = 86_400_000_000
    >>> importances(np.array([0, 1, 1]), np.array([day, day, 0]), day, decay_per_day=0.5).round(4).tolist()
    [1.0, 1.6065]
    """
    ages_days_M = (now_us - times_us_M) / US_PER_DAY
    return np.bincount(labels_M, weights=np.exp(-decay_per_day * ages_days_M))


def sample_medoids(importance_C: np.ndarray, num: int, generator: np.random.Generator) -> np.ndarray:
    """`num` different clusters (all, if there are fewer), each draw in proportion to the importance of those left,
    in the order drawn.

    The smallest of Exp(1) / weight are such a sample (Efraimidis and Spirakis, 2006).
    """
    waiting_C = generator.exponential(size=len(importance_C)) / np.maximum(importance_C, _LEAST_IMPORTANCE)
    return np.argsort(waiting_C, kind="stable")[:num]


def _repeats(labels_M: np.ndarray, item_rows_M: np.ndarray, times_us_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each action, number and latest time of the actions on its item in its cluster; sorted by (cluster, item)."""
    starts = np.flatnonzero(
        (np.diff(labels_M, prepend=-1) != 0) | (np.diff(item_rows_M, prepend=item_rows_M[:1] - 1) != 0)
    )
    counts = np.diff(starts, append=len(labels_M))
    return np.repeat(counts, counts), np.repeat(np.maximum.reduceat(times_us_M, starts), counts)
