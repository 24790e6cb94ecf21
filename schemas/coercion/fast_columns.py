"""Whole columns into columns of ours at once, by Arrow, where every value is plainly one; None where some may be none:
then each is looked at, and becomes the same (see schemas.cells, its text and lists).
"""

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrow_types import ARROW_REFUSALS, is_text
from schemas.cells.list_texts import MAX_SEPARATORS, MAY_BE_LIST
from schemas.cells.text import cell_text, id_text

_UUID_BYTES = 16
TEXT_LISTS = pa.list_(pa.string())
#: Types with few values a batch that Arrow writes in another way than we do.
_BY_DISTINCT = (
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_date,
    pa.types.is_time,
)
#: What a value raises that is none: UnreadableCellError is a ValueError; to_pylist refuses dates beyond Python's range,
#: and zones that it does not know, dictionary_encode float16.
_NOT_PLAIN = (ValueError, OverflowError, KeyError, *ARROW_REFUSALS)


def fast_text(column: pa.Array, join_lists: bool) -> pa.Array | None:
    """The column as strings if every value is one, or a number, boolean, date or time, else None."""
    kind = column.type
    try:
        if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
            return column.cast(pa.string())
        if pa.types.is_dictionary(kind):
            return fast_text(column.dictionary_decode(), join_lists)
        if is_text(kind):
            column.validate(full=True)  # Parquet's reader does not check UTF-8
            return column.cast(pa.string())
        if pa.types.is_timestamp(kind):
            in_us = pc.CastOptions(target_type=pa.timestamp("us", kind.tz), allow_time_truncate=True)
            return _by_distinct(pc.cast(column, options=in_us), cell_text)
        if any(test(kind) for test in _BY_DISTINCT):
            return _by_distinct(column, cell_text)
        if join_lists and _is_text_list(kind):
            lists = fast_lists(column, None)
            if lists is not None and lists.flatten().null_count == 0:
                return pc.binary_join(lists, " ")
    except ARROW_REFUSALS:
        pass
    return None


def fast_ids(column: pa.Array) -> pa.Array | None:
    """The column as ids if every value is one, else None."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return fast_ids(column.dictionary_decode())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _by_distinct(column, id_text)
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == _UUID_BYTES:
        return _uuids_or_text(column)
    is_id = pa.types.is_null(kind) or pa.types.is_integer(kind) or is_text(kind)
    return fast_text(column, join_lists=False) if is_id else None


def _uuids_or_text(column: pa.Array) -> pa.Array:
    """16 bytes a value: a text where they are letters, digits and signs, else a UUID. No UUID of RFC 9562 (section 4.1)
    is such a text, for its ninth byte is above 127."""
    values = (None if value is None else _uuid_or_text(value) for value in column.to_pylist())
    return pa.array(values, pa.string())


def _uuid_or_text(value: bytes) -> str:
    return value.decode() if value.isascii() and value.decode().isprintable() else str(uuid.UUID(bytes=value))


def _by_distinct(column: pa.Array, coerce: Callable[[Any], str | None]) -> pa.Array | None:
    """Each of the column's values coerced once; None if one cannot be."""
    is_float = pa.types.is_floating(column.type)
    try:
        coded = column.dictionary_encode()
        values = coded.dictionary.to_numpy(zero_copy_only=False) if is_float else coded.dictionary.to_pylist()
        texts = [coerce(value) for value in values]
    except _NOT_PLAIN:
        return None
    return pa.array(texts, pa.string()).take(coded.indices)


def fast_lists(column: pa.Array, separator: str | None) -> pa.Array | None:
    """The column as lists of strings if every value is plainly one, else None."""
    kind = column.type
    try:
        if pa.types.is_null(kind):
            return column.cast(TEXT_LISTS)
        if _is_list(kind) and pa.types.is_dictionary(kind.value_type):
            return fast_lists(column.cast(pa.list_(kind.value_type.value_type)), separator)
        if _is_text_list(kind):
            column.validate(full=True)
            return column.cast(TEXT_LISTS)
        if is_text(kind):
            column.validate(full=True)
            return _split_lists(column.cast(pa.string()), separator)
    except ARROW_REFUSALS:
        pass
    return None


def _split_lists(text: pa.Array, separator: str | None) -> pa.Array | None:
    """A text column as lists; None if some of it may be written in more than one way."""
    if separator is None:
        if pc.any(pc.match_substring_regex(text, MAY_BE_LIST)).as_py():
            return None
        separator = "|" if pc.any(pc.match_substring(text, "|")).as_py() else None
    if separator is None:
        is_null = text.is_null()
        offsets = np.append(0, np.cumsum(text.is_valid().to_numpy(zero_copy_only=False))).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), text.drop_null(), mask=is_null)
    if (pc.max(pc.count_substring(text, separator)).as_py() or 0) > MAX_SEPARATORS:
        return None
    lists = pc.split_pattern(text, separator)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    offsets = np.append(0, np.cumsum(lengths)).astype(np.int32)
    members = pc.utf8_trim_whitespace(lists.flatten())
    return pa.ListArray.from_arrays(pa.array(offsets), members, mask=lists.is_null())


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _is_text_list(kind: pa.DataType) -> bool:
    return _is_list(kind) and (is_text(kind.value_type) or pa.types.is_dictionary(kind.value_type))
