"""Evaluation of users as PinnerSage's paper does it, on past days of a log: one page, and the figures as JSON.

itemsage evaluate-users --run RUN --engagements LOG --from 2017-12-01 --to 2017-12-31 --out results.md

log --each day of the period--> walk forward: relevance, recall, R-precision, reciprocal rank    (user_evaluation)
    --weights on the period before--> all of it at once: recall@100 and @400, beside popularity  (user_month_ahead)
"""

import dataclasses
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote as quote_shell
from typing import Any

import numpy as np

from model.blas_threads import one_blas_thread
from model.distinct_search import DistinctVectors
from model.pinnersage import US_PER_DAY
from model.split import end_of_day_us
from model.user_actions import Actions
from model.user_baselines import BASELINE, METHODS, alpha_by_num, calibrated_methods
from model.user_evaluation import METRICS, Protocol, count_user_days, walk_forward
from model.user_intervals import Summary, summarize
from model.user_month_ahead import (
    BY_VECTORS,
    CUTS,
    QUESTIONS,
    choose_weights,
    compared_columns,
    month_ahead,
    weight_columns,
)
from model.user_month_ahead import calibrated_methods as calibrated_month_methods
from pipelines.evaluation.user_alphas import Alphas, alphas_of
from pipelines.evaluation.user_log import read_user_log
from pipelines.evaluation.user_report import format_page
from pipelines.exit_codes import exit_code
from pipelines.jobs import flag, flag_name, narrow, parse_alone
from pipelines.progress import Progress
from pipelines.store import check_date
from pipelines.user_plan import UsersConfig
from pipelines.user_vectors import load_vectors, vectors_source
from schemas.errors import UsageError, printable
from schemas.files import write_json, write_text
from schemas.hashing import seed_of
from schemas.quarantine import quote
from schemas.tables import POSITIVE_ACTIONS

_SHORT_FLAGS = {"--from": "--from-date", "--to": "--to-date"}
EXAMPLE = (
    "itemsage evaluate-users --run store/runs/2017-11-30/0123456789abcdef --engagements log.parquet "
    "--from 2017-12-01 --to 2017-12-31 --out results.md"
)


@dataclass(frozen=True, kw_only=True)
class EvaluateUsersConfig:
    """Evaluates users as several vectors on past days, beside baselines (PinnerSage's offline protocol)."""

    run: str | None = flag(default=None, help="run folder whose item vectors are used")
    embeddings: str | None = flag(default=None, help="item vectors: any embeddings Parquet; default: the run's")
    engagements: str = flag(help="engagements of the period and before it: a file, a folder or a glob")
    from_date: str = flag(help="first day, YYYY-MM-DD, UTC (also --from); the vectors should be of before")
    to_date: str = flag(help="last day, itself included (also --to)")
    window_days: int = flag(default=90, help="history of a user that counts")
    alpha: float | None = flag(default=None, help="largest squared distance of a merge; default: as calibrated")
    calibration: str | None = flag(default=None, help="calibration file; default: the store's for these vectors")
    actions: str = flag(default=",".join(POSITIVE_ACTIONS), help="the actions that count, separated by commas")
    max_actions: int = flag(default=2_000, help="the newest actions of a user that count")
    notes: str | None = flag(default=None, help="Markdown file that ends the page: how a person reads the figures")
    out: str | None = flag(default=None, help="Markdown file; it is printed in any case")
    out_json: str | None = flag(default=None, help="the same figures as JSON")
    columns: dict[str, Any] = flag(default={}, help="[columns.engagements]: our column name -> the shop's")

    def __post_init__(self) -> None:
        for date in (self.from_date, self.to_date):
            check_date(date)
        if self.from_date > self.to_date:
            raise UsageError(f"expected --from on or before --to, got {self.from_date} and {self.to_date}")
        if self.run is None and self.embeddings is None:
            raise UsageError("expected --run or --embeddings, got neither")


def run(config: EvaluateUsersConfig) -> dict[str, Any]:
    """Prints and writes the page, and returns the figures. Raises UsageError if nobody has actions in the period and
    before it, CorruptFileError for damaged vectors or engagements."""
    users_config = narrow(UsersConfig, config, run=config.run or "", date=config.to_date)
    source = vectors_source(users_config.run, config.embeddings)
    notes = None if config.notes is None else _read_notes(config.notes)
    alphas = alphas_of(users_config, source.model_id)
    first_us, end_us = _start_us(config.from_date), users_config.now_us
    kinds = users_config.action_kinds
    log = (config.engagements, config.columns, source, kinds, 0, first_us, end_us, config.to_date)
    actions, impressions, counts = read_user_log(*log)
    protocol = Protocol(alpha=alphas.paper, window_days=config.window_days, max_actions=config.max_actions)
    with one_blas_thread():
        vectors = DistinctVectors(load_vectors(source).matrix_ND)
        report = {
            "command": command_line(config),
            "model_id": source.model_id,
            "alpha": alphas.paper,
            "alpha_from": alphas.where,
            "calibrated": alphas.chosen and alphas.chosen._asdict(),
            "from_date": config.from_date,
            "to_date": config.to_date,
            "window_days": config.window_days,
            "actions": list(kinds),
            "rows": counts,
            "items": len(vectors.id_N),
            "distinct_vectors": len(vectors.vectors_UD),
            "walk_forward": _walk_forward(actions, impressions, vectors, first_us, end_us, protocol, alphas),
            "month_ahead": _month_ahead(actions, vectors, first_us, end_us, protocol, alphas),
        }
    load_vectors.cache_clear()  # a process that goes on need not hold them
    page = format_page(report, notes)
    print("\n".join(map(printable, page.split("\n"))), end="", flush=True)
    if config.out is not None:
        write_text(config.out, page)
    if config.out_json is not None:
        write_json(config.out_json, report)
    return report


def command_line(config: EvaluateUsersConfig) -> str:
    """The call, without what a machine's folders are called: an absolute path is shown by its last part."""
    parts = ["itemsage evaluate-users"]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in ("columns", "out", "out_json") and value != field.default:
            name = {"from_date": "--from", "to_date": "--to"}.get(field.name, flag_name(field))
            parts.append(f"{name} {quote_shell(_without_folders(value))}")
    return " ".join(parts)


def _without_folders(value: Any) -> str:
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else str(value)


def _read_notes(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig").strip()
    except (OSError, ValueError) as error:  # ValueError: not UTF-8
        raise UsageError(f"expected --notes as a readable Markdown file, got {quote(str(error))}") from error


def _start_us(date: str) -> int:
    end_us = end_of_day_us(date)
    assert end_us is not None
    return end_us - US_PER_DAY


def _walk_forward(
    actions: Actions,
    impressions: Actions | None,
    vectors: DistinctVectors,
    first_us: int,
    end_us: int,
    protocol: Protocol,
    alphas: Alphas,
) -> dict[str, Any]:
    days = range(first_us // US_PER_DAY, end_us // US_PER_DAY)
    total = count_user_days(actions, days, protocol.window_days)
    if not total:
        raise UsageError(
            f"expected users with actions on a day of the period and in the {protocol.window_days} days before it, got "
            "none: see --from, --to, --actions and whether the items have vectors"
        )
    progress = Progress("walk forward", "user-days", total)
    grid = alpha_by_num(alphas.centre)
    compared = {**METHODS, **(calibrated_methods(*alphas.chosen, alphas.by_samples) if alphas.chosen else {})}
    methods = {**compared, **{str(key): method for key, method in grid.items()}}
    found = walk_forward(actions, vectors, days, methods, protocol, impressions, progress.advance)
    progress.close()
    names = list(compared)
    clusters_T = np.median(found.clusters_UT, axis=0)
    seed = seed_of("intervals", "walk forward")
    summary = summarize(found.users_U, found.values_UTM, names.index(BASELINE), seed)
    return {
        "days": len(days),
        "users": len(np.unique(found.users_U)),
        "user_days": len(found.users_U),
        "items_a_user_day": float(found.num_items_U.mean()),
        "impressions": "drawn" if impressions is None else "of the log",
        "baseline": BASELINE,
        "methods": [
            {"method": name, "clusters_median": float(clusters_T[place])}
            | {metric: _figures(summary, place, column) for column, metric in enumerate(METRICS)}
            for place, name in enumerate(names)
        ],
        "alpha_by_num": [
            {"alpha": at, "num": num, "sampled": sampled, "clusters_median": float(clusters_T[place])}
            | {metric: float(summary.mean[place, METRICS.index(metric)]) for metric in ("relevance", "recall")}
            for place, (at, num, sampled) in enumerate(grid, len(names))
        ],
    }


def _month_ahead(
    actions: Actions, vectors: DistinctVectors, first_us: int, end_us: int, protocol: Protocol, alphas: Alphas
) -> dict[str, Any] | None:
    """None if no user has an item that counts."""
    progress = Progress("month ahead", "users", 2 * len(actions.user_ids))
    before = 2 * first_us - end_us
    methods = calibrated_month_methods(*alphas.chosen, alphas.paper) if alphas.chosen else BY_VECTORS
    asked = (protocol, methods, progress.advance)
    validation = month_ahead(actions, vectors, before, first_us, weight_columns(methods), *asked)
    weights = choose_weights(validation)
    columns = compared_columns(weights, methods)
    found = month_ahead(actions, vectors, first_us, end_us, columns, *asked)
    progress.close()
    if not len(found.users_U):
        return None
    summary = summarize(found.users_U, found.values_UTM, 0, seed_of("intervals", "month ahead"))
    metrics = [f"{question}_recall@{cut}" for question in QUESTIONS for cut in CUTS]
    return {
        "users": len(found.users_U),
        "users_with_new_items": int((~np.isnan(found.values_UTM[:, 0, -1])).sum()),
        "validation_users": len(validation.users_U),
        "candidates": found.num_candidates,
        "weights": weights,
        "methods": [
            {"method": name, "popularity_weight": weight}
            | {metric: _figures(summary, place, column) for column, metric in enumerate(metrics)}
            for place, (name, weight) in enumerate(columns)
        ],
    }


def _figures(summary: Summary, method: int, metric: int) -> dict[str, float | None]:
    """Mean, lift and their bounds; None where there is none."""
    figures = {name: float(values[method, metric]) for name, values in vars(summary).items()}
    return {name: None if math.isnan(value) else value for name, value in figures.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""

    def job() -> None:
        given = [argument.partition("=") for argument in (sys.argv[1:] if argv is None else argv)]
        arguments = [_SHORT_FLAGS.get(name, name) + equals + value for name, equals, value in given]
        run(parse_alone(EvaluateUsersConfig, arguments, "itemsage evaluate-users", EXAMPLE))

    return exit_code(job)


if __name__ == "__main__":
    sys.exit(main())
