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

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.console.jobs import narrow
from pipelines.console.terminal import in_words
from pipelines.gates.log import check_log, require_passed_log
from pipelines.log.engagement_log import Log, LogConfig
from pipelines.log.read_engagements import slice_unit
from pipelines.run.accounting import kinds_of, today_and_yesterday
from pipelines.run.opened import DAMAGE, Run
from pipelines.run.stage import Stage, job_of, run_stage
from pipelines.run.unit_files import manifest_path
from pipelines.run.units import Unit, check_not_published, read_stage_manifest
from pipelines.users.alpha import DEFAULT
from pipelines.users.cluster import POPULARITY_UNIT, ClusterUsers, write_popularity_sum
from pipelines.users.config import ROWS_A_BUCKET, UsersConfig
from pipelines.users.plan import CODE_VERSION, UsersPlan, choose_num_buckets, plan
from pipelines.users.read_actions import READ_PROGRESS, ReadActions, why_unused
from schemas import storage
from schemas.columns.raw_rows import FileSlice
from schemas.errors import CorruptFileError, ThresholdError, printable
from schemas.files import read_sealed_json
from schemas.quarantine import quote
from schemas.records.user_rows import USERS_FOLDER, USERS_STAGE

__all__ = ["CODE_VERSION", "UsersConfig", "UsersPlan", "build", "main", "plan", "run"]
_SHOWN = (
    *("rows_read", "rows_quarantined", "rows_used"),
    *("users_written", "users_reused", "users_computed", "clusters_written"),
)
#: Why a row makes no action. Shown where there are some: with those above they say what became of every row.
_SKIPPED = ("after_date", "other_actions", "without_user", "too_old", "equal", "item_unknown", "over_cap")
_LEFT_OUT = tuple(f"rows_{name}" for name in _SKIPPED)
#: What a calibration chose for, and what it depends on.
_CALIBRATED_FOR = ("actions", "max_actions", "window_days", "decay_per_day", "time_zone")
#: Engagements a bucket beyond which the memory of a worker is told of.
LARGE_BUCKET = 8 * ROWS_A_BUCKET
EXAMPLE = "itemsage users --run store/runs/2026-06-30/0123456789abcdef --engagements log.parquet --date 2026-06-30"


class Users(Stage[UsersConfig]):
    """Actions read = used + skipped, each for one reason. Judges the log first."""

    name = USERS_STAGE
    config_class = UsersConfig
    code_versions = (CODE_VERSION,)
    bars = (READ_PROGRESS,)
    compared = "users"
    identities = (
        f"actions_read = actions_used + actions_quarantined + {' + '.join(f'actions_{name}' for name in _SKIPPED)}",
        "users = users_reused + users_computed",
        "users_computed = users_changed + users_new",
        "users_yesterday = users_reused + users_changed + users_gone",
    )

    @functools.cached_property
    def planned(self) -> UsersPlan:
        """Raises what `plan` raises."""
        return plan(self.config)

    def unit_of(self, part: FileSlice) -> Unit:
        """The unit that counts what was read from a slice."""
        return slice_unit(part, self.planned.source.fingerprint, USERS_STAGE)

    @property
    def units(self) -> list[Unit]:
        planned = self.planned
        popularity = Unit(USERS_STAGE, POPULARITY_UNIT, planned.source.fingerprint)
        return [*map(self.unit_of, planned.slices), *planned.buckets, popularity]

    @functools.cached_property
    def todo(self) -> list[Unit]:
        """The buckets that are to be written, and all slices; without any, the slices that are not counted yet."""
        unfinished = set(self.unfinished)
        buckets = [unit for unit in self.planned.buckets if unit in unfinished]
        read = [unit for unit in map(self.unit_of, self.planned.slices) if buckets or unit in unfinished]
        return [*read, *buckets]

    def prepare(self, options: PipelineOptions) -> None:
        planned = self.planned
        run_stage(Log(narrow(LogConfig, self.config)), options)
        print(_about_alpha(planned), flush=True)
        _warn_of_other_settings(planned)
        if planned.num_rows > LARGE_BUCKET * planned.source.num_buckets:
            print(_about_buckets(planned), flush=True)
        if self.todo or _asking_changes(planned):  # a published run is refused before anything is read
            check_not_published(self.run, USERS_STAGE)
            storage.remove(manifest_path(self.run, USERS_STAGE), missing_ok=True)

    def define(self, root: beam.Pipeline) -> beam.PCollection[dict[str, Any]]:
        planned, source, todo = self.planned, self.planned.source, set(self.todo)
        slices = [part for part in planned.slices if self.unit_of(part) in todo]
        buckets = [bucket for bucket, unit in enumerate(planned.buckets) if unit in todo]
        read = ReadActions(source, buckets, planned.num_rows)
        pieces = root | "Slices" >> beam.Create(slices, reshuffle=False) | read
        every_bucket = root | "Every bucket" >> beam.Create([(bucket, b"") for bucket in buckets])
        return (
            (pieces, every_bucket)
            | "Actions and buckets" >> beam.Flatten()
            | ClusterUsers(planned.run, planned.buckets, source.vectors, planned.rules, planned.earlier)
        )

    def facts(self) -> dict[str, Any]:
        return self.planned.facts

    def seal(self) -> dict[str, Any]:
        buckets = [unit.name for unit in self.planned.buckets]
        write_popularity_sum(self.run, self.planned.source.fingerprint, buckets)
        return super().seal()

    def shown(self, counts: dict[str, int]) -> dict[str, int]:
        return {name: counts.get(name, 0) for name in _SHOWN} | _left_out(counts)

    def tell(self, manifest: dict[str, Any], started_s: float) -> None:
        """A log that makes no user is told of in a warning."""
        super().tell(manifest, started_s)
        if not manifest["counts"]["users_written"]:
            why = in_words(_left_out(manifest["counts"])) or "no rows left out"
            print(
                f"users: WARNING: expected at least one user, got none: {why}; {self.run}/quarantine has the bad rows"
            )

    @staticmethod
    def account(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
        made = counts[USERS_STAGE]
        return {
            **{f"actions_{name}": made.get(f"rows_{name}", 0) for name in ("read", "used", "quarantined", *_SKIPPED)},
            "users": made.get("users_written", 0),
            **kinds_of("users", made),
            "users_without_items": made.get("users_without_items", 0),
            "clusters": made.get("clusters_written", 0),
        }

    @staticmethod
    def told(counts: Mapping[str, int]) -> str:
        if "users" not in counts:
            return ""
        more = f"; {counts['clusters']:,} clusters of {counts['actions_used']:,} actions"
        return today_and_yesterday("users", "users", "users", counts, more)

    @classmethod
    def problems(cls, run: Run) -> Iterator[str]:
        """Of its files, then of each bucket of users/, made from the embeddings."""
        yield from super().problems(run)
        num_files, num_users, faults = len(run.checked_folder(USERS_FOLDER)), 0, 0
        if num_files != run.num_user_buckets:
            yield f"expected a file for each of {run.num_user_buckets} buckets in {USERS_FOLDER}/, got {num_files}"
            return
        for bucket in range(num_files):
            try:
                num_users += len(run.users(bucket).ids)
            except DAMAGE as error:
                faults += 1
                yield str(error)
        if not faults and num_users != (counted := run.manifest(USERS_STAGE).count("users_written")):
            yield f"expected {counted} users, got {num_users}: run the users stage again"

    @classmethod
    def soundness(cls, run: Run) -> str:
        return f"{run.manifest(USERS_STAGE).count('users_written'):,} users, their medoids are the items' vectors"


def _left_out(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: counts[name] for name in _LEFT_OUT if counts.get(name)}


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


build, _run, main = job_of(Users, EXAMPLE, lambda config, options: run_alone(config, options))


def run(config: UsersConfig, options: PipelineOptions) -> dict[str, Any]:
    """Clusters the users and returns the stage manifest; with `calibrate`, chooses alpha and the number of samples and
    returns the calibration."""
    if config.calibrate:
        from pipelines.users.calibrate import calibrate  # only calibrating needs an evaluation

        return calibrate(config)
    return _run(config, options)


def run_alone(config: UsersConfig, options: PipelineOptions) -> dict[str, Any]:
    """The job as a command of its own, with the gates of the log. Raises what `run` raises; ThresholdError if too much
    of the log is rejected, nothing of it is of use, or nothing makes a user, and then the stage is not finished."""
    if not config.calibrate:
        log = run_stage(Log(narrow(LogConfig, config)), options)["counts"]
        require_passed_log(check_log(log, config), "users are made")
    made = run(config, options)
    counts = made.get("counts", {})
    if counts.get("rows_read") and not counts.get("rows_used"):
        if not storage.has(Path(config.run, "COMPLETED")):
            storage.remove(manifest_path(config.run, USERS_STAGE))
        left_out = {name: counts.get(name, 0) for name in ("rows_read", "rows_quarantined", *_LEFT_OUT)}
        raise ThresholdError(
            f"expected rows of {config.engagements} that make users, got none: "
            f"{why_unused(left_out, f'see {config.run}/quarantine')}"
        )
    return made
