"""The flags of the users job, and the checks of what they name that need no row."""

import math
import re
from dataclasses import dataclass
from typing import Any, Protocol

from pipelines.console.jobs import flag
from pipelines.log.dated_log import DatedLog
from pipelines.run.listed_files import EMBEDDINGS, VECTORS, VECTORS_HELP
from pipelines.store.store import check_date
from pipelines.users.alpha import MAX_SAMPLES
from schemas.columns.mapping import table_columns
from schemas.columns.spec import ColumnsOfTable
from schemas.days import day_number
from schemas.errors import UsageError
from schemas.files import expand_inputs
from schemas.quarantine import quote
from schemas.reading.input_files import check_columns
from schemas.records.user_rows import MAX_USER_BUCKETS
from schemas.tables import ENGAGEMENTS, POSITIVE_ACTIONS

ROWS_A_BUCKET = 100_000
#: Clustering needs about 20 bytes for every pair of a user's actions: 2 GB here.
MOST_ACTIONS = 10_000
#: What decides a calibration: as in model/users/calibration.py, whose import takes seconds.
ALL, NEW, BALANCED = "all", "new", "balanced"
LIST_LENGTH_HELP = "recommended items that are judged; 0: one for 50 items of the catalogue, from 20 to 400"
#: The neighbours of every item that is asked with are held in memory.
MOST_LISTED = 10_000
_NEVER = frozenset(("impression", "return"))
#: Numbers of samples that one calibration tries.
MOST_NUMBERS = 10
_NUMBER = re.compile("[0-9]{1,3}")


@dataclass(frozen=True, kw_only=True)
class UserSettings:
    """Which actions make users, and how."""

    window_days: int = flag(default=90, help="older actions do not count")
    alpha: float | None = flag(default=None, help="largest squared distance of a merge; default: as calibrated")
    decay_per_day: float = flag(default=0.01, help="of an action's importance")
    actions: str = flag(
        default=",".join(POSITIVE_ACTIONS), help="the actions that count, separated by commas", by_commas=True
    )
    max_actions: int = flag(default=2_000, help="the newest actions of a user that are clustered")
    num_user_buckets: int = flag(
        default=0,
        help=f"files of users; 0: as the run before has, else one for {ROWS_A_BUCKET} engagements, at least 4",
    )

    def check_user_settings(self) -> None:
        """Raises UsageError for values out of range."""
        _ = self.action_kinds
        bounds = {
            "window_days": (1, 36_500),
            "max_actions": (1, MOST_ACTIONS),
            "num_user_buckets": (0, MAX_USER_BUCKETS),
        }
        for name, (least, most) in bounds.items():
            _expect(least <= getattr(self, name) <= most, name, f"from {least} to {most}", getattr(self, name))
        for name in ("alpha", "decay_per_day"):
            number = getattr(self, name)
            _expect(number is None or (math.isfinite(number) and number >= 0), name, "of at least 0", number)

    @property
    def action_kinds(self) -> tuple[str, ...]:
        """The actions that count, in the order of the enumeration."""
        given = {name.strip() for name in self.actions.split(",") if name.strip()}
        if not given or not given <= set(POSITIVE_ACTIONS):
            others = sorted(given - set(POSITIVE_ACTIONS))
            got = f"{', '.join(map(quote, others))} in {quote(self.actions)}" if others else quote(self.actions)
            why = ": impressions and returns say nothing of what a user wants" if given & _NEVER else ""
            raise UsageError(f"expected --actions of {', '.join(POSITIVE_ACTIONS)}, got {got}{why}")
        return tuple(name for name in POSITIVE_ACTIONS if name in given)


@dataclass(frozen=True, kw_only=True)
class UsersConfig(UserSettings, DatedLog):
    """Clusters the items that each user acted on: several vectors per user (PinnerSage)."""

    run: str = flag(path=True, help="run folder; users/, user_actions/ and item_popularity/ are written there")
    embeddings: str | None = flag(
        path=True, default=None, help="item vectors: any embeddings Parquet; default: the run's"
    )
    vectors: str = flag(default=EMBEDDINGS, choices=VECTORS, help=VECTORS_HELP)
    engagements: str = flag(path=True, help="engagements: a file, a folder or a glob; {date} means --date")
    date: str = flag(help="the day, YYYY-MM-DD, of --time-zone: users are as at its end")
    calibration: str | None = flag(
        path=True, default=None, help="calibration file; default: the store's for these vectors"
    )
    calibrate: bool = flag(
        default=False,
        help="choose alpha, the number of medoids, sampled or the top ones, and the weight of popularity on these "
        "data, write the calibration; nothing else",
    )
    calibrate_samples: str = flag(
        default="3,5,10,20",
        help="with --calibrate: numbers of medoids to try, separated by commas",
        by_commas=True,
    )
    calibrate_users: int = flag(
        default=5_000, help="with --calibrate: at most so many users, drawn by a hash of their ids, are measured"
    )
    calibrate_for: str = flag(
        default=BALANCED,
        choices=(BALANCED, ALL, NEW),
        help="with --calibrate: recall of all items of a day decides, or of those that are new to the user, or the "
        "geometric mean of both and R-precision",
    )
    list_length: int = flag(default=0, help=f"with --calibrate: {LIST_LENGTH_HELP}")
    accept_training_days: bool = flag(
        default=False, help="with --calibrate: days that the item model was trained on may be held out too"
    )
    calibration_days: int = flag(default=7, help="with --calibrate: the days up to --date that are held out in turn")
    reuse_from: str | None = flag(
        path=True, default=None, help="earlier run folder whose clusters of equal actions are reused"
    )
    columns: dict[str, Any] = flag(default={}, help="[columns.engagements]: our column name -> the shop's")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_date(self.date)
        self.check_user_settings()
        _ = self.calibrated_samples
        _expect(1 <= self.calibration_days <= 366, "calibration_days", "from 1 to 366", self.calibration_days)
        _expect(self.calibrate_users >= 1, "calibrate_users", "of at least 1", self.calibrate_users)
        kinds = (BALANCED, ALL, NEW)
        _expect(self.calibrate_for in kinds, "calibrate_for", f"of {', '.join(kinds)}", quote(self.calibrate_for))
        check_list_length(self.list_length)

    @property
    def calibrated_samples(self) -> tuple[int, ...]:
        """The numbers of samples to calibrate for, each once, ascending."""
        given = [part.strip() for part in self.calibrate_samples.split(",")]
        good = len(given) <= MOST_NUMBERS and all(_NUMBER.fullmatch(part) for part in given)
        nums = {int(part) for part in given} if good else set()
        if not nums or min(nums) < 1 or max(nums) > MAX_SAMPLES:
            raise UsageError(
                f"expected --calibrate-samples as 1 to {MOST_NUMBERS} numbers from 1 to {MAX_SAMPLES}, separated by "
                f"commas, got {quote(self.calibrate_samples)}"
            )
        return tuple(sorted(nums))

    @property
    def now_us(self) -> int:
        """The end of the day, in microseconds since 1970."""
        return self.calendar.start_us(self.next_day)

    @property
    def next_day(self) -> int:
        """The number of the day after, since 1970-01-01."""
        return day_number(self.date) + 1


class UsersInput(Protocol):
    """What check_users_input looks at: a UsersConfig, or the config of a daily run."""

    @property
    def engagements(self) -> str | None: ...
    @property
    def date(self) -> str: ...
    @property
    def columns(self) -> dict[str, Any]: ...
    def check_user_settings(self) -> None: ...


def check_users_input(config: UsersInput) -> tuple[list[str], ColumnsOfTable]:
    """The engagement files and their columns (our name -> the shop's). Raises UsageError for settings out of range,
    engagements that are not there, or without a column that is mapped or needed: before hours of work."""
    config.check_user_settings()
    assert config.engagements is not None
    files = expand_inputs(config.engagements, config.date)
    columns = ColumnsOfTable(table_columns(config.columns, "engagements"), files)
    check_columns(files, columns, ENGAGEMENTS)
    return files, columns


def check_list_length(list_length: int) -> None:
    """Raises UsageError for one out of range."""
    _expect(0 <= list_length <= MOST_LISTED, "list_length", f"from 1 to {MOST_LISTED:,}, or 0", list_length)


def _expect(holds: bool, name: str, what: str, got: object) -> None:
    if not holds:
        raise UsageError(f"expected --{name.replace('_', '-')} {what}, got {got}")
