"""Which rows an event of a log becomes: one for each item of the first source that has any (see
schemas.events.paths)."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrow_types import is_text
from schemas.columns.spec import name_of_part, number_of_part

_ITEM = "item_id"


class Led(NamedTuple):
    """What a path leads to. values: any array; events: int64 [values], the event of each; listed: whether an event may
    have several, as members of a list, or none; else there is one for each event."""

    values: pa.Array
    events: np.ndarray
    listed: bool


class EventRows(NamedTuple):
    """event_of: int64 [rows], the event of each row, ascending. list_of: int64 [rows], which of the lists a row is a
    member of, -1: of none; member_of: its place there. lists: the events of each list's members."""

    event_of: np.ndarray
    list_of: np.ndarray
    member_of: np.ndarray
    lists: list[np.ndarray]

    def is_apart(self, led: Led) -> bool:
        """Whether a path leads into a list of which no row is a member, though it has values."""
        known = any(np.array_equal(events, led.events) for events in self.lists)
        return led.listed and not known and led.values.null_count < len(led.values)

    def members(self, led: Led) -> pa.Array:
        """What a path into a list leads to, a value for each row: null where a row is no member of that list."""
        same = [number for number, events in enumerate(self.lists) if np.array_equal(events, led.events)]
        return led.values.take(pa.array(self.member_of, mask=~np.isin(self.list_of, same)))


def rows_of_events(found: Mapping[str, Led], given: Mapping[str, np.ndarray], num_events: int) -> EventRows:
    """The rows of all events. found: our column, or a further source of one (see columns.spec.part_name) -> what its
    path leads to; given: sources of items that are columns -> bool [events], where there is one.

    Where no path leads to items or into a list, each event is a row. Else it is a row for each member of the list that
    is its first source of items, one for the item of another source, and none where no source has any, also where a
    batch of events happens to have no list. Members without an id are rows where some source, or none at all, has one.
    A list that has no items comes before all of these.
    """
    if not any(led.listed or name_of_part(name) == _ITEM for name, led in found.items()):
        everyone = np.arange(num_events)
        return EventRows(everyone, np.full(num_events, -1), everyone, [])
    items = sorted({*given, *(name for name in found if name_of_part(name) == _ITEM)}, key=number_of_part)
    other_lists = [name for name, led in found.items() if led.listed and name not in items]
    if other_lists and not any(name in found for name in items):
        items = [other_lists[0], *items]
    chosen = np.full(num_events, -1)
    for number, name in enumerate(items):
        has_any = (
            given[name] if name in given else _has_any(found[name], num_events, of_items=name_of_part(name) == _ITEM)
        )
        chosen[(chosen < 0) & has_any] = number
    for number, name in enumerate(items):
        if name in found and found[name].listed:
            chosen[(chosen < 0) & (np.bincount(found[name].events, minlength=num_events) > 0)] = number
    lists: list[np.ndarray] = []
    parts = []
    for number, name in enumerate(items):
        is_list = name in found and found[name].listed
        events = found[name].events if is_list else np.arange(num_events)
        places = np.flatnonzero(chosen[events] == number)
        parts.append((events[places], np.full(len(places), len(lists) if is_list else -1), places))
        lists += [events] if is_list else []
    event_of, list_of, member_of = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(event_of, kind="stable")
    return EventRows(event_of[order], list_of[order], member_of[order], lists)


def has_text(values: pa.Array) -> np.ndarray:
    """bool [values]: where one is there and no blank text."""
    there = values.is_valid()
    if is_text(values.type) and not pa.types.is_string_view(values.type):
        there = pc.and_(there, pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(values), ""), False))
    return there.to_numpy(zero_copy_only=False)


def _has_any(led: Led, num_events: int, *, of_items: bool) -> np.ndarray:
    """bool [events]: where there is a value; of_items: that is no blank."""
    events = led.events[has_text(led.values)] if of_items else led.events
    return np.bincount(events, minlength=num_events) > 0
