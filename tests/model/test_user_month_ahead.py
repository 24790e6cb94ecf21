"""The period after a date: recall of items and of new items against a plain twin, and how weights are chosen."""

import math
from collections import Counter

import numpy as np
import pytest

from model.nearest.distinct_search import DistinctVectors
from model.users.actions import Actions, users_of_items
from model.users.baselines import UserDay
from model.users.evaluation import Protocol
from model.users.lists import OWN_THEN_POPULAR, POPULAR
from model.users.month_ahead import (
    BY_VECTORS,
    WEIGHTS,
    MonthAhead,
    choose_weights,
    compared_columns,
    methods_with_choice,
    month_ahead,
    weight_columns,
)
from model.users.pinnersage import US_PER_DAY
from schemas.hashing import seed_of

NUM_ITEMS, NUM_USERS = 900, 20
SPLIT, END = 100 * US_PER_DAY, 110 * US_PER_DAY
PROTOCOL = Protocol(alpha=2.0, window_days=30)
METHODS = methods_with_choice(6, 0.7, True, others_alpha=2.0)
BLENDED = [name for name in METHODS if name != "last item"]
COLUMNS = [
    (POPULAR, 0.0),
    (OWN_THEN_POPULAR, 0.0),
    *((name, 0.0) for name in METHODS),
    *((name, 0.5) for name in BLENDED),
]


def made_log(seed: int = 3, num: int = 14_000) -> tuple[np.ndarray, Actions]:
    generator = np.random.default_rng(seed)
    matrix = generator.standard_normal((NUM_ITEMS, 8)).astype(np.float32)
    matrix[1::5] = matrix[0::5]
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    rows = np.minimum(generator.exponential(250, num).astype(int), NUM_ITEMS - 1)
    times_us = generator.integers(50 * US_PER_DAY, END + 5 * US_PER_DAY, num)
    users = generator.integers(0, NUM_USERS, num)
    return matrix, Actions([f"user-{n}" for n in range(NUM_USERS)], users, rows, times_us)


MATRIX, ACTIONS = made_log()
RECORDS = list(zip(ACTIONS.users_M.tolist(), ACTIONS.rows_M.tolist(), ACTIONS.times_us_M.tolist(), strict=True))


def plain_scores(name: str, weight: float, user: int, candidates: list[int]) -> list[float]:
    count = Counter(row for _, row, t in RECORDS if t < SPLIT)
    own = Counter(row for u, row, t in RECORDS if t < SPLIT and u == user)
    if name == POPULAR:
        return [count[row] for row in candidates]
    if name == OWN_THEN_POPULAR:
        return [own[row] + count[row] / 1e6 for row in candidates]
    users = Counter(row for _, row in {(u, row) for u, row, t in RECORDS if SPLIT - 30 * US_PER_DAY <= t < SPLIT})
    history = ACTIONS.history(user, SPLIT - 30 * US_PER_DAY, SPLIT)
    seed = seed_of("month-ahead", ACTIONS.user_ids[user], SPLIT)
    queries = METHODS[name](UserDay(history, MATRIX, SPLIT, PROTOCOL.alpha, seed)).vectors_QD
    most = max(users.values())
    prior = {row: math.log(1 + users[row]) / math.log(1 + most) for row in candidates}
    return [float((queries @ MATRIX[row]).max()) + weight * prior[row] for row in candidates]


def plain_recalls(name: str, weight: float, user: int) -> list[float]:
    before = Counter(row for _, row, t in RECORDS if t < SPLIT)
    candidates = [row for row in range(NUM_ITEMS) if before[row] >= 5]
    scores = np.round(plain_scores(name, weight, user, candidates), 6)
    ranked = [candidates[place] for place in np.argsort(-scores, kind="stable")]
    relevant = {row for u, row, t in RECORDS if u == user and SPLIT <= t < END} & set(candidates)
    seen = {row for u, row, t in RECORDS if u == user and t < SPLIT}
    unseen = [row for row in ranked if row not in seen]
    new = relevant - seen
    return [len(of & set(ranks[:k])) / len(of) for of, ranks in ((relevant, ranked), (new, unseen)) for k in (100, 400)]


@pytest.mark.medium
def test_recalls_are_those_of_the_plain_definition():
    found = month_ahead(ACTIONS, DistinctVectors(MATRIX), SPLIT, END, COLUMNS, PROTOCOL, METHODS)
    assert found.users_U.tolist() == list(range(NUM_USERS))
    assert 400 < found.num_candidates < NUM_ITEMS
    for user in range(3):
        for place, (name, weight) in enumerate(COLUMNS):
            expected = plain_recalls(name, weight, user)
            # equal vectors have cosines that differ in their last bits, and so trade places
            assert found.values_UTM[user, place].tolist() == pytest.approx(expected, abs=0.02), name
    assert 0.1 < found.values_UTM[..., 0].mean() < 0.9
    assert (found.values_UTM[..., 1] >= found.values_UTM[..., 0]).all()


def test_users_of_an_item_count_once():
    within = [(u, row) for u, row, t in RECORDS if 90 * US_PER_DAY <= t < SPLIT]
    expected = [len({u for u, row in within if row == item}) for item in range(NUM_ITEMS)]
    assert users_of_items(ACTIONS, 90 * US_PER_DAY, SPLIT, NUM_ITEMS).tolist() == expected


def test_users_without_history_or_relevant_items_are_left_out_and_those_without_new_items_have_nan():
    """ann: history and item 0 again. bob: no history. cem: no relevant item. dot: an item that is new to dot."""
    users = np.array([0] * 5 + [0, 1, 2, 3, 3])
    rows = np.array([0] * 5 + [0, 0, 0, 1, 0])
    days = np.array([95, 95, 95, 95, 95, 105, 105, 99, 99, 105])
    log = Actions(["ann", "bob", "cem", "dot"], users, rows, days * US_PER_DAY)
    found = month_ahead(log, DistinctVectors(np.eye(3, dtype=np.float32)), SPLIT, END, [("last item", 0.0)], PROTOCOL)
    assert found.users_U.tolist() == [0, 3]
    assert found.values_UTM[:, 0, 0].tolist() == [1, 1]
    assert np.isnan(found.values_UTM[0, 0, 2:]).all()
    assert found.values_UTM[1, 0, 2:].tolist() == [1, 1]


def test_weights_are_chosen_for_each_question_and_ties_go_to_the_smaller_one():
    columns = weight_columns(METHODS)
    values = np.zeros((2, len(columns), 4))
    for place, (_, weight) in enumerate(columns):
        values[:, place, 1] = weight == 0.2
        values[:, place, 3] = weight >= 1.0
        values[:, place, 0] = values[:, place, 2] = weight == 0.05  # recall@100 decides nothing
    values[1, :, 2:] = np.nan
    weights = choose_weights(MonthAhead(np.arange(2), columns, values, 9))
    assert set(weights["all"].values()) == {0.2}
    assert set(weights["new"].values()) == {1.0}
    compared = compared_columns(weights, METHODS)
    assert len(set(compared)) == len(compared)
    assert {(name, weight) for name in BLENDED for weight in (0.0, 0.2, 1.0)} <= set(compared)


def test_the_calibrated_choice_is_beside_the_others_once():
    assert list(METHODS)[: len(BY_VECTORS)] == list(BY_VECTORS)
    added = list(METHODS)[len(BY_VECTORS) :]
    assert added == ["PinnerSage, calibrated: e = 6, alpha = 0.7", "PinnerSage, all medoids, alpha = 0.7"]
    history = ACTIONS.history(0, SPLIT - 30 * US_PER_DAY, SPLIT)
    chosen, everything = (METHODS[name](UserDay(history, MATRIX, SPLIT, 2.0, 1)) for name in added)
    assert len(chosen.rows_Q) == 6 < len(everything.rows_Q) == everything.num_clusters
    assert list(methods_with_choice(6, 2.0, True, others_alpha=2.0)) == [
        *BY_VECTORS,
        "PinnerSage, calibrated: e = 6, alpha = 2",
    ]


def test_without_validation_users_nothing_is_blended():
    nobody = MonthAhead(np.zeros(0, int), weight_columns(), np.zeros((0, len(weight_columns()), 4)), 0)
    assert {weight for of in choose_weights(nobody).values() for weight in of.values()} == {min(WEIGHTS)}
