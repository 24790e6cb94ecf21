"""Weights of popularity are chosen on the period before the one they are evaluated on: a shop where the best differ.

items NEAR, next to what users did, of which 450 lie before all others; POPULAR, far from that, of many users
validation: users act on POPULAR, which only a large weight brings   period: other users act on NEAR, which only 0 does
"""

from dataclasses import replace

import numpy as np
import pytest

from model.nearest.distinct_search import DistinctVectors
from model.users.actions import Actions
from model.users.evaluation import Protocol
from model.users.month_ahead import BY_VECTORS, choose_weights, month_ahead, weight_columns
from model.users.pinnersage import US_PER_DAY
from pipelines.evaluate_users.alphas import Alphas, Chosen
from pipelines.evaluate_users.figures import Evaluation

NUM, FIRST, END = 450, 100, 110
NEAR, POPULAR = np.arange(NUM), np.arange(NUM, 2 * NUM)
CROWD, EARLY, LATE = np.arange(20), np.arange(20, 26), np.arange(26, 32)
#: A user that acts on every item of NEAR, so that it is a candidate.
ALONE = 32
Records = list[tuple[int, int, int]]


def made_matrix() -> np.ndarray:
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((2 * NUM, 8))
    matrix = np.repeat(np.eye(8)[:2], NUM, axis=0) + 0.1 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def before_the_period() -> Records:
    crowd = [(user, row, 80) for user in CROWD for row in POPULAR]
    alone = [(ALONE, row, 80) for row in NEAR for _ in range(5)]
    early = [(user, 7 * user % NUM, 85) for user in EARLY]
    early_acts = [(user, NUM + (11 * user + 37 * place) % NUM, 95) for user in EARLY for place in range(12)]
    late = [(user, 7 * user % NUM, 96) for user in LATE]
    return [*crowd, *alone, *early, *early_acts, *late]


def in_the_period(first_row: int) -> Records:
    return [(user, first_row + (11 * user + 37 * place) % NUM, 105) for user in LATE for place in range(12)]


def evaluation(records: Records) -> Evaluation:
    users, rows, days = np.array(records).T
    return Evaluation(
        actions=Actions([f"user-{number:02d}" for number in range(33)], users, rows, days * US_PER_DAY),
        impressions=None,
        vectors=DistinctVectors(made_matrix()),
        days=range(FIRST, END),
        protocol=Protocol(alpha=2.0, window_days=30),
        alphas=Alphas(paper=2.0, where="--alpha", chosen=Chosen(5, 1.0, True)),
    )


@pytest.fixture(scope="module")
def found() -> dict:
    return evaluation([*before_the_period(), *in_the_period(0)]).month_ahead()


def test_the_weights_are_those_that_are_best_before_the_period(found):
    assert (found["validation_users"], found["users"]) == (len(EARLY), len(LATE))
    for question in ("all", "new"):
        assert {*found["weights"][question].values()} == {2.0}
        blends = [m for m in found["methods"] if m["popularity_weight"]]
        plain = [m for m in found["methods"] if not m["popularity_weight"] and m["method"] in BY_VECTORS]
        assert len(blends) >= 4
        assert all(m[f"{question}_recall@400"]["mean"] == 0 for m in blends)
        assert all(m[f"{question}_recall@400"]["mean"] > 0.7 for m in plain)


def test_on_the_period_itself_other_weights_would_be_best():
    """What a choice on it would bring: the shop can tell."""
    of = evaluation([*before_the_period(), *in_the_period(0)])
    asked = (of.actions, of.vectors, FIRST * US_PER_DAY, END * US_PER_DAY, weight_columns(), of.protocol)
    weights = choose_weights(month_ahead(*asked))
    assert {weight for of_method in weights.values() for weight in of_method.values()} == {0.0}


@pytest.mark.parametrize("rows", [in_the_period(NUM), in_the_period(0)[:12]])
def test_other_rows_in_the_period_change_its_figures_and_no_weight(found, rows):
    other = evaluation([*before_the_period(), *rows]).month_ahead()
    assert other["weights"] == found["weights"]
    assert other["validation_users"] == found["validation_users"]
    assert other["methods"] != found["methods"]


def test_without_a_calibration_nothing_is_compared_but_the_methods_of_the_paper(found):
    of = evaluation([*before_the_period(), *in_the_period(0)])
    plain = replace(of, alphas=Alphas(paper=2.0, where="default")).month_ahead()
    assert {m["method"] for m in plain["methods"]} < {m["method"] for m in found["methods"]}
