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
        (found,) = date_formats([text])
        assert column_of(
            table_columns({"engagements": {"timestamp": {"time": found}}}, "engagements"), "timestamp"
        ).time


def test_the_ways_of_a_column_that_is_written_in_several():
    assert ways_of_dates(["30.06.2026", "06.07.2026 10:00", "30.06.2026"]) == ["%d.%m.%Y", "%d.%m.%Y %H:%M"]
    assert ways_of_dates(["30.06.2026", "soon", "late"]) == []


def test_the_texts_that_are_looked_at_are_of_the_whole_log():
    days = [f"{day:02d}.06.2026" for day in range(1, 31) for _ in range(1_000)]
    assert date_formats(days) == ["%d.%m.%Y"]
