"""In which format dates are written that nobody has told: found where it shows, all said where it does not."""

from datetime import datetime

import pytest

from schemas.cells.date_formats import date_formats, ways_of_dates
from schemas.columns.mapping import table_columns
from schemas.columns.spec import column_of

STRAY = "06.07.2026"
#: Texts that a column of dates may have, and its format need not read.
NO_DATES = ("n/a", STRAY)


@pytest.mark.parametrize(
    ("texts", "formats"),
    [
        (["30.06.2026"], ["%d.%m.%Y"]),
        (["01.02.2026", "30.06.2026", "n/a"], ["%d.%m.%Y"]),
        (["06/30/2026"], ["%m/%d/%Y"]),
        (["06/07/2026"], ["%d/%m/%Y", "%m/%d/%Y"]),
        (["6/30/26"], ["%m/%d/%y"]),
        (["2026/06/30 10:05"], ["%Y/%m/%d %H:%M"]),
        ([" 30.06.2026 10:05:07 "], ["%d.%m.%Y %H:%M:%S"]),
        (["30-06-2026T10:05:07.25"], ["%d-%m-%YT%H:%M:%S.%f"]),
        (["06/30/2026 1:05:07 PM"], ["%m/%d/%Y %I:%M:%S %p"]),
        (["30.06.2026, 10:05"], ["%d.%m.%Y, %H:%M"]),
        (["30.06.2026 10:05 +0200"], ["%d.%m.%Y %H:%M %z"]),
        (["20260630"], ["%Y%m%d"]),
        (["20260630100507"], ["%Y%m%d%H%M%S"]),
        (["2026063010"], ["%Y%m%d%H"]),
        (["260630"], ["%y%m%d"]),
        (["2606301005"], ["%y%m%d%H%M"]),
        (["260630100507"], ["%y%m%d%H%M%S"]),
        (["202606301005"], ["%Y%m%d%H%M"]),
        (["30/Jun/2026:10:00:00 +0000"], ["%d/%b/%Y:%H:%M:%S %z"]),
        (["Tue Jun 30 10:00:00 2026"], ["%a %b %d %H:%M:%S %Y"]),
        (["Tue Jun 30 10:00:00 UTC 2026"], ["%a %b %d %H:%M:%S UTC %Y"]),
        (["Tue Jun 30 10:00:00 2026 +0200"], ["%a %b %d %H:%M:%S %Y %z"]),
        (["Tue Jun 30 10:00:00 +0000 2026"], ["%a %b %d %H:%M:%S %z %Y"]),
        (["Tue Jun 30 10:00:00 CEST 2026"], []),
        (["2026-06-30T10:00:00Z[UTC]"], ["%Y-%m-%dT%H:%M:%S%z[UTC]"]),
        (["2026-06-30T12:00:00.250+02:00[Europe/Berlin]"], ["%Y-%m-%dT%H:%M:%S.%f%z[Europe/Berlin]"]),
        (["2026-06-30T12:00+02:00[Europe/Berlin]"], ["%Y-%m-%dT%H:%M%z[Europe/Berlin]"]),
        (["2026-06-30"], []),
        (["30.06.2026", "06.07.2026 10:00"], []),
        (["30.06.2026", "06/30/2026"], []),
        (["06/07/2026"] * 8 + [STRAY] * 2, []),
        (["06/07/2026"] * 19 + [STRAY], ["%d/%m/%Y", "%m/%d/%Y"]),
        (["30 Jun 2026"], ["%d %b %Y"]),
        (["30 May 2026"], ["%d %b %Y"]),
        (["June 30, 2026"], ["%B %d, %Y"]),
        (["30-JUN-26"], ["%d-%b-%y"]),
        (["Jun-30-26", "Jun-29-26"], ["%b-%d-%y"]),
        (["Jun/30/2026 10:05"], ["%b/%d/%Y %H:%M"]),
        (["soon", "yesterday", "30.06.2026"], []),
        (["13.13.2026"], []),
        (["12345678"], []),
        ([], []),
        (["9" * 5000, "a" * 5000], []),
    ],
)
def test_formats_by_what_is_seen(texts, formats):
    found = date_formats(texts)
    assert found == formats
    dates = [text.strip() for text in texts if text not in NO_DATES]
    for one in found:
        assert {datetime.strptime(text, one).year for text in dates} == {2026}


@pytest.mark.parametrize(
    ("texts", "formats"),
    [
        ([f"26-06-{day:02d}" for day in range(1, 21)], ["%y-%m-%d"]),
        ([f"26.06.{day:02d} 10:00" for day in range(1, 21)], ["%y.%m.%d %H:%M"]),
        ([f"26/06/{day:02d}" for day in range(11, 31)], ["%y/%m/%d"]),
        ([f"26/{month:02d}/{day:02d}" for month in (1, 6, 12) for day in (2, 12, 28)], ["%y/%m/%d"]),
        ([f"{day:02d}-06-26" for day in range(1, 31)], ["%d-%m-%y"]),
        ([f"06/{day:02d}/26" for day in range(1, 13)], ["%d/%m/%y", "%m/%d/%y"]),
        ([f"{day:02d}-{month:02d}-26" for month in (1, 6, 12) for day in range(1, 31)], ["%d-%m-%y"]),
        (["28.12.25", "02.01.26"], ["%d.%m.%y"]),
        (["26-06-01"] * 20, ["%d-%m-%y", "%y-%m-%d"]),
        ([f"26-06-{day:02d}" for day in range(1, 31)] + ["01-06-26"], ["%y-%m-%d"]),
        ([f"26-06-01 {hour:02d}:00" for hour in range(24)], ["%d-%m-%y %H:%M", "%y-%m-%d %H:%M"]),
        ([f"{day:02d}-06-{year}" for year in range(20, 27) for day in range(1, 31)], ["%d-%m-%y"]),
    ],
)
def test_the_year_is_where_the_dates_are_near_to_each_other(texts, formats):
    """Both places are said where one date alone is there, or where they are as far from each other by either."""
    assert date_formats(texts) == formats


def test_a_config_takes_every_format_that_is_told():
    """Those of the clocks, too, with an offset and without."""
    clocks = ("", " 10:05", ":10:05:07 +0000", " 10:05+02:00", " 10:05:07.25+0200", " 1:05 PM")
    texts = [f"{day}{clock}" for day in ("30/Jun/2026", "June 30, 2026", "30.06.26") for clock in clocks]
    texts += [
        "Tue Jun 30 10:00:00 UTC 2026",
        "Tue Jun 30 10:00:00 +0000 2026",
        "2026-06-30T10:00:00Z[UTC]",
        "2026063010",
    ]
    for text in texts:
        formats = date_formats([text])
        assert formats
        for found in formats:
            assert column_of(
                table_columns({"engagements": {"timestamp": {"time": found}}}, "engagements"), "timestamp"
            ).time


def test_the_ways_of_a_column_that_is_written_in_several():
    assert ways_of_dates(["30.06.2026", "06.07.2026 10:00", "30.06.2026"]) == ["%d.%m.%Y", "%d.%m.%Y %H:%M"]
    assert ways_of_dates(["30.06.2026", "soon", "late"]) == []


def test_the_texts_that_are_looked_at_are_of_the_whole_log():
    days = [f"{day:02d}.06.2026" for day in range(1, 31) for _ in range(1_000)]
    assert date_formats(days) == ["%d.%m.%Y"]


def test_of_several_ways_the_likely_year_is_said():
    texts = [*(f"26-06-{day:02d}" for day in range(1, 21)), "2026/07/01", "2026/07/02", "2026/07/03"]
    assert ways_of_dates(texts) == ["%y-%m-%d", "%Y/%m/%d"]
