"""Users: the actions of the last 90 days, by user, to several vectors per user (PinnerSage, model/users/pinnersage.py).

    itemsage users --run RUN --engagements LOG --date 2026-06-30 --reuse-from EARLIER_RUN

    slices -> read, validate, window -> by bucket of the user -> cluster -> users/, user_actions/ -> item_popularity/

The log is judged before (pipelines.log.engagement_log): its bad rows are in the quarantine of that stage. The job alone
stops if too many are, or if nothing of the log makes a user.
The day ends at midnight after --date, in --time-zone. A user's newest --max-actions actions on items that have a vector
are used; a user without any has no row. Rows: rows_read = rows_quarantined + rows_after_date + rows_other_actions +
rows_without_user + rows_too_old + rows_equal (to another one, which counts) + rows_item_unknown + rows_over_cap +
rows_used.
Users: users_written = users_reused + users_computed; users_computed = users_changed + users_new; users_yesterday =
users_reused + users_changed + users_gone; and users_without_items, who have no row.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.console.jobs import main_of, narrow, print_summary
from pipelines.console.progress import Progress
from pipelines.console.terminal import in_words
from pipelines.gates.log import check_log, require_passed_log
from pipelines.log import engagement_log
from pipelines.run.shared import closed_after_job
from pipelines.run.unit_files import manifest_path
from pipelines.run.units import Unit, UnitWriter, read_stage_manifest, write_stage_manifest
from pipelines.users.alpha import DEFAULT
from pipelines.users.cluster import ClusterUsers, write_popularity_sum
from pipelines.users.config import ROWS_A_BUCKET, UsersConfig
from pipelines.users.plan import CODE_VERSION, UsersPlan, choose_num_buckets, plan
from pipelines.users.read_actions import READ_PROGRESS, ReadActions, why_unused
from schemas.errors import CorruptFileError, ThresholdError, printable
from schemas.files import read_sealed_json
from schemas.quarantine import quote
from schemas.reading import FileSlice
from schemas.user_rows import USERS_STAGE

__all__ = ["CODE_VERSION", "UsersConfig", "UsersPlan", "build", "main", "plan", "run"]
_SHOWN = (
    *("rows_read", "rows_quarantined", "rows_used"),
    *("users_written", "users_reused", "users_computed", "clusters_written"),
)
#: Shown where there are some: with those above they say what became of every row.
_LEFT_OUT = (
    *("rows_after_date", "rows_other_actions", "rows_without_user", "rows_too_old"),
    *("rows_equal", "rows_item_unknown", "rows_over_cap"),
)
#: What a calibration chose for, and what it depends on.
_CALIBRATED_FOR = ("actions", "max_actions", "window_days", "decay_per_day", "time_zone")
#: Engagements a bucket beyond which the memory of a worker is told of.
LARGE_BUCKET = 8 * ROWS_A_BUCKET
EXAMPLE = "itemsage users --run store/runs/2026-06-30/0123456789abcdef --engagements log.parquet --date 2026-06-30"


def build(root: beam.Pipeline, config: UsersConfig) -> beam.PCollection[dict[str, Any]]:
    """Defines the job: sidecars of the buckets that are not finished. Runs nothing."""
    planned = plan(config)
    return _build(root, planned, *planned.unfinished())


def _build(
    root: beam.Pipeline, planned: UsersPlan, slices: list[FileSlice], buckets: list[int]
) -> beam.PCollection[dict[str, Any]]:
    source = planned.source
    pieces = root | "Slices" >> beam.Create(slices, reshuffle=False) | ReadActions(source, buckets, planned.num_rows)
    every_bucket = root | "Every bucket" >> beam.Create([(bucket, b"") for bucket in buckets])
    return (
        (pieces, every_bucket)
        | "Actions and buckets" >> beam.Flatten()
        | ClusterUsers(planned.run, planned.buckets, source.vectors, planned.rules, planned.earlier)
    )


def run(config: UsersConfig, options: PipelineOptions) -> dict[str, Any]:
    """Clusters the users and returns the stage manifest; with `calibrate`, chooses alpha and the number of samples and
    returns the calibration.

    Raises what `plan` raises; CorruptFileError if vectors or engagements are damaged. A log that makes no user is told
    of in a warning.
    """
    if config.calibrate:
        from pipelines.users.calibrate import calibrate  # only calibrating needs an evaluation

        return calibrate(config)
    started_s = time.monotonic()
    planned = plan(config)
    engagement_log.run(narrow(engagement_log.LogConfig, config), options)
    print(_about_alpha(planned), flush=True)
    _warn_of_other_settings(planned)
    if planned.num_rows > LARGE_BUCKET * planned.source.num_buckets:
        print(_about_buckets(planned), flush=True)
    slices, buckets = planned.unfinished()
    if slices or buckets or _asking_changes(planned):
        UnitWriter(config.run, Unit(USERS_STAGE, "", ""))  # a published run is refused before anything is read
    if slices or buckets:
        with closed_after_job(), beam.Pipeline(options=options) as pipeline:
            _build(pipeline, planned, slices, buckets)
        for name in (READ_PROGRESS, USERS_STAGE):
            Progress.close_shared(name)
    write_popularity_sum(config.run, planned.source.fingerprint, [unit.name for unit in planned.buckets])
    manifest = write_stage_manifest(config.run, USERS_STAGE, planned.unit_names, **planned.facts)
    counts = manifest["counts"]
    left_out = {name: counts[name] for name in _LEFT_OUT if counts.get(name)}
    shown = {name: counts.get(name, 0) for name in _SHOWN}
    print_summary(USERS_STAGE, shown | left_out, started_s, f"{config.run}/{USERS_STAGE}")
    if not counts["users_written"]:
        why = in_words(left_out) or "no rows left out"
        print(f"users: WARNING: expected at least one user, got none: {why}; {config.run}/quarantine has the bad rows")
    return manifest


def run_alone(config: UsersConfig, options: PipelineOptions) -> None:
    """The job as a command of its own, with the gates of the log. Raises what `run` raises; ThresholdError if too much
    of the log is rejected, nothing of it is of use, or nothing makes a user, and then the stage is not finished."""
    if not config.calibrate:
        log = engagement_log.run(narrow(engagement_log.LogConfig, config), options)["counts"]
        require_passed_log(check_log(log, config), "users are made")
    counts = run(config, options).get("counts", {})
    if counts.get("rows_read") and not counts.get("rows_used"):
        if not Path(config.run, "COMPLETED").exists():
            manifest_path(config.run, USERS_STAGE).unlink()
        left_out = {name: counts.get(name, 0) for name in ("rows_read", "rows_quarantined", *_LEFT_OUT)}
        raise ThresholdError(
            f"expected rows of {config.engagements} that make users, got none: "
            f"{why_unused(left_out, f'see {config.run}/quarantine')}"
        )


def _asking_changes(planned: UsersPlan) -> bool:
    """Whether the stage is finished but for other medoids to ask with or another weight of popularity, which no unit
    depends on."""
    try:
        made = read_stage_manifest(planned.run, USERS_STAGE)
        names = ("samples", "popularity_weight", "sampled")
        return any(made.get(name) != planned.facts.get(name) for name in names)
    except CorruptFileError:  # none, or a damaged one, which is written again
        return False


def _about_buckets(planned: UsersPlan) -> str:
    """The number of buckets stays that of the run before, so that users are taken over; a log may outgrow it."""
    return (
        f"users: WARNING: {planned.num_rows:,} engagements in {planned.source.num_buckets} buckets, more than "
        f"{LARGE_BUCKET:,} each: --num-user-buckets {choose_num_buckets(planned.num_rows)} needs less memory (all "
        "users are computed once)"
    )


def _about_alpha(planned: UsersPlan) -> str:
    told = f"users: alpha {planned.alpha.alpha}, e = {planned.alpha.samples}"
    if planned.alpha.where == DEFAULT:
        return f"{told} are the defaults; itemsage users --calibrate ... chooses them on your data"
    return f"{told} of {printable(planned.alpha.where)}"


def _warn_of_other_settings(planned: UsersPlan) -> None:
    """A calibration holds for the settings that it was made with."""
    if not planned.alpha.is_calibrated:
        return
    made_for = read_sealed_json(planned.alpha.where)
    for name in _CALIBRATED_FOR:
        if name in made_for and made_for[name] != planned.facts[name]:
            flag = f"--{name.replace('_', '-')}"
            print(
                f"users: WARNING: alpha was calibrated with {flag} {quote(made_for[name])}, this run has "
                f"{quote(planned.facts[name])}: calibrate with the same {flag}",
                flush=True,
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    return main_of(UsersConfig, run_alone, argv, "itemsage users", EXAMPLE)
