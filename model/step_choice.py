"""Which step's weights a training keeps: the best by validation, where validation is sure enough to choose by."""

import math
from dataclasses import dataclass

#: Fewer validation pairs, or pairs of fewer queries, order the steps mostly by chance.
MIN_PAIRS, MIN_QUERIES = 200, 50


@dataclass(frozen=True)
class StepChoice:
    """by_validation: whether the step is chosen by validation; if not, all planned steps are taken (no early stop) and
    only the last one is compared with the start. line: what a user is told."""

    by_validation: bool
    line: str


def step_choice(num_pairs: int, num_queries: int) -> StepChoice:
    """The rule, from the number of validation pairs and of the distinct queries that they are of.

    Pairs of one query rise and fall together, so both count. A share near one half over n pairs has a standard error of
    at least 1 / (2 sqrt(n)): .035 for 200.

    >>> step_choice(464, 94)
    StepChoice(by_validation=True, line='validation: 464 pairs of 94 queries')
    >>> step_choice(1_000, 9).by_validation
    False
    """
    counted = f"{num_pairs:,} pair{'s' * (num_pairs != 1)} of {num_queries:,} quer{'y' if num_queries == 1 else 'ies'}"
    if num_pairs >= MIN_PAIRS and num_queries >= MIN_QUERIES:
        return StepChoice(True, f"validation: {counted}")
    error = f" (their Recall@10 is known to +-{1 / math.sqrt(num_pairs):.2f} at best)" if num_pairs else ""
    return StepChoice(
        False,
        f"WARNING: {counted} validate: too few to choose a step by{error}. All planned steps are taken, and only the "
        f"last one is compared with the start. To choose by validation, hold out at least {MIN_PAIRS:,} pairs of "
        f"{MIN_QUERIES:,} queries: a longer log, a higher --validation-fraction or --item-validation-fraction",
    )
