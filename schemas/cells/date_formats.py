"""Formats of dates that are not taken untold, since a day and a month may look alike: which one texts are written in.

`30.06.2026` and `06/30/2026` show it, for no month has the number 30; `06/07/2026` does not. Whether the year of two
digits is first or last, as in `26-06-01`, many dates show together: a log spans days or months, not tens of years. What
to write, or to do, is in schemas.cells.date_remedies.
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
    *("%y/%m/%d", "%y.%m.%d", "%y-%m-%d"),
    *(f"%d{mark}{month}{mark}%{year}" for mark in " -/" for month in ("%b", "%B") for year in "Yy"),
    *("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"),
    *(f"{month}{mark}%d{mark}%{year}" for mark in "-/" for month in ("%b", "%B") for year in "Yy"),
)
_CLOCKS = (
    *("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p"),
    *("%H:%M%z", "%H:%M:%S%z", "%H:%M:%S.%f%z", "%H:%M %z", "%H:%M:%S %z"),
)
#: Of digits alone, by their number; and the years that those of four digits are of.
_BARE = {
    6: ("%y%m%d",),
    8: ("%Y%m%d",),
    10: ("%Y%m%d%H", "%y%m%d%H%M"),
    12: ("%Y%m%d%H%M", "%y%m%d%H%M%S"),
    14: ("%Y%m%d%H%M%S",),
}
_BARE_YEARS = range(1990, 2100)
#: Whole ones of C, git and Twitter, whose year is behind the clock.
_OF_C = [f"%a %b %d %H:%M:%S {behind}" for behind in ("%Y", "%Y %z", "%z %Y", "UTC %Y", "GMT %Y")]
_CLOCK = re.compile(r"(?P<date>.*?\w)(?P<between>,? |T|:)(?P<clock>\d{1,2}:\d\d.*)")
_OFFSET = re.compile(r"(?:[+-]\d\d:?\d\d|Z)$")
#: The name of a zone behind the offset, as Java writes it, for which a format has the name itself.
_ZONE_NAME = re.compile(r"(?<=[\dZ])\[[\w/+-]{1,30}\]$", re.ASCII)
_ISO_DATE = "%Y-%m-%d"
#: Texts that are looked at, and characters of one.
_MOST_TEXTS, _LONGEST_TEXT = 200, 60
#: Two places of the year fit the same texts: so many times the days from first to last, and as many, are of the wrong.
_TIMES_WIDER, _WIDE_DAYS = 4, 300
#: As many of the dates are in one format, or the column is written in several ways.
SHARE_ALIKE = 0.9


def date_formats(texts: Sequence[str]) -> list[str]:
    """The formats of strptime that at least half of the texts that are looked at can be read by, and nine of ten of
    those that are dates: several where each of them fits the same texts, none where no format is known, or where the
    texts are written in several ways.

    >>> date_formats(["06/07/2026"]), date_formats(["06/07/2026", "06/30/2026"])
    (['%d/%m/%Y', '%m/%d/%Y'], ['%m/%d/%Y'])
    >>> date_formats(["26-06-01"]), date_formats(["26-06-01", "26-06-02"])
    (['%d-%m-%y', '%y-%m-%d'], ['%y-%m-%d'])
    """
    looked_at = _looked_at(texts)
    rows = _rows_by_format(looked_at)
    dates = set[int]().union(*rows.values())
    best = max(rows.values(), key=len, default=set())
    if not best or 2 * len(best) < len(looked_at) or len(best) < SHARE_ALIKE * len(dates):
        return []
    found = _without_long_months([one for one, read in rows.items() if read == best])
    return _with_likely_years(found, [looked_at[row].strip() for row in sorted(best)])


def ways_of_dates(texts: Sequence[str]) -> list[str]:
    """A format for each way in which most of the texts are written, the commonest first; none if less than half of them
    are dates.

    >>> ways_of_dates(["30.06.2026", "30.06.2026", "2026/07/01", "soon"])
    ['%d.%m.%Y', '%Y/%m/%d']
    """
    looked_at = _looked_at(texts)
    rows = _rows_by_format(looked_at)
    left = set[int]().union(*rows.values())
    ways: list[str] = []
    if 2 * len(left) < len(looked_at):
        return ways
    while left:
        most = max(rows.values(), key=lambda read: len(read & left)) & left
        alike = [one for one, read in rows.items() if read & left == most]
        ways.append(_with_likely_years(alike, [looked_at[row].strip() for row in sorted(most)])[0])
        left -= most
    return ways


def is_year_first(one: str) -> bool:
    """Whether a format begins with a year of two digits."""
    return one.startswith("%y")


def _looked_at(texts: Sequence[str]) -> Sequence[str]:
    """Some of the texts, from all of them: a log is in the order of time, and its first days may be low ones."""
    return texts[:: len(texts) // _MOST_TEXTS + 1]


def _rows_by_format(texts: Sequence[str]) -> dict[str, set[int]]:
    """Format -> which of the texts it reads."""
    rows: dict[str, set[int]] = defaultdict(set)
    for row, text in enumerate(texts):
        for one in _formats_of(text.strip()):
            rows[one].add(row)
    return rows


def _with_likely_years(found: list[str], texts: Sequence[str]) -> list[str]:
    """Of formats that fit the same texts those whose year is where it makes them far nearer to each other: all of them
    where neither place does."""
    years = [one for one in found if "%y" in one]
    days = {one: _days_between(one, texts) for one in years} if any(map(is_year_first, years)) else {}
    first, last = ([one for one in days if is_year_first(one) is is_first] for is_first in (True, False))
    for these, others in ((first, last), (last, first)):
        wide = min((days[one] for one in others), default=0)
        if these and wide >= max(_WIDE_DAYS, _TIMES_WIDER * min(days[one] for one in these)):
            return [one for one in found if one not in others]
    return found


def _days_between(one: str, texts: Sequence[str]) -> int:
    """From the first to the last of the texts as a format reads them, without a twentieth at either end: a year that
    somebody mistyped says nothing of the others."""
    days = sorted(datetime.strptime(text, one).toordinal() for text in texts)
    beyond = len(days) // 20
    return days[-1 - beyond] - days[beyond]


def _without_long_months(found: list[str]) -> list[str]:
    """May is both short and long."""
    return [one for one in found if "%B" not in one or one.replace("%B", "%b") not in found]


def _formats_of(text: str) -> Iterator[str]:
    """The formats that one text can be read by."""
    if len(text) > _LONGEST_TEXT:
        return
    if text.isascii() and text.isdigit():
        bare = _BARE.get(len(text), ())
        yield from (one for one in bare if _fits(text, one) and (is_year_first(one) or int(text[:4]) in _BARE_YEARS))
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
