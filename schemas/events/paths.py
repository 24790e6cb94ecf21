"""Events of a log that are several rows, or none: as analytics export them, an event with the items it was about.

A source of the config with dots leads into a column, as `items.item_id` or `event_params.search_term`: a name is a
field of an object; of a list of objects with `key` and `value` (BigQuery's parameters) the value of that key; of any
other list of objects the field of each, and the event becomes a row for each of them, or none. So it does for a list of
ids of items; of another list that a path ends in the first member counts. Of several sources of the items each event
has the first that has any: a row for each of a list, or one (see schemas.events.rows). Lists that BigQuery and Spark
wrap in objects are lists, and JSON in a text is what it says. Of items in a text the mapping says what separates them
(see schemas.events.item_lists).

An event whose action the config maps to "" is no row either (see schemas.events.unused). Both are counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrow_types import is_text
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import name_of_part
from schemas.events.actions import events_by_action
from schemas.events.item_lists import with_listed_items
from schemas.events.led_to import ROOT, led_to
from schemas.events.rows import EventRows, Led, has_text, rows_of_events

#: As many items as Google Analytics takes in an event; one with more is a broken row, for its fields are repeated.
MAX_EVENT_ITEMS = 200
#: Bytes of texts of a batch of rows, unless one row has more.
MAX_REPEATED_BYTES = 64 << 20
#: Counts of events that are no rows.
NO_ROWS = WITHOUT_ITEMS, OF_NO_USE = "events_without_items", "events_of_no_use"
_ITEM = "item_id"
#: Our column -> values, and int64 [rows], the place of each row's in them.
_RowValues = Mapping[str, tuple[pa.Array, np.ndarray]]


def by_item(raw: RawRows, paths: Mapping[str, str]) -> Iterator[RawRows]:
    """A batch of events as one of rows: of what the paths lead to, beside what else an event has. Several batches where
    that is much, for what an event has is repeated for each of its items."""
    raw, listed = with_listed_items(raw, paths, ROOT)
    paths = {**paths, **listed}
    if not paths:
        yield raw
        return
    led = led_to(raw, paths)
    kept = [name for name in raw.table.column_names if name not in paths and not name.startswith(ROOT)]
    given = {name: _is_there(raw, name) for name in kept if name_of_part(name) == _ITEM}
    rows = rows_of_events(led, given, raw.table.num_rows)
    values, event_of, broken = _flattened(rows, led, raw.table.num_rows)
    num_without = raw.table.num_rows - len(np.unique(event_of)) - len(broken)
    has_items = np.bincount(rows.event_of, minlength=raw.table.num_rows) > 0
    events = replace(
        raw,
        broken=[*raw.broken, *((int(raw.row_numbers[event]), why) for event, why in broken)],
        mixed={name: values for name, values in raw.mixed.items() if name in kept},
        no_rows={**raw.no_rows, **({WITHOUT_ITEMS: num_without} if num_without else {})},
        count_actions=partial(events_by_action, raw, led, has_items),
        apart=frozenset(name_of_part(name) for name, one in led.items() if rows.is_apart(one)) - {_ITEM},
    )
    yield from _in_batches(events, kept, values, event_of)


def _in_batches(events: RawRows, kept: Sequence[str], values: _RowValues, event_of: np.ndarray) -> Iterator[RawRows]:
    """The rows of a batch of events, in bounded batches: the columns `kept` of each one's event, and its own values.
    event_of: int64 [rows]. What the batch of events counts and rejects is told with the first."""
    for start, end in _bounded(_row_bytes(events, kept, values, event_of)):
        of_rows = event_of[start:end]
        arrays = [events.table[name].take(pa.array(of_rows)) for name in kept]
        arrays += [array.take(pa.array(places[start:end])) for array, places in values.values()]
        yield replace(
            events,
            table=pa.Table.from_arrays(arrays, [*kept, *values]),
            row_numbers=events.row_numbers[of_rows],
            mixed={name: [given[event] for event in of_rows] for name, given in events.mixed.items()},
        )
        events = replace(events, broken=[], oversized=[], no_rows={}, count_actions=None)


def _row_bytes(events: RawRows, kept: Sequence[str], values: _RowValues, event_of: np.ndarray) -> np.ndarray:
    """int64 [rows]: the bytes of each row's texts."""
    sizes = np.zeros(len(event_of), np.int64)
    for array, places in values.values():
        sizes += _text_bytes(array)[places]
    for name in kept:
        sizes += _text_bytes(events.mixed.get(name, events.table[name]))[event_of]
    return sizes


def _is_there(raw: RawRows, name: str) -> np.ndarray:
    """bool [events]: where a column has a value that is no blank."""
    if name in raw.mixed:
        return np.array([value is not None and str(value).strip() != "" for value in raw.mixed[name]], bool)
    return has_text(raw.table[name].combine_chunks())


def _text_bytes(values: pa.Array | pa.ChunkedArray | list[Any]) -> np.ndarray:
    """int64 [rows]: the bytes of each text; what is no text is small, or counted as a text is written."""
    if isinstance(values, list):
        return np.array([len(value) if isinstance(value, str) else len(str(value)) for value in values], np.int64)
    if not is_text(values.type) or pa.types.is_string_view(values.type):
        return np.zeros(len(values), np.int64)
    return pc.fill_null(pc.binary_length(values), 0).to_numpy().astype(np.int64)


def _bounded(size_bytes: np.ndarray) -> Iterator[tuple[int, int]]:
    """(start, end) of rows of at most MAX_REPEATED_BYTES together, or of one row; at least one pair."""
    start, ends = 0, np.cumsum(size_bytes)
    while True:
        before = ends[start - 1] if start else 0
        end = max(int(np.searchsorted(ends, before + MAX_REPEATED_BYTES, "right")), start + 1)
        yield start, min(end, len(ends))
        start = end
        if start >= len(ends):
            return


def _flattened(
    rows: EventRows, led: Mapping[str, Led], num_events: int
) -> tuple[_RowValues, np.ndarray, list[tuple[int, str]]]:
    """(the values of the rows, the event of each row, (event, why) of broken ones), of what paths lead to and the rows
    that it makes."""
    counts = np.bincount(rows.event_of, minlength=num_events)
    broken = [
        (event, f"expected at most {MAX_EVENT_ITEMS} items in an event, got {counts[event]:,}")
        for event in np.flatnonzero(counts > MAX_EVENT_ITEMS).tolist()
    ]
    keep = np.flatnonzero(counts[rows.event_of] <= MAX_EVENT_ITEMS)
    event_of = rows.event_of[keep]
    values = {name: (rows.members(one), keep) if one.listed else (one.values, event_of) for name, one in led.items()}
    return values, event_of, broken
