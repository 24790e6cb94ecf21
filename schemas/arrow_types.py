"""What Arrow's types have in common, for columns that come in any of them."""

import functools
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

#: What pyarrow raises for a cast that it does not do.
ARROW_REFUSALS = (pa.ArrowInvalid, pa.ArrowNotImplementedError)
_TEXT = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
)

_BYTES = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)


def is_text(kind: pa.DataType) -> bool:
    """Whether values of the type are strings, or bytes that may be UTF-8.

    >>> is_text(pa.large_string()), is_text(pa.int8())
    (True, False)
    """
    return any(test(kind) for test in _TEXT)


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether values of the type are bytes, or hold some at any depth; the names of fields say nothing.

    >>> holds_bytes(pa.list_(pa.struct([("a", pa.binary())]))), holds_bytes(pa.struct([("binary_url", pa.string())]))
    (True, False)
    """
    if isinstance(kind, pa.ExtensionType):
        return holds_bytes(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return holds_bytes(kind.value_type)
    if pa.types.is_nested(kind):
        return any(holds_bytes(kind.field(number).type) for number in range(kind.num_fields))
    return any(test(kind) for test in _BYTES)


def joined_texts(columns: Sequence[pa.Array], separator: str) -> pa.Array:
    """Row by row the texts of some columns of one length, those that are there; null where none is. Arrow's own join
    that skips nulls leaves out the rows in which all are.

    >>> joined_texts([pa.array(["a", None, None]), pa.array(["b", "c", None])], ", ").to_pylist()
    ['a, b', 'c', None]
    """
    return functools.reduce(lambda a, b: pc.coalesce(pc.binary_join_element_wise(a, b, separator), a, b), columns)
