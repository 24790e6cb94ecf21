"""Days as a shop counts them: from midnight to midnight of its zone, of 23 or 25 hours where clocks are changed."""

import difflib
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from schemas.errors import UsageError
from schemas.quarantine import quote

DAY_US = 86_400_000_000
UTC_NAME = "UTC"
#: Names that a message suggests.
_MOST_NEAR = 3
_EPOCH_DAY = date(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
#: Days of which datetime can name every hour in every zone, since 1970.
_FIRST_DAY, _END_DAY = ((date(year, 1, 1) - _EPOCH_DAY).days for year in (2, 9999))


@lru_cache(maxsize=64)
def time_zone(name: str, source: str = "--time-zone") -> ZoneInfo:
    """The zone of an IANA name, spelled as there. Raises UsageError for another name, with those that are like it;
    source: where the name was given."""
    known = available_timezones() | {UTC_NAME}
    if name not in known:
        near = _near_names(name, sorted(one for one in known if not one.startswith("Etc/")))  # GMT+2 is west there
        told = f": is it {' or '.join(near)}?" if near else ""
        if known == {UTC_NAME}:
            told = ": this machine has no table of time zones; pip install tzdata"
        raise UsageError(
            f"expected the IANA name of a time zone, such as Europe/Berlin, for {source}, got {quote(name)}{told}"
        )
    return ZoneInfo(name)


def in_zone(local: datetime, zone: tzinfo) -> datetime:
    """The moment at which clocks of the zone show `local`, which has no zone: of an hour that they show twice the first
    one, of an hour that they skip the time that it would have been had they not been changed.

    >>> in_zone(datetime(2026, 10, 25, 2, 30), ZoneInfo("Europe/Berlin")).astimezone(UTC).hour
    0
    """
    return local.replace(tzinfo=zone, fold=0)


@dataclass(frozen=True)
class Calendar:
    """The days of a time zone, numbered since 1970-01-01. zone: its IANA name; UsageError for none."""

    zone: str = UTC_NAME

    def __post_init__(self) -> None:
        time_zone(self.zone)

    def start_us(self, day: int) -> int:
        """The first instant of a day, in microseconds since 1970, UTC: the first at which clocks show its midnight or,
        where they skip midnight, a later time. The next day's is its end. Before the year 2 and after 9998 days are
        UTC's.

        >>> berlin, day = Calendar("Europe/Berlin"), day_number("2026-03-29")
        >>> (berlin.start_us(day + 1) - berlin.start_us(day)) // 3_600_000_000
        23
        """
        if self.zone == UTC_NAME or not _FIRST_DAY <= day < _END_DAY:
            return day * DAY_US
        return _first_second(datetime.combine(_EPOCH_DAY + timedelta(days=day), datetime.min.time()), self.zone) * 10**6


def day_number(day: str) -> int:
    """Days since 1970-01-01 of a day YYYY-MM-DD. Raises UsageError for what is no date."""
    try:
        return (date.fromisoformat(day) - _EPOCH_DAY).days
    except ValueError as error:
        raise UsageError(f"expected --date as YYYY-MM-DD, got {day!r}") from error


def end_of_day_us(day: str | None, zone: str = UTC_NAME) -> int | None:
    """The first instant after a day YYYY-MM-DD of a time zone, in microseconds since 1970, UTC; None for None. Raises
    UsageError for what is no date or no zone.

    >>> end_of_day_us("1970-01-01") == DAY_US
    True
    """
    return None if day is None else Calendar(zone).start_us(day_number(day) + 1)


def instant_in_words(time_us: float) -> str:
    """An instant since 1970.

    >>> instant_in_words(0)
    '1970-01-01 00:00 UTC'
    """
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _first_second(midnight: datetime, zone: str) -> int:
    """The first second since 1970 at which clocks of the zone show `midnight` or more."""
    clock = time_zone(zone)
    low, high = sorted((midnight.replace(tzinfo=clock, fold=fold) - _EPOCH) // _SECOND for fold in (0, 1))

    def shown(second: int) -> datetime:
        return (_EPOCH + timedelta(seconds=second)).astimezone(clock).replace(tzinfo=None)

    if shown(low) >= midnight:
        return low
    return low + bisect_left(range(low, high), midnight, key=shown)  # clocks skip midnight between the two


def _near_names(name: str, known: list[str]) -> list[str]:
    """Names that are like a wrong one, or end in it."""
    plain = name.strip().replace(" ", "_").casefold()
    ends = [one for one in known if plain and one.casefold().rpartition("/")[2] == plain.rpartition("/")[2]]
    by_plain = {one.casefold(): one for one in known}
    by_end = {one.casefold().rpartition("/")[2]: one for one in known if "/" in one}
    near = [by_plain[one] for one in difflib.get_close_matches(plain, by_plain, _MOST_NEAR, cutoff=0.75)]
    near += [by_end[one] for one in difflib.get_close_matches(plain, by_end, _MOST_NEAR, cutoff=0.75)]
    return list(dict.fromkeys([*ends, *near]))[:_MOST_NEAR]
