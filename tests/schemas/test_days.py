"""Days of a time zone, against zoneinfo itself."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.days import DAY_US, Calendar, day_number, end_of_day_us, in_zone, time_zone
from schemas.errors import UsageError

HOUR_US = 3_600_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DATES = st.dates(date(1850, 1, 1), date(2199, 12, 31))
ZONES = st.sampled_from(sorted(available_timezones()))


def clock(time_us: int, zone: str) -> datetime:
    """What clocks of the zone show."""
    return (EPOCH + timedelta(microseconds=time_us)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@pytest.mark.medium
@given(zone=ZONES, day=DATES)
def test_a_day_starts_when_clocks_first_show_it(zone, day):
    start_us = Calendar(zone).start_us(day_number(day.isoformat()))
    midnight = datetime.combine(day, datetime.min.time())
    assert clock(start_us, zone) >= midnight
    for minutes in (0, 1, 59, 61, 119, 181, 24 * 60):
        assert clock(start_us - 1 - minutes * HOUR_US // 60, zone) < midnight


@pytest.mark.medium
@given(zone=ZONES, time_us=st.integers(-(10**15), 7 * 10**15))
def test_a_moment_is_of_the_day_that_clocks_show(zone, time_us):
    shown = clock(time_us, zone)
    day = day_number(shown.date().isoformat())
    calendar = Calendar(zone)
    is_within = calendar.start_us(day) <= time_us < calendar.start_us(day + 1)
    # where clocks go back over midnight, what they show again of the old day is of the new one
    assert is_within or (calendar.start_us(day + 1) <= time_us and shown.hour == 23)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("UTC", "2026-03-29", 24),
        ("Europe/Berlin", "2026-03-28", 24),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("America/Sao_Paulo", "2018-11-04", 23),  # midnight is skipped
        ("America/Havana", "2026-11-01", 25),  # midnight is shown twice
        ("Pacific/Apia", "2011-12-30", 0),  # the whole day is skipped
    ],
)
def test_days_are_as_long_as_clocks_make_them(zone, day, hours):
    calendar, number = Calendar(zone), day_number(day)
    assert (calendar.start_us(number + 1) - calendar.start_us(number)) / HOUR_US == hours
    assert end_of_day_us(day, zone) == calendar.start_us(number + 1)


def test_the_end_of_a_day_in_berlin():
    assert end_of_day_us("2026-06-30", "Europe/Berlin") == end_of_day_us("2026-06-30") - 2 * HOUR_US


def test_where_clocks_skip_midnight_the_day_starts_with_what_they_show_next():
    start_us = Calendar("America/Toronto").start_us(day_number("1919-03-31"))  # from 23:30 to 00:30
    assert clock(start_us, "America/Toronto") == datetime(1919, 3, 31, 0, 30)


@pytest.mark.parametrize("day", ["0001-01-01", "9998-12-31", "9999-12-31"])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_days_at_the_ends_of_the_calendar(zone, day):
    number = day_number(day)
    assert abs(Calendar(zone).start_us(number) - number * DAY_US) < DAY_US
    assert Calendar(zone).start_us(number - 40_000) < Calendar(zone).start_us(number)


def test_of_an_hour_that_is_shown_twice_the_first_counts():
    berlin = time_zone("Europe/Berlin")
    assert in_zone(datetime(2026, 10, 25, 2, 30, fold=1), berlin).astimezone(UTC).hour == 0
    assert in_zone(datetime(2026, 3, 29, 2, 30), berlin).astimezone(UTC) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Europe/Berln", "is it Europe/Berlin"),
        ("Berlin", r"is it Europe/Berlin\?"),
        ("america/new_york", r"is it America/New_York\?"),
        ("New York", r"is it America/New_York\?"),
        ("utc", r"is it UTC\?"),
        ("+02:00", r"got '\+02:00'$"),
        ("", "got ''$"),
        ("../../etc/passwd", "got '../../etc/passwd'$"),
    ],
)
def test_an_unknown_zone_is_refused_with_those_that_are_like_it(name, near):
    with pytest.raises(UsageError, match=f"expected the IANA name of a time zone.* for --time-zone, .*{near}"):
        Calendar(name)


def test_a_day_that_is_none():
    with pytest.raises(UsageError, match="expected --date as YYYY-MM-DD, got '2026-02-30'"):
        end_of_day_us("2026-02-30")
