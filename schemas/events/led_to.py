"""What paths lead to in the columns of a batch of events: see schemas.events.paths.

The values of a column may be Arrow's own, of one type, or Python's (of JSON, say), which may have several forms: those
are taken in pieces of events whose values have a common one.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.arrow_types import is_text
from schemas.cells.keyed_texts import keyed, keyed_objects
from schemas.cells.lists import ELEMENTS, WRAPPERS
from schemas.cells.text import cell_text, is_too_large
from schemas.columns.extended_json import named_value
from schemas.columns.nested_columns import PAIR, is_by_values, values_at, values_of, without_list
from schemas.columns.raw_rows import RawRows
from schemas.columns.spec import name_of_part
from schemas.events.item_lists import item_separator, split_items
from schemas.events.rows import Led

#: What begins the name of a column in a batch that paths lead into; no column of ours begins so.
ROOT = "."
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
    return {f"{ROOT}{root}": root for root in roots}


def led_to(raw: RawRows, paths: Mapping[str, str]) -> dict[str, Led]:
    """Our column -> what its path leads to in a batch of events. Items that a text lists are several, where the mapping
    says what separates them."""
    pieces = _pieces_of_roots(raw, paths)
    led = {
        name: _at_in_pieces(pieces[path.partition(".")[0]], path.split(".")[1:], is_item=name_of_part(name) == _ITEM)
        for name, path in paths.items()
    }
    if (separator := item_separator(raw)) is not None:
        led |= {name: _split(one, separator) for name, one in led.items() if name_of_part(name) == _ITEM}
    return led


def _pieces_of_roots(raw: RawRows, paths: Mapping[str, str]) -> dict[str, list[_Piece]]:
    """Each column that paths lead into -> its values, in pieces."""
    pieces = {}
    for name, root in roots_of(paths).items():
        within = [path.split(".")[1:] for path in paths.values() if path.partition(".")[0] == root]
        values = raw.mixed.get(name)
        array = raw.table[name].combine_chunks()
        if values is None and any(is_by_values(array.type, inner) for inner in within):
            values = values_of(array)
        pieces[root] = _whole(array) if values is None else _pieces(list(map(_told, values)), {*chain(*within)})
    return pieces


def first_led_to(values: Sequence[Any], path: str) -> list[Any]:
    """What a path leads to in the values of the column that it begins with, as led_to reads it: of each event the
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
