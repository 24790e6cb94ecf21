"""In which format dates are written that nobody has told: found where it shows, and both said where it does not."""

from datetime import datetime

import pytest

from schemas.date_formats import date_formats, format_remedy


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
    for one in found:
        assert any(datetime.strptime(text.strip(), one) for text in texts if "6" in text)


def test_the_texts_that_are_looked_at_are_of_the_whole_log():
    days = [f"{day:02d}.06.2026" for day in range(1, 31) for _ in range(1_000)]
    assert date_formats(days) == ["%d.%m.%Y"]


def test_what_to_write_is_said():
    assert format_remedy("timestamp", ("timestamp",), "UTC", ["%d.%m.%Y"]) == (
        'say how it is written, in the config: [columns.engagements] timestamp = {time = "%d.%m.%Y"}'
    )
    assert format_remedy("timestamp", ("day",), "Europe/Berlin", ["%d/%m/%Y", "%m/%d/%Y"]) == (
        'say how it is written, in the config: [columns.engagements] timestamp = {source = "day", time = "%d/%m/%Y", '
        'zone = "Europe/Berlin"}, or time = "%m/%d/%Y" there, whose day and month are the other way round: '
        "the values fit both"
    )
    assert 'source = ["a", "b"]' in format_remedy("timestamp", ("a", "b"), "UTC", ["%Y%m%d"])
