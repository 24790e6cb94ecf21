"""What a source with dots leads to in a column of objects, as `attributes.brand` or `items.item_id`.

A name is a field of an object; of a map, or a list of objects with `key` and `value` (BigQuery's parameters), the value
of that key; of a list of objects with `name` and `values` (Shopify's options) or the like that have no such field the
values of that name; of any other list of objects the field of each. Lists that BigQuery and Spark wrap in objects are
lists. A text is what it holds by keys (see schemas.cells.keyed_texts).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrow_types import is_text
from schemas.cells.lists import ELEMENTS, WRAPPERS
from schemas.columns.extended_json import NAMES, VALUES_OF_NAMES, plain_value, value_at
from schemas.columns.localised_texts import LOCALES, TEXTS

#: What a member of a list of parameters has.
PAIR = {"key", "value"}


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


def column_at(column: pa.Array, source: str) -> pa.Array | list[Any]:
    """What a source with dots leads to in a column, a value for each row: of a list of objects, the list of what is in
    each, or the values of those that are called so. Python values of texts, and of objects by their names."""
    if is_by_values(column.type, source.split(".")[1:]):
        root = source.partition(".")[0]
        return [plain_value(value_at({root: value}, source)) for value in values_of(column)]
    values, events, is_list = values_at(column, source.split(".")[1:])
    if not is_list:
        return values
    there = values.is_valid().to_numpy(zero_copy_only=False)
    ends = np.cumsum(np.bincount(events[there], minlength=len(column)))
    offsets = pa.array(np.append(0, ends), pa.int32())
    return pa.ListArray.from_arrays(offsets, values.drop_null() if values.null_count else values)


def is_by_values(kind: pa.DataType, names: Sequence[str]) -> bool:
    """Whether names lead into a text, or into a list of objects that have a name and a value, and no field that is
    called so: whose it is then tells each value.

    >>> is_by_values(pa.string(), ["color"]), is_by_values(pa.struct([("color", pa.string())]), ["color"])
    (True, False)
    """
    array = pa.array([], kind.value_type if pa.types.is_dictionary(kind) else kind)
    for name in names:
        array = _unwrapped(array)
        if is_text(array.type):
            return not name.startswith("$")
        if _is_list(array.type) and _is_pair(array.type.value_type):
            array = _value_of(array, name)
            continue
        if _is_list(array.type):
            array = _unwrapped(pc.list_flatten(array))
            fields = _fields(array.type)
            is_named = not fields.isdisjoint((*NAMES, *LOCALES)) and not fields.isdisjoint((*VALUES_OF_NAMES, *TEXTS))
            if (is_named and name not in fields) or is_text(array.type):
                return True
        array = _field(array, name)
    return False


def _fields(kind: pa.DataType) -> set[str]:
    return {kind.field(n).name for n in range(kind.num_fields)} if pa.types.is_struct(kind) else set()


def values_of(column: pa.Array) -> list[Any]:
    """The Python values of a column, maps as objects; null where a text is no UTF-8."""
    return [without_maps(value) for value in _values(column)]


def _values(column: pa.Array) -> list[Any]:
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        return [_value_or_none(value) for value in column]


def _value_or_none(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return None


def without_maps(value: Any) -> Any:
    """A value of Python with maps, which pyarrow gives as lists of pairs, as objects, wherever they are.

    >>> without_maps([("color", "Red")])
    {'color': 'Red'}
    """
    if isinstance(value, dict):
        return {key: without_maps(inner) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    if value and all(isinstance(member, tuple) for member in value):  # as pyarrow has a map
        return {str(key): without_maps(inner) for key, inner in value}
    return [without_maps(member) for member in value]


def without_list(array: pa.Array, events: np.ndarray, listed: bool, is_item: bool) -> tuple[pa.Array, np.ndarray, bool]:
    """What values_at returns, but of a list of texts at the end each member, of items, else the first."""
    array = _unwrapped(array)
    if not _is_list(array.type) or pa.types.is_nested(array.type.value_type):
        return array, events, listed
    parents = pc.list_parent_indices(array).to_numpy()
    if is_item:
        return pc.list_flatten(array), events[parents], True
    first = np.full(len(array), -1)
    first[parents[::-1]] = np.arange(len(parents))[::-1]
    return pc.list_flatten(array).take(pa.array(first, mask=first < 0)), events, listed


def values_at(array: pa.Array, names: list[str]) -> tuple[pa.Array, np.ndarray, bool]:
    """What names lead to, one after the other: (the values, the row of each, whether there may be several of a row)."""
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
    if name.startswith("$") and not pa.types.is_struct(array.type):
        return array  # the value itself, see schemas.columns.extended_json
    if pa.types.is_struct(array.type) and array.type.get_field_index(name) >= 0:
        return pc.struct_field(array, name)
    return pa.nulls(len(array))


def _unwrapped(array: pa.Array) -> pa.Array:
    """The list that an array of objects wraps, or the array itself."""
    kind = array.type
    if pa.types.is_map(kind):
        return array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
    if pa.types.is_struct(kind) and kind.num_fields == 1 and kind.field(0).name in (*WRAPPERS, *ELEMENTS):
        inner = pc.struct_field(array, kind.field(0).name)
        wraps = _is_list(inner.type) if kind.field(0).name in WRAPPERS else pa.types.is_struct(inner.type)
        return inner if wraps else array
    return array


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_pair(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind) and kind.num_fields == 1 and kind.field(0).name in ELEMENTS:
        kind = kind.field(0).type
    return pa.types.is_struct(kind) and {kind.field(n).name for n in range(kind.num_fields)} == PAIR


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
