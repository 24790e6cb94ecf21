"""Evaluation of users as PinnerSage's paper does it, on past days of a log: one page, and the figures as JSON.

itemsage evaluate-users --run RUN --engagements LOG --from 2017-12-01 --to 2017-12-31 --out results.md

log --each day of the period--> walk forward: relevance, recall, R-precision, reciprocal rank    (user_evaluation)
    --weights on the period before--> all of it at once: recall@100 and @400, beside popularity  (user_month_ahead)
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.machine.blas_threads import one_blas_thread
from model.nearest.distinct_search import DistinctVectors
from model.users.actions import Actions
from model.users.evaluation import Protocol, list_length
from pipelines.console.exit_codes import exit_code
from pipelines.console.jobs import flag, narrow, parse_alone, shown_call
from pipelines.console.paths import named_folders
from pipelines.console.terminal import print_page
from pipelines.evaluate_users.alphas import Alphas, alphas_of
from pipelines.evaluate_users.beside import Beside, CommonItems, Compared
from pipelines.evaluate_users.figures import Evaluation
from pipelines.evaluate_users.known_days import warnings_of
from pipelines.evaluate_users.report import format_comparison, format_page
from pipelines.log.dated_log import DatedLog
from pipelines.run.item_vectors import VectorsSource, load_vectors, vectors_source
from pipelines.run.listed_files import EMBEDDINGS, VECTORS, VECTORS_HELP
from pipelines.run.shared import closed_after_job
from pipelines.store.store import check_date
from pipelines.users.config import LIST_LENGTH_HELP, UsersConfig, check_list_length
from pipelines.users.user_log import read_user_log
from schemas import storage
from schemas.days import day_number
from schemas.errors import UsageError
from schemas.files import write_json, write_text
from schemas.quarantine import quote
from schemas.tables import POSITIVE_ACTIONS

_SHORT_FLAGS = {"--from": "--from-date", "--to": "--to-date"}
EXAMPLE = (
    "itemsage evaluate-users --run store/runs/2017-11-30/0123456789abcdef --engagements log.parquet "
    "--from 2017-12-01 --to 2017-12-31 --out results.md"
)


@dataclass(frozen=True, kw_only=True)
class EvaluateUsersConfig(DatedLog):
    """Evaluates users as several vectors on past days, beside baselines (PinnerSage's offline protocol)."""

    run: str | None = flag(path=True, default=None, help="run folder whose item vectors are used")
    embeddings: str | None = flag(
        path=True, default=None, help="item vectors: any embeddings Parquet; default: the run's"
    )
    vectors: str = flag(default=EMBEDDINGS, choices=VECTORS, help=VECTORS_HELP)
    also: str = flag(
        default="",
        help="other item vectors, NAME=FOLDER of any embeddings Parquet, separated by commas: the page is then of the "
        "walk forward alone, on all of them side by side",
        by_commas=True,
    )
    engagements: str = flag(path=True, help="engagements of the period and before it: a file, a folder or a glob")
    from_date: str = flag(help="first day, YYYY-MM-DD, of --time-zone (also --from); the vectors should be of before")
    to_date: str = flag(help="last day, itself included (also --to)")
    window_days: int = flag(default=90, help="history of a user that counts")
    alpha: float | None = flag(default=None, help="largest squared distance of a merge; default: as calibrated")
    calibration: str | None = flag(
        path=True, default=None, help="calibration file; default: the store's for these vectors"
    )
    actions: str = flag(
        default=",".join(POSITIVE_ACTIONS), help="the actions that count, separated by commas", by_commas=True
    )
    max_actions: int = flag(default=2_000, help="the newest actions of a user that count")
    list_length: int = flag(default=0, help=LIST_LENGTH_HELP)
    notes: str | None = flag(
        path=True, default=None, help="Markdown file that ends the page: how a person reads the figures"
    )
    out: str | None = flag(path=True, default=None, help="Markdown file; it is printed in any case")
    out_json: str | None = flag(path=True, default=None, help="the same figures as JSON")
    columns: dict[str, Any] = flag(default={}, help="[columns.engagements]: our column name -> the shop's")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, date in (("--from", self.from_date), ("--to", self.to_date)):
            check_date(date, name)
        if self.from_date > self.to_date:
            raise UsageError(f"expected --from on or before --to, got {self.from_date} and {self.to_date}")
        check_list_length(self.list_length)
        if self.run is None and self.embeddings is None:
            raise UsageError("expected --run or --embeddings, got neither")
        if self.vectors != EMBEDDINGS and (self.run is None or self.embeddings is not None):
            got = "no --run" if self.embeddings is None else f"--embeddings {self.embeddings}"
            raise UsageError(f"expected --vectors {self.vectors} with --run and without --embeddings, got {got}")
        if self.also and self.calibration is not None:
            raise UsageError("expected --also without --calibration, got both: the calibration of each is its own")
        for _ in named_folders(self.also, taken=(self.vectors,)):
            pass


def run(config: EvaluateUsersConfig) -> dict[str, Any]:
    """Prints and writes the page, and returns the figures. Raises UsageError if nobody has actions in the period and
    before it, or alpha was calibrated on days of the period; CorruptFileError for damaged vectors or engagements."""
    users_config = narrow(UsersConfig, config, run=config.run or "", date=config.to_date)
    source = vectors_source(users_config.run, config.embeddings, config.vectors)
    notes = None if config.notes is None else _read_notes(config.notes)
    alphas = alphas_of(users_config, source.vectors_id, config.from_date)
    others = {name: vectors_source("", folder) for name, folder in named_folders(config.also)}
    sources = {config.vectors: source, **others}
    warnings = warnings_of(sources, config.calendar.start_us(day_number(config.from_date)), config.from_date)
    for warning in warnings:
        print(f"evaluate-users: WARNING: {warning}", file=sys.stderr, flush=True)
    others_alphas = [alphas_of(users_config, other.vectors_id, config.from_date) for other in others.values()]
    with closed_after_job(), one_blas_thread():
        if others:
            report = _compare(config, users_config, sources, [alphas, *others_alphas]) | {"warnings": warnings}
            page = format_comparison(report, notes)
        else:
            report = _evaluate(config, users_config, source, alphas) | {"warnings": warnings}
            page = format_page(report, notes)
    print_page(page)
    if config.out is not None:
        write_text(config.out, page)
    if config.out_json is not None:
        write_json(config.out_json, report)
    return report


def _evaluate(
    config: EvaluateUsersConfig, users_config: UsersConfig, source: VectorsSource, alphas: Alphas
) -> dict[str, Any]:
    actions, impressions, counts = _log(config, users_config, source)
    vectors = DistinctVectors(load_vectors(source).matrix_ND)
    evaluation = Evaluation(
        actions=actions,
        impressions=impressions,
        vectors=vectors,
        days=range(day_number(config.from_date), users_config.next_day),
        protocol=_protocol(config, alphas, len(vectors.id_N)),
        alphas=alphas,
    )
    calibrated = alphas.calibrated._asdict() if alphas.calibrated else {}
    return {
        **_about(config, users_config, counts, len(vectors.id_N)),
        "model_id": source.vectors_id,
        "alpha": alphas.paper,
        "alpha_from": alphas.where,
        "calibrated": alphas.chosen and alphas.chosen._asdict() | calibrated,
        "distinct_vectors": len(vectors.vectors_UD),
        "walk_forward": evaluation.walk_forward(),
        "month_ahead": evaluation.month_ahead(),
    }


def _compare(
    config: EvaluateUsersConfig,
    users_config: UsersConfig,
    sources: Mapping[str, VectorsSource],
    alphas: Sequence[Alphas],
) -> dict[str, Any]:
    """The walk forward on each of several vectors, the first of which the differences are to."""
    first = next(iter(sources.values()))
    actions, impressions, counts = _log(config, users_config, first)
    common = CommonItems.of([load_vectors(source) for source in sources.values()])
    beside = Beside(
        actions=common.of_actions(actions),
        impressions=impressions and common.of_actions(impressions),
        days=range(day_number(config.from_date), users_config.next_day),
        compared=[
            Compared(
                name=name,
                vectors=DistinctVectors(matrix_ND),
                alphas=own,
                protocol=_protocol(config, own, len(common.ids)),
            )
            for name, matrix_ND, own in zip(sources, common.matrices, alphas, strict=True)
        ],
    )
    return {
        **_about(config, users_config, counts, len(common.ids)),
        "actions_kept": len(beside.actions.rows_M),
        "models": [source.vectors_id for source in sources.values()],
        "items_of": [len(load_vectors(source).ids) for source in sources.values()],
        **beside.walked(),
    }


def _log(
    config: EvaluateUsersConfig, users_config: UsersConfig, source: VectorsSource
) -> tuple[Actions, Actions | None, dict[str, int]]:
    first_us, end_us = config.calendar.start_us(day_number(config.from_date)), users_config.now_us
    log = (config.engagements, config.columns, source, users_config.action_kinds, 0, first_us, end_us, config.to_date)
    return read_user_log(*log, config)


def _protocol(config: EvaluateUsersConfig, alphas: Alphas, num_items: int) -> Protocol:
    return Protocol(
        alpha=alphas.paper,
        window_days=config.window_days,
        max_actions=config.max_actions,
        top=config.list_length or list_length(num_items),
        calendar=config.calendar,
    )


def _about(
    config: EvaluateUsersConfig, users_config: UsersConfig, counts: Mapping[str, int], num_items: int
) -> dict[str, Any]:
    """What was asked of which rows."""
    return {
        "command": command_line(config),
        "from_date": config.from_date,
        "to_date": config.to_date,
        "time_zone": config.time_zone,
        "window_days": config.window_days,
        "actions": list(users_config.action_kinds),
        "rows": dict(counts),
        "items": num_items,
    }


def command_line(config: EvaluateUsersConfig) -> str:
    """The call as the page shows it."""
    short = {long: name for name, long in _SHORT_FLAGS.items()}
    also = ",".join(f"{name}={Path(folder).name}" for name, folder in named_folders(config.also))
    shown = replace(config, also=also)
    return shown_call("itemsage evaluate-users", shown, left_out=("out", "out_json"), names=short)


def _read_notes(path: str) -> str:
    try:
        return storage.text_of(path, encoding="utf-8-sig").strip()
    except (OSError, ValueError) as error:  # ValueError: not UTF-8
        raise UsageError(f"expected --notes as a readable Markdown file, got {quote(str(error))}") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""

    def job() -> None:
        given = [argument.partition("=") for argument in (sys.argv[1:] if argv is None else argv)]
        arguments = [_SHORT_FLAGS.get(name, name) + equals + value for name, equals, value in given]
        run(parse_alone(EvaluateUsersConfig, arguments, "itemsage evaluate-users", EXAMPLE))

    return exit_code(job)
