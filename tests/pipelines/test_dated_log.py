"""A day of a log ends at the shop's midnight, whatever command cuts it, and another zone than before is told of."""

import dataclasses
import datetime as dt
import json
from pathlib import Path

import pytest
from command_configs import configs
from users_runs import DATE, ITEM_IDS, Row, finish_embeddings, row, run_users, users_of, vectors_of, write_log

from pipelines.evaluate.inputs import read_query_rows
from pipelines.log.dated_log import other_offsets_in_words, zone_of
from schemas.errors import UsageError

BERLIN = "Europe/Berlin"
#: What clocks of Berlin show -> UTC.
SUMMER, WINTER = dt.timedelta(hours=2), dt.timedelta(hours=1)
DATED = sorted(name for name, config in configs().items() if "time_zone" in config.__dataclass_fields__)


def at(user: str, shown: str, ahead: dt.timedelta, surface: str = "home") -> Row:
    """A click when clocks show that."""
    moment = dt.datetime.fromisoformat(shown).replace(tzinfo=dt.UTC) - ahead
    return {**row(user, ITEM_IDS[0], surface=surface), "timestamp": moment}


def manifest_of(run: Path, stage: str) -> dict:
    return json.loads((run / "manifests" / f"{stage}.json").read_text())


@pytest.fixture
def run(tmp_path) -> Path:
    finish_embeddings(tmp_path / "run", vectors_of())
    return tmp_path / "run"


@pytest.fixture
def evening(tmp_path) -> Path:
    """A log of the last hour of the day in Berlin and the first of the next, which are both the day before in UTC."""
    rows = [at("late", "2026-06-30 23:30", SUMMER), at("early", "2026-07-01 00:30", SUMMER)]
    asked = [at("late", "2026-06-30 23:59:59", SUMMER, "search"), at("early", "2026-07-01 00:00", SUMMER, "search")]
    return write_log(tmp_path / "log", [*rows, *asked])


@pytest.mark.medium
def test_half_past_eleven_is_of_the_day_and_half_past_midnight_is_not(run, evening):
    assert run_users(run, None, evening, f"--time-zone={BERLIN}") == 0
    assert list(users_of(run)) == ["late"]
    for stage in ("log", "users"):
        assert manifest_of(run, stage)["time_zone"] == BERLIN
        assert manifest_of(run, stage)["counts"]["rows_after_date"] == 2
    assert manifest_of(run, "users")["now_us"] == dt.datetime(2026, 6, 30, 22, tzinfo=dt.UTC).timestamp() * 1e6


def test_the_day_ends_in_utc_unless_said(run, evening):
    assert run_users(run, None, evening) == 0
    assert list(users_of(run)) == ["early", "late"]
    assert manifest_of(run, "users")["time_zone"] == "UTC"


def test_an_evaluation_cuts_at_the_same_midnight(evening):
    for zone, num_rows in ((BERLIN, 1), ("UTC", 2), ("America/New_York", 2)):
        found, counts, _ = read_query_rows(str(evening), DATE, zone, {})
        assert (len(found), counts["rows_after_date"]) == (num_rows, 2 * (zone == BERLIN))


@pytest.mark.medium
@pytest.mark.parametrize(("date", "ahead_before", "ahead_after"), [("2026-03-29", 1, 2), ("2026-10-25", 2, 1)])
def test_a_day_of_23_or_25_hours_has_all_of_its_hours(run, tmp_path, date, ahead_before, ahead_after):
    """The window is that day alone: the first and the last second are of it, those before and after are not."""
    before, after = (dt.timedelta(hours=hours) for hours in (ahead_before, ahead_after))
    day = dt.date.fromisoformat(date)
    rows = [
        at("too old", f"{day - dt.timedelta(days=1)} 23:59:59", before),
        at("first", f"{day} 00:00:00", before),
        at("last", f"{day} 23:59:59", after),
        at("after", f"{day + dt.timedelta(days=1)} 00:00:00", after),
    ]
    flags = (f"--date={date}", f"--time-zone={BERLIN}", "--window-days=1")
    assert run_users(run, None, write_log(tmp_path / "log", rows), *flags) == 0
    assert list(users_of(run)) == ["first", "last"]


def test_a_log_of_local_times_with_one_config_file(run, tmp_path):
    lines = [f"{user},{ITEM_IDS[0]},2026-{when}" for user, when in (("a", "06-30 23:30:00"), ("b", "07-01 00:30:00"))]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n")
    config = f'time_zone = "{BERLIN}"\n[columns.engagements]\ntimestamp = {{zone = "{BERLIN}"}}\n'
    (tmp_path / "shop.toml").write_text(config)
    assert run_users(run, None, tmp_path / "log.csv", f"--config={tmp_path / 'shop.toml'}") == 0
    assert list(users_of(run)) == ["a"]


@pytest.mark.medium
def test_another_zone_than_before_is_told_of(run, evening, capsys):
    assert run_users(run, None, evening) == 0
    assert run_users(run, None, evening) == 0
    assert "WARNING: the days of" not in capsys.readouterr().out
    assert run_users(run, None, evening, f"--time-zone={BERLIN}") == 0
    told = capsys.readouterr().out
    assert f"the days of the log of {run} end in 'UTC', those of this call in {BERLIN}" in told
    assert list(users_of(run)) == ["late"]


def test_the_zone_of_a_manifest(tmp_path):
    for text, zone in (('{"time_zone": "Asia/Tokyo"}', "Asia/Tokyo"), ("{}", "UTC"), ("[]", None), ("{", None)):
        (tmp_path / "manifest.json").write_text(text)
        assert zone_of(tmp_path / "manifest.json") == zone
    assert zone_of(tmp_path / "none.json") is None


def test_commands_that_cut_a_log_have_the_flag():
    assert {"train", "daily", "backfill", "users", "pairs", "index", "evaluate", "evaluate_users"} <= {
        name.replace("-", "_") for name in DATED
    }


@pytest.mark.parametrize("command", [name for name in DATED if name != "backfill"])  # which makes configs of daily
def test_an_unknown_zone_is_refused_by_every_command(command):
    config = configs()[command]
    needed = [field.name for field in dataclasses.fields(config) if field.default is dataclasses.MISSING]
    given = {name: DATE for name in needed if name != "columns"}
    with pytest.raises(UsageError, match=r"for --time-zone, got 'Europe/Berln': is it Europe/Berlin"):
        config(**given, time_zone="Europe/Berln")


def test_an_unknown_zone_is_exit_code_2(run, evening, capsys):
    assert run_users(run, None, evening, "--time-zone=Berlin") == 2
    assert "got 'Berlin': is it Europe/Berlin?" in capsys.readouterr().err


def offsets(num_with: int, num_without: int, num_since_1970: int = 0) -> dict[str, int]:
    """Counts of a log stage."""
    return {
        "times_with_offset": num_with,
        "times_without_offset": num_without,
        "times_since_1970": num_since_1970,
    }


@pytest.mark.parametrize(
    ("today", "yesterday", "is_told"),
    [
        (offsets(0, 100), offsets(100, 0), True),
        (offsets(100, 0), offsets(0, 100), True),
        (offsets(50, 50), offsets(100, 0), True),
        (offsets(95, 5), offsets(100, 0), False),
        (offsets(0, 100), offsets(0, 7), False),
        (offsets(0, 0), offsets(100, 0), False),  # an empty log
        (offsets(0, 0, 100), offsets(0, 100), False),  # numbers have no zone to lose
        (offsets(0, 0, 100), offsets(100, 0), False),
        (offsets(100, 0), offsets(0, 0, 100), False),
        (offsets(0, 100), offsets(0, 0, 100), True),
        (offsets(0, 100), {}, False),  # of an earlier version, or the first day
    ],
)
def test_times_that_lose_or_get_their_offset_overnight_are_told(today, yesterday, is_told):
    told = other_offsets_in_words(today, yesterday)
    assert bool(told) == is_told
    if is_told:
        assert f"{today['times_without_offset']} of 100 times of the log that were looked at have no offset" in told
        assert "[columns.engagements] timestamp = {zone = " in told
        assert ("100 were numbers since 1970" in told) == bool(yesterday["times_since_1970"])
