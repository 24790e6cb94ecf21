"""Whether what a paper found of two rows holds here, from their figures of each seed.

Rows of one seed share their split, and where they can their start and the order of their pairs, so they are compared
seed by seed: d is the mean of the differences, s their standard deviation.

    better     holds for d > 2 s; in direction only for 0 < d <= 2 s; not for d <= 0
    no worse   holds for d >= -2 s (for d >= 0 whatever s); not below
    equal      holds for |d| <= 2 s; not beyond
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.ablate.tables import Expectation

HOLDS, DIRECTION_ONLY, DOES_NOT_HOLD = "holds", "holds in direction only", "does not hold"
UNKNOWN = "cannot be told"
#: Fewer pairs order two rows by chance: the standard error of a share over 30 is .09.
MIN_COMPARED_PAIRS = 30
#: The worst first: a table is as good as its worst comparison.
_WORST_FIRST = (DOES_NOT_HOLD, DIRECTION_ONLY, HOLDS)
_DEVIATIONS = 2


@dataclass(frozen=True, kw_only=True)
class Difference:
    """first - second. deviation: None for one seed."""

    mean: float
    deviation: float | None


def difference(first_S: Sequence[float], second_S: Sequence[float]) -> Difference:
    """Of the figures of two rows, seed by seed.

    >>> difference([0.5, 1.0], [0.25, 0.25])
    Difference(mean=0.5, deviation=0.3535533905932738)
    """
    each_S = [first - second for first, second in zip(first_S, second_S, strict=True)]
    return Difference(mean=statistics.fmean(each_S), deviation=deviation(each_S))


def deviation(values: Sequence[float]) -> float | None:
    """Standard deviation of a sample; None for one value."""
    return statistics.stdev(values) if len(values) > 1 else None


def verdict(expected: Expectation, found: Difference, num_pairs: int) -> str:
    """One of HOLDS, DIRECTION_ONLY, DOES_NOT_HOLD and UNKNOWN: one seed has no deviation, and num_pairs that each
    figure is over may be too few."""
    if num_pairs < MIN_COMPARED_PAIRS:
        return UNKNOWN
    if found.deviation is None:
        if expected == "equal":
            return UNKNOWN
        right = found.mean > 0 if expected == "better" else found.mean >= 0
        return DIRECTION_ONLY if right else DOES_NOT_HOLD
    bound = _DEVIATIONS * found.deviation
    if expected == "better":
        if found.mean <= 0:
            return DOES_NOT_HOLD
        return HOLDS if found.mean > bound else DIRECTION_ONLY
    if expected == "no worse":
        return HOLDS if found.mean >= -bound else DOES_NOT_HOLD
    return HOLDS if abs(found.mean) <= bound else DOES_NOT_HOLD


def is_beyond(found: Difference) -> bool:
    """Whether a difference, of either sign, is shown at all."""
    return found.deviation is not None and abs(found.mean) > _DEVIATIONS * found.deviation


def of_table(verdicts: Sequence[str]) -> str:
    """The worst of those that can be told; UNKNOWN if none can.

    >>> of_table([HOLDS, DIRECTION_ONLY, UNKNOWN]), of_table([UNKNOWN])
    ('holds in direction only', 'cannot be told')
    """
    return next((worst for worst in _WORST_FIRST if worst in verdicts), UNKNOWN)
