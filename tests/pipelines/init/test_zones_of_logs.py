"""`itemsage init` of a log with a column of time zones beside times that have no offset."""

import tomllib
from pathlib import Path

import pytest
from init_calls import write_csv, written

from schemas.columns.mapping import table_columns
from schemas.columns.spec import ColumnsOfTable
from schemas.reading.rows import plan_slices, read_slice
from schemas.tables import ENGAGEMENTS
from schemas.validation.log import validate_engagements

CLOCK, MOMENT = "2026-06-20 10:00:00", "2026-06-20T10:00:00Z"


def timestamp(name: str, *zones: str, time: str = CLOCK) -> object:
    """What is written of the times of a log whose rows have these zones in turn."""
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    rows = [f"{time},{zones[number % len(zones)]},u{number},{number % 5:06},view" for number in range(12)]
    write_csv("log.csv", f"event_time,{name},user_id,sku,event", *rows)
    return written("log.csv", "--from", "ga4", "--catalog", "p.csv")["columns"]["engagements"]["timestamp"]


def rehearse_hours() -> set[int]:
    """The hours, in UTC, at which the log's rows are read by what was written."""
    log = tomllib.loads(Path("shop.toml").read_text())["columns"]["engagements"]
    columns = ColumnsOfTable(table_columns({"engagements": log}, "engagements"), ["log.csv"])
    (file_slice,) = plan_slices(["log.csv"])
    (raw,) = read_slice(file_slice, columns, ENGAGEMENTS)
    return {time.hour for time in validate_engagements(raw, file_slice)[0]["timestamp"].to_pylist()}


@pytest.mark.parametrize(
    ("name", "zone", "told", "hour"),
    [
        ("timezone", "America/New_York", "America/New_York", 14),
        ("Time Zone", "Europe/Berlin", "Europe/Berlin", 8),
        ("utc_offset", "+02:00", "Etc/GMT-2", 8),
        ("tz", "UTC-5", "Etc/GMT+5", 15),
    ],
)
def test_one_zone_is_that_of_the_times_and_asked_about(capsys, name, zone, told, hour):
    assert timestamp(name, zone) == {"source": "event_time", "zone": told}
    (hours,) = rehearse_hours()
    assert hours == hour
    assert f"? timestamp: {name} is {zone} in each row, and these times have no" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "zones"),
    [
        ("timezone", ("America/New_York", "Europe/Berlin")),
        ("timezone", ("CEST",)),
        ("utc_offset", ("+05:30",)),
        ("customer_timezone", ("Europe/Berlin",)),
    ],
)
def test_other_zones_are_asked_about(capsys, name, zones):
    assert timestamp(name, *zones) == "event_time"
    assert f"? timestamp: {name} says a zone ({', '.join(zones)}), and these times have" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("zone", "time"), [("UTC", CLOCK), ("Europe/Berlin", MOMENT), ("Europe/Berlin", "1781949600"), ("", CLOCK)]
)
def test_times_that_say_their_moment_and_those_of_utc_need_none(capsys, zone, time):
    assert timestamp("timezone", zone, time=time) == "event_time"
    assert "? timestamp" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("date_created", "date_created_gmt"),
        ("created_at", "created_at_utc"),
        ("event_time", "UTC event time"),
        ("timestamp", "timestamp [UTC]"),
        ("event_time_local", "event_time_utc"),
    ],
)
def test_of_two_columns_of_one_time_the_one_that_says_utc_is_taken(local, utc):
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    rows = [f"2026-06-20 12:00:00,2026-06-20 10:00:00,Europe/Berlin,u{n},{n % 5:06},view" for n in range(12)]
    write_csv("log.csv", f"{local},{utc},timezone,user_id,sku,event", *rows)
    log = written("log.csv", "--from", "ga4", "--catalog", "p.csv")["columns"]["engagements"]
    assert log["timestamp"] == utc
    assert rehearse_hours() == {10}


def test_a_column_that_says_utc_and_is_empty_in_some_rows_is_not_taken():
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    times = ["2026-06-20 12:00:00,2026-06-20 10:00:00", "2026-06-20 12:00:00,"]
    rows = [f"{times[n % 2]},u{n},{n % 5:06},view" for n in range(12)]
    write_csv("log.csv", "created_at,created_at_utc,user_id,sku,event", *rows)
    log = written("log.csv", "--from", "ga4", "--catalog", "p.csv")["columns"]["engagements"]
    assert log["timestamp"] == "created_at"


def test_a_day_and_a_clock_that_say_utc_are_taken_together():
    write_csv("p.csv", "sku,name", *(f"{number:06},red mug {number}" for number in range(5)))
    rows = [f"2026-06-20,12:00,2026-06-20,10:00,u{n},{n % 5:06},view" for n in range(12)]
    write_csv("log.csv", "date,time,date_utc,time_utc,user_id,sku,event", *rows)
    log = written("log.csv", "--from", "ga4", "--catalog", "p.csv")["columns"]["engagements"]
    assert log["timestamp"] == ["date_utc", "time_utc"]
    assert rehearse_hours() == {10}
