"""Calibration: `itemsage users --calibrate` chooses alpha, the cut of Ward's tree, and e, the number of medoids that a
recommendation samples, by retrieval on validation days.

    the last N days up to --date --walk forward at every alpha and e--> recall@400 --> calibration file
                                                   users made at the best alpha, asked with the best e <--+

See model/user_calibration.py for what is measured; `itemsage users` finds the file by its model id (user_alpha).
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.blas_threads import one_blas_thread
from model.distinct_search import DistinctVectors
from model.pinnersage import US_PER_DAY
from model.user_actions import Actions
from model.user_calibration import CurvePoint, best_by_samples, best_point, calibration_curve
from model.user_evaluation import Protocol, count_user_days
from pipelines.evaluation.user_log import read_user_log
from pipelines.progress import Progress
from pipelines.user_alpha import default_calibration_path
from pipelines.user_plan import UsersConfig
from pipelines.user_vectors import load_vectors, vectors_source
from schemas.errors import UsageError, printable
from schemas.files import write_sealed_json

#: Part of the calibration file: raise it when the same data give another curve.
CODE_VERSION = 2
CRITERION = "recall@400"
MIN_USER_DAYS = 20
#: What the file tells of the best alpha of a number of samples.
_BEST_FIELDS = ("samples", "alpha", "recall", "recall_se", "relevance")


def calibrate(config: UsersConfig) -> dict[str, Any]:
    """Writes the calibration, prints its curve, and returns it: model_id, samples and alpha (the best pair), best (the
    best alpha of each number of samples), curve, criterion, date, and what they were measured with. Raises UsageError
    if fewer than MIN_USER_DAYS users have actions on a validation day and before it."""
    source = vectors_source(config.run, config.embeddings)
    day = config.now_us // US_PER_DAY
    days = list(range(day - config.calibration_days, day))
    from_us = (days[0] - config.window_days) * US_PER_DAY
    actions, _, counts = read_user_log(
        config.engagements,
        config.columns,
        source,
        config.action_kinds,
        from_us,
        config.now_us,
        config.now_us,
        config.date,
    )
    num_user_days = _checked_user_days(actions, days, config, counts)
    protocol = Protocol(alpha=0.0, window_days=config.window_days, max_actions=config.max_actions)
    progress = Progress("calibrate", "user-days", num_user_days)
    with one_blas_thread():
        vectors = DistinctVectors(load_vectors(source).matrix_ND)
        nums = config.calibrated_samples
        curve = calibration_curve(actions, vectors, days, protocol, config.decay_per_day, nums, progress.advance)
    progress.close()
    chosen = best_point(curve)
    calibration = {
        "model_id": source.model_id,
        "alpha": chosen.alpha,
        "samples": chosen.samples,
        "best": [{name: getattr(point, name) for name in _BEST_FIELDS} for point in best_by_samples(curve)],
        "criterion": CRITERION,
        "date": config.date,
        "calibration_days": config.calibration_days,
        "user_days": num_user_days,
        "window_days": config.window_days,
        "max_actions": config.max_actions,
        "decay_per_day": config.decay_per_day,
        "actions": list(config.action_kinds),
        "code_version": CODE_VERSION,
        "curve": [dataclasses.asdict(point) for point in curve],
    }
    path = Path(config.calibration) if config.calibration else default_calibration_path(config.run, source.model_id)
    write_sealed_json(path, calibration)
    load_vectors.cache_clear()  # a process that goes on need not hold them
    print(format_curve(curve, num_user_days, config.calibration_days))
    print(
        f"users: e = {chosen.samples} at alpha {chosen.alpha:g} has the best {CRITERION}{_if_largest(chosen, nums)}; "
        f"written to {printable(str(path))}",
        flush=True,
    )
    return calibration


def format_curve(curve: list[CurvePoint], num_user_days: int, num_days: int) -> str:
    """Recall by alpha and number of samples as aligned columns, the best alpha of each number marked; a line for each
    number below."""
    best = best_by_samples(curve)
    found = {(point.samples, point.alpha): point for point in curve}
    lines = [
        f"PinnerSage, {CRITERION} by alpha and e, the medoids sampled; {num_user_days:,} user-days of {num_days} "
        "validation days",
        f"{'alpha':>8} {'clusters':>9}" + " ".join(f" {f'e = {point.samples}':>8}" for point in best),
    ]
    for alpha in sorted({point.alpha for point in curve}):
        row = [found[point.samples, alpha] for point in best]
        cells = "".join(f" {point.recall:>8.4f}{'*' if point in best else ' '}" for point in row)
        lines.append(f"{alpha:>8g} {row[0].clusters_median:>9g}{cells}".rstrip())
    for p in best:
        figures = f"recall {p.recall:.4f} +- {p.recall_se:.4f}, relevance {p.relevance:.4f} +- {p.relevance_se:.4f}"
        lines.append(f"e = {p.samples}: alpha {p.alpha:g}, {figures}")
    return "\n".join(lines)


def _if_largest(chosen: CurvePoint, nums: Sequence[int]) -> str:
    is_largest = len(nums) > 1 and chosen.samples == nums[-1]
    return " (the largest e tried: --calibrate-samples may go further)" if is_largest else ""


def _checked_user_days(actions: Actions, days: list[int], config: UsersConfig, counts: dict[str, int]) -> int:
    found = count_user_days(actions, days, config.window_days)
    if found < MIN_USER_DAYS:
        seen = {name: count for name, count in sorted(Counter(counts).items()) if count}
        raise UsageError(
            f"expected at least {MIN_USER_DAYS} user-days (a user with actions on a validation day and before it), got "
            f"{found} in the {len(days)} days up to {config.date} ({seen}): give more --calibration-days, another "
            "--date, or --alpha"
        )
    return found
