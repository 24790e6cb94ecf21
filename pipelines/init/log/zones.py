"""The zone of a log's times that say none, where another column says it."""

import re
from dataclasses import replace
from typing import Any
from zoneinfo import available_timezones

from pipelines.init.log.times import says_utc
from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn
from pipelines.init.table.seen import SeenTable
from schemas.cells.times import WITHOUT_OFFSET, offset_of
from schemas.columns import usual_names
from schemas.columns.names import plain_name
from schemas.days import UTC_NAME

_NAMES = frozenset(map(plain_name, usual_names.ZONES))
#: Values that show whether times have an offset.
_LOOKED_AT = 200
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*(?P<sign>[+-])(?P<hours>\d\d?)(?::?(?P<minutes>\d\d))?")
_OF_UTC = ("UTC", "GMT", "Z", "Etc/UTC", "+00:00", "+0000", "+00", "0")
#: The last hours east of UTC, and west of it, that have a name in the table of zones.
_MOST_EAST, _MOST_WEST = 14, 12
#: Zones that a question names.
_MOST_NAMED = 3


def with_zone(times: FoundColumn, table: SeenTable) -> FoundColumn:
    """The timestamps with the zone that a column beside them says in all rows that were looked at, as a question; where
    it says several, or something else than a zone, a question alone. Times that say their moment have none, nor have
    those of a column that is called UTC."""
    if says_utc(times.sources[0]):
        return times
    column = _zone_column(times, table)
    if column is None or not column.texts or not _are_clocks(times, table):
        return times
    told = list(dict.fromkeys(text.strip() for text in column.texts))
    if set(told) <= set(_OF_UTC):
        return times
    zone = _zone_of(told[0]) if len(told) == 1 and plain_name(column.name.rpartition(".")[2]) in _NAMES else None
    if zone is None:
        listed = ", ".join(told[:_MOST_NAMED]) + (", ..." if len(told) > _MOST_NAMED else "")
        note = (
            f"{column.name} says a zone ({listed}), and these times have no offset: they are read as UTC. Is that so? "
            'Else name their zone, as in zone = "Europe/Berlin", or write each with its offset in the export'
        )
        return replace(times, notes=(*times.notes, note))
    rows = "each row" if table.is_whole else f"each of the first {table.num_rows:,} rows"
    note = f"{column.name} is {told[0]} in {rows}, and these times have no offset: are they of the clocks there?"
    if zone != told[0]:
        note += f" {zone} is so all year: where clocks are changed name the place, as in Europe/Berlin"
    return replace(times, options={**times.options, "zone": zone}, notes=(*times.notes, note))


def _zone_column(times: FoundColumn, table: SeenTable) -> SeenColumn | None:
    """The column that is called a zone, beside the times: in the table, or in the object that they are in."""
    within = times.sources[0].rpartition(".")[0]
    there = [one for path, one in table.nested.items() if within and path.rpartition(".")[0] == within]
    columns = [*table.columns.values(), *there]
    named = [one for one in columns if plain_name(one.name.rpartition(".")[2]) in _NAMES]
    like = [one for one in columns if plain_name(one.name).endswith(tuple(name for name in _NAMES if len(name) > 4))]
    return next((one for one in [*named, *like] if one.texts), None)


def _are_clocks(times: FoundColumn, table: SeenTable) -> bool:
    """Whether most of the times have neither an offset nor are numbers since 1970."""
    told = times.options.get("time")
    if len(times.sources) > 1:
        return True
    column = table.columns.get(times.sources[0]) or table.nested.get(times.sources[0])
    values: list[Any] = [] if column is None else column.filled[:_LOOKED_AT]
    return 2 * sum(offset_of(value, told) == WITHOUT_OFFSET for value in values) > len(values)


def _zone_of(text: str) -> str | None:
    """The IANA name that a text is, or of its offset of whole hours; None for another text.

    >>> _zone_of("America/New_York"), _zone_of("+02:00"), _zone_of("UTC-5"), _zone_of("CEST"), _zone_of("+05:30")
    ('America/New_York', 'Etc/GMT-2', 'Etc/GMT+5', None, None)
    """
    if "/" in text and text in available_timezones():
        return text
    offset = _OFFSET.fullmatch(text)
    if offset is None or int(offset["minutes"] or 0):
        return None
    hours, is_east = int(offset["hours"]), offset["sign"] == "+"
    if not hours:
        return UTC_NAME
    if hours > (_MOST_EAST if is_east else _MOST_WEST):
        return None
    return f"Etc/GMT{'-' if is_east else '+'}{hours}"
