"""What to do about times that could not be read: what to write into the config, or to change in the export."""

import json
import re
from collections.abc import Sequence

from schemas.cells.date_formats import SHARE_ALIKE, date_formats, is_year_first, ways_of_dates
from schemas.days import UTC_NAME

_DATE_AND_HOUR = "%Y%m%d%H"
#: Days since 1900 as Excel counts them, of the years from 1990 to 2099.
_EXCEL_DAY = re.compile(r"(\d{5})(?:\.\d{1,20})?")
_FIRST_EXCEL_DAY, _LAST_EXCEL_DAY = 32_874, 73_050
_ZONE_LETTERS = re.compile(r".*\d\d?:\d\d.*(?<![A-Za-z])(?!UTC|GMT|AM|PM|am|pm)[A-Z]{3,5}\b.*")
_SAYS_UTC = re.compile(r"\b(?:UTC|GMT)\b")
_IN_WORDS = {
    "excel": (
        "these may be days as Excel counts them, which are no times here: format the column as a date in Excel, or "
        "write seconds since 1970 in the export, (day - 25569) * 86400"
    ),
    "zone": "the letters of a zone (CEST, PST) name several: write its offset in the export, as in +02:00",
}


def times_remedy(texts: Sequence[str], num_read: int, name: str, sources: Sequence[str], zone: str) -> str:
    """What to do for times of our column `name` that could not be read; "" where nothing is known of them. num_read:
    other rows that could be; sources, zone: as its mapping tells them."""
    formats = date_formats(texts)
    is_alike = not num_read or len(texts) >= SHARE_ALIKE * (num_read + len(texts))
    if formats and is_alike:
        return format_remedy(name, sources, zone, formats)
    if formats == [_DATE_AND_HOUR]:
        return format_remedy(name, sources, zone, ["s"])
    if ways := ways_of_dates(texts):
        told = [*ways[:3], *(["such as other rows have, which are read"] if num_read else [])]
        return f"the times are written in several ways, {' and '.join(told)}: write all in one, best as ISO 8601"
    hints = {_hint_of(text) for text in texts}
    return _IN_WORDS.get(hints.pop(), "") if len(hints) == 1 else ""


def format_remedy(name: str, sources: Sequence[str], zone: str, formats: Sequence[str]) -> str:
    """What to write for our column `name` of a log that is made of these sources, whose texts are in one of the
    formats; zone: that its mapping tells already."""
    parts = [] if tuple(sources) == (name,) else [f"source = {_toml(sources[0] if len(sources) == 1 else sources)}"]
    parts.append(f"time = {_toml(formats[0])}")
    is_utc = zone == UTC_NAME or _SAYS_UTC.search(formats[0]) is not None  # its letters are no zone to strptime
    parts += [] if is_utc else [f"zone = {_toml(zone)}"]
    others = " or ".join(f"time = {_toml(one)}" for one in formats[1:])
    turned = "year is in another place" if any(map(is_year_first, formats)) else "day and month are the other way round"
    all_fit = "both" if len(formats) == 2 else "all"
    either = f", or {others} there, whose {turned}: the values fit {all_fit}" if others else ""
    if list(formats) == [_DATE_AND_HOUR]:
        either = ', or time = "s" there, if these are seconds since 1970'
    return f"say how it is written, in the config: [columns.engagements] {name} = {{{', '.join(parts)}}}{either}"


def _toml(value: str | Sequence[str]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _hint_of(text: str) -> str:
    """Which of _IN_WORDS is of a text, "" for none."""
    day = _EXCEL_DAY.fullmatch(text.strip())
    if day is not None and _FIRST_EXCEL_DAY <= int(day[1]) <= _LAST_EXCEL_DAY:
        return "excel"
    return "zone" if len(text) <= 100 and _ZONE_LETTERS.fullmatch(text.strip()) else ""
