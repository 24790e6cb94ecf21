"""Logs: of Google Analytics 4, as BigQuery exports its events (one with its items) or flattened (a row an item), and
others that are written alike."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from pipelines.init.log.actions import ACTIONS, OF_NO_USE, event_column, is_ga4, known_actions
from pipelines.init.log.items import column_or_path, item_columns, items_of_log
from pipelines.init.log.missing_columns import what_is_missing
from pipelines.init.log.no_action import of_several_values, one_action
from pipelines.init.log.orders import with_order
from pipelines.init.log.times import times_of_log
from pipelines.init.log.users import users_of_log
from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, found_in, unread_columns
from pipelines.init.table.seen import SeenTable
from schemas import tables
from schemas.columns import usual_names
from schemas.errors import UsageError


@dataclass(frozen=True)
class LogStart:
    """found: our columns but for the action. event: the column whose values are actions; actions: Google's event, and
    how often it was seen, to our action, "" for none. unknown: events of the file that Google has not named. unread:
    columns of the file that are none of ours; several: those that have several values, and so may be the action."""

    found: tuple[FoundColumn, ...]
    event: FoundColumn
    actions: dict[str, str]
    seen: Counter[str]
    unknown: tuple[str, ...]
    unread: tuple[str, ...]
    several: tuple[str, ...] = ()

    @property
    def event_column(self) -> str:
        """Its name in the file; "" where every row has one action."""
        return next(iter(self.event.sources), "")

    @property
    def columns(self) -> dict[str, Any]:
        """`[columns.engagements]`."""
        action = {"source": self.event_column, "values": self.actions} if self.event_column else self.event.entry
        return {**{one.name: one.entry for one in self.found}, "action": action}


def log_start(table: SeenTable) -> LogStart:
    """How a table is a log. Raises UsageError if it lacks what a log must have, as its times or its items."""
    event, times, items = event_column(table), times_of_log(table), item_columns(table)
    people = [*usual_names.USERS, *usual_names.OTHER_USERS, *usual_names.SESSIONS]
    if not items or times is None or (event is None and table.column(people) is None):
        raise UsageError(what_is_missing(table, event, () if times is None else times.sources, items))
    found = [times, *users_of_log(table)]
    session = column_or_path(table, usual_names.SESSIONS, ("event_params", "ga_session_id"))
    if session is not None and session.filled:
        found.append(found_in([session], "session_id"))
    found = [with_order(one, table) for one in found]
    found += [items_of_log(items, table), *_searches(table)]
    action = one_action(table) if event is None else found_in([event], "action")
    unread = tuple(unread_columns(table, [*found, action]))
    start = LogStart(tuple(found), action, {}, Counter(), (), unread, of_several_values(table, [*found, action]))
    return start if event is None else with_events(start, Counter(event.texts), table)


def with_events(start: LogStart, seen: Counter[str], table: SeenTable) -> LogStart:
    """The start with the events that were seen, and how often."""
    known = known_actions(seen, is_ga4(table))
    unknown = tuple(name for name, _ in seen.most_common() if name not in known)
    actions = {**ACTIONS, **dict.fromkeys(OF_NO_USE, ""), **known, **dict.fromkeys(unknown, "")}
    return replace(start, actions=actions, seen=seen, unknown=unknown)


def other_items(start: LogStart, table: SeenTable) -> list[SeenColumn]:
    """The further columns that may be a log's items, where one alone was found."""
    (items,) = (one for one in start.found if one.name == "item_id")
    columns = (table.column([name]) for name in usual_names.LOG_ITEMS)
    others = [column for column in columns if column is not None and column.filled and column.name not in items.sources]
    return list({column.name: column for column in others}.values()) if len(items.sources) == 1 else []


def with_items(start: LogStart, column: SeenColumn, table: SeenTable) -> LogStart:
    """The start whose items are in another column."""
    note = "the catalogue has its ids, and not those of the column that is rather called so"
    other = found_in([column], "item_id", notes=[note])
    found = tuple(other if one.name == "item_id" else one for one in start.found)
    return replace(start, found=found, unread=tuple(unread_columns(table, [*found, start.event])))


def with_separator(start: LogStart, separator: str) -> LogStart:
    """The start whose items are texts that list several."""
    note = "a row for each item of a text that lists several"
    found = [
        replace(one, options={**one.options, "separator": separator}, notes=(*one.notes, note))
        if one.name == "item_id"
        else one
        for one in start.found
    ]
    return replace(start, found=tuple(found))


def _searches(table: SeenTable) -> list[FoundColumn]:
    """The query and the surface: where an event has a search term people searched, unless the log says it."""
    told = table.column(["surface"])
    if told is not None and told.filled and set(told.texts) <= set(tables.SURFACES):
        query = table.column(["query", *usual_names.SEARCHES])
        return [found_in([told], "surface"), *([found_in([query], "query")] if query is not None else [])]
    term = column_or_path(table, usual_names.SEARCHES, ("event_params", "search_term"))
    if term is None or not term.filled:
        note = "no event has a search_term: nothing is learned of searches but from the texts of items"
        return [FoundColumn("surface", (), {"constant": "home"}, (note,))]
    note = "an event with a search term belongs to a search; GA4 sends it where your tags add it"
    shown = found_in([term], "surface", options={"present": "search", "absent": "home"}, notes=[note])
    return [found_in([term], "query"), shown]
