"""Calibration: what is best, how the grid goes on, and shops where the right number of samples is known."""

from dataclasses import replace

import numpy as np
import pytest

from model.nearest.distinct_search import DistinctVectors
from model.users.actions import Actions
from model.users.calibration import (
    BALANCED,
    NEW,
    CurvePoint,
    alpha_grid,
    best_by_samples,
    best_point,
    calibration_curve,
    deciding,
    sample_users,
)
from model.users.evaluation import Protocol
from model.users.pinnersage import US_PER_DAY

NUMS = (3, 5, 10, 20)
#: Of interests along the axes: items that are acted on, items around them that nobody wants, and the list's length.
NUM_INTERESTS, NUM_WANTED, NUM_AROUND, TOP = 8, 5, 15, 40


def point(
    alpha: float, recall: float, samples: int = 3, recall_new: float | None = None, r_precision: float = 0.0
) -> CurvePoint:
    rest = {"recall_se": 0.0, "relevance": 0.0, "relevance_se": 0.0, "clusters_median": 1.0, "clusters_p90": 1.0}
    rest |= {"recall_new": recall_new, "recall_new_se": 0.0, "r_precision": r_precision}
    return CurvePoint(samples=samples, alpha=alpha, recall=recall, **rest)


def test_equal_recalls_go_to_the_alpha_nearest_to_the_default():
    assert best_point([point(1, 0.2), point(2, 0.3), point(4, 0.3), point(8, 0.1)]).alpha == 4
    everything = [point(alpha, 1.0) for alpha in (0.1, 1.9, 5.3, 8.7, 64)]  # lists that hold the whole catalogue
    assert best_point(everything).alpha == 5.3


def test_equal_recalls_go_to_fewer_samples_even_of_a_smaller_alpha():
    curve = [point(1, 0.3, 5), point(8, 0.3, 10), point(2, 0.3, 5), point(9, 0.2, 3), point(4, 0.1, 5)]
    assert best_point(curve) == point(2, 0.3, 5)
    assert best_by_samples(curve) == [point(9, 0.2, 3), point(2, 0.3, 5), point(8, 0.3, 10)]


def test_the_recall_of_new_items_decides_where_it_is_asked_to():
    curve = [point(1, 0.3, 3, 0.1), point(2, 0.2, 3, 0.2), point(4, 0.1, 5, 0.2)]
    assert (best_point(curve), best_point(curve, NEW)) == (curve[0], curve[1])
    assert best_by_samples(curve, NEW) == [curve[1], curve[2]]


def test_all_measures_decide_together_where_they_are_asked_to():
    """Twice the recall of new items is worth as much as twice that of all, or twice the R-precision."""
    curve = [point(1, 0.4, 3, 0.1, 0.1), point(2, 0.2, 3, 0.2, 0.11), point(4, 0.2, 3, 0.1, 0.2)]
    assert best_point(curve, BALANCED) == curve[1]
    assert deciding(curve[0], BALANCED) == pytest.approx(0.004 ** (1 / 3)) == deciding(curve[2], BALANCED)
    assert deciding(point(1, 0.4, 3, None, 0.1), BALANCED) == pytest.approx(0.2)


def test_top_medoids_are_chosen_where_they_are_better():
    sampled, top = point(1, 0.3, 5), replace(point(0.5, 0.4, 5), sampled=False)
    assert best_point([sampled, top]) == top
    assert best_by_samples([top, sampled]) == [sampled, top]
    assert best_point([replace(top, recall=0.3), sampled]) == sampled


def test_the_same_users_are_drawn_whatever_others_there_are():
    names = [f"user-{number:03d}" for number in range(200)]
    drawn = sample_users(names, np.arange(200), 50)
    assert len(set(drawn.tolist())) == 50
    assert drawn.tolist() == sorted(drawn.tolist()) != list(range(50))
    without = sample_users(names, np.setdiff1d(np.arange(200), drawn[:10]), 40)
    assert without.tolist() == drawn[10:].tolist()
    backwards = sample_users(names[::-1], np.arange(200), 50)
    assert {names[::-1][user] for user in backwards} == {names[user] for user in drawn}
    assert sample_users(names, drawn, 51).tolist() == drawn.tolist()


def test_the_grid_is_geometric_and_goes_on_at_both_ends():
    grid = np.array(alpha_grid(-3, 16))
    assert grid[3:17].tolist() == alpha_grid()
    np.testing.assert_allclose(grid[1:] / grid[:-1], 640 ** (1 / 13), rtol=1e-3)


def test_a_best_value_at_an_end_extends_the_grid():
    """Recall falls with every merge: ann comes back to each of three near, but different items."""
    angles = np.linspace(0, 0.2, 40)
    matrix = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    rows = np.tile([0, 20, 39], 10)
    times_us = np.repeat([90, 100], [15, 15]) * US_PER_DAY
    log = Actions(["ann"], np.zeros(30, int), rows, times_us)
    protocol = Protocol(alpha=0.0, top=3)
    curve = calibration_curve(log, DistinctVectors(matrix), [100], protocol, 0.01, (2, 3))
    for num in (2, 3):
        of_num = [p for p in curve if p.samples == num and p.sampled]
        assert [p.alpha for p in of_num] == alpha_grid(-3 if of_num[0].alpha < 0.1 else 0)[: len(of_num)]
        assert [p.alpha for p in of_num] == [p.alpha for p in curve if p.samples == 3 and p.sampled]
    assert curve[0].alpha < alpha_grid()[0]
    exact = [p for p in curve if p.samples == 3 and p.sampled]
    assert (exact[0].recall, exact[-1].recall) == (1.0, pytest.approx(1 / 3))
    places = [(p.samples, not p.sampled, p.alpha) for p in curve]
    assert places == sorted(places)


def shop(interests_a_user: int) -> tuple[np.ndarray, Actions]:
    """Four users, who act every day on one wanted item of each of their interests."""
    generator = np.random.default_rng(0)
    around = np.repeat([0.05, 0.5], [NUM_WANTED, NUM_AROUND])[:, None]
    groups = []
    for axis in np.eye(NUM_INTERESTS):
        noise = generator.standard_normal((NUM_WANTED + NUM_AROUND, NUM_INTERESTS))
        groups.append(axis + around * noise / np.linalg.norm(noise, axis=1, keepdims=True))
    matrix = np.concatenate(groups)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    users, days, own = (part.ravel() for part in np.mgrid[:4, 90:102, :interests_a_user])
    interests = (users + own) % NUM_INTERESTS
    rows = interests * (NUM_WANTED + NUM_AROUND) + generator.integers(0, NUM_WANTED, len(users))
    times_us = days * US_PER_DAY + generator.integers(0, US_PER_DAY, len(users))
    return matrix.astype(np.float32), Actions([f"user-{n}" for n in range(4)], users, rows, times_us)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("interests", "samples", "recalls"),
    [
        (8, 10, [3 / 8, 5 / 8, 1, 1]),  # every medoid brings one interest; with 10 all 8 are asked with
        (4, 5, [3 / 4, 1, 1, 1]),
        (1, 3, [1, 1, 1, 1]),  # equally good: the fewest
    ],
)
def test_as_many_samples_are_chosen_as_users_have_interests(interests, samples, recalls):
    matrix, actions = shop(interests)
    protocol = Protocol(alpha=0.0, top=TOP)
    curve = calibration_curve(actions, DistinctVectors(matrix), [100, 101], protocol, 0.01, NUMS)
    chosen = best_point(curve)
    assert chosen.samples == samples
    assert chosen.recall == 1
    assert chosen.clusters_median == interests
    best = [p for p in best_by_samples(curve) if p.sampled]
    assert [p.recall for p in best] == pytest.approx(recalls, abs=0.08)
    assert [p.samples for p in best] == list(NUMS)


def test_a_number_alone_has_the_curve_that_it_has_among_others():
    matrix, actions = shop(4)
    vectors, protocol = DistinctVectors(matrix), Protocol(alpha=0.0, top=TOP)
    among = calibration_curve(actions, vectors, [100], protocol, 0.01, NUMS)
    alone = calibration_curve(actions, vectors, [100], protocol, 0.01, (5,))
    found = {(p.samples, p.sampled, p.alpha): p for p in among}
    assert [found[p.samples, p.sampled, p.alpha] for p in alone] == alone
    assert len(among) == 8 * len({p.alpha for p in among})
