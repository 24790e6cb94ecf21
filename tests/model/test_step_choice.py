"""The rule by which a training keeps its best or its last step."""

import doctest

import pytest

from model import step_choice as module
from model.step_choice import MIN_PAIRS, MIN_QUERIES, step_choice


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
    assert "at least 200 pairs of 50 queries" in line
    assert "--item-validation-fraction" in line
    assert "+-0.10 at best" in step_choice(100, 60).line
    assert "+-" not in step_choice(0, 0).line


def test_the_examples_are_right():
    assert doctest.testmod(module).failed == 0
