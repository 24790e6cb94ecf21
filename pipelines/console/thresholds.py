"""The numbers that gates hold a run, or a log, against: flags of every command that has gates."""

import math
from dataclasses import dataclass, fields

from pipelines.console.jobs import flag
from schemas.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class LogThresholds:
    """How much of an engagement log may be rejected, for every command that reads one. Raises UsageError for values out
    of range."""

    max_quarantined_log: float = flag(
        default=0.1, help="rows of the log (or judgements) quarantined / rows of it read <= this"
    )
    min_quarantined: int = flag(
        default=20,
        help="fewer rows or pictures may always be quarantined, unless they are all there are (of a log: half)",
    )

    def __post_init__(self) -> None:
        _check_ranges(self, LogThresholds)


@dataclass(frozen=True, kw_only=True)
class GateThresholds(LogThresholds):
    """What a run must keep to be published; shares are from 0 to 1. Raises UsageError for values out of range."""

    max_row_drop: float = flag(default=0.2, help="rows published >= (1 - this) x yesterday's")
    max_row_growth: float = flag(default=1.0, help="rows published <= (1 + this) x yesterday's")
    min_kept: float = flag(default=0.5, help="yesterday's ids still published / yesterday's ids >= this")
    max_coverage_drop: float = flag(
        default=0.1, help="share of items with text, and with a picture, >= yesterday's share - this"
    )
    max_changed_texts: float = flag(
        default=0.5, help="cells of a text field that changed / those filled on both days <= this, for each field"
    )
    max_quarantined_rows: float = flag(default=0.1, help="rows quarantined / rows read <= this")
    max_quarantined_pictures: float = flag(default=0.2, help="pictures quarantined / pictures listed <= this")
    min_index_recall: float = flag(
        default=0.9, help="recall@10 of item queries in each index against exact search >= this"
    )
    min_index_recall_text: float = flag(default=0.9, help="the same of text queries >= this")
    min_index_recall_picture: float = flag(default=0.9, help="the same of picture queries >= this")
    min_refined_kept: float = flag(default=0.05, help="items of the refined index / items >= this")
    min_overlap: float = flag(
        default=0.7, help="neighbours@10 of today that were neighbours yesterday, mean share >= this (same model)"
    )
    max_drift_auc: float = flag(
        default=0.8, help="AUC of a classifier that tells today's vectors from yesterday's <= this (same model)"
    )
    max_recall_drop: float = flag(default=0.05, help="Recall@10 of a task >= yesterday's - this")
    min_recall_pairs: int = flag(default=200, help="pairs on both days for a task's Recall@10 to be compared")
    max_users_drop: float = flag(
        default=0.3, help="users with clusters, and rows of use with a user >= (1 - this) x yesterday's"
    )
    max_actions_drop: float = flag(
        default=0.5, help="rows of the log that are of use, of each action >= (1 - this) x yesterday's"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_ranges(self, GateThresholds)


def _check_ranges(thresholds: LogThresholds, of_class: type[LogThresholds]) -> None:
    highest = {"max_row_growth": math.inf, "min_quarantined": math.inf, "min_recall_pairs": math.inf}
    for field in fields(of_class):
        value, low, high = (
            getattr(thresholds, field.name),
            0.5 * (field.name == "max_drift_auc"),
            highest.get(field.name, 1),
        )
        if not (low <= value <= high and math.isfinite(value)):
            expected = f"from {low:g} to {high:g}" if high == 1 else f">= {low:g}"
            raise UsageError(f"expected --{field.name.replace('_', '-')} {expected}, got {value}")
