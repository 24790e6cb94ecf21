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

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrow_types import is_text
from schemas.cells.keyed_texts import keyed, keyed_objects
from schemas.cells.lists import ELEMENTS, WRAPPERS
from schemas.cells.text import cell_text, is_too_large
from schemas.columns.extended_json import named_value
from schemas.columns.nested_columns import PAIR, is_by_values, values_at, values_of, without_list
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import name_of_part
from schemas.events.actions import events_by_action
from schemas.events.item_lists import item_separator, split_items, with_listed_items
from schemas.events.rows import EventRows, Led, has_text, rows_of_events

#: As many items as Google Analytics takes in an event; one with more is a broken row, for its fields are repeated.
MAX_EVENT_ITEMS = 200
#: Bytes of texts of a batch of rows, unless one row has more.
MAX_REPEATED_BYTES = 64 << 20
#: Counts of events that are no rows.
NO_ROWS = WITHOUT_ITEMS, OF_NO_USE = "events_without_items", "events_of_no_use"
#: What begins the name of a column in a batch that paths lead into; no column of ours begins so.
_ROOT = "."
_ITEM = "item_id"
#: Texts that hold nothing in a column of objects -> what they are.
_NOTHING: dict[str, list[Any] | None] = {"": None, "null": None, "[]": []}
#: Keys of objects, from without, and 0 for the members of a list.
_Place = tuple[str | int, ...]
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class _Piece(NamedTuple):
    """Some events of a batch, whose values of one column have a common type: array [events], their places."""

    array: pa.Array
    events: np.ndarray


def roots_of(paths: Mapping[str, str]) -> dict[str, str]:
    """The columns that they lead into, by the names that they have in a batch until it is a row for each item."""
    roots = (path.partition(".")[0] for path in paths.values())
    return {f"{_ROOT}{root}": root for root in roots}


def by_item(raw: RawRows, paths: Mapping[str, str]) -> Iterator[RawRows]:
    """A batch of events as one of rows: of what the paths lead to, beside what else an event has. Several batches where
    that is much, for what an event has is repeated for each of its items."""
    raw, listed = with_listed_items(raw, paths, _ROOT)
    paths = {**paths, **listed}
    if not paths:
        yield raw
        return
    roots = {}
    for name, root in roots_of(paths).items():
        names = {inner for path in paths.values() for inner in path.split(".")[1:] if path.partition(".")[0] == root}
        into_texts = [path.split(".")[1:] for path in paths.values() if path.partition(".")[0] == root]
        values = raw.mixed.get(name)
        array = raw.table[name].combine_chunks()
        if values is None and any(is_by_values(array.type, inner) for inner in into_texts):
            values = values_of(array)
        roots[root] = _whole(array) if values is None else _pieces(list(map(_told, values)), names)
    kept = [name for name in raw.table.column_names if name not in paths and not name.startswith(_ROOT)]
    found_at = {
        name: _at_in_pieces(roots[path.partition(".")[0]], path.split(".")[1:], is_item=name_of_part(name) == _ITEM)
        for name, path in paths.items()
    }
    if (separator := item_separator(raw)) is not None:
        found_at |= {name: _split(led, separator) for name, led in found_at.items() if name_of_part(name) == _ITEM}
    given = {name: _is_there(raw, name) for name in kept if name_of_part(name) == _ITEM}
    rows = rows_of_events(found_at, given, raw.table.num_rows)
    has_items = np.bincount(rows.event_of, minlength=raw.table.num_rows) > 0
    apart = frozenset(name_of_part(name) for name, led in found_at.items() if rows.is_apart(led)) - {_ITEM}
    count_actions = partial(events_by_action, raw, found_at, has_items)
    found, event_of, broken = _flattened(rows, found_at, raw.table.num_rows)
    num_without = raw.table.num_rows - len(np.unique(event_of)) - len(broken)
    told = [*raw.broken, *((int(raw.row_numbers[event]), why) for event, why in broken)]
    no_rows = {**raw.no_rows, **({WITHOUT_ITEMS: num_without} if num_without else {})}
    mixed = {name: values for name, values in raw.mixed.items() if name in kept}
    size_bytes = np.zeros(len(event_of), np.int64)
    for values, places in found.values():
        size_bytes += _text_bytes(values)[places]
    for name in kept:
        size_bytes += _text_bytes(mixed.get(name, raw.table[name]))[event_of]
    for number, (start, end) in enumerate(_bounded(size_bytes)):
        events = event_of[start:end]
        arrays = [raw.table[name].take(pa.array(events)) for name in kept]
        arrays += [values.take(pa.array(places[start:end])) for values, places in found.values()]
        yield replace(
            raw,
            table=pa.Table.from_arrays(arrays, [*kept, *found]),
            broken=[] if number else told,
            row_numbers=raw.row_numbers[events],
            mixed={name: [values[event] for event in events] for name, values in mixed.items()},
            oversized=[] if number else raw.oversized,
            no_rows={} if number else no_rows,
            count_actions=None if number else count_actions,
            apart=apart,
        )


def first_led_to(values: Sequence[Any], path: str) -> list[Any]:
    """What a path leads to in the values of the column that it begins with, as by_item reads it: of each event the
    first value that is there, a text unless it is a list or an object.

    >>> first_led_to([[{"id": None}, {"id": 7}], '[{"id": 8}]', None], "items.id")
    ['7', '8', None]
    """
    names = path.split(".")[1:]
    led = _at_in_pieces(_pieces(list(map(_told, values)), frozenset(names)), names, is_item=False)
    found: list[Any] = [None] * len(values)
    there = led.values.is_valid().to_numpy(zero_copy_only=False)
    texts = led.values.filter(pa.array(there)).to_pylist()
    for event, text in zip(led.events[there].tolist()[::-1], texts[::-1], strict=True):
        found[event] = text
    return found


def _told(value: Any) -> Any:
    """A value of a column that paths lead into; of a text what it holds by keys."""
    if not isinstance(value, str):
        return value
    told = keyed(value)
    return _NOTHING.get(value.strip(), value) if told is None else told


def _split(led: Led, separator: str) -> Led:
    """The items of texts that list several, of a path into objects; what is no text as it is."""
    if not is_text(led.values.type):
        return led
    return Led(*split_items(led.values, led.events, separator), True)


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


def _whole(array: pa.Array) -> list[_Piece]:
    return [_Piece(array, np.arange(len(array)))]


def _pieces(values: list[Any], names: Collection[str]) -> list[_Piece]:
    """Parsed JSON of one key, reduced to what the names lead to, as Arrow arrays whose leaves are strings: of all the
    events, or of those that have a common form, most events first. Nulls are with the first."""
    reduced = [_reduced(value, names) for value in values]
    array = _array_or_none(reduced)
    if array is not None:
        return _whole(array)
    # What has no array even alone is an odd text: nothing is found in it, and its event is a row without an id.
    formed = [value if value is None or _array_or_none([value]) is not None else "" for value in reduced]
    groups = _alike(formed, [event for event, value in enumerate(formed) if value is not None])
    groups[0] = sorted(groups[0] + [event for event, value in enumerate(formed) if value is None])
    return [_Piece(pa.array([formed[event] for event in group]), np.array(group)) for group in groups]


def _alike(values: list[Any], events: list[int]) -> list[list[int]]:
    """The events in groups whose values have a common array, the largest first: in one group are those that have texts,
    lists and objects at the same places, whereby nothing at a place is whatever most have there."""
    kinds = [frozenset(_kinds(values[event])) for event in events]
    usual: dict[_Place, type] = {}
    counts = Counter(chain.from_iterable(kinds))
    for place, kind in sorted(counts, key=lambda one: (-counts[one], one[1].__name__)):
        usual.setdefault(place, kind)
    groups: dict[frozenset[tuple[_Place, type]], list[int]] = {}
    for event, found in zip(events, kinds, strict=True):
        unusual = frozenset((place, kind) for place, kind in found if usual[place] is not kind)
        groups.setdefault(unusual, []).append(event)
    return sorted(groups.values(), key=lambda group: (-len(group), group[0]))


def _kinds(value: Any, place: _Place = ()) -> Iterator[tuple[_Place, type]]:
    """(place, whether a text, a list or an object is there) of all places in a value, the members of a list being one.

    >>> list(_kinds({"a": ["x", None], "b": None}))
    [((), <class 'dict'>), (('a',), <class 'list'>), (('a', 0), <class 'str'>)]
    """
    if value is None:
        return
    yield place, type(value)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _kinds(inner, (*place, key))
    elif isinstance(value, list):
        for member in value:
            yield from _kinds(member, (*place, 0))


def _array_or_none(values: list[Any]) -> pa.Array | None:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return None


def _reduced(value: Any, names: Collection[str]) -> Any:
    """A value without the fields that no path leads through, and without the values of keys that none names."""
    if isinstance(value, str):
        told = keyed_objects(value)
        value = told if told is not None else [] if value.strip() == "[]" else value
    if isinstance(value, list):
        by_name = _by_name(value, names)
        return [_reduced(inner, names) for inner in value] if by_name is None else _reduced(by_name, names)
    if not isinstance(value, dict):
        return _with_texts(value)
    if value.keys() == PAIR:
        is_wanted = "value" in names or value["key"] in tuple(names)  # it may be a list
        return {"key": _with_texts(value["key"]), "value": _with_texts(value["value"]) if is_wanted else None}
    is_wrapper = len(value) == 1 and next(iter(value)) in (*WRAPPERS, *ELEMENTS)
    return {key: _reduced(inner, names) for key, inner in value.items() if is_wrapper or key in names}


def _by_name(members: list[Any], names: Collection[str]) -> dict[str, Any] | None:
    """The values of a list of objects that are values by their names; None of one of other objects, of parameters with
    `key` and `value`, and of one whose objects have a field that a path leads through."""
    if not members or not all(isinstance(one, dict) and one.keys() != PAIR and named_value(one) for one in members):
        return None
    if any(not one.keys().isdisjoint(names) for one in members):
        return None
    return {name: value for one in members for name in names if (value := _value_called(one, name)) is not None}


def _value_called(member: Any, name: str) -> Any:
    return None if (named := named_value(member, name)) is None else named[1]


def _with_texts(value: Any) -> Any:
    """A value whose leaves are texts; one that is not Unicode is null."""
    if isinstance(value, dict):
        return {key: _with_texts(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_texts(inner) for inner in value]
    text = value if value is None or isinstance(value, str) else cell_text(value) if _is_whole(value) else str(value)
    return None if text is None or _LONE_SURROGATE.search(text) else text


def _is_whole(value: Any) -> bool:
    """Whether a number of JSON is a float of a whole number that has lost no digits."""
    return isinstance(value, float) and value.is_integer() and not is_too_large(value)


def _flattened(
    rows: EventRows, found: Mapping[str, Led], num_events: int
) -> tuple[dict[str, tuple[pa.Array, np.ndarray]], np.ndarray, list[tuple[int, str]]]:
    """(name -> values and the place in them of each row's, the event of each row, (event, why) of broken ones), of what
    paths lead to and the rows that it makes."""
    counts = np.bincount(rows.event_of, minlength=num_events)
    broken = [
        (event, f"expected at most {MAX_EVENT_ITEMS} items in an event, got {counts[event]:,}")
        for event in np.flatnonzero(counts > MAX_EVENT_ITEMS).tolist()
    ]
    keep = np.flatnonzero(counts[rows.event_of] <= MAX_EVENT_ITEMS)
    event_of = rows.event_of[keep]
    values = {name: (rows.members(led), keep) if led.listed else (led.values, event_of) for name, led in found.items()}
    return values, event_of, broken


def _at_in_pieces(pieces: list[_Piece], names: list[str], *, is_item: bool) -> Led:
    """What values_at returns, of all pieces, in order of the events; of a list at the path's end each member for the
    items, and the first for another column. Whether there may be several of an event is told by the first piece, which
    has most events; an event of another that is not as told has one value, or null."""
    if len(pieces) == 1:
        return Led(*without_list(*values_at(pieces[0].array, names), is_item))
    found: list[tuple[pa.Array, np.ndarray, bool]] = []
    for piece in pieces:
        array, places, is_list = without_list(*values_at(piece.array, names), is_item)
        if is_list and found and not found[0][2]:
            array, places, is_list = pa.nulls(len(piece.events)), np.arange(len(piece.events)), False
        found.append((array, piece.events[places], is_list))
    kinds = [array.type for array, _, _ in found]
    kind = pa.string() if pa.string() in kinds else kinds[0]
    arrays = [array if array.type == kind else pa.nulls(len(array), kind) for array, _, _ in found]
    events = np.concatenate([events for _, events, _ in found])
    order = np.argsort(events, kind="stable")
    return Led(pa.concat_arrays(arrays).take(pa.array(order)), events[order], found[0][2])
