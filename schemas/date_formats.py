"""Formats of dates that are not taken untold, since a day and a month may look alike: which one texts are written in.

`30.06.2026` and `06/30/2026` show it, for no month has the number 30; `06/07/2026` does not.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from schemas.days import UTC_NAME

#: Of a shape the likelier first.
_DATES = (
    *(f"{day}{mark}%{year}" for mark in "./-" for year in "Yy" for day in (f"%d{mark}%m", f"%m{mark}%d")),
    *("%Y/%m/%d", "%Y.%m.%d"),
    *(f"%d{mark}{month}{mark}%{year}" for mark in " -" for month in ("%b", "%B") for year in "Yy"),
    *("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"),
)
_CLOCKS = (
    *("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p"),
    *("%H:%M%z", "%H:%M:%S%z", "%H:%M:%S.%f%z", "%H:%M %z", "%H:%M:%S %z"),
)
#: Of digits alone, by their number.
_BARE = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_CLOCK = re.compile(r"(?P<date>.*\w)(?P<between>,? |T)(?P<clock>\d{1,2}:\d\d.*)")
_OFFSET = re.compile(r"(?:[+-]\d\d:?\d\d|Z)$")
#: Texts that are looked at, and characters of one.
_MOST_TEXTS, _LONGEST_TEXT = 200, 40


def date_formats(texts: Sequence[str]) -> list[str]:
    """The formats of strptime that most of the texts, and at least half of those that are looked at, can be read by:
    several where the texts fit each of them, none where no format is known.

    >>> date_formats(["06/07/2026"]), date_formats(["06/07/2026", "06/30/2026"])
    (['%d/%m/%Y', '%m/%d/%Y'], ['%m/%d/%Y'])
    """
    step = len(texts) // _MOST_TEXTS + 1  # a log is in the order of time, and its first days may be low ones
    looked_at = [text.strip() for text in texts[::step]]
    fitting = Counter(one for text in looked_at for one in _formats_of(text))
    most = max(fitting.values(), default=0)
    if not most or 2 * most < len(looked_at):
        return []
    found = [one for one, count in fitting.items() if count == most]
    return [one for one in found if "%B" not in one or one.replace("%B", "%b") not in found]  # May is both


def format_remedy(name: str, sources: Sequence[str], zone: str, formats: Sequence[str]) -> str:
    """What to write for our column `name` of a log that is made of these sources, whose texts are in one of the
    formats; zone: that its mapping tells already."""
    parts = [] if tuple(sources) == (name,) else [f"source = {_toml(sources[0] if len(sources) == 1 else sources)}"]
    parts.append(f"time = {_toml(formats[0])}")
    parts += [] if zone == UTC_NAME else [f"zone = {_toml(zone)}"]
    others = " or ".join(f"time = {_toml(one)}" for one in formats[1:])
    return (
        f"say how it is written, in the config: [columns.engagements] {name} = {{{', '.join(parts)}}}"
        f"{f', or {others} there, whose day and month are the other way round: the values fit both' if others else ''}"
    )


def _toml(value: str | Sequence[str]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _formats_of(text: str) -> Iterator[str]:
    """The formats that one text can be read by."""
    if len(text) > _LONGEST_TEXT:
        return
    if text.isascii() and text.isdigit():
        bare = _BARE.get(len(text))
        if bare is not None and _fits(text, bare):
            yield bare
        return
    parts = _CLOCK.fullmatch(text)
    if parts is None:
        yield from _dates_of(text)
        return
    clock = _CLOCK_BY_SHAPE.get(_shape(parts["clock"]))
    if clock is not None and _fits(parts["clock"], clock):
        yield from (f"{day}{parts['between']}{clock}" for day in _dates_of(parts["date"]))


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


_EXAMPLE = datetime(2026, 5, 30, 11, 22, 33, 444444, UTC)
_CLOCK_BY_SHAPE = {_shape(_EXAMPLE.strftime(one)): one for one in _CLOCKS}
_DATES_BY_SHAPE: dict[str, list[str]] = {}
for _one in _DATES:
    _DATES_BY_SHAPE.setdefault(_shape(_EXAMPLE.strftime(_one)), []).append(_one)
