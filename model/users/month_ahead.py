"""What users act on in the weeks after a date, out of the whole shop: recall@100 and @400 of users, beside popularity.

    .... history ........|split| window after it: relevant items
    candidates = items with at least 5 actions before the split; relevant = candidates the user acted on in the window

Two questions: all relevant items, most of which a user buys again; and items new to the user, where everything acted on
before the split is left out of the list and of what is relevant. An item's score is its largest cosine to any query of
a method; a blend adds weight x log(1 + users) / log(1 + users of the most popular item), users of the last
`window_days`. Its weight is chosen on the window of equal length before the split, one for each question. Equal
scores are ordered by item row.

Legend: U users, T columns (method and weight), C candidates, N items.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.nearest.distinct_search import DistinctVectors, top_rows
from model.users.actions import Actions, users_of_items
from model.users.baselines import Method, UserDay, calibrated_name, decay_average, last_item, pinnersage
from model.users.evaluation import Protocol
from model.users.lists import OWN_THEN_POPULAR, POPULAR
from model.users.pinnersage import US_PER_DAY
from model.users.recommendation import blend
from schemas.hashing import seed_of

MIN_ITEM_ACTIONS = 5
CUTS = (100, 400)
#: recall@100, recall@400 of all relevant items, then the same of those new to the user (nan for users without any).
QUESTIONS = ("all", "new")
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
#: Methods by vectors.
BY_VECTORS: Mapping[str, Method] = {
    "last item": last_item,
    "decay average, λ = 0.01": decay_average(0.01),
    "PinnerSage, e = 3": pinnersage(3),
    "PinnerSage, e = 10": pinnersage(10),
    "PinnerSage, all medoids": pinnersage(None),
}
#: These are not blended with popularity.
_PLAIN_ONLY = (POPULAR, OWN_THEN_POPULAR, "last item")
#: Of a cosine. More are rounding of float32, which would order the many items that are medoids themselves.
_DIGITS = 6
#: A method and the weight of popularity in it.
Column = tuple[str, float]


@dataclass(frozen=True, eq=False)
class MonthAhead:
    """users_U: int64, user numbers. columns: T of them. values_UTM: float64, M = len(QUESTIONS) x len(CUTS)."""

    users_U: np.ndarray
    columns: list[Column]
    values_UTM: np.ndarray
    num_candidates: int


def month_ahead(
    actions: Actions,
    vectors: DistinctVectors,
    split_us: int,
    end_us: int,
    columns: Sequence[Column],
    protocol: Protocol,
    methods: Mapping[str, Method] = BY_VECTORS,
    advance: Callable[[int], None] = lambda count: None,
) -> MonthAhead:
    """Users with an action in `protocol.window_days` before the split and a relevant item at split_us <= time < end_us.
    columns: of POPULAR, OWN_THEN_POPULAR and `methods`."""
    shop = _Shop(actions, vectors, split_us, protocol, methods)
    users, values = [], []
    for user in range(len(actions.user_ids)):
        advance(1)
        found = shop.recalls(user, end_us, columns)
        if found is not None:
            users.append(user)
            values.append(found)
    shape = (-1, len(columns), len(QUESTIONS) * len(CUTS))
    by_user = np.array(values, np.float64).reshape(shape)
    return MonthAhead(np.array(users, np.int64), list(columns), by_user, len(shop.candidates_C))


def methods_with_choice(num: int, alpha: float, sampled: bool, others_alpha: float) -> dict[str, Method]:
    """BY_VECTORS, whose alpha is that of the protocol, `others_alpha`, and what a calibration chose."""
    found = {**BY_VECTORS, calibrated_name(num, alpha, sampled): pinnersage(num, alpha=alpha, sampled=sampled)}
    if alpha != others_alpha:
        found[f"PinnerSage, all medoids, alpha = {alpha:g}"] = pinnersage(None, alpha=alpha)
    return found


def weight_columns(methods: Mapping[str, Method] = BY_VECTORS) -> list[Column]:
    """What weights are chosen from."""
    return [(name, weight) for name in methods if name not in _PLAIN_ONLY for weight in WEIGHTS]


def choose_weights(validation: MonthAhead) -> dict[str, dict[str, float]]:
    """question -> method -> the weight of the best recall at the last of CUTS; of equal ones the smallest. Weight 0 is
    one of them: without users there is nothing to choose, and nothing is blended."""
    chosen = {}
    names = list(dict.fromkeys(name for name, _ in validation.columns))
    for place, question in enumerate(QUESTIONS):
        values_UT = validation.values_UTM[:, :, place * len(CUTS) + len(CUTS) - 1]
        known_UT = values_UT[~np.isnan(values_UT).any(axis=1)]
        recall_of = dict(zip(validation.columns, known_UT.mean(axis=0), strict=True)) if len(known_UT) else {}
        chosen[question] = {
            name: max(WEIGHTS, key=lambda weight, name=name: (recall_of.get((name, weight), 0.0), -weight))  # type: ignore[misc]
            for name in names
        }
    return chosen


def compared_columns(
    weights: Mapping[str, Mapping[str, float]], methods: Mapping[str, Method] = BY_VECTORS
) -> list[Column]:
    """What is measured after the split: every method without popularity, and the blends with both chosen weights."""
    plain = [(name, 0.0) for name in (POPULAR, OWN_THEN_POPULAR, *methods)]
    blends = [(name, of[name]) for name in weights[QUESTIONS[0]] for of in map(weights.__getitem__, QUESTIONS)]
    return list(dict.fromkeys([*plain, *blends]))


class _Shop:
    """Everything before the split."""

    def __init__(
        self,
        actions: Actions,
        vectors: DistinctVectors,
        split_us: int,
        protocol: Protocol,
        methods: Mapping[str, Method],
    ):
        self.actions, self.vectors, self.split_us, self.protocol = actions, vectors, split_us, protocol
        self.methods = methods
        self.from_us = split_us - protocol.window_days * US_PER_DAY
        num_items = len(vectors.id_N)
        counts_N = np.bincount(actions.rows_M[actions.times_us_M < split_us], minlength=num_items)
        self.candidates_C = np.flatnonzero(counts_N >= MIN_ITEM_ACTIONS)
        self.counts_C = counts_N[self.candidates_C]
        users_N = users_of_items(actions, self.from_us, split_us, num_items)
        self.users_C, self.most_users = users_N[self.candidates_C], int(users_N.max(initial=0))
        self.place_N = np.full(num_items, -1)
        self.place_N[self.candidates_C] = np.arange(len(self.candidates_C))
        ids, self.id_C = np.unique(vectors.id_N[self.candidates_C], return_inverse=True)
        self.distinct_ID = vectors.vectors_UD[ids]

    def recalls(self, user: int, end_us: int, columns: Sequence[Column]) -> np.ndarray | None:
        """float64 [T, M]; None for a user who is not evaluated."""
        relevant = self._places(user, self.split_us, end_us)
        history = self.actions.history(user, self.from_us, self.split_us, self.protocol.max_actions)
        if history is None or not len(relevant):
            return None
        seen = self._places(user, 0, self.split_us)
        new = np.setdiff1d(relevant, seen)
        seed = seed_of("month-ahead", self.actions.user_ids[user], self.split_us)
        day = UserDay(history, self.vectors.matrix_ND, self.split_us, self.protocol.alpha, seed)
        plain = {name: self._plain_scores(name, user, day) for name in {name for name, _ in columns}}
        rows = []
        for name, weight in columns:
            scores_C = blend(plain[name], self.users_C, self.most_users, weight)
            of_all = _recalls(scores_C, relevant)
            rows.append([*of_all, *_recalls_of_new(scores_C, seen, new)])
        return np.array(rows)

    def _plain_scores(self, name: str, user: int, day: UserDay) -> np.ndarray:
        """[C], without popularity unless the method is made of it."""
        if name == POPULAR:
            return self.counts_C.astype(np.float64)
        if name == OWN_THEN_POPULAR:
            places = self.place_N[self.actions.rows_M[self.actions.between(user, 0, self.split_us)]]
            own_C = np.bincount(places[places >= 0], minlength=len(self.candidates_C))
            return own_C + self.counts_C / (self.counts_C.max(initial=0) + 1)
        scores_I = (self.methods[name](day).vectors_QD @ self.distinct_ID.T).max(axis=0)
        return np.round(scores_I, _DIGITS)[self.id_C]

    def _places(self, user: int, from_us: int, to_us: int) -> np.ndarray:
        """The candidates that a user acted on in that time, ascending."""
        places = self.place_N[self.actions.items(user, from_us, to_us)]
        return places[places >= 0]


def _recalls(scores_C: np.ndarray, relevant: np.ndarray) -> list[float]:
    """At each of CUTS; nan without relevant candidates."""
    if not len(relevant):
        return [np.nan] * len(CUTS)
    best = top_rows(scores_C, max(CUTS))
    return [float(np.isin(relevant, best[:cut]).mean()) for cut in CUTS]


def _recalls_of_new(scores_C: np.ndarray, seen: np.ndarray, new: np.ndarray) -> list[float]:
    unseen_C = scores_C.astype(np.float64)
    unseen_C[seen] = -np.inf
    return _recalls(unseen_C, new)
