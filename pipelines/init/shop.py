"""A shop's files: what they are, and what the jobs will make of them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from pipelines.init.kinds import CATALOGUES, GA4, recognised_kind
from pipelines.init.log.start import LogStart, log_start, other_items, with_events, with_items, with_separator
from pipelines.init.mistaken import log_columns, refuse_catalogue, refuse_log
from pipelines.init.rehearsal import RehearsedItems, RehearsedLog, count_events, rehearse_items, rehearse_log
from pipelines.init.table.first_rows import look_at
from pipelines.init.table.found import Start
from pipelines.init.table.hidden import with_totals
from pipelines.init.table.seen import SeenTable
from pipelines.init.table.unreadable import refuse_to_flatten, refuse_unreadable
from pipelines.log.listed_items import separators_in
from schemas.columns.mapping import catalogue_columns
from schemas.errors import UsageError
from schemas.files import expand_inputs, shown
from schemas.reading.snapshots import catalogue_files
from schemas.validation.rows_of_totals import leave_out_of, likely_totals

#: A share of rows that is higher by less says nothing.
_CHANCE = 0.001
#: Share of a log's rows that are on items of the catalogue, below which another column of it is tried.
_FEW_KNOWN = 0.5


@dataclass(frozen=True, eq=False)
class Shop:
    """What was found out of a shop's files, and what it makes of the first rows. kind: of the catalogue; table: the
    catalogue as it is; engagements, log_start, log: of a log, None without one."""

    kind: str
    catalog: str
    table: SeenTable
    start: Start
    items: RehearsedItems
    engagements: str | None = None
    log_start: LogStart | None = None
    log: RehearsedLog | None = None


class _Match(NamedTuple):
    """A way to read the catalogue, and what it makes of its rows, beside a way to read the log, and what that makes."""

    start: Start
    items: RehearsedItems
    log_start: LogStart
    log: RehearsedLog

    @property
    def share_known(self) -> float:
        """Of the log's rows, those that are on items of the catalogue."""
        return self.log.share_known(self.items.ids)


#: The catalogue's start whose ids a log names most, and what it makes of the rows.
_Likeliest = Callable[[RehearsedLog], tuple[Start, RehearsedItems]]


def look_at_shop(file: str, kind: str | None, catalog: str | None) -> Shop:
    """What the files of a shop are: `file` of a kind of KINDS (None: recognised), GA4's events with a catalogue beside
    them. Raises UsageError for files of another kind, for a log without a catalogue, and for one that is given for the
    other."""
    table = look_at(expand_inputs(file, None))
    kind = kind or _kind_of(table, catalog)
    if kind == "csv" and recognised_kind(table) == "woocommerce":  # also in languages that nobody takes for it
        kind = "woocommerce"
    refuse_unreadable(table, file)
    refuse_to_flatten(table, file)
    if kind == GA4:
        return _look_at_log(table, file, catalog)
    if catalog is not None:
        raise UsageError(f"expected --catalog beside a log (--from {GA4}), got {kind}: FILE is the catalogue")
    refuse_log(table, file)
    catalogue_files(file)
    start, items = _likeliest(table, CATALOGUES[kind](table), None)
    return Shop(kind, file, table, start, items)


def _look_at_log(table: SeenTable, file: str, catalog: str | None) -> Shop:
    """The log `table` of the path `file`, and the catalogue beside it, read in the way in which the log names most of
    its items."""
    beside = None if catalog is None else look_at(expand_inputs(catalog, None))
    if beside is not None and catalog is not None:
        refuse_unreadable(beside, catalog)
    refuse_catalogue(table, file, catalog, beside is not None and _is_log(beside))
    started = log_start(table)
    if catalog is None or beside is None:
        raise UsageError(
            "expected --catalog CATALOGUE beside GA4's log, got none: events name items, and have neither their texts "
            "nor their pictures. Give the shop's export too: itemsage init --from ga4 LOG --catalog products.csv"
        )
    if started.event_column:
        started = with_events(started, count_events(table.files, started.event_column), table)
    log = rehearse_log(table.files, started.columns)
    kind = recognised_kind(beside)
    if kind == GA4:
        raise UsageError(f"expected a catalogue as --catalog, got events of GA4 in {shown(catalog)}")
    refuse_log(beside, catalog, "--catalog")
    catalogue_files(catalog)
    likeliest = partial(_likeliest, beside, CATALOGUES[kind](beside))
    match = _Match(*likeliest(log), started, log)
    match = _by_other_items(match, table, likeliest)
    match = _by_separator(match, table, likeliest)
    return Shop(kind, catalog, beside, match.start, match.items, file, match.log_start, match.log)


def _by_other_items(match: _Match, table: SeenTable, likeliest: _Likeliest) -> _Match:
    """The match, or, where the log `table` names few items by its column of them, the one by another column that names
    more."""
    for column in other_items(match.log_start, table) if match.share_known < _FEW_KNOWN else ():
        seen = RehearsedLog(items=Counter(column.texts))
        start, items = likeliest(seen)
        if seen.share_known(items.ids) > max(match.share_known, _FEW_KNOWN):
            started = with_items(match.log_start, column, table)
            match = _Match(start, items, started, rehearse_log(table.files, started.columns))
    return match


def _by_separator(match: _Match, table: SeenTable, likeliest: _Likeliest) -> _Match:
    """The match, or the one whose items are texts of the log `table` that list several, where it knows more of them."""
    for separator in separators_in(match.log.items):
        split = match.log.split_by(separator)
        start, items = likeliest(split)
        if split.share_known(items.ids) > match.share_known + _CHANCE:
            started = with_separator(match.log_start, separator)
            return _Match(start, items, started, rehearse_log(table.files, started.columns))
    return match


def _kind_of(table: SeenTable, catalog: str | None) -> str:
    """recognised_kind; with a catalogue beside it, a log is one that says who, when and what."""
    kind = recognised_kind(table)
    return GA4 if kind == "csv" and catalog is not None and log_columns(table) else kind


def _is_log(table: SeenTable) -> bool:
    return recognised_kind(table) == GA4 or bool(log_columns(table))


def _likeliest(table: SeenTable, starts: Sequence[Start], log: RehearsedLog | None) -> tuple[Start, RehearsedItems]:
    """The start whose ids the log names most, the first of equals; what it makes of the rows."""
    made = [_rehearsed(table, start) for start in starts[: None if log else 1]]
    if log is None:
        return made[0]
    return max(made, key=lambda one: round(log.share_known(one[1].ids), 3))


def _rehearsed(table: SeenTable, start: Start) -> tuple[Start, RehearsedItems]:
    """The start with what the items of its first rows show; these items."""
    items = rehearse_items(table.files, start.columns, start.group_rows)
    totals = leave_out_of(likely_totals(items.items), catalogue_columns(start.columns, start.group_rows))
    return replace(start, hidden=with_totals(start.hidden, totals)), items
