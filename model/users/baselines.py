"""Users as query vectors: PinnerSage, its variants, and what it is compared with (arXiv 2007.03634, tables 3 to 5).

    history of a user --method--> a few query vectors --> floor(400 / queries) nearest items of each

A method is a function of a `UserDay`, which shares what several methods need: the tree, the clusters, the draws. Every
method that samples draws from the same generator, so that "sample 1" asks with the first of the medoids of "sample 3".

Baselines as we read them (the paper gives names only). Decay average: the normalised mean of the vectors, each action
weighing exp(-lambda x age in days). k-means: 5 clusters (fewer, if there are fewer different items), scikit-learn,
one seeded start. Complete linkage: cut into as many clusters as Ward has for the same user, so that only their shape
differs. Centroid: Ward's clusters, asked with the normalised mean of their actions. HierTCN is not here: it is a
trained sequence model.

Legend: H actions of the history, Q queries, C clusters, D dimension.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from sklearn.cluster import KMeans

from model.users.actions import History
from model.users.pinnersage import (
    US_PER_DAY,
    Clusters,
    cut,
    cut_ward,
    describe_clusters,
    importances,
    merge_tree,
    sample_medoids,
)

DECAY_PER_DAY = 0.01
NUM_SAMPLED = 3
KMEANS_CLUSTERS = 5


@dataclass(frozen=True, eq=False)
class Queries:
    """rows_Q: int64, items to ask with, or None where vectors are no item's. vectors_QD: float32 unit rows.
    num_clusters: of the user, those that are not asked with too."""

    rows_Q: np.ndarray | None
    vectors_QD: np.ndarray
    num_clusters: int


class UserDay:
    """A user as of one instant, `now_us` (microseconds since 1970). matrix_ND: all item vectors, float32 unit rows.
    seed: of every draw for this user and instant. alpha: the cut of methods that do not say another. popular_N: users
    of each item in the window before, scaled to below 1, for lists (model/users/lists.py); None: no list is asked for.
    """

    def __init__(
        self,
        history: History,
        matrix_ND: np.ndarray,
        now_us: int,
        alpha: float,
        seed: int,
        popular_N: np.ndarray | None = None,
    ):
        self.popular_N = popular_N
        self.matrix_ND, self.now_us, self.alpha, self.seed = matrix_ND, now_us, alpha, seed
        self.rows_H, self.times_us_H = history.rows_H, history.times_us_H
        self.vectors_HD = matrix_ND[history.rows_H]
        self._clusters: dict[float, Clusters] = {}

    @cached_property
    def tree(self) -> np.ndarray:
        """Ward's."""
        return merge_tree(self.vectors_HD)

    @cached_property
    def different_vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """(the latest action of each different vector, those vectors from the latest on; the place of each action's
        vector among them): int64 [V], [H]."""
        order_H = np.lexsort((self.rows_H, self.times_us_H))[::-1]
        _, first, inverse = np.unique(self.vectors_HD[order_H], axis=0, return_index=True, return_inverse=True)
        by_time = np.argsort(first)
        vector_H = np.empty(len(order_H), np.int64)
        vector_H[order_H] = np.argsort(by_time)[inverse.ravel()]
        return order_H[first[by_time]], vector_H

    def clusters(self, alpha: float | None = None) -> Clusters:
        """PinnerSage's, cut at `alpha` (None: the day's)."""
        at = self.alpha if alpha is None else alpha
        if at not in self._clusters:
            self._clusters[at] = self.describe(cut_ward(self.tree, at))
        return self._clusters[at]

    def describe(self, labels_H: np.ndarray) -> Clusters:
        """Medoids of any clusters."""
        return describe_clusters(self.vectors_HD, labels_H, self.rows_H, self.times_us_H)

    def importances(self, labels_H: np.ndarray, decay_per_day: float = DECAY_PER_DAY) -> np.ndarray:
        """float64 [C]."""
        return importances(labels_H, self.times_us_H, self.now_us, decay_per_day)

    def sample(self, importance_C: np.ndarray, num: int, replicate: int = 0) -> np.ndarray:
        """`num` clusters in proportion to importance; each replicate is a draw of its own."""
        return sample_medoids(importance_C, num, np.random.default_rng((self.seed, replicate)))

    def ask_items(self, places: np.ndarray, num_clusters: int) -> Queries:
        """With the items of these actions."""
        rows = self.rows_H[places]
        return Queries(rows, self.matrix_ND[rows], num_clusters)


Method = Callable[[UserDay], Queries]


def last_item(day: UserDay) -> Queries:
    """The item of the latest action; of equal times the largest row."""
    return day.ask_items(np.lexsort((day.rows_H, day.times_us_H))[-1:], 1)


def own_items(num: int, *, recent: bool, decay_per_day: float = DECAY_PER_DAY) -> Method:
    """`num` of the user's own items without any clusters, of different vectors: the last acted on, or those of the
    largest importance (sum of exp(-decay x age in days) over the actions). An item stands for those of its vector; it
    is the latest one."""

    def method(day: UserDay) -> Queries:
        latest_V, vector_H = day.different_vectors
        weights_H = np.exp(-decay_per_day * (day.now_us - day.times_us_H) / US_PER_DAY)
        importance_V = np.bincount(vector_H, weights=weights_H)
        chosen = np.arange(len(latest_V)) if recent else np.argsort(-importance_V, kind="stable")
        return day.ask_items(latest_V[chosen[:num]], len(latest_V))

    return method


def decay_average(decay_per_day: float) -> Method:
    """The mean of the history, each action weighing exp(-decay_per_day x age in days)."""

    def method(day: UserDay) -> Queries:
        weights_H = np.exp(-decay_per_day * (day.now_us - day.times_us_H) / US_PER_DAY)
        return Queries(None, _unit((weights_H @ day.vectors_HD)[None]), 1)

    return method


def single_medoid(day: UserDay) -> Queries:
    """The medoid of all actions."""
    return day.ask_items(day.describe(np.zeros(len(day.rows_H), np.int32)).medoid_C, 1)


def k_means(day: UserDay) -> Queries:
    """3 of 5 centroids, sampled by importance."""
    num = min(KMEANS_CLUSTERS, len({vector_D.tobytes() for vector_D in day.vectors_HD}))
    found = KMeans(num, n_init=1, random_state=day.seed % 2**32).fit(day.vectors_HD)
    _, labels_H = np.unique(found.labels_, return_inverse=True)
    return _ask_centroids(day, labels_H.ravel())


def complete_linkage(day: UserDay) -> Queries:
    """3 medoids of as many complete linkage clusters as Ward has."""
    num = len(day.clusters().medoid_C)
    labels_H = _cut_into(merge_tree(day.vectors_HD, "complete"), num, len(day.rows_H))
    medoid_C = day.describe(labels_H).medoid_C
    return day.ask_items(medoid_C[day.sample(day.importances(labels_H), NUM_SAMPLED)], len(medoid_C))


def ward_centroids(day: UserDay) -> Queries:
    """PinnerSage with centroids in place of medoids."""
    return _ask_centroids(day, day.clusters().labels_M)


def pinnersage(
    num: int | None = NUM_SAMPLED,
    decay_per_day: float = DECAY_PER_DAY,
    *,
    alpha: float | None = None,
    sampled: bool = True,
    replicate: int = 0,
) -> Method:
    """`num` medoids (None: all) of Ward's clusters, sampled by importance, or the most important ones."""

    def method(day: UserDay) -> Queries:
        clusters = day.clusters(alpha)
        if num is None:
            return day.ask_items(clusters.medoid_C, len(clusters.medoid_C))
        importance_C = day.importances(clusters.labels_M, decay_per_day)
        by_importance = np.argsort(-importance_C, kind="stable")
        chosen = day.sample(importance_C, num, replicate) if sampled else by_importance[:num]
        return day.ask_items(clusters.medoid_C[chosen], len(clusters.medoid_C))

    return method


BASELINE = "last item"
#: Every method of the paper's tables that we have, and those that the project asks for, in the paper's order.
METHODS: Mapping[str, Method] = MappingProxyType(
    {
        BASELINE: last_item,
        "decay average, λ = 0": decay_average(0.0),
        "decay average, λ = 0.01": decay_average(0.01),
        "decay average, λ = 0.1": decay_average(0.1),
        "decay average, λ = 0.25": decay_average(0.25),
        "own items, 3 most recent": own_items(3, recent=True),
        "own items, 3 most important": own_items(3, recent=False),
        "single medoid": single_medoid,
        "PinnerSage, e = 1": pinnersage(1),
        "k-means (5), e = 3": k_means,
        "complete linkage, e = 3": complete_linkage,
        "Ward centroids, e = 3": ward_centroids,
        "PinnerSage, e = 3, λ = 0": pinnersage(3, 0.0),
        "PinnerSage, e = 3, λ = 0.1": pinnersage(3, 0.1),
        "PinnerSage, e = 3": pinnersage(),
        "PinnerSage, top 3 instead of sampled": pinnersage(sampled=False),
        "PinnerSage, e = 2": pinnersage(2),
        "PinnerSage, e = 5": pinnersage(5),
        "PinnerSage, e = 10": pinnersage(10),
    }
)


def calibrated_name(num: int, alpha: float, sampled: bool = True) -> str:
    """What the choice of a calibration is called in tables."""
    return f"PinnerSage, calibrated: {'e =' if sampled else 'top'} {num}, alpha = {alpha:g}"


def calibrated_methods(num: int, alpha: float, sampled: bool, alpha_of_num: Mapping[int, float]) -> dict[str, Method]:
    """PinnerSage as calibrated, then as many own items without any clusters, then PinnerSage at the alpha that is best
    for each other number of sampled medoids. Without NUM_SAMPLED: METHODS are evaluated at its alpha."""
    found = {calibrated_name(num, alpha, sampled): pinnersage(num, alpha=alpha, sampled=sampled)}
    if num != NUM_SAMPLED:
        found |= {
            f"own items, {num} most recent": own_items(num, recent=True),
            f"own items, {num} most important": own_items(num, recent=False),
        }
    for other, best in alpha_of_num.items():
        if other != NUM_SAMPLED and (other != num or not sampled):
            found[f"PinnerSage, e = {other}, alpha = {best:g}, calibrated for it"] = pinnersage(other, alpha=best)
    return found


#: Alphas around the given one, and how many medoids.
GRID_FACTORS = (1 / 16, 1 / 4, 1 / 2, 1.0, 2.0, 4.0)
GRID_NUMS = (3, 5, 10, 20)


def alpha_by_num(alpha: float) -> dict[tuple[float, int, bool], Method]:
    """PinnerSage at alphas around `alpha`, by (alpha, medoids, whether they are sampled or the most important ones)."""
    alphas = [float(f"{alpha * factor:.4g}") for factor in GRID_FACTORS]
    return {
        (at, num, sampled): pinnersage(num, alpha=at, sampled=sampled)
        for at in alphas
        for sampled in (True, False)
        for num in GRID_NUMS
    }


def _ask_centroids(day: UserDay, labels_H: np.ndarray) -> Queries:
    """With the normalised means of 3 of the clusters."""
    num_clusters = int(labels_H.max()) + 1
    chosen = day.sample(day.importances(labels_H), NUM_SAMPLED)
    means_QD = np.stack([day.vectors_HD[labels_H == cluster].mean(axis=0, dtype=np.float64) for cluster in chosen])
    return Queries(None, _unit(means_QD), num_clusters)


def _cut_into(tree: np.ndarray, num_clusters: int, num_actions: int) -> np.ndarray:
    """Labels of `num_clusters` clusters, fewer where merges tie."""
    num_merges = num_actions - num_clusters
    return cut(tree, tree[num_merges - 1, 2] if num_merges else -1.0)


def _unit(vectors_QD: np.ndarray) -> np.ndarray:
    """Float32 rows of norm 1; a row without a direction stays 0."""
    return (vectors_QD / np.maximum(np.linalg.norm(vectors_QD, axis=1, keepdims=True), 1e-12)).astype(np.float32)
