"""Times, however systems write them: alone and in a column, with a zone and without."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.cells.text import UnreadableCellError
from schemas.cells.times import fast_timestamps, timestamp_of

NOON = datetime(2026, 6, 20, 12, tzinfo=UTC)
SECONDS = int(NOON.timestamp())
WRITTEN = [
    SECONDS,
    SECONDS * 1_000,
    SECONDS * 1_000_000,
    SECONDS * 1_000_000_000,
    float(SECONDS),
    Decimal(SECONDS),
    str(SECONDS),
    f"{SECONDS}.000",
    str(SECONDS * 1_000),
    f" {SECONDS}000000 ",
    "2026-06-20 12:00:00 UTC",
    "2026-06-20 12:00:00.000000 UTC",
    "2026-06-20T12:00:00Z",
    "2026-06-20 14:00:00+02",
    "2026-06-20 14:00:00 +0200",
    "Sat, 20 Jun 2026 12:00:00 GMT",
    "20 Jun 2026 14:00:00 +0200",
    "20260620T120000Z",
    "20260620T1200Z",
    "20260620T140000.000+0200",
]


@pytest.mark.parametrize("value", WRITTEN)
def test_times_as_systems_write_them(value: Any) -> None:
    assert timestamp_of(value) == NOON
    if not isinstance(value, Decimal):
        fast = fast_timestamps(pa.array([value, None]))
        assert fast is None or fast.to_pylist() == [NOON, None]


@pytest.mark.parametrize(
    "value",
    [
        *(20260620, "20260620", "20260620120000", 202606201200, 0, 5, -SECONDS, "06/20/2026", 1e300),
        *(2026062010, "2026062010", 2026062010.0, Decimal(2026062010), "20260620T", "20260620T10"),
    ],
)
def test_times_that_need_to_be_told(value: Any) -> None:
    with pytest.raises(UnreadableCellError):
        timestamp_of(value)
    if not isinstance(value, Decimal):
        assert fast_timestamps(pa.array([value])) is None


def test_seconds_that_are_no_date_and_hour_stay_seconds() -> None:
    for number in (2026_02_30_10, 2026_13_01_10, 2026_06_20_24, 1989_12_31_23):
        assert timestamp_of(number) == datetime.fromtimestamp(number, UTC)
    assert timestamp_of(2026062010.5) == datetime.fromtimestamp(2026062010.5, UTC)
    fast = fast_timestamps(pa.array([1989_12_31_23, 2026_06_20_24]))
    assert fast is not None
    assert fast.null_count == 0
    told = fast_timestamps(pa.array([2026062010]), "s")
    assert told is not None
    assert told.to_pylist() == [timestamp_of(2026062010, "s")]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (20260620, "%Y%m%d"),
        (2026062000, "%Y%m%d%H"),
        ("20.06.2026", "%d.%m.%Y"),
        (SECONDS - 43_200, "s"),
        ((SECONDS - 43_200) * 1000.0, "ms"),
        (str(SECONDS - 43_200), "s"),
    ],
)
def test_times_that_are_told(value: Any, told: str) -> None:
    assert timestamp_of(value, told) == datetime(2026, 6, 20, tzinfo=UTC)
    fast = fast_timestamps(pa.array([value]), told)
    assert fast is None or fast.to_pylist() == [datetime(2026, 6, 20, tzinfo=UTC)]


@pytest.mark.medium
@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1), st.sampled_from([None, "s", "ms", "us", "ns"])
)
def test_numbers_are_the_same_times_alone_and_in_a_column(values: list[int | None], told: str | None) -> None:
    alone: list[datetime | None] = []
    bad = False
    for value in values:
        try:
            alone.append(None if value is None else timestamp_of(value, told))
        except UnreadableCellError:
            bad = True
    for column in (
        pa.array(values, pa.int64()),
        pa.array([None if v is None else str(v) for v in values], pa.string()),
    ):
        fast = fast_timestamps(column, told)
        if fast is not None:
            assert not bad
            assert fast.to_pylist() == alone


@pytest.mark.medium
@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(available_timezones())),
    st.lists(st.none() | st.datetimes(datetime(1850, 1, 1), datetime(2199, 1, 1)), min_size=1, max_size=3),
    st.booleans(),
)
def test_times_without_a_zone_are_those_of_the_zone_that_is_told(
    zone: str, shown: list[datetime | None], near_now: bool
) -> None:
    if near_now:  # where Arrow knows all changes of clocks
        shown = [moment and moment.replace(year=1990 + moment.year % 40, day=min(moment.day, 28)) for moment in shown]
    expected = [moment and moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for moment in shown]
    assert [moment and timestamp_of(moment, None, zone) for moment in shown] == expected
    assert [moment and timestamp_of(moment.isoformat(" "), None, zone) for moment in shown] == expected
    texts = pa.array([moment and moment.isoformat() for moment in shown])
    for column in (pa.array(shown, pa.timestamp("us")), texts):
        fast = fast_timestamps(column, None, zone)
        assert fast is None or fast.to_pylist() == expected


@pytest.mark.parametrize("value", [*WRITTEN, "Sat, 20 Jun 2026 12:00:00 -0000", NOON])
def test_times_with_a_zone_and_numbers_are_not_of_the_zone_that_is_told(value: Any) -> None:
    assert timestamp_of(value, None, "Asia/Tokyo") == NOON
    if not isinstance(value, Decimal):
        fast = fast_timestamps(pa.array([value, None]), None, "Asia/Tokyo")
        assert fast is None or fast.to_pylist() == [NOON, None]


def test_dates_begin_in_the_zone_that_is_told() -> None:
    start = datetime(2026, 6, 19, 22, tzinfo=UTC)
    assert timestamp_of("20.06.2026", "%d.%m.%Y", "Europe/Berlin") == start
    assert timestamp_of(date(2026, 6, 20), None, "Europe/Berlin") == start
    fast = fast_timestamps(pa.array([date(2026, 6, 20)]), None, "Europe/Berlin")
    assert fast is not None
    assert fast.to_pylist() == [start]
