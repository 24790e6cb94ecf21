"""What to show a user: candidates near a sample of their interests, from the published run.

    recommender = Recommender("store")
    answer = recommender.recommend("user-7", recent=["item-3", "item-9"], settings=Settings(top=400))
    for candidate in answer.candidates:
        print(candidate.score, candidate.item_id, candidate.cluster)

A Recommender stays with the run that CURRENT named when it was made. It searches refined_index/ if the run has one:
there an item that was removed is its representative everywhere, as a medoid, as a seen item and as a popular one.

Seen are the items of today's actions and of those that the user's clusters were made from: not of actions older than
the run's window, nor of those over its cap of actions a user.

Nothing here reads a clock: today's actions count as done at the end of the published day, and the same request has the
same answer, whatever was asked before.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from model.machine.blas_threads import one_blas_thread
from model.nearest.distinct_candidates import choose_distinct, without_equal
from model.nearest.index import ItemIndex
from model.users.pinnersage import sample_medoids
from model.users.recommendation import (
    MAX_RECENT,
    Interests,
    Pool,
    blend,
    merge_equal,
    merge_recent,
    no_interests,
    order_by_depth,
    order_by_score,
    pool_of,
    recent_interests,
    with_popular,
)
from pipelines.serving.published_items import PublishedItems
from pipelines.serving.published_users import PublishedUsers
from pipelines.serving.recommendation_types import (
    POPULAR_CLUSTER,
    Candidate,
    Clusters,
    Recommendation,
    Settings,
    UserCluster,
)
from schemas.errors import UsageError
from schemas.hashing import seed_of
from schemas.quarantine import quote

MAX_RECENT_LISTED = 1_000
#: A medoid's list of neighbours is this many times its share of the answer: it fills up what seen items,
#: near-duplicates and other medoids take. If that is not enough, a list as many times longer is searched, once.
_DEPTH = 4
_CACHED_USERS = 4096
_CACHED_LISTS = 4096
#: Entries, of 8 bytes. Longer lists are searched for each request: all that are cached take 128 MiB at most.
_LONGEST_CACHED = 4096

_DEFAULTS = Settings()


class _User(NamedTuple):
    interests: Interests
    seen: np.ndarray


class Recommender:
    """Recommends from the published run of a store; `exact` compares medoids with every item instead of using the
    index.

    Raises UsageError if nothing is published or the run has no users, CorruptFileError if run, index, embeddings and
    users do not belong together.
    """

    def __init__(self, store: str, exact: bool = False):
        self.items = PublishedItems(store, exact)
        self.run, self.index = self.items.run, self.items.index
        self.users = PublishedUsers(self.items.opened)
        self.items.read_popularity()
        self._user = lru_cache(_CACHED_USERS)(self._read_user)
        self._neighbours = lru_cache(_CACHED_LISTS)(self._search)

    def recommend(
        self,
        user_id: str,
        recent: Sequence[str] = (),
        settings: Settings = _DEFAULTS,
    ) -> Recommendation:
        """Candidates for a user with actions in the run's window, today's actions `recent` (item ids, newest last), or
        both. Of more than MAX_RECENT recent items the newest are clustered; all count as seen.

        A user without either gets the popular items if there is a popularity weight, else UsageError; so do more than
        MAX_RECENT_LISTED recent items.
        """
        if len(recent) > MAX_RECENT_LISTED:
            raise UsageError(
                f"expected at most {MAX_RECENT_LISTED:,} recent items, got {len(recent):,} of user {quote(user_id)}: "
                f"the newest {MAX_RECENT} are clustered, the others only left out"
            )
        with one_blas_thread():
            return self._recommend(user_id, recent, settings)

    def popularity_weight(self, settings: Settings) -> float:
        """What the settings give, or with blend_popularity what was calibrated: UsageError if nothing was."""
        if not settings.blend_popularity:
            return settings.popularity_weight
        if self.users.popularity_weight is None:
            raise UsageError(
                "expected users made with a calibrated popularity weight for --blend-popularity, got none in "
                f"{self.run}: calibrate first and let the next daily run use it, or give --popularity-weight"
            )
        return self.users.popularity_weight

    def forget(self) -> None:
        """Empties the caches of users, of neighbours and of hashes; answers do not depend on them."""
        self.users.forget()
        self.items.forget()
        self._user.cache_clear()
        self._neighbours.cache_clear()

    def _recommend(self, user_id: str, recent: Sequence[str], settings: Settings) -> Recommendation:
        settings = replace(settings, popularity_weight=self.popularity_weight(settings), blend_popularity=False)
        recent_R = np.array([self.items.rows[item_id] for item_id in recent if item_id in self.items.rows], np.int64)
        user = self._user(user_id) or _User(no_interests(), np.zeros(0, np.int64))
        interests = self._with_recent(user.interests, recent_R)
        if not len(interests.rows_C) and not settings.popularity_weight:
            raise UsageError(
                f"expected a user with actions in the window, or --recent items of the run, got user {quote(user_id)} "
                f"with neither in {self.run}: --popularity-weight 0.5 gives popular items"
            )
        seed = seed_of("recommend", self.run.name, user_id, *recent_R.tolist(), settings.seed)
        wanted = min(settings.samples or self.users.samples, settings.top)
        if self.users.sampled:
            sampled = sample_medoids(interests.importance_C, wanted, np.random.default_rng(seed))
        else:
            sampled = np.argsort(-interests.importance_C, kind="stable")[:wanted]
        medoids = interests.rows_C[sampled]
        seen = np.zeros(0, np.int64) if settings.keep_seen else np.union1d(user.seen, recent_R)
        rows, scores, cosines, sources = self._candidates(medoids, seen, settings)
        return Recommendation(
            user_id=user_id,
            clusters=self._clusters(interests, frozenset(sampled.tolist())),
            candidates=self._described(rows, scores, cosines, medoids, sources),
            unknown_recent=[item_id for item_id in recent if item_id not in self.items.rows],
        )

    def _with_recent(self, batch: Interests, recent_R: np.ndarray) -> Interests:
        if not len(recent_R):
            return batch
        recent_R = recent_R[-MAX_RECENT:]
        recent = recent_interests(recent_R, self.index.vectors(recent_R), self.users.alpha, self.users.now_us)
        return merge_recent(batch, self.index.vectors(batch.rows_C), recent, self.index.vectors(recent.rows_C))

    def _candidates(
        self, medoids: np.ndarray, seen: np.ndarray, settings: Settings
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(rows, scores, cosines, sources), best score first, ties by row."""
        weight, quota = settings.popularity_weight, settings.top // max(1, len(medoids))
        cosine = settings.near_duplicate_cosine
        shown = seen if cosine is not None else seen[:0]
        seen_hashes, first = np.unique(self.items.vector_hashes(shown), return_index=True)
        seen_SD = self.index.vectors(shown[first])
        length = _list_length(_DEPTH * quota)
        for longer in (length, length * _DEPTH):
            pool = self._pool(medoids, seen, longer, settings)
            scores_P = blend(pool.cosine_P, self.items.num_users_N[pool.rows_P], self.items.most_users, weight)
            order = order_by_score(pool, scores_P) if weight else order_by_depth(pool, quota)
            if cosine is not None:
                order = without_equal(order, self.items.vector_hashes(pool.rows_P), seen_hashes)
            vectors_of = partial(_vectors_of_places, self.index, pool)
            chosen = choose_distinct(order, vectors_of, seen_SD, settings.top, cosine)
            if len(chosen) == settings.top or longer >= self.index.num_items or not len(medoids):
                break
        ranked = chosen[np.lexsort((pool.rows_P[chosen], -scores_P[chosen]))]
        return pool.rows_P[ranked], scores_P[ranked], pool.cosine_P[ranked], pool.source_P[ranked]

    def _pool(self, medoids: np.ndarray, seen: np.ndarray, length: int, settings: Settings) -> Pool:
        length = min(length, self.index.num_items)
        neighbours = self._neighbours if length <= _LONGEST_CACHED else self._search
        pool = pool_of([neighbours(int(row), length) for row in medoids], seen)
        if not settings.popularity_weight:
            return pool
        popular = self.items.popular[: settings.top + len(seen)]
        popular = popular[~np.isin(popular, seen)][: settings.top]
        cosines = np.zeros(len(popular), np.float32)
        if len(medoids):
            cosines = (self.index.vectors(popular) @ self.index.vectors(medoids).T).max(axis=1)
        return with_popular(pool, popular, cosines)

    def _search(self, row: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest items of an item, itself among them: int32 rows, float32 cosines."""
        rows_QK, cosines_QK = self.index.search(self.index.vectors([row]), length)
        found = rows_QK[0] >= 0
        return rows_QK[0][found].astype(np.int32), cosines_QK[0][found]

    def _read_user(self, user_id: str) -> _User | None:
        record = self.users.find(user_id)
        if record is None:
            return None
        interests = Interests(
            rows_C=self.items.rows_of(record.medoid_ids),
            importance_C=record.importance_C,
            size_C=record.size_C,
            last_us_C=record.last_us_C,
        )
        return _User(merge_equal(interests), np.unique(self.items.rows_of(record.seen_ids)))

    def _clusters(self, interests: Interests, sampled: frozenset[int]) -> Clusters:
        def described(places: Sequence[int]) -> list[UserCluster]:
            chosen = np.asarray(places, np.int64)
            medoid_ids = self.items.ids_of(interests.rows_C[chosen])
            columns = (interests.importance_C, interests.size_C, interests.last_us_C)
            numbers = (column[chosen].tolist() for column in columns)
            are_sampled = [place in sampled for place in places]
            return list(map(UserCluster, medoid_ids, self.items.titles(medoid_ids), *numbers, are_sampled))

        return Clusters(len(interests.rows_C), described)

    def _described(
        self, rows: np.ndarray, scores: np.ndarray, cosines: np.ndarray, medoids: np.ndarray, sources: np.ndarray
    ) -> list[Candidate]:
        names = [*self.items.ids_of(medoids), POPULAR_CLUSTER]  # POPULAR is the last place
        item_ids = self.items.ids_of(rows)
        clusters = [names[source] for source in sources.tolist()]
        return list(map(Candidate, item_ids, scores.tolist(), cosines.tolist(), clusters, self.items.titles(item_ids)))


def _list_length(wanted: int) -> int:
    """At least `wanted`, and a power of two: requests of about one size share their lists. A longer list's beginning is
    not what a shorter search finds, so taking it would let an answer depend on what was asked before.

    >>> _list_length(532), _list_length(4)
    (1024, 128)
    """
    return max(128, 1 << (wanted - 1).bit_length())


def _vectors_of_places(index: ItemIndex, pool: Pool, places: np.ndarray) -> np.ndarray:
    return index.vectors(pool.rows_P[places])
