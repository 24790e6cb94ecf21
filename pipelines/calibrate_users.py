"""Calibration of alpha: `itemsage users --calibrate` chooses the cut of Ward's tree by retrieval on validation days.

    the last N days up to --date --walk forward at every alpha--> recall@400 --> calibration file --> `itemsage users`

See model/user_calibration.py for what is measured; `itemsage users` finds the file by its model id (user_alpha).
"""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

from model.blas_threads import one_blas_thread
from model.distinct_search import DistinctVectors
from model.pinnersage import US_PER_DAY
from model.user_actions import Actions
from model.user_calibration import CurvePoint, alpha_curve, best_point
from model.user_evaluation import Protocol, count_user_days
from pipelines.evaluation.user_log import read_user_log
from pipelines.progress import Progress
from pipelines.user_alpha import default_calibration_path
from pipelines.user_plan import UsersConfig
from pipelines.user_vectors import load_vectors, vectors_source
from schemas.errors import UsageError, printable
from schemas.files import write_sealed_json

#: Part of the calibration file: raise it when the same data give another curve.
CODE_VERSION = 1
CRITERION = "recall@400"
MIN_USER_DAYS = 20


def calibrate(config: UsersConfig) -> dict[str, Any]:
    """Writes the calibration, prints its curve, and returns it: model_id, alpha, criterion, date, curve, and what they
    were measured with. Raises UsageError if fewer than MIN_USER_DAYS users have actions on a validation day and
    before it."""
    source = vectors_source(config.run, config.embeddings)
    day = config.now_us // US_PER_DAY
    days = list(range(day - config.validation_days, day))
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
        curve = alpha_curve(actions, vectors, days, protocol, config.decay_per_day, progress.advance)
    progress.close()
    calibration = {
        "model_id": source.model_id,
        "alpha": best_point(curve).alpha,
        "criterion": CRITERION,
        "date": config.date,
        "validation_days": config.validation_days,
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
    print(format_curve(curve, num_user_days, config.validation_days))
    print(
        f"users: alpha {calibration['alpha']} has the best {CRITERION}; written to {printable(str(path))}", flush=True
    )
    return calibration


def format_curve(curve: list[CurvePoint], num_user_days: int, num_days: int) -> str:
    """The curve as aligned columns, the chosen alpha marked."""
    chosen = best_point(curve).alpha
    lines = [
        f"PinnerSage, e = 3, {num_user_days:,} user-days of {num_days} validation days",
        f"  {'alpha':>8} {'recall':>8} {'+-se':>7} {'relevance':>10} {'+-se':>7} {'clusters: median':>17} {'p90':>6}",
    ]
    for p in curve:
        line = f"{p.alpha:>8g} {p.recall:>8.4f} {p.recall_se:>7.4f} {p.relevance:>10.4f} {p.relevance_se:>7.4f}"
        lines.append(f"{'*' if p.alpha == chosen else ' '} {line} {p.clusters_median:>17g} {p.clusters_p90:>6g}")
    return "\n".join(lines)


def _checked_user_days(actions: Actions, days: list[int], config: UsersConfig, counts: dict[str, int]) -> int:
    found = count_user_days(actions, days, config.window_days)
    if found < MIN_USER_DAYS:
        seen = {name: count for name, count in sorted(Counter(counts).items()) if count}
        raise UsageError(
            f"expected at least {MIN_USER_DAYS} user-days (a user with actions on a validation day and before it), got "
            f"{found} in the {len(days)} days up to {config.date} ({seen}): give more --validation-days, another "
            "--date, or --alpha"
        )
    return found
