"""The rule by which a training keeps its best or its last step."""

import doctest
import math

import pytest

from model.training import step_choice as module
from model.training.step_choice import MIN_PAIRS, MIN_QUERIES, step_choice
from schemas.tables import PSEUDO_TASK


@pytest.mark.parametrize(
    ("num_pairs", "num_queries", "by_validation"),
    [
        (MIN_PAIRS, MIN_QUERIES, True),
        (MIN_PAIRS - 1, MIN_QUERIES, False),
        (MIN_PAIRS, MIN_QUERIES - 1, False),
        (100_000, 20_000, True),
        (0, 0, False),
    ],
)
def test_both_pairs_and_queries_must_be_enough(num_pairs, num_queries, by_validation):
    choice = step_choice(num_pairs, num_queries)
    assert choice.by_validation == by_validation
    assert choice.line.startswith("validation: " if by_validation else "WARNING: ")


def test_a_choice_that_is_not_made_says_why_and_what_to_do():
    line = step_choice(1, 1).line
    assert line.startswith("WARNING: 1 pair of 1 query validate: too few to choose a step by (their Recall@10 is known")
    assert "at least 300 pairs of 100 queries" in line
    assert "--item-validation-fraction" in line
    assert "+-0.10 at best" in step_choice(100, 60).line
    assert 1 / (2 * math.sqrt(MIN_PAIRS)) < 0.03
    assert 1 / (2 * math.sqrt(MIN_QUERIES)) <= 0.05
    assert "+-" not in step_choice(0, 0).line


@pytest.mark.parametrize(
    ("log", "pseudo", "by_validation", "by_log"),
    [
        ((MIN_PAIRS, MIN_QUERIES), (90_000, 80_000), True, True),  # however many they are
        ((MIN_PAIRS - 1, MIN_QUERIES), (90_000, 80_000), True, False),
        ((0, 0), (MIN_PAIRS, MIN_QUERIES), True, False),
        ((MIN_PAIRS - 1, MIN_QUERIES - 1), (MIN_PAIRS - 1, MIN_QUERIES - 1), False, False),
        ((0, 0), (3, 3), False, False),
    ],
)
def test_pseudo_queries_decide_only_where_the_log_has_too_few_pairs(log, pseudo, by_validation, by_log):
    choice = step_choice(*log, *pseudo)
    assert (choice.by_validation, choice.by_log) == (by_validation, by_log)
    figures = {"search/click": 1, PSEUDO_TASK: 2}
    assert choice.deciding(figures) == ({"search/click": 1} if by_log else figures)


def test_what_pseudo_queries_are_for_is_said():
    assert step_choice(640, 130, 900, 800).line == (
        "validation: 640 pairs of 130 queries; 900 pairs of 800 pseudo-queries are measured beside them and decide "
        "nothing"
    )
    assert step_choice(0, 0, 900, 800).line == "validation: 900 pairs of 800 pseudo-queries"
    assert step_choice(0, 0, 3, 1).line.startswith("WARNING: 3 pairs of 1 pseudo-query validate: too few")
    assert step_choice(2, 2, 3, 1).line.startswith("WARNING: 2 pairs of 2 queries and 3 pairs of 1 pseudo-query valid")


def test_the_examples_are_right():
    assert doctest.testmod(module).failed == 0
