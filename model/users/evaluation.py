"""PinnerSage's offline protocol (arXiv 2007.03634, section 6.2): walk forward day by day, users as of each morning.

    history, `window_days` before the day --method--> queries --> recommended set     the day's items   impressions
    ............................................|day|                 |                     |               |
                                                            relevance, recall <-------------+--> ranking <--+

Of every user with items on a day and actions before it (a user-day), F = the distinct items of the day:
- relevance: share of F with a cosine of at least 0.8 to any recommended item;
- recall: share of F that is recommended itself;
- ranking: F against 20 impressions each (those the user was shown that day; where the log has too few, items that
  others acted on that day, drawn with a seed; none of F), ordered by the largest cosine to any query, ties against F;
  R-precision: share of F among the first |F|; reciprocal rank: mean over F of 1 / rank in the list of all.

Legend: U user-days, T methods, F items of the day, S seen items, I impressions, K recommended items, Q queries of all
methods of a user-day, D dimension, N items.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.nearest.distinct_search import DistinctVectors
from model.users.actions import Actions, users_of_items
from model.users.baselines import Method, Queries, UserDay
from model.users.lists import Listing, ListMethod
from model.users.new_items import RecallOfNew
from model.users.ranking import COSINE_TOLERANCE, Shown, ranking
from schemas.days import Calendar
from schemas.hashing import seed_of

#: Recommended items: the paper's 400, of a smaller shop as large a share as of 20,000 items, and at least 20.
TOP, MIN_TOP, ITEMS_A_PLACE = 400, 20, 50
RELEVANT_COSINE = 0.8
METRICS = ("relevance", "recall", "r_precision", "reciprocal_rank")
#: The searches of so many queries of user-days (one a method) are done together: some 100 MB of vectors.
_ASKED_A_BLOCK = 1 << 14


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """alpha: Ward's cut; window_days: of the history; max_actions: the newest of it that count; top: recommended items;
    calendar: where days begin; with_ranking: False leaves R-precision and reciprocal rank at 0; with_new: measures
    recall of new items too; draws: so many methods in a row are draws of one, and become their mean at once; seed_name:
    sets the draws apart."""

    alpha: float
    window_days: int = 90
    max_actions: int = 2_000
    top: int = TOP
    calendar: Calendar = field(default_factory=Calendar)
    with_ranking: bool = True
    with_new: bool = False
    draws: int = 1
    seed_name: str = "evaluate-users"

    def bounds_us(self, day: int) -> tuple[int, int, int]:
        """(start of the window before a day, start of the day, its end), in microseconds since 1970, UTC."""
        start_us = self.calendar.start_us
        return start_us(day - self.window_days), start_us(day), start_us(day + 1)


@dataclass(frozen=True, eq=False)
class UserDays:
    """Results. users_U: int64; days_U: int64, since 1970; values_UTM: float64, in the order of the methods and METRICS;
    clusters_UT: int64, the user's clusters; num_items_U: int64, |F|; recall_new_UT: float64, of the items of F that are
    new to the user in the window, nan without any (and where the protocol does not ask for it)."""

    users_U: np.ndarray
    days_U: np.ndarray
    values_UTM: np.ndarray
    clusters_UT: np.ndarray
    num_items_U: np.ndarray
    recall_new_UT: np.ndarray


@dataclass(frozen=True, eq=False)
class Case:
    """A user-day. items_F: the distinct items of the day; seen_S: those of the window before it; both item rows,
    ascending. queries: one a method."""

    user: int
    day: int
    items_F: np.ndarray
    seen_S: np.ndarray
    seed: int
    queries: list[Queries | Listing]


def walk_forward(
    actions: Actions,
    vectors: DistinctVectors,
    days: Sequence[int],
    methods: Mapping[str, Method | ListMethod],
    protocol: Protocol,
    impressions: Actions | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> UserDays:
    """Results of all methods on `days` (since 1970). impressions: with the user numbers of `actions`. `advance` is
    told how many user-days are done."""
    scorer, of_new = _Scorer(vectors), RecallOfNew(vectors, protocol.top)
    found: dict[str, list[Any]] = {name: [] for name in UserDays.__annotations__}
    shape = (len(methods) // protocol.draws, protocol.draws, -1)
    for day in days:
        shown = Shown(actions, impressions, protocol.bounds_us(day)[1:])
        for block in blocks(actions, vectors, day, methods, protocol):
            asked = [case.queries for case in block]
            for case, recommended in zip(block, recommend_all(asked, vectors, protocol.top), strict=True):
                values = scorer.retrieval(case.items_F, recommended)
                if protocol.with_ranking:
                    shown_I = shown.to(case.user, case.items_F, case.seed)
                    values[:, 2:] = ranking(vectors.matrix_ND, case.items_F, shown_I, case.queries)
                if protocol.with_new:
                    new_T = of_new.recalls(case.items_F, case.seen_S, case.queries)
                    found["recall_new_UT"].append(new_T.reshape(shape).mean(axis=(1, 2)))
                found["users_U"].append(case.user)
                found["days_U"].append(day)
                found["values_UTM"].append(values.reshape(shape).mean(axis=1))
                found["clusters_UT"].append([queries.num_clusters for queries in case.queries[:: protocol.draws]])
                found["num_items_U"].append(len(case.items_F))
            advance(len(block))
    return _as_arrays(found, shape[0])


def _as_arrays(found: Mapping[str, list[Any]], num_methods: int) -> UserDays:
    recall_new_UT = np.full((len(found["users_U"]), num_methods), np.nan)
    if found["recall_new_UT"]:
        recall_new_UT[:] = found["recall_new_UT"]
    return UserDays(
        users_U=np.array(found["users_U"], np.int64),
        days_U=np.array(found["days_U"], np.int64),
        values_UTM=np.array(found["values_UTM"], np.float64).reshape(-1, num_methods, len(METRICS)),
        clusters_UT=np.array(found["clusters_UT"], np.int64).reshape(-1, num_methods),
        num_items_U=np.array(found["num_items_U"], np.int64),
        recall_new_UT=recall_new_UT,
    )


def list_length(num_items: int) -> int:
    """How many items are recommended, in proportion to the catalogue: where a list is a fifth of all items, its recall
    says little.

    >>> list_length(500), list_length(3_001), list_length(92_331)
    (20, 61, 400)
    """
    return min(TOP, max(MIN_TOP, -(-num_items // ITEMS_A_PLACE)))


def count_user_days(actions: Actions, days: Sequence[int], protocol: Protocol) -> int:
    """How many user-days `walk_forward` will have."""
    return sum(1 for day in days for _ in _users_of(actions, *protocol.bounds_us(day)))


def users_of_days(actions: Actions, days: Sequence[int], protocol: Protocol) -> np.ndarray:
    """int64, ascending: the users that `walk_forward` will have."""
    return np.array(sorted({user for day in days for user in _users_of(actions, *protocol.bounds_us(day))}), np.int64)


def recommend_all(
    asked: Sequence[Sequence[Queries | Listing]], vectors: DistinctVectors, top: int
) -> list[list[np.ndarray]]:
    """For each user-day and method the recommended item rows (K, with repeats): the floor(top / queries) nearest of
    each query. An item that is asked with comes first in its own list. All searches are done together; lists need none.
    """
    queries = [q for of_day in asked for q in of_day if isinstance(q, Queries)]
    vectors.prepare((row for q in queries if q.rows_Q is not None for row in q.rows_Q.tolist()), top)
    without_item = [q.vectors_QD for q in queries if q.rows_Q is None]
    found = iter(vectors.nearest(np.concatenate(without_item), top) if without_item else [])
    return [[_recommended(one, vectors, top, found) for one in of_day] for of_day in asked]


def _recommended(
    queries: Queries | Listing, vectors: DistinctVectors, top: int, found: Iterator[np.ndarray]
) -> np.ndarray:
    if isinstance(queries, Listing):
        return queries.best(top)
    each = top // len(queries.vectors_QD)
    if queries.rows_Q is not None:
        return np.concatenate([vectors.nearest_to_item(row, each) for row in queries.rows_Q.tolist()])
    return np.concatenate([next(found)[:each] for _ in queries.vectors_QD])


class _Scorer:
    """Relevance and recall, for all methods of a user-day at once: each recommended vector is compared once."""

    def __init__(self, vectors: DistinctVectors):
        self.vectors = vectors
        self.is_recommended_N = np.zeros(len(vectors.id_N), bool)
        self.place_of_id = np.zeros(len(vectors.vectors_UD), np.int64)

    def retrieval(self, items_F: np.ndarray, recommended: Sequence[np.ndarray]) -> np.ndarray:
        """float64 [T, 4], the ranking metrics 0."""
        values = np.zeros((len(recommended), len(METRICS)))
        ids = [self.vectors.id_N[rows_K] for rows_K in recommended]
        distinct = np.unique(np.concatenate(ids))
        self.place_of_id[distinct] = np.arange(len(distinct))
        cosines = self.vectors.matrix_ND[items_F] @ self.vectors.vectors_UD[distinct].T
        is_near = cosines >= RELEVANT_COSINE - COSINE_TOLERANCE
        for method, (rows_K, ids_K) in enumerate(zip(recommended, ids, strict=True)):
            self.is_recommended_N[rows_K] = True
            values[method, 0] = is_near[:, self.place_of_id[ids_K]].any(axis=1).mean()
            values[method, 1] = self.is_recommended_N[items_F].mean()
            self.is_recommended_N[rows_K] = False
        return values


def _users_of(actions: Actions, from_us: int, start_us: int, end_us: int) -> Iterator[int]:
    """Users with actions on the day and in the window before it."""
    for user in np.unique(actions.users_M[actions.within(start_us, end_us)]).tolist():
        before = actions.between(user, from_us, start_us)
        if before.stop > before.start:
            yield user


def blocks(
    actions: Actions, vectors: DistinctVectors, day: int, methods: Mapping[str, Method | ListMethod], protocol: Protocol
) -> Iterator[list[Case]]:
    """The user-days of a day with their queries, a bounded number at a time."""
    from_us, start_us, end_us = protocol.bounds_us(day)
    block: list[Case] = []
    popular_N = _popularity(actions, from_us, start_us, len(vectors.id_N))
    for user in _users_of(actions, from_us, start_us, end_us):
        history = actions.history(user, from_us, start_us, protocol.max_actions)
        assert history is not None
        seed = seed_of(protocol.seed_name, actions.user_ids[user], day)
        user_day = UserDay(history, vectors.matrix_ND, start_us, protocol.alpha, seed, popular_N)
        items_F = actions.items(user, start_us, end_us)
        seen_S = actions.items(user, from_us, start_us)
        block.append(Case(user, day, items_F, seen_S, seed, [method(user_day) for method in methods.values()]))
        if len(block) * len(methods) >= _ASKED_A_BLOCK:
            yield block
            block = []
    if block:
        yield block


def _popularity(actions: Actions, from_us: int, start_us: int, num_items: int) -> np.ndarray:
    """float64 [N]: users of each item in the window before the day, scaled to below 1."""
    users_N = users_of_items(actions, from_us, start_us, num_items)
    return users_N / (users_N.max(initial=0) + 1)
