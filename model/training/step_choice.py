"""Which step's weights a training keeps: the best by validation, where validation is sure enough to choose by.

The log decides. Queries made from the catalogue's text are what people might ask, not what they did: they are measured
beside the log's pairs, and decide with them only where those are too few, or none.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from schemas.tables import PSEUDO_TASK

#: Fewer validation pairs, or pairs of fewer queries, order the steps mostly by chance: see step_choice.
MIN_PAIRS, MIN_QUERIES = 300, 100

Figures = TypeVar("Figures")


@dataclass(frozen=True)
class StepChoice:
    """by_validation: whether the step is chosen by validation; if not, all planned steps are taken (no early stop) and
    only the last one is compared with the start. by_log: whether the log's pairs alone decide which of two steps is
    better. line: what a user is told."""

    by_validation: bool
    by_log: bool
    line: str

    def deciding(self, tasks: Mapping[str, Figures]) -> dict[str, Figures]:
        """Of the figures by task those of the tasks that decide."""
        return {task: figures for task, figures in tasks.items() if not (self.by_log and task == PSEUDO_TASK)}


def step_choice(num_pairs: int, num_queries: int, num_pseudo_pairs: int = 0, num_pseudo_queries: int = 0) -> StepChoice:
    """The rule, from the number of validation pairs and of the distinct queries that they are of: the log's, and those
    of pseudo-queries.

    A share near one half over n pairs that know nothing of each other has a standard error of 1 / (2 sqrt(n)): .029 for
    the 300 pairs that are asked for. Pairs of one query rise and fall together; were they all alike, the queries would
    be what counts: .05 for the 100 of them. Two steps, which are compared on the same pairs, differ by less chance than
    that; whether the chosen one is above the start beyond chance is measured, see TrainingResult.above_start.

    >>> step_choice(640, 130)
    StepChoice(by_validation=True, by_log=True, line='validation: 640 pairs of 130 queries')
    >>> step_choice(1_000, 9).by_validation
    False
    >>> step_choice(12, 9, 900, 800).line
    'validation: 12 pairs of 9 queries, too few to choose a step by, and 900 pairs of 800 pseudo-queries'
    """
    of_log, of_pseudo = _counted(num_pairs, num_queries), _counted(num_pseudo_pairs, num_pseudo_queries, "pseudo-")
    if num_pairs > 0 and num_pairs >= MIN_PAIRS and num_queries >= MIN_QUERIES:
        beside = f"; {of_pseudo} are measured beside them and decide nothing" if num_pseudo_pairs else ""
        return StepChoice(True, True, f"validation: {of_log}{beside}")
    if num_pseudo_pairs >= MIN_PAIRS and num_pseudo_queries >= MIN_QUERIES:
        too_few = f"{of_log}, too few to choose a step by, and " if num_pairs else ""
        return StepChoice(True, False, f"validation: {too_few}{of_pseudo}")
    both = " and ".join([of_log] * bool(num_pairs or not num_pseudo_pairs) + [of_pseudo] * bool(num_pseudo_pairs))
    total = num_pairs + num_pseudo_pairs
    error = f" (their Recall@10 is known to +-{1 / math.sqrt(total):.2f} at best)" if total else ""
    return StepChoice(
        False,
        False,
        f"WARNING: {both} validate: too few to choose a step by{error}. All planned steps are taken, and only the "
        f"last one is compared with the start. To choose by validation, hold out at least {MIN_PAIRS:,} pairs of "
        f"{MIN_QUERIES:,} queries: a longer log, a higher --validation-fraction or --item-validation-fraction",
    )


def _counted(num_pairs: int, num_queries: int, kind: str = "") -> str:
    pairs, queries = "pair" if num_pairs == 1 else "pairs", "query" if num_queries == 1 else "queries"
    return f"{num_pairs:,} {pairs} of {num_queries:,} {kind}{queries}"
