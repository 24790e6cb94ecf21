"""Where the days of an engagement log end: the flag of the commands that cut a log by date, and what manifests say."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.console.jobs import flag
from pipelines.console.thresholds import LogThresholds
from schemas.cells.times import OFFSETS, SINCE_1970, WITH_OFFSET, WITHOUT_OFFSET
from schemas.days import UTC_NAME, Calendar
from schemas.errors import CorruptFileError
from schemas.files import read_json
from schemas.quarantine import quote

TIME_ZONE_HELP = "IANA name of the time zone whose midnight ends a day, such as Europe/Berlin"

#: Of the share of times with an offset, or without one, what it moves by where an export is as it was.
_USUAL_MOVE = 0.1


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


def other_offsets_in_words(today: Mapping[str, int], yesterday: Mapping[str, int]) -> str:
    """What to know where the times of a log have lost their offset since yesterday, or have one since, from the counts
    of both days' log stage; "" where they are written as they were, or as numbers since 1970 now, or a day did not
    look.

    >>> other_offsets_in_words({"times_without_offset": 9}, {"times_with_offset": 9})[:69]
    '9 of 9 times of the log that were looked at have no offset, yesterday'
    """
    total, total_before = (sum(counts.get(offset, 0) for offset in OFFSETS) for counts in (today, yesterday))
    if not (total and total_before):
        return ""
    offsets = (WITHOUT_OFFSET, WITH_OFFSET)
    more = {name: today.get(name, 0) / total - yesterday.get(name, 0) / total_before for name in offsets}
    is_lost = more[WITHOUT_OFFSET] > _USUAL_MOVE
    is_since = more[WITHOUT_OFFSET] < -_USUAL_MOVE and more[WITH_OFFSET] > _USUAL_MOVE
    if not (is_lost or is_since):
        return ""
    numbers = f" and {yesterday[SINCE_1970]:,} were numbers since 1970" if yesterday.get(SINCE_1970) else ""
    return (
        f"{today.get(WITHOUT_OFFSET, 0):,} of {total:,} times of the log that were looked at have no offset, yesterday "
        f"{yesterday.get(WITHOUT_OFFSET, 0):,} of {total_before:,}{numbers}: they may be hours away from what they "
        "were. If they are now of the clocks of a zone, say so in the config: [columns.engagements] timestamp = "
        '{zone = "Europe/Berlin"}; if the offset was lost, write it again'
    )
