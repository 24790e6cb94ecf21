"""Events of a log that are several rows, or none: as analytics export them, an event with the items it was about.

A source of the config with dots leads into a column, as `items.item_id` or `event_params.search_term`: a name is a
field of an object; of a list of objects with `key` and `value` (BigQuery's parameters) the value of that key; of any
other list of objects the field of each, and the event becomes a row for each of them, or none. Lists that BigQuery and
Spark wrap in objects are lists.

An event whose action the config maps to "" is no row either (see schemas.unused_events). Both are counted.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrow_types import is_text
from schemas.raw_rows import RawRows

#: As many items as Google Analytics takes in an event; one with more is a broken row, for its fields are repeated.
MAX_EVENT_ITEMS = 200
#: Bytes of texts of a batch of rows, unless one row has more.
MAX_REPEATED_BYTES = 64 << 20
#: Counts of events that are no rows.
NO_ROWS = WITHOUT_ITEMS, OF_NO_USE = "events_without_items", "events_of_no_use"
#: What begins the name of a column in a batch that paths lead into; no column of ours begins so.
_ROOT = "."
_WRAPPERS, _ELEMENTS = ("list", "array"), ("element", "array_element", "item")
_PAIR = {"key", "value"}
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class _Piece(NamedTuple):
    """Some events of a batch, whose values of one column have a common type: array [events], their places."""

    array: pa.Array
    events: np.ndarray


def root_of(source: str, names: Collection[str]) -> str | None:
    """The column that a source with dots leads into; None of one that is a column itself, or leads nowhere.

    >>> root_of("items.item_id", ["items"]), root_of("a.b", ["a", "a.b"]), root_of("x.y", ["a"])
    ('items', None, None)
    """
    root = source.partition(".")[0]
    return root if source not in names and root != source and root in names else None


def nested_sources(source: Mapping[str, str], present: Collection[str]) -> dict[str, str]:
    """Those of the sources that lead into one of the file's columns."""
    return {name: theirs for name, theirs in source.items() if root_of(theirs, present) is not None}


def roots_of(paths: Mapping[str, str]) -> dict[str, str]:
    """The columns that they lead into, by the names that they have in a batch until it is a row for each item."""
    roots = (path.partition(".")[0] for path in paths.values())
    return {f"{_ROOT}{root}": root for root in roots}


def by_item(raw: RawRows, paths: Mapping[str, str]) -> Iterator[RawRows]:
    """A batch of events as one of rows: of what the paths lead to, beside what else an event has. Several batches where
    that is much, for what an event has is repeated for each of its items."""
    if not paths:
        yield raw
        return
    roots = {}
    for name, root in roots_of(paths).items():
        names = {inner for path in paths.values() for inner in path.split(".")[1:] if path.partition(".")[0] == root}
        values = raw.mixed.get(name)
        roots[root] = _whole(raw.table[name].combine_chunks()) if values is None else _pieces(values, names)
    found, event_of, broken = _flattened(roots, paths, raw.table.num_rows)
    kept = [name for name in raw.table.column_names if name not in found and not name.startswith(_ROOT)]
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
        )


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
    """The events in groups whose values have a common array, the largest first; by halves, for few differ."""
    if len(events) == 1 or _array_or_none([values[event] for event in events]) is not None:
        return [events]
    groups = _alike(values, events[: len(events) // 2])
    for group in _alike(values, events[len(events) // 2 :]):
        for place, known in enumerate(groups):
            if _array_or_none([values[event] for event in known + group]) is not None:
                groups[place] = known + group
                break
        else:
            groups.append(group)
    return sorted((sorted(group) for group in groups), key=len, reverse=True)


def _array_or_none(values: list[Any]) -> pa.Array | None:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return None


def _reduced(value: Any, names: Collection[str]) -> Any:
    """A value without the fields that no path leads through, and without the values of keys that none names."""
    if isinstance(value, list):
        return [_reduced(inner, names) for inner in value]
    if not isinstance(value, dict):
        return _with_texts(value)
    if value.keys() == _PAIR:
        is_wanted = "value" in names or value["key"] in tuple(names)  # it may be a list
        return {"key": _with_texts(value["key"]), "value": _with_texts(value["value"]) if is_wanted else None}
    is_wrapper = len(value) == 1 and next(iter(value)) in (*_WRAPPERS, *_ELEMENTS)
    return {key: _reduced(inner, names) for key, inner in value.items() if is_wrapper or key in names}


def _with_texts(value: Any) -> Any:
    """A value whose leaves are texts; one that is not Unicode is null."""
    if isinstance(value, dict):
        return {key: _with_texts(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_texts(inner) for inner in value]
    text = value if value is None or isinstance(value, str) else str(value)
    return None if text is None or _LONE_SURROGATE.search(text) else text


def _flattened(
    roots: Mapping[str, list[_Piece]], paths: Mapping[str, str], num_events: int
) -> tuple[dict[str, tuple[pa.Array, np.ndarray]], np.ndarray, list[tuple[int, str]]]:
    """What the paths lead to: (name -> values and the place in them of each row's, the event of each row, (event, why)
    of broken ones).

    roots: column -> its pieces, of num_events in all; paths: name -> a source with dots into one of them. Where a
    path leads into a list, there is a row for each of its members; paths into different lists: the first list that is
    found.
    """
    found = {name: _at_in_pieces(roots[path.partition(".")[0]], path.split(".")[1:]) for name, path in paths.items()}
    event_of = next((events for _, events, listed in found.values() if listed), np.arange(num_events))
    counts = np.bincount(event_of, minlength=num_events)
    broken = [
        (event, f"expected at most {MAX_EVENT_ITEMS} items in an event, got {counts[event]:,}")
        for event in np.flatnonzero(counts > MAX_EVENT_ITEMS).tolist()
    ]
    keep = np.flatnonzero(counts[event_of] <= MAX_EVENT_ITEMS)
    values = {}
    for name, (array, events, listed) in found.items():
        if listed and not np.array_equal(events, event_of):
            values[name] = pa.nulls(num_events), event_of[keep]
        else:
            values[name] = array, keep if listed else event_of[keep]
    return values, event_of[keep], broken


def _at_in_pieces(pieces: list[_Piece], names: list[str]) -> tuple[pa.Array, np.ndarray, bool]:
    """What _at returns, of all pieces, in order of the events. Whether there may be several of an event is told by the
    first piece, which has most events; an event of another that is not as told has one value, or null."""
    if len(pieces) == 1:
        return _at(pieces[0].array, names)
    found: list[tuple[pa.Array, np.ndarray, bool]] = []
    for piece in pieces:
        array, places, is_list = _at(piece.array, names)
        if is_list and found and not found[0][2]:
            array, places, is_list = pa.nulls(len(piece.events)), np.arange(len(piece.events)), False
        found.append((array, piece.events[places], is_list))
    kinds = [array.type for array, _, _ in found]
    kind = pa.string() if pa.string() in kinds else kinds[0]
    arrays = [array if array.type == kind else pa.nulls(len(array), kind) for array, _, _ in found]
    events = np.concatenate([events for _, events, _ in found])
    order = np.argsort(events, kind="stable")
    return pa.concat_arrays(arrays).take(pa.array(order)), events[order], found[0][2]


def _at(array: pa.Array, names: list[str]) -> tuple[pa.Array, np.ndarray, bool]:
    """(the values, the event of each, whether there may be several of an event)."""
    events, listed = np.arange(len(array)), False
    for name in names:
        array = _unwrapped(array)
        if _is_list(array.type):
            if _is_pair(array.type.value_type):
                array = _value_of(array, name)
                continue
            parents = pc.list_parent_indices(array).to_numpy()
            array, events, listed = pc.list_flatten(array), events[parents], True
            array = _unwrapped(array)
        array = _field(array, name)
    return array, events, listed


def _field(array: pa.Array, name: str) -> pa.Array:
    if pa.types.is_struct(array.type) and array.type.get_field_index(name) >= 0:
        return pc.struct_field(array, name)
    return pa.nulls(len(array))


def _unwrapped(array: pa.Array) -> pa.Array:
    """The list that an array of objects wraps, or the array itself."""
    kind = array.type
    if pa.types.is_map(kind):
        return array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
    if pa.types.is_struct(kind) and kind.num_fields == 1 and kind.field(0).name in (*_WRAPPERS, *_ELEMENTS):
        inner = pc.struct_field(array, kind.field(0).name)
        wraps = _is_list(inner.type) if kind.field(0).name in _WRAPPERS else pa.types.is_struct(inner.type)
        return inner if wraps else array
    return array


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_pair(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind) and kind.num_fields == 1 and kind.field(0).name in _ELEMENTS:
        kind = kind.field(0).type
    return pa.types.is_struct(kind) and {kind.field(n).name for n in range(kind.num_fields)} == _PAIR


def _value_of(array: pa.Array, key: str) -> pa.Array:
    """Of each list of keys and values the first value of that key, as text: of an object (`string_value`, `int_value`
    ...) the first of its fields that is there."""
    pairs, events = _unwrapped(pc.list_flatten(array)), pc.list_parent_indices(array).to_numpy()
    keys = pc.struct_field(pairs, "key").cast(pa.string())
    places = np.flatnonzero(pc.fill_null(pc.equal(keys, key), False).to_numpy(zero_copy_only=False))
    place_of = np.full(len(array), -1)
    place_of[events[places[::-1]]] = places[::-1]
    values = pc.struct_field(pairs, "value").take(pa.array(place_of, mask=place_of < 0))
    if not pa.types.is_struct(values.type):
        return values
    fields = [pc.struct_field(values, values.type.field(n).name) for n in range(values.type.num_fields)]
    return pc.coalesce(*(field.cast(pa.string()) for field in fields)) if fields else pa.nulls(len(array))
