"""Where the days of an engagement log end: the flag of the commands that cut a log by date, and what manifests say."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.console.jobs import flag
from pipelines.console.thresholds import LogThresholds
from schemas.days import UTC_NAME, Calendar
from schemas.errors import CorruptFileError
from schemas.files import read_json
from schemas.quarantine import quote

TIME_ZONE_HELP = "IANA name of the time zone whose midnight ends a day, such as Europe/Berlin"


@dataclass(frozen=True, kw_only=True)
class DatedLog(LogThresholds):
    """How much of a log may be rejected, and where its days end. Raises UsageError for a zone that there is not."""

    time_zone: str = flag(default=UTC_NAME, help=TIME_ZONE_HELP)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.calendar

    @property
    def calendar(self) -> Calendar:
        """The days of the shop."""
        return Calendar(self.time_zone)


def zone_of(manifest: Path) -> str | None:
    """The time zone that a manifest names, UTC where it names none; None if there is none that can be read."""
    try:
        found = read_json(manifest)
    except (CorruptFileError, OSError):
        return None
    return str(found.get("time_zone", UTC_NAME)) if isinstance(found, dict) else None


def tell_of_other_zone(what: str, made_in: str | None, time_zone: str) -> None:
    """Prints a warning if something was made with days of another zone."""
    if made_in not in (None, time_zone):
        print(
            f"WARNING: the days of {what} end in {quote(made_in)}, those of this call in {time_zone}: engagements near "
            "midnight may be counted twice or not at all; give every call the same --time-zone",
            flush=True,
        )
