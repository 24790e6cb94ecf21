"""The figures of the evaluation of users: every day of the period, and the period at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.nearest.distinct_search import DistinctVectors
from model.users.actions import Actions
from model.users.baselines import BASELINE, METHODS, Method, alpha_by_num, calibrated_methods, calibrated_name
from model.users.evaluation import METRICS, Protocol, UserDays, count_user_days, walk_forward
from model.users.intervals import Summary, summarize
from model.users.lists import LISTS, ListMethod
from model.users.month_ahead import (
    BY_VECTORS,
    CUTS,
    QUESTIONS,
    Column,
    MonthAhead,
    choose_weights,
    compared_columns,
    methods_with_choice,
    month_ahead,
    weight_columns,
)
from pipelines.console.progress import Progress
from pipelines.evaluate_users.alphas import Alphas
from schemas.errors import UsageError
from schemas.hashing import seed_of

#: What is compared with the best baseline where nothing was calibrated.
OURS = "PinnerSage, e = 3"
#: Methods of this name are not baselines.
_NO_BASELINE = "PinnerSage"
Grid = Mapping[tuple[float, int, bool], Method]


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """What is evaluated. days: numbered since 1970-01-01, of the protocol's calendar."""

    actions: Actions
    impressions: Actions | None
    vectors: DistinctVectors
    days: range
    protocol: Protocol
    alphas: Alphas

    def walk_forward(self) -> dict[str, Any]:
        """All methods on every day. Raises UsageError without a user-day."""
        days = self.days
        total = count_user_days(self.actions, days, self.protocol)
        if not total:
            raise UsageError(
                f"expected users with actions on a day of the period and in the {self.protocol.window_days} days "
                "before it, got none: see --from, --to, --actions and whether the items have vectors"
            )
        chosen = self.alphas.chosen
        compared: dict[str, Method | ListMethod] = {
            **METHODS,
            **LISTS,
            **(calibrated_methods(*chosen, self.alphas.by_samples) if chosen else {}),
        }
        ours = calibrated_name(*chosen) if chosen else OURS
        grid = alpha_by_num(self.alphas.centre)
        methods: dict[str, Method | ListMethod] = {**compared, **{str(key): method for key, method in grid.items()}}
        progress = Progress("walk forward", "user-days", total)
        found = walk_forward(
            self.actions, self.vectors, days, methods, self.protocol, self.impressions, progress.advance
        )
        progress.close()
        return {
            "days": len(days),
            "list_length": self.protocol.top,
            "users": len(np.unique(found.users_U)),
            "user_days": len(found.users_U),
            "items_a_user_day": float(found.num_items_U.mean()),
            "impressions": "drawn" if self.impressions is None else "of the log",
            "baseline": BASELINE,
            **_walk_tables(found, list(compared), grid),
            "over_best_baseline": over_best(found, list(compared), ours),
        }

    def month_ahead(self) -> dict[str, Any] | None:
        """The period at once, with weights chosen on the period of equal length before it, of which nothing of the
        period itself is known; None if no user has an item that counts."""
        progress = Progress("month ahead", "users", 2 * len(self.actions.user_ids))
        num_days, start_us = len(self.days), self.protocol.calendar.start_us
        before_us, first_us, end_us = (start_us(self.days.start + n * num_days) for n in (-1, 0, 1))
        chosen = self.alphas.chosen
        methods = methods_with_choice(*chosen, self.alphas.paper) if chosen else BY_VECTORS

        def measure(split_us: int, end_us: int, columns: Sequence[Column]) -> MonthAhead:
            return month_ahead(
                self.actions, self.vectors, split_us, end_us, columns, self.protocol, methods, progress.advance
            )

        validation = measure(before_us, first_us, weight_columns(methods))
        weights = choose_weights(validation)
        found = measure(first_us, end_us, compared_columns(weights, methods))
        progress.close()
        return _month_table(found, weights, len(validation.users_U)) if len(found.users_U) else None


def _walk_tables(found: UserDays, names: Sequence[str], grid: Grid) -> dict[str, Any]:
    """names: the methods that come first; those of `grid` follow."""
    clusters_T = np.median(found.clusters_UT, axis=0)
    seed = seed_of("intervals", "walk forward")
    summary = summarize(found.users_U, found.values_UTM, names.index(BASELINE), seed)
    return {
        "methods": [
            {"method": name, "clusters_median": float(clusters_T[place])}
            | {metric: figures_of(summary, place, column) for column, metric in enumerate(METRICS)}
            for place, name in enumerate(names)
        ],
        "alpha_by_num": [
            {"alpha": at, "num": num, "sampled": sampled, "clusters_median": float(clusters_T[place])}
            | {metric: float(summary.mean[place, METRICS.index(metric)]) for metric in ("relevance", "recall")}
            for place, (at, num, sampled) in enumerate(grid, len(names))
        ],
    }


def over_best(found: UserDays, names: Sequence[str], ours: str) -> dict[str, Any]:
    """{"method": ours, "metrics": {metric: {"baseline": the best one on these very days, and the lift over it, paired,
    with its bounds}}}"""
    baselines = [place for place, name in enumerate(names) if not name.startswith(_NO_BASELINE)]
    metrics = {}
    for column, metric in enumerate(METRICS):
        values_UT1 = found.values_UTM[:, : len(names), [column]]
        means_T = values_UT1.mean(axis=(0, 2))
        best = max(baselines, key=means_T.__getitem__)
        summary = summarize(found.users_U, values_UT1, best, seed_of("intervals", "walk forward"))
        figures = figures_of(summary, names.index(ours), 0)
        metrics[metric] = {"baseline": names[best]} | {
            name: value for name, value in figures.items() if name.startswith("lift")
        }
    return {"method": ours, "metrics": metrics}


def _month_table(
    found: MonthAhead, weights: Mapping[str, Mapping[str, float]], num_validation_users: int
) -> dict[str, Any]:
    summary = summarize(found.users_U, found.values_UTM, 0, seed_of("intervals", "month ahead"))
    metrics = [f"{question}_recall@{cut}" for question in QUESTIONS for cut in CUTS]
    return {
        "users": len(found.users_U),
        "users_with_new_items": int((~np.isnan(found.values_UTM[:, 0, -1])).sum()),
        "validation_users": num_validation_users,
        "candidates": found.num_candidates,
        "weights": weights,
        "methods": [
            {"method": name, "popularity_weight": weight}
            | {metric: figures_of(summary, place, column) for column, metric in enumerate(metrics)}
            for place, (name, weight) in enumerate(found.columns)
        ],
    }


def figures_of(summary: Summary, method: int, metric: int) -> dict[str, float | None]:
    """Mean, lift and their bounds; None where there is none."""
    figures = {name: float(values[method, metric]) for name, values in vars(summary).items()}
    return {name: None if math.isnan(value) else value for name, value in figures.items()}
