"""Rows of a log that can be read, and from which little or nothing follows: of nobody, or of times that nobody meant.

The log stage does not compare times with a clock (a run of an old day is the same whenever it is made): `itemsage init`
and `doctor` do, before a run.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import POSITIVE_ACTIONS, QUERY_SURFACES, unreadable_cells

#: No shop has a log of an earlier year; numbers since 1970 are read from it on, too (see schemas.cells.times).
FIRST_YEAR = 1990
#: Years from that of most rows, beyond which a time is rather a slip or stands for none.
_MOST_YEARS = 10
#: How far years of other calendars are ahead of the common ones.
_CALENDARS = {"Buddhist": 543, "Persian": -621, "Hebrew": 3_760}
#: A share of the rows above which nobody is told to be missing.
_MOST = 0.5


@dataclass(eq=False)
class Doubts:
    """What was counted of valid rows. num_wanted: of actions that say that somebody wants an item; num_of_nobody: of
    those the ones that have neither a user nor a query; unreadable: our column -> cells that are null, for they could
    not be read."""

    num_wanted: int = 0
    num_of_nobody: int = 0
    years: Counter[int] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)

    def add(self, valid: pa.Table, counts: Mapping[str, int]) -> None:
        """Valid ENGAGEMENTS, and the counts of schemas.validation.log that came with them."""
        wanted = valid.filter(pc.is_in(valid["action"], pa.array(POSITIVE_ACTIONS)))
        has_query = pc.is_in(wanted["surface"], pa.array(QUERY_SURFACES))
        self.num_wanted += len(wanted)
        self.num_of_nobody += len(wanted) - (pc.sum(pc.or_(has_query, wanted["user_id"].is_valid())).as_py() or 0)
        self.years.update(pc.year(valid["timestamp"]).to_pylist())
        self.unreadable.update(unreadable_cells(counts))

    def in_words(self, this_year: int) -> list[str]:
        """What a person should know, a text each. this_year: in which they are told."""
        told = [
            f"{count:,} cells of {name} cannot be read, and are empty: of ids that a spreadsheet has rounded "
            "(1.23451E+18) the digits are lost, and objects and lists are none: write them as text in the export"
            for name, count in self.unreadable.items()
        ]
        if self.num_of_nobody > max(_MOST * self.num_wanted, self.unreadable["user_id"]):
            told.append(
                f"{self.num_of_nobody:,} of {self.num_wanted:,} rows have neither a user nor a query, and are of no "
                'use: name the column that says who, in the config: [columns.engagements] user_id = "its name"'
            )
        return [*told, *_of_years(self.years, this_year)]


def last_true_year(this_year: int) -> int:
    """The last year that a log may be of: clocks of a log and of this machine differ by hours, not by years."""
    return this_year + 1


def _of_years(years: Mapping[int, int], this_year: int) -> list[str]:
    told = []
    unset = {year: count for year, count in years.items() if year < FIRST_YEAR}
    coming = {year: count for year, count in years.items() if year > last_true_year(this_year)}
    near = Counter({year: count for year, count in years.items() if year not in unset and year not in coming})
    if unset:
        told.append(
            f"{sum(unset.values()):,} times are before {FIRST_YEAR}, as 1970-01-01 is where none was set: they count "
            "as the oldest rows. Leave such rows out of the export, or write their time as null, which is rejected"
            f"{_of_calendar(unset, this_year)}"
        )
    if coming:
        told.append(
            f"{sum(coming.values()):,} times are of {_span(coming)}, which is yet to come: no run of an earlier day "
            "uses these rows. Are they in another format or unit than they are read in? Then say it, in the config: "
            f"[columns.engagements] timestamp = {{time = ...}}{_of_calendar(coming, this_year)}"
        )
    most = near.most_common(1)
    far = {year: count for year, count in near.items() if most and abs(year - most[0][0]) > _MOST_YEARS}
    if far and 2 * sum(far.values()) < near.total():
        told.append(
            f"{sum(far.values()):,} times are of {_span(far)}, more than {_MOST_YEARS} years from those of "
            f"{most[0][0]}, as most are: is that a day that stands for none?"
        )
    return told


def _span(years: Mapping[int, int]) -> str:
    return f"{min(years)}" if len(years) == 1 else f"{min(years)} to {max(years)}"


def _of_calendar(years: Mapping[int, int], this_year: int) -> str:
    """The calendar by which most of the years are some of the last ten; "" for none."""
    year = max(years, key=lambda one: years[one])
    for name, ahead in _CALENDARS.items():
        if this_year - _MOST_YEARS <= year - ahead <= last_true_year(this_year):
            return f". {year} of the {name} calendar is {year - ahead}: write the common years in the export"
    return ""
