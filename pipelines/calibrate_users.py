"""Calibration: `itemsage users --calibrate` chooses alpha, the cut of Ward's tree, e, the number of medoids that a
recommendation samples, and the weight of popularity, by retrieval on validation days.

    the last N days up to --date --walk forward at every alpha and e--> recall@400 --> calibration file
       --again, blended with popularity, at the best alpha and e--> popularity weight ----^
                                                   users made at the best alpha, asked with the best e <--+

See model/user_calibration.py and model/user_blend.py for what is measured; `itemsage users` finds the file by its model
id (user_alpha).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.blas_threads import one_blas_thread
from model.distinct_search import DistinctVectors
from model.pinnersage import US_PER_DAY
from model.user_actions import Actions
from model.user_baselines import pinnersage
from model.user_blend import BlendPoint, best_weight, blend_curve
from model.user_calibration import (
    ALL,
    NEW,
    CurvePoint,
    best_by_samples,
    best_point,
    calibration_curve,
    deciding,
    sample_users,
)
from model.user_evaluation import TOP, Protocol, count_user_days, users_of_days
from pipelines.console.progress import Progress
from pipelines.evaluation.user_log import read_user_log
from pipelines.shared import closed_after_job
from pipelines.transforms.read_actions import why_unused
from pipelines.user_alpha import default_calibration_path
from pipelines.user_config import UsersConfig
from pipelines.user_vectors import VectorsSource, load_vectors, vectors_source
from schemas.errors import UsageError, printable
from schemas.files import write_sealed_json

#: Part of the calibration file: raise it when the same data give another curve.
CODE_VERSION = 3
CRITERIA = {ALL: f"recall@{TOP}", NEW: f"recall@{TOP} of new items"}
MIN_USER_DAYS = 20
#: What the file tells of the best alpha of a number of samples.
_BEST_FIELDS = ("samples", "alpha", "recall", "recall_se", "recall_new", "recall_new_se", "relevance")


@dataclass(frozen=True, kw_only=True)
class _Validation:
    """actions: of everybody; asked: of the users that are evaluated; num_users: of how many."""

    actions: Actions
    asked: Actions
    days: Sequence[int]
    num_asked: int
    num_users: int
    num_user_days: int


@dataclass(frozen=True, kw_only=True)
class _Measured:
    curve: list[CurvePoint]
    chosen: CurvePoint
    blends: list[BlendPoint]
    weight: BlendPoint


def calibrate(config: UsersConfig) -> dict[str, Any]:
    """Writes the calibration, prints its curve, and returns it: model_id, samples and alpha (the best pair), best (the
    best alpha of each number of samples), popularity_weight (the best one for the best pair) and blend (its curve),
    curve, criterion, date, and what they were measured with. Raises UsageError if fewer than MIN_USER_DAYS users have
    actions on a validation day and before it, or none of them new ones that are to decide."""
    source = vectors_source(config.run, config.embeddings)
    with closed_after_job():
        validation = _validation(config, source)
        measured = _measure(config, source, validation)
    calibration = _calibration(config, source, validation, measured)
    path = Path(config.calibration) if config.calibration else default_calibration_path(config.run, source.model_id)
    write_sealed_json(path, calibration)
    chosen, by = measured.chosen, config.calibrate_for
    print(
        f"calibrate: {validation.num_asked:,} of {validation.num_users:,} users with actions on a validation day and "
        "before it"
    )
    print(format_curve(measured.curve, validation.num_user_days, config.calibration_days, by))
    print(format_blend(measured.blends, by))
    print(
        f"users: e = {chosen.samples} at alpha {chosen.alpha:g} has the best {CRITERIA[by]}"
        f"{_if_largest(chosen, config.calibrated_samples)}; written to {printable(str(path))}\n"
        "users: runs that are made from now on use it, and cluster all users once; published runs stay as they are",
        flush=True,
    )
    return calibration


def _validation(config: UsersConfig, source: VectorsSource) -> _Validation:
    day = config.now_us // US_PER_DAY
    days = range(day - config.calibration_days, day)
    from_us = (days[0] - config.window_days) * US_PER_DAY
    log = (config.engagements, config.columns, source, config.action_kinds, from_us, config.now_us, config.now_us)
    actions, _, counts = read_user_log(*log, config.date, config)
    users = users_of_days(actions, days, config.window_days)
    sampled = sample_users(actions.user_ids, users, config.calibrate_users)
    asked = actions.of_users(sampled)
    num_user_days = count_user_days(asked, days, config.window_days)
    if num_user_days < MIN_USER_DAYS:
        raise UsageError(
            f"expected at least {MIN_USER_DAYS} user-days (a user with actions on a validation day and before it), got "
            f"{num_user_days} in the {len(days)} days up to {config.date}: {why_few(counts)}"
        )
    return _Validation(
        actions=actions,
        asked=asked,
        days=days,
        num_asked=len(sampled),
        num_users=len(users),
        num_user_days=num_user_days,
    )


def why_few(counts: Mapping[str, int]) -> str:
    """What became of the rows of a log, and what to do about the largest part that did not count."""
    return why_unused(counts, "give more --calibration-days or --calibrate-users, another --date, or --alpha")


def _measure(config: UsersConfig, source: VectorsSource, validation: _Validation) -> _Measured:
    protocol = Protocol(alpha=0.0, window_days=config.window_days, max_actions=config.max_actions)
    asked, days, decay, by = validation.asked, validation.days, config.decay_per_day, config.calibrate_for
    with one_blas_thread():
        vectors = DistinctVectors(load_vectors(source).matrix_ND)
        progress = Progress("calibrate", "user-days", validation.num_user_days)
        curve = calibration_curve(
            asked, vectors, days, protocol, decay, config.calibrated_samples, progress.advance, by
        )
        progress.close()
        if by == NEW and curve[0].recall_new is None:
            raise UsageError(
                "expected actions on items that are new to their users on the validation days, got none: give more "
                "--calibration-days, or --calibrate-for all"
            )
        chosen = best_point(curve, by)
        progress = Progress("blend", "user-days", validation.num_user_days)
        method = pinnersage(chosen.samples, decay, alpha=chosen.alpha)
        blends = blend_curve(
            validation.actions, asked, vectors, days, protocol, method, chosen, advance=progress.advance
        )
        progress.close()
    return _Measured(curve=curve, chosen=chosen, blends=blends, weight=best_weight(blends, by))


def _calibration(
    config: UsersConfig, source: VectorsSource, validation: _Validation, measured: _Measured
) -> dict[str, Any]:
    best = best_by_samples(measured.curve, config.calibrate_for)
    return {
        "model_id": source.model_id,
        "alpha": measured.chosen.alpha,
        "samples": measured.chosen.samples,
        "best": [{name: getattr(point, name) for name in _BEST_FIELDS} for point in best],
        "popularity_weight": measured.weight.popularity_weight,
        "criterion": CRITERIA[config.calibrate_for],
        "date": config.date,
        "calibration_days": config.calibration_days,
        "user_days": validation.num_user_days,
        "users": validation.num_asked,
        "users_of": validation.num_users,
        "window_days": config.window_days,
        "max_actions": config.max_actions,
        "decay_per_day": config.decay_per_day,
        "actions": list(config.action_kinds),
        "code_version": CODE_VERSION,
        "curve": [dataclasses.asdict(point) for point in measured.curve],
        "blend": [dataclasses.asdict(point) for point in measured.blends],
    }


def format_curve(curve: list[CurvePoint], num_user_days: int, num_days: int, decided_by: str = ALL) -> str:
    """The deciding recall by alpha and number of samples as aligned columns, the best alpha of each number marked; a
    line for each number below, with both recalls."""
    best = best_by_samples(curve, decided_by)
    found = {(point.samples, point.alpha): point for point in curve}
    lines = [
        f"PinnerSage, {CRITERIA[decided_by]} by alpha and e, the medoids sampled; {num_user_days:,} user-days of "
        f"{num_days} validation days",
        f"{'alpha':>8} {'clusters':>9}" + " ".join(f" {f'e = {point.samples}':>8}" for point in best),
    ]
    for alpha in sorted({point.alpha for point in curve}):
        row = [found[point.samples, alpha] for point in best]
        cells = "".join(f" {deciding(point, decided_by):>8.4f}{'*' if point in best else ' '}" for point in row)
        lines.append(f"{alpha:>8g} {row[0].clusters_median:>9g}{cells}".rstrip())
    for p in best:
        of_new = "none" if p.recall_new is None else f"{p.recall_new:.4f} +- {p.recall_new_se:.4f}"
        figures = f"{CRITERIA[ALL]} {p.recall:.4f} +- {p.recall_se:.4f}, of new items {of_new}"
        lines.append(
            f"e = {p.samples}: alpha {p.alpha:g}, {figures}, relevance {p.relevance:.4f} +- {p.relevance_se:.4f}"
        )
    return "\n".join(lines)


def format_blend(blends: list[BlendPoint], decided_by: str = ALL) -> str:
    """What the best weight of popularity is worth."""
    best, without = best_weight(blends, decided_by), deciding(blends[0], decided_by)
    which = CRITERIA[decided_by]
    if not best.popularity_weight:
        return f"blend: no --popularity-weight has a better {which} than 0: {without:.4f}"
    return (
        f"blend: --popularity-weight {best.popularity_weight:g} has {which} {deciding(best, decided_by):.4f} "
        f"(0: {without:.4f}); recommend --blend-popularity uses it"
    )


def _if_largest(chosen: CurvePoint, nums: Sequence[int]) -> str:
    is_largest = len(nums) > 1 and chosen.samples == nums[-1]
    return " (the largest e tried: --calibrate-samples may go further)" if is_largest else ""
