"""Formats of dates that are not taken untold, since a day and a month may look alike: which one texts are written in.

`30.06.2026` and `06/30/2026` show it, for no month has the number 30; `06/07/2026` does not. What to write, or to do,
is in schemas.cells.date_remedies.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache

#: Of a shape the likelier first.
_DATES = (
    *(f"{day}{mark}%{year}" for mark in "./-" for year in "Yy" for day in (f"%d{mark}%m", f"%m{mark}%d")),
    *("%Y/%m/%d", "%Y.%m.%d"),
    *(f"%d{mark}{month}{mark}%{year}" for mark in " -/" for month in ("%b", "%B") for year in "Yy"),
    *("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"),
)
_CLOCKS = (
    *("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p"),
    *("%H:%M%z", "%H:%M:%S%z", "%H:%M:%S.%f%z", "%H:%M %z", "%H:%M:%S %z"),
)
#: Of digits alone, by their number.
_BARE = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
#: Whole ones of C, git and Twitter, whose year is behind the clock.
_OF_C = [f"%a %b %d %H:%M:%S {behind}" for behind in ("%Y", "%Y %z", "%z %Y", "UTC %Y", "GMT %Y")]
_CLOCK = re.compile(r"(?P<date>.*?\w)(?P<between>,? |T|:)(?P<clock>\d{1,2}:\d\d.*)")
_OFFSET = re.compile(r"(?:[+-]\d\d:?\d\d|Z)$")
#: The name of a zone behind the offset, as Java writes it, for which a format has the name itself.
_ZONE_NAME = re.compile(r"(?<=[\dZ])\[[\w/+-]{1,30}\]$", re.ASCII)
_ISO_DATE = "%Y-%m-%d"
#: Texts that are looked at, and characters of one.
_MOST_TEXTS, _LONGEST_TEXT = 200, 60
#: As many of the dates are in one format, or the column is written in several ways.
SHARE_ALIKE = 0.9


def date_formats(texts: Sequence[str]) -> list[str]:
    """The formats of strptime that at least half of the texts that are looked at can be read by, and nine of ten of
    those that are dates: several where each of them fits the same texts, none where no format is known, or where the
    texts are written in several ways.

    >>> date_formats(["06/07/2026"]), date_formats(["06/07/2026", "06/30/2026"])
    (['%d/%m/%Y', '%m/%d/%Y'], ['%m/%d/%Y'])
    """
    rows, num_texts = _rows_by_format(texts)
    dates = set[int]().union(*rows.values())
    best = max(rows.values(), key=len, default=set())
    if not best or 2 * len(best) < num_texts or len(best) < SHARE_ALIKE * len(dates):
        return []
    return _without_long_months([one for one, found in rows.items() if found == best])


def ways_of_dates(texts: Sequence[str]) -> list[str]:
    """A format for each way in which most of the texts are written, the commonest first; none if less than half of them
    are dates.

    >>> ways_of_dates(["30.06.2026", "30.06.2026", "2026/07/01", "soon"])
    ['%d.%m.%Y', '%Y/%m/%d']
    """
    rows, num_texts = _rows_by_format(texts)
    left = set[int]().union(*rows.values())
    ways: list[str] = []
    if 2 * len(left) < num_texts:
        return ways
    while left:
        way = max(rows, key=lambda one: len(rows[one] & left))
        ways.append(way)
        left -= rows[way]
    return ways


def _rows_by_format(texts: Sequence[str]) -> tuple[dict[str, set[int]], int]:
    """(format -> which of the texts that are looked at it reads, how many are looked at)."""
    step = len(texts) // _MOST_TEXTS + 1  # a log is in the order of time, and its first days may be low ones
    looked_at = texts[::step]
    rows: dict[str, set[int]] = defaultdict(set)
    for row, text in enumerate(looked_at):
        for one in _formats_of(text.strip()):
            rows[one].add(row)
    return rows, len(looked_at)


def _without_long_months(found: list[str]) -> list[str]:
    """May is both short and long."""
    return [one for one in found if "%B" not in one or one.replace("%B", "%b") not in found]


def _formats_of(text: str) -> Iterator[str]:
    """The formats that one text can be read by."""
    if len(text) > _LONGEST_TEXT:
        return
    if text.isascii() and text.isdigit():
        bare = _BARE.get(len(text))
        if bare is not None and _fits(text, bare):
            yield bare
        return
    if (zone_name := _ZONE_NAME.search(text)) is not None:
        for one in _formats_with_clock(text[: zone_name.start()], (_ISO_DATE,)):
            yield one + zone_name[0]
        return
    yield from (one for one in _OF_C_BY_SHAPE.get(_shape(text), ()) if _fits(text, one))
    if _CLOCK.fullmatch(text) is None:
        yield from _dates_of(text)
    else:
        yield from _formats_with_clock(text)


def _formats_with_clock(text: str, dates: tuple[str, ...] = ()) -> Iterator[str]:
    """Those of a date and a clock; dates: those that the date may be of, none: all that are not taken untold."""
    parts = _CLOCK.fullmatch(text)
    if parts is None:
        return
    clock = _CLOCK_BY_SHAPE.get(_shape(parts["clock"]))
    if clock is not None and _fits(parts["clock"], clock):
        days = [day for day in dates if _fits(parts["date"], day)] or ([] if dates else _dates_of(parts["date"]))
        yield from (f"{day}{parts['between']}{clock}" for day in days)


@lru_cache(maxsize=1_024)
def _dates_of(text: str) -> tuple[str, ...]:
    return tuple(one for one in _DATES_BY_SHAPE.get(_shape(text), ()) if _fits(text, one))


def _fits(text: str, one: str) -> bool:
    try:
        datetime.strptime(text, one)
    except ValueError:
        return False
    return True


def _shape(text: str) -> str:
    """What is alike in all texts of a format.

    >>> _shape("30.06.2026"), _shape("3 June 2026"), _shape("1:05:07 PM"), _shape("10:05+0200")
    ('9.9.9', '9 a 9', '9:9:9 a', '9:9z')
    """
    zoned = _OFFSET.sub("z", text) if ":" in text else text
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]{2,}", "a", zoned))


def _by_shape(formats: Sequence[str]) -> dict[str, list[str]]:
    shapes: dict[str, list[str]] = {}
    for one in formats:
        shapes.setdefault(_shape(_EXAMPLE.strftime(one)), []).append(one)
    return shapes


_EXAMPLE = datetime(2026, 5, 30, 11, 22, 33, 444444, UTC)
_CLOCK_BY_SHAPE = {_shape(_EXAMPLE.strftime(one)): one for one in _CLOCKS}
_DATES_BY_SHAPE, _OF_C_BY_SHAPE = _by_shape(_DATES), _by_shape(_OF_C)
