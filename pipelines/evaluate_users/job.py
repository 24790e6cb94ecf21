"""Evaluation of users as PinnerSage's paper does it, on past days of a log: one page, and the figures as JSON.

itemsage evaluate-users --run RUN --engagements LOG --from 2017-12-01 --to 2017-12-31 --out results.md

log --each day of the period--> walk forward: relevance, recall, R-precision, reciprocal rank    (user_evaluation)
    --weights on the period before--> all of it at once: recall@100 and @400, beside popularity  (user_month_ahead)
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.machine.blas_threads import one_blas_thread
from model.nearest.distinct_search import DistinctVectors
from model.users.evaluation import Protocol, list_length
from pipelines.console.exit_codes import exit_code
from pipelines.console.jobs import flag, narrow, parse_alone, shown_call
from pipelines.console.terminal import print_page
from pipelines.evaluate_users.alphas import Alphas, alphas_of
from pipelines.evaluate_users.figures import Evaluation
from pipelines.evaluate_users.report import format_page
from pipelines.log.dated_log import DatedLog
from pipelines.run.item_vectors import VectorsSource, load_vectors, vectors_source
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


def run(config: EvaluateUsersConfig) -> dict[str, Any]:
    """Prints and writes the page, and returns the figures. Raises UsageError if nobody has actions in the period and
    before it, or alpha was calibrated on days of the period; CorruptFileError for damaged vectors or engagements."""
    users_config = narrow(UsersConfig, config, run=config.run or "", date=config.to_date)
    source = vectors_source(users_config.run, config.embeddings)
    notes = None if config.notes is None else _read_notes(config.notes)
    alphas = alphas_of(users_config, source.model_id, config.from_date)
    with closed_after_job(), one_blas_thread():
        report = _evaluate(config, users_config, source, alphas)
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
    first_us, end_us = config.calendar.start_us(day_number(config.from_date)), users_config.now_us
    kinds = users_config.action_kinds
    log = (config.engagements, config.columns, source, kinds, 0, first_us, end_us, config.to_date)
    actions, impressions, counts = read_user_log(*log, config)
    vectors = DistinctVectors(load_vectors(source).matrix_ND)
    evaluation = Evaluation(
        actions=actions,
        impressions=impressions,
        vectors=vectors,
        days=range(day_number(config.from_date), users_config.next_day),
        protocol=Protocol(
            alpha=alphas.paper,
            window_days=config.window_days,
            max_actions=config.max_actions,
            top=config.list_length or list_length(len(vectors.id_N)),
            calendar=config.calendar,
        ),
        alphas=alphas,
    )
    calibrated = alphas.calibrated._asdict() if alphas.calibrated else {}
    return {
        "command": command_line(config),
        "model_id": source.model_id,
        "alpha": alphas.paper,
        "alpha_from": alphas.where,
        "calibrated": alphas.chosen and alphas.chosen._asdict() | calibrated,
        "from_date": config.from_date,
        "to_date": config.to_date,
        "time_zone": config.time_zone,
        "window_days": config.window_days,
        "actions": list(kinds),
        "rows": counts,
        "items": len(vectors.id_N),
        "distinct_vectors": len(vectors.vectors_UD),
        "walk_forward": evaluation.walk_forward(),
        "month_ahead": evaluation.month_ahead(),
    }


def command_line(config: EvaluateUsersConfig) -> str:
    """The call as the page shows it."""
    short = {long: name for name, long in _SHORT_FLAGS.items()}
    return shown_call("itemsage evaluate-users", config, left_out=("out", "out_json"), names=short)


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
