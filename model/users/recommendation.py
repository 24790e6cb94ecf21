"""From a user's clusters to candidates (PinnerSage, arXiv 2007.03634, section 4): pure arithmetic, no files.

    batch clusters --+
                     +-- merge_recent --> Interests --sample--> neighbours of 3 medoids --> Pool --order--> candidates
    today's actions -+                                                      popular items --+

Each of the e sampled medoids gives its floor(top / e) nearest items. What is missing then (medoids overlap, items are
left out) is filled from further away, one step of all medoids at a time, so that `top` candidates come out wherever the
lists reach that far. With a popularity weight, the best scores of the whole pool come out instead.

Deviations: the paper does not say how today's clusters join the batch's. Here one joins the nearest batch cluster if
their medoids have a cosine of at least SAME_INTEREST_COSINE, its own bound for relevance. The blend with popularity is
ours too.

Legend: C clusters; D dimension; E sampled medoids; K neighbours of one; P items of a pool; R recent actions. Rows are
row numbers of the index, ordered as the item ids. Vectors are float32 of norm 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.users.pinnersage import action_order, cluster_actions

#: How many of today's actions are clustered (PinnerSage, section 4.2).
MAX_RECENT = 20
SAME_INTEREST_COSINE = 0.8
#: Source of a pool's item that no sampled medoid brought.
POPULAR = -1


@dataclass(frozen=True, kw_only=True)
class Interests:
    """A user's clusters by falling importance, ties by row. rows_C: int64, the medoid; importance_C: float64; size_C:
    int32, number of actions; last_us_C: int64, the latest (microseconds since 1970)."""

    rows_C: np.ndarray
    importance_C: np.ndarray
    size_C: np.ndarray
    last_us_C: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Items to choose from, by row, each once. rows_P: int64. cosine_P: float32, to the nearest of the sampled medoids
    that brought the item. source_P: int64, that medoid's place in the sample, or POPULAR. depth_P: int64, how many
    items that are not left out come before it, in the list where they are fewest."""

    rows_P: np.ndarray
    cosine_P: np.ndarray
    source_P: np.ndarray
    depth_P: np.ndarray


def no_interests() -> Interests:
    """Of a user without an action."""
    return Interests(
        rows_C=np.zeros(0, np.int64),
        importance_C=np.zeros(0),
        size_C=np.zeros(0, np.int32),
        last_us_C=np.zeros(0, np.int64),
    )


def recent_interests(rows_R: np.ndarray, vectors_RD: np.ndarray, alpha: float, now_us: int) -> Interests:
    """The clusters of today's actions, newest last; of more than MAX_RECENT the newest. Each action weighs 1, as one of
    age 0 does, and counts as done at `now_us`."""
    rows_R, vectors_RD = rows_R[-MAX_RECENT:], vectors_RD[-MAX_RECENT:]
    if not len(rows_R):
        return no_interests()
    places_R = np.arange(len(rows_R))
    order = action_order(rows_R, places_R)
    found = cluster_actions(vectors_RD[order], rows_R[order], places_R[order], alpha)
    return _by_importance(
        Interests(
            rows_C=rows_R[order][found.medoid_C],
            importance_C=found.size_C.astype(np.float64),
            size_C=found.size_C,
            last_us_C=np.full(len(found.size_C), now_us, np.int64),
        )
    )


def merge_equal(interests: Interests) -> Interests:
    """The interests with one for each row: where several have one medoid, importances and sizes add up, the last action
    is the latest. So it is where one item of the index stands for several.

    >>> merged = merge_equal(Interests(rows_C=np.array([7, 3, 7]), importance_C=np.array([2.0, 1.5, 1.0]),
    ...                                size_C=np.array([4, 2, 1]), last_us_C=np.array([10, 20, 30])))
    >>> merged.rows_C.tolist(), merged.importance_C.tolist(), merged.size_C.tolist(), merged.last_us_C.tolist()
    ([7, 3], [3.0, 1.5], [5, 2], [30, 20])
    """
    rows, place_C = np.unique(interests.rows_C, return_inverse=True)
    importance, size, last_us = np.zeros(len(rows)), np.zeros(len(rows), np.int32), np.zeros(len(rows), np.int64)
    np.add.at(importance, place_C, interests.importance_C)
    np.add.at(size, place_C, interests.size_C)
    np.maximum.at(last_us, place_C, interests.last_us_C)
    return _by_importance(Interests(rows_C=rows, importance_C=importance, size_C=size, last_us_C=last_us))


def merge_recent(batch: Interests, batch_CD: np.ndarray, recent: Interests, recent_CD: np.ndarray) -> Interests:
    """Both together; `*_CD`: vectors of their medoids. A recent cluster joins the batch cluster of the nearest medoid
    if their cosine is at least SAME_INTEREST_COSINE (importances and sizes add up, the last action is the later one,
    the medoid stays), else it stays a cluster of its own. The next batch run makes clusters of all actions anew.

    >>> batch = Interests(rows_C=np.array([7]), importance_C=np.array([2.5]), size_C=np.array([4]),
    ...                   last_us_C=np.array([10]))
    >>> recent = recent_interests(np.array([3, 5]), np.eye(2, dtype=np.float32), alpha=0.4, now_us=99)
    >>> merged = merge_recent(batch, np.array([[0.8, 0.6]]), recent, np.eye(2))
    >>> merged.rows_C.tolist(), merged.importance_C.tolist(), merged.size_C.tolist(), merged.last_us_C.tolist()
    ([7, 5], [3.5, 1.0], [5, 1], [99, 99])
    """
    if not len(batch.rows_C) or not len(recent.rows_C):
        return recent if len(recent.rows_C) else batch
    cosines_RC = recent_CD.astype(np.float64) @ batch_CD.T.astype(np.float64)
    nearest_R = np.argmax(cosines_RC, axis=1)
    joins_R = cosines_RC.max(axis=1) >= SAME_INTEREST_COSINE
    into, alone = nearest_R[joins_R], ~joins_R
    importance_C, size_C, last_us_C = batch.importance_C.copy(), batch.size_C.copy(), batch.last_us_C.copy()
    np.add.at(importance_C, into, recent.importance_C[joins_R])
    np.add.at(size_C, into, recent.size_C[joins_R])
    np.maximum.at(last_us_C, into, recent.last_us_C[joins_R])
    return _by_importance(
        Interests(
            rows_C=np.concatenate([batch.rows_C, recent.rows_C[alone]]),
            importance_C=np.concatenate([importance_C, recent.importance_C[alone]]),
            size_C=np.concatenate([size_C, recent.size_C[alone]]),
            last_us_C=np.concatenate([last_us_C, recent.last_us_C[alone]]),
        )
    )


def pool_of(neighbours: Sequence[tuple[np.ndarray, np.ndarray]], left_out: np.ndarray) -> Pool:
    """The neighbours (rows, cosines; best first) of all sampled medoids but the rows `left_out`, each once.

    >>> pool = pool_of([(np.array([4, 2, 9]), np.array([1, 0.9, 0.8])), (np.array([9, 2]), np.array([1, 0.7]))],
    ...                left_out=np.array([4]))
    >>> pool.rows_P.tolist(), pool.cosine_P.tolist(), pool.source_P.tolist(), pool.depth_P.tolist()
    ([2, 9], [0.9, 1.0], [0, 1], [0, 0])
    """
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.float32))
    rows, cosines = (np.concatenate(column) for column in zip(nothing, *neighbours, strict=True))
    counts = [len(rows_K) for rows_K, _ in neighbours]
    sources = np.repeat(np.arange(len(counts)), counts)
    is_kept = ~np.isin(rows, left_out)
    num_before: np.ndarray = np.cumsum(is_kept) - is_kept  # kept ones before it, in all lists
    first = np.cumsum([0, *counts])[:-1]
    depths = num_before - np.append(num_before, 0)[first][sources]
    rows, cosines, sources, depths = rows[is_kept], cosines[is_kept], sources[is_kept], depths[is_kept]
    order = np.lexsort((sources, -cosines, rows))
    starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
    best = order[starts]
    shallowest = np.minimum.reduceat(depths[order], starts) if len(starts) else depths
    return Pool(rows_P=rows[best], cosine_P=cosines[best], source_P=sources[best], depth_P=shallowest)


def with_popular(pool: Pool, rows: np.ndarray, cosines: np.ndarray) -> Pool:
    """The pool and those of the popular items (most popular first, with their cosines to the nearest sampled medoid)
    that it has not."""
    is_new = ~np.isin(rows, pool.rows_P)
    together = Pool(
        rows_P=np.concatenate([pool.rows_P, rows[is_new]]),
        cosine_P=np.concatenate([pool.cosine_P, cosines[is_new]]),
        source_P=np.concatenate([pool.source_P, np.full(is_new.sum(), POPULAR)]),
        depth_P=np.concatenate([pool.depth_P, np.flatnonzero(is_new)]),
    )
    order = np.argsort(together.rows_P)
    return Pool(**{name: column[order] for name, column in vars(together).items()})


def blend(cosines: np.ndarray, num_users: np.ndarray, most_users: int, weight: float) -> np.ndarray:
    """float64, any shape: cosine + weight x log(1 + users of the item) / log(1 + users of the most popular item).

    >>> blend(np.array([0.5, 0.9]), np.array([99, 0]), most_users=99, weight=0.5).tolist()
    [1.0, 0.9]
    """
    wide = np.asarray(cosines, np.float64)
    if weight == 0 or most_users == 0:
        return wide
    return wide + weight * (np.log1p(np.asarray(num_users, np.float64)) / np.log1p(most_users))


def order_by_depth(pool: Pool, quota: int) -> np.ndarray:
    """int64 [P], what to take first: the `quota` nearest of every medoid by cosine, then one step further of all
    medoids at a time; ties by row."""
    further_P = np.where(pool.depth_P < quota, 0, pool.depth_P + 1)
    return np.lexsort((pool.rows_P, -pool.cosine_P, further_P))


def order_by_score(pool: Pool, scores_P: np.ndarray) -> np.ndarray:
    """int64 [P]: best score first, ties by row."""
    return np.lexsort((pool.rows_P, -scores_P))


def _by_importance(interests: Interests) -> Interests:
    order = np.lexsort((interests.rows_C, -interests.importance_C))
    return replace(interests, **{name: column[order] for name, column in vars(interests).items()})
