"""Calibration: `itemsage users --calibrate` chooses alpha, the cut of Ward's tree, e, the number of medoids that a
recommendation asks with, whether they are sampled or the most important ones, and the weight of popularity, by
retrieval on validation days.

    the last N days up to --date --walk forward at every alpha and e--> recall, R-precision --> calibration file
       --again, blended with popularity, at the best alpha and e--> popularity weight ---------------^
                                                   users made at the best alpha, asked with the best e <--+

See model/users/calibration.py and model/users/blend.py for what is measured; `itemsage users` finds the file by its
model id (user_alpha).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.machine.blas_threads import one_blas_thread
from model.nearest.distinct_search import DistinctVectors
from model.users.actions import Actions
from model.users.baselines import pinnersage
from model.users.blend import BlendPoint, best_weight, blend_curve
from model.users.calibration import (
    ALL,
    BALANCED,
    NEW,
    CurvePoint,
    best_by_samples,
    best_point,
    calibration_curve,
    deciding,
    sample_users,
)
from model.users.evaluation import TOP, Protocol, count_user_days, list_length, users_of_days
from pipelines.console.progress import Progress
from pipelines.run.item_vectors import VectorsSource, load_vectors, vectors_source
from pipelines.run.shared import closed_after_job
from pipelines.users.alpha import default_calibration_path
from pipelines.users.config import UsersConfig
from pipelines.users.read_actions import why_unused
from pipelines.users.training import days_trained_on
from pipelines.users.user_log import read_user_log
from schemas.errors import UsageError, printable
from schemas.files import write_sealed_json
from schemas.quarantine import quote

#: Part of the calibration file: raise it when the same data give another curve.
CODE_VERSION = 5
MIN_USER_DAYS = 20
#: What the file tells of the best alpha of a number of samples.
_BEST_FIELDS = (
    "samples",
    "sampled",
    "alpha",
    "recall",
    "recall_se",
    "recall_new",
    "recall_new_se",
    "r_precision",
    "relevance",
)


@dataclass(frozen=True, kw_only=True)
class _Validation:
    """actions: of everybody; asked: of the users that are evaluated; num_users: of how many; days_trained_on: those of
    the days that the item model was trained on, None where that is not known."""

    actions: Actions
    asked: Actions
    days: range
    days_trained_on: int | None
    num_asked: int
    num_users: int
    num_user_days: int


@dataclass(frozen=True, kw_only=True)
class _Measured:
    curve: list[CurvePoint]
    chosen: CurvePoint
    blends: list[BlendPoint]
    weight: BlendPoint
    list_length: int


def calibrate(config: UsersConfig) -> dict[str, Any]:
    """Writes the calibration, prints its curve, and returns it: model_id, samples, sampled and alpha (the best choice),
    best (the best alpha of each number of medoids, sampled and top), popularity_weight (the best one for the choice)
    and blend (its curve), curve, criterion, date, and what they were measured with. Raises UsageError if fewer than
    MIN_USER_DAYS users have actions on a validation day and before it, none of them new ones that are to decide, or
    the item model was trained on a validation day and that is not accepted."""
    source = vectors_source(config.run, config.embeddings, config.vectors)
    with closed_after_job():
        validation = _validation(config, source)
        measured = _measure(config, source, validation)
    calibration = _calibration(config, source, validation, measured)
    path = Path(config.calibration) if config.calibration else default_calibration_path(config.run, source.vectors_id)
    write_sealed_json(path, calibration)
    chosen, by = measured.chosen, config.calibrate_for
    print(
        f"calibrate: {validation.num_asked:,} of {validation.num_users:,} users with actions on a validation day and "
        "before it"
    )
    top = measured.list_length
    print(format_curve(measured.curve, validation.num_user_days, config.calibration_days, by, top))
    print(format_blend(measured.blends, by, top))
    if validation.days_trained_on:
        print(_about_training_days(validation.days_trained_on, len(validation.days)))
    print(
        f"users: {called(chosen)} at alpha {chosen.alpha:g} has the best {criterion(by, top)}"
        f"{_if_largest(chosen, config.calibrated_samples)}; written to {printable(str(path))}\n"
        "users: runs that are made from now on use it, and cluster all users once; published runs stay as they are",
        flush=True,
    )
    return calibration


def _validation(config: UsersConfig, source: VectorsSource) -> _Validation:
    days = range(config.next_day - config.calibration_days, config.next_day)
    trained_on = _check_days(config, source, days)
    from_us = config.calendar.start_us(days[0] - config.window_days)
    log = (config.engagements, config.columns, source, config.action_kinds, from_us, config.now_us, config.now_us)
    actions, _, counts = read_user_log(*log, config.date, config)
    protocol = _protocol(config)
    users = users_of_days(actions, days, protocol)
    sampled = sample_users(actions.user_ids, users, config.calibrate_users)
    asked = actions.of_users(sampled)
    num_user_days = count_user_days(asked, days, protocol)
    if num_user_days < MIN_USER_DAYS:
        raise UsageError(
            f"expected at least {MIN_USER_DAYS} user-days (a user with actions on a validation day and before it), got "
            f"{num_user_days} in the {len(days)} days up to {config.date}: {why_few(counts)}"
        )
    return _Validation(
        actions=actions,
        asked=asked,
        days=days,
        days_trained_on=trained_on,
        num_asked=len(sampled),
        num_users=len(users),
        num_user_days=num_user_days,
    )


def _protocol(config: UsersConfig, top: int = TOP) -> Protocol:
    return Protocol(
        alpha=0.0,
        window_days=config.window_days,
        max_actions=config.max_actions,
        top=top,
        calendar=config.calendar,
    )


def _check_days(config: UsersConfig, source: VectorsSource, days: range) -> int | None:
    """How many of the days the item model was trained on, None where that is not known."""
    found = days_trained_on(config.run, source.model_id, days, config.calendar)
    if found and not config.accept_training_days:
        raise UsageError(
            f"expected validation days that the item model {quote(source.model_id)} was not trained on, got {found} of "
            f"the {len(days)} days up to {config.date} before the end of its training: its vectors fit those better "
            "than days to come. Give a later --date or fewer --calibration-days, or a model of an earlier day; "
            "--accept-training-days calibrates all the same"
        )
    return found


def _about_training_days(trained_on: int, num_days: int) -> str:
    return (
        f"users: WARNING: the item model was trained on {trained_on} of the {num_days} validation days, so that "
        "everything looks better than on days to come"
    )


def criterion(decided_by: str, top: int) -> str:
    """What decides, in words. top: the length of the list."""
    of_new = f"recall@{top} of new items"
    return {
        ALL: f"recall@{top}",
        NEW: of_new,
        BALANCED: f"mean of recall@{top}, {of_new} and R-precision (geometric)",
    }[decided_by]


def called(point: CurvePoint) -> str:
    """How many medoids, and how they are chosen."""
    return f"{'e =' if point.sampled else 'top'} {point.samples}"


def why_few(counts: Mapping[str, int]) -> str:
    """What became of the rows of a log, and what to do about the largest part that did not count."""
    return why_unused(counts, "give more --calibration-days or --calibrate-users, another --date, or --alpha")


def _measure(config: UsersConfig, source: VectorsSource, validation: _Validation) -> _Measured:
    asked, days, decay, by = validation.asked, validation.days, config.decay_per_day, config.calibrate_for
    with one_blas_thread():
        vectors = DistinctVectors(load_vectors(source).matrix_ND)
        protocol = _protocol(config, config.list_length or list_length(len(vectors.id_N)))
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
        method = pinnersage(chosen.samples, decay, alpha=chosen.alpha, sampled=chosen.sampled)
        blends = blend_curve(
            validation.actions, asked, vectors, days, protocol, method, chosen, advance=progress.advance
        )
        progress.close()
    return _Measured(
        curve=curve, chosen=chosen, blends=blends, weight=best_weight(blends, by), list_length=protocol.top
    )


def _calibration(
    config: UsersConfig, source: VectorsSource, validation: _Validation, measured: _Measured
) -> dict[str, Any]:
    best = best_by_samples(measured.curve, config.calibrate_for)
    return {
        "model_id": source.vectors_id,
        "alpha": measured.chosen.alpha,
        "samples": measured.chosen.samples,
        "sampled": measured.chosen.sampled,
        "best": [{name: getattr(point, name) for name in _BEST_FIELDS} for point in best],
        "popularity_weight": measured.weight.popularity_weight,
        "criterion": criterion(config.calibrate_for, measured.list_length),
        "list_length": measured.list_length,
        "days_trained_on": validation.days_trained_on,
        "date": config.date,
        "time_zone": config.time_zone,
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


def format_curve(curve: list[CurvePoint], num_user_days: int, num_days: int, decided_by: str, top: int) -> str:
    """What decides by alpha, number of medoids and way to choose them as aligned columns, the best alpha of each kind
    marked; a line for each kind below, with all measures. top: the length of the list."""
    best = best_by_samples(curve, decided_by)
    found = {(called(point), point.alpha): point for point in curve}
    lines = [
        f"PinnerSage, {criterion(decided_by, top)} by alpha and medoids, e of them sampled or the top ones; "
        f"{num_user_days:,} user-days of {num_days} validation days",
        f"{'alpha':>8} {'clusters':>9}" + " ".join(f" {called(point):>8}" for point in best),
    ]
    for alpha in sorted({point.alpha for point in curve}):
        row = [found[called(point), alpha] for point in best]
        cells = "".join(f" {deciding(point, decided_by):>8.4f}{'*' if point in best else ' '}" for point in row)
        lines.append(f"{alpha:>8g} {row[0].clusters_median:>9g}{cells}".rstrip())
    for p in best:
        of_new = "none" if p.recall_new is None else f"{p.recall_new:.4f} +- {p.recall_new_se:.4f}"
        lines.append(
            f"{called(p)}: alpha {p.alpha:g}, recall@{top} {p.recall:.4f} +- {p.recall_se:.4f}, of new items {of_new}, "
            f"R-precision {p.r_precision:.4f}, relevance {p.relevance:.4f} +- {p.relevance_se:.4f}"
        )
    return "\n".join(lines)


def format_blend(blends: list[BlendPoint], decided_by: str, top: int) -> str:
    """What the best weight of popularity is worth. R-precision is not measured with popularity."""
    best, without = best_weight(blends, decided_by), deciding(blends[0], decided_by)
    which = f"mean of recall@{top} and that of new items" if decided_by == BALANCED else criterion(decided_by, top)
    if not best.popularity_weight:
        return f"blend: no --popularity-weight has a better {which} than 0: {without:.4f}"
    return (
        f"blend: --popularity-weight {best.popularity_weight:g} has {which} {deciding(best, decided_by):.4f} "
        f"(0: {without:.4f}); recommend --blend-popularity uses it"
    )


def _if_largest(chosen: CurvePoint, nums: Sequence[int]) -> str:
    is_largest = len(nums) > 1 and chosen.samples == nums[-1]
    return " (the largest e tried: --calibrate-samples may go further)" if is_largest else ""
