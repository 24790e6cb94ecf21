"""What is said of times that could not be read: the format to write, or what to change in the export."""

from typing import Any

import pytest

from schemas.cells.date_remedies import format_remedy, times_remedy


def remedy(*texts: str, num_read: int = 0, zone: str = "UTC") -> str:
    """Of texts of our column `timestamp`."""
    return times_remedy(texts, num_read, "timestamp", ("timestamp",), zone)


def test_what_to_write_is_said() -> None:
    assert format_remedy("timestamp", ("timestamp",), "UTC", ["%d.%m.%Y"]) == (
        'say how it is written, in the config: [columns.engagements] timestamp = {time = "%d.%m.%Y"}'
    )
    assert format_remedy("timestamp", ("day",), "Europe/Berlin", ["%d/%m/%Y", "%m/%d/%Y"]) == (
        'say how it is written, in the config: [columns.engagements] timestamp = {source = "day", time = "%d/%m/%Y", '
        'zone = "Europe/Berlin"}, or time = "%m/%d/%Y" there, whose day and month are the other way round: '
        "the values fit both"
    )
    assert 'source = ["a", "b"]' in format_remedy("timestamp", ("a", "b"), "UTC", ["%Y%m%d"])


def test_a_date_and_an_hour_may_be_seconds() -> None:
    assert remedy("2026062010", "2026062011").endswith(
        'timestamp = {time = "%Y%m%d%H"}, or time = "s" there, if these are seconds since 1970'
    )
    assert remedy("2026062010", num_read=99).endswith('timestamp = {time = "s"}')  # other seconds, of no such digits


@pytest.mark.parametrize(
    ("texts", "num_read", "ways"),
    [
        (["30.06.2026", "06.07.2026 10:00"], 0, "%d.%m.%Y and %d.%m.%Y %H:%M"),
        (["06.07.2026 10:00"] * 2, 5, "%d.%m.%Y %H:%M and such as other rows have, which are read"),
    ],
)
def test_several_ways_have_no_format_to_write(texts: list[str], num_read: int, ways: str) -> None:
    assert remedy(*texts, num_read=num_read) == (
        f"the times are written in several ways, {ways}: write all in one, best as ISO 8601"
    )


def test_some_strays_change_no_format() -> None:
    assert 'time = "%d.%m.%Y"' in remedy(*["30.06.2026"] * 30, num_read=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("46193.4166666667", "(day - 25569) * 86400"),
        ("46193", "(day - 25569) * 86400"),
        ("Sat Jun 20 10:00:00 CEST 2026", "as in +02:00"),
        ("2026-06-20 10:00:00 PST", "as in +02:00"),
    ],
)
def test_what_no_format_reads_is_said_in_words(text: str, said: str) -> None:
    assert said in remedy(text, text)


@pytest.mark.parametrize("texts", [["12345"], ["99999"], ["soon"], ["46193", "soon"], ["CALL 5"], ["A" * 5_000], []])
def test_of_anything_else_nothing_is_said(texts: Any) -> None:
    assert remedy(*texts) == ""


def test_a_format_that_says_utc_is_of_no_other_zone() -> None:
    written = remedy("Sat Jun 20 10:00:00 UTC 2026", zone="Europe/Berlin")
    assert written.endswith('timestamp = {time = "%a %b %d %H:%M:%S UTC %Y"}')
