"""`itemsage backfill --from DATE --to DATE ...`: the daily runs of several days, in order, with all flags of daily.

Every `{date}` in a path becomes the day's. A day whose input is missing is skipped, a day that fails ends the call
(--keep-going: the others go on); a repeated call finds finished days finished. Readers only ever move forward: days
before the one they see are computed, not published.
"""

import dataclasses
import datetime
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.console.exit_codes import EXIT_DONE, EXIT_FAULT, EXIT_THRESHOLD, EXIT_USAGE, exit_code
from pipelines.console.jobs import flag, narrow, parse
from pipelines.console.paths import with_date
from pipelines.console.terminal import aligned
from pipelines.daily import job as daily
from pipelines.daily.config import DailyConfig
from pipelines.store import history, store
from pipelines.store.lock import store_lock
from pipelines.store.named_run import is_date
from schemas.errors import UsageError
from schemas.files import expand_inputs
from schemas.quarantine import quote

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_OWN_FLAGS = [
    ("from_date", str, flag(help="first day, YYYY-MM-DD (also --from)")),
    ("to_date", str, flag(help="last day, itself included (also --to)")),
    ("strict", bool, flag(default=False, help="a day whose catalogue or engagements are missing is an error")),
    ("keep_going", bool, flag(default=False, help="go on with the next day after one that failed")),
]
_SHORT_FLAGS = {"--from": "--from-date", "--to": "--to-date"}


def _fields_of_daily() -> list[tuple[str, Any, Any]]:
    """The flags of daily without its date, as fields of another dataclass."""
    found = []
    for field in dataclasses.fields(DailyConfig):
        if field.name != "date":
            both = {"default": field.default, "default_factory": field.default_factory}
            given: dict[str, Any] = {name: value for name, value in both.items() if value is not dataclasses.MISSING}
            found.append((field.name, field.type, dataclasses.field(**given, metadata=field.metadata)))
    return found


BackfillConfig: Any = dataclasses.make_dataclass(
    "BackfillConfig",
    [*_OWN_FLAGS, *_fields_of_daily()],
    frozen=True,
    kw_only=True,
    namespace={"__doc__": "The daily runs of several days, in order.", "__module__": __name__},
)


@dataclass(frozen=True, kw_only=True)
class DayResult:
    """What became of one day. code: the exit code that its daily run would have had, None for a skipped day."""

    date: str
    what: str
    code: int | None
    rows: int | None = None
    seconds: float = 0.0


def days(first: str, last: str) -> list[str]:
    """
    >>> days("2026-02-28", "2026-03-01")
    ['2026-02-28', '2026-03-01']
    """
    for name, date in (("from", first), ("to", last)):
        if not is_date(date):
            raise UsageError(f"expected --{name} YYYY-MM-DD, got {quote(date)}")
    start, end = (datetime.date.fromisoformat(date) for date in (first, last))
    if end < start:
        raise UsageError(f"expected --from before --to, got {first} and {last}")
    return [(start + datetime.timedelta(days=day)).isoformat() for day in range((end - start).days + 1)]


def config_of_day(config: Any, date: str) -> DailyConfig:
    """The config of one day's run: every `{date}` of a value filled in."""
    day = narrow(DailyConfig, config, date=date)
    values = dataclasses.asdict(day).items()
    dated: dict[str, Any] = {name: with_date(value, date) for name, value in values if isinstance(value, str)}
    return dataclasses.replace(day, **dated)


def run(config: Any, options: "PipelineOptions") -> list[DayResult]:
    """Runs the days, prints a table of them at the end, and returns what became of each that was tried.

    Raises UsageError for dates that are none and StoreBusyError if another process works on the store; what a day
    raises is printed and kept as its exit code.
    """
    dates = days(config.from_date, config.to_date)
    if "{date}" not in config.catalog:
        print(
            f"warning: expected a {{date}} in --catalog, got {config.catalog}: all days get the same", file=sys.stderr
        )
    results: list[DayResult] = []
    try:
        with store_lock(config.store, f"backfill {config.from_date} to {config.to_date}"):
            for date in dates:
                results.append(_run_day(config, config_of_day(config, date), options))
                if not _may_go_on(results[-1].code, config.keep_going):
                    break
    finally:
        if results:
            print(f"\n{format_results(results, len(dates))}", flush=True)
    return results


def _may_go_on(code: int | None, keep_going: bool) -> bool:
    """A signal (Ctrl-C, a closed pipe) ends the call whatever the flags say."""
    return code in (None, EXIT_DONE) or (keep_going and code in (EXIT_FAULT, EXIT_USAGE, EXIT_THRESHOLD))


def _run_day(config: Any, day: DailyConfig, options: "PipelineOptions") -> DayResult:
    started_s = time.monotonic()
    manifest: dict[str, Any] = {}
    missing = _missing_input(day)
    if missing is not None and not config.strict:
        print(f"backfill: {day.date} is skipped: {missing}", flush=True)
        return DayResult(date=day.date, what="skipped: no input", code=None)

    def job() -> None:
        manifest.update(daily.run(day, options))

    code = exit_code(job)
    what = _outcome(day.store, day.date, manifest) if code == EXIT_DONE else f"failed, exit code {code}"
    rows = manifest.get("counts", {}).get("rows_published")
    return DayResult(date=day.date, what=what, code=code, rows=rows, seconds=time.monotonic() - started_s)


def _missing_input(day: DailyConfig) -> str | None:
    """Why there is nothing to run for the day; None if there is."""
    for spec in filter(None, (day.catalog, day.engagements)):
        try:
            expand_inputs(spec, day.date)
        except UsageError as error:
            return str(error)
    return None


def _outcome(folder: str, date: str, manifest: dict[str, Any]) -> str:
    is_seen = store.named_run(folder) == f"runs/{date}/{manifest.get('run_id')}"
    return history.PUBLISHED if is_seen else "finished, readers stay"


def format_results(results: Sequence[DayResult], num_days: int) -> str:
    """The table at the end."""
    rows = [("date", "result", "rows", "seconds")]
    for result in results:
        num_rows = "-" if result.rows is None else f"{result.rows:,}"
        rows.append((result.date, result.what, num_rows, f"{result.seconds:.1f}"))
    not_tried = num_days - len(results)
    return "\n".join([*aligned(rows), *([f"{not_tried} more days were not tried"] if not_tried else [])])


def with_flags(argv: Sequence[str]) -> list[str]:
    """--from and --to are short for --from-date and --to-date.

    >>> with_flags(["--from", "2026-06-29", "--to=2026-06-30"])
    ['--from-date', '2026-06-29', '--to-date=2026-06-30']
    """
    parts = [argument.partition("=") for argument in argv]
    return [_SHORT_FLAGS.get(name, name) + equals + value for name, equals, value in parts]


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code: that of the first day that failed."""
    example = (
        "itemsage backfill --from 2026-06-01 --to 2026-06-30 --catalog 'catalog/{date}.parquet' "
        "--image-root images --store store"
    )

    def job() -> int:
        arguments = with_flags(sys.argv[1:] if argv is None else argv)
        results = run(*parse(BackfillConfig, arguments, "itemsage backfill", example))
        return next((result.code for result in results if result.code), EXIT_DONE)

    return exit_code(job)


if __name__ == "__main__":
    sys.exit(main())
