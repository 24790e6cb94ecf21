"""How large each value of an Arrow array is, of any type: its bytes once dictionaries are unfolded, and its values."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Of a list, for each member beside its value.
MEMBER_BYTES = 8
_FIXED_WIDTH = (pa.types.is_primitive, pa.types.is_null, pa.types.is_decimal, pa.types.is_fixed_size_binary)


def unfolded_bytes(array: pa.Array) -> np.ndarray:
    """int64 [len(array)]: about what each value takes once dictionaries are unfolded. Raises ArrowInvalid for a place
    that a dictionary does not have.

    >>> unfolded_bytes(pa.array(["a", None, "abc"]).dictionary_encode()).tolist()
    [1, 0, 3]
    """
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return unfolded_bytes(array.storage)
    if pa.types.is_dictionary(kind):
        _check_places(array)
        bytes_V = np.append(unfolded_bytes(array.dictionary), 0)
        return bytes_V[array.indices.cast(pa.int64()).fill_null(len(bytes_V) - 1).to_numpy()]
    if pa.types.is_struct(kind):
        return sum(map(unfolded_bytes, array.flatten()), np.zeros(len(array), np.int64))
    if pa.types.is_map(kind):
        entry = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        return unfolded_bytes(array.cast(pa.list_(entry)))
    if pa.types.is_nested(kind):
        ends_R = np.cumsum(_as_int64(pc.list_value_length(array)))
        ends_M = np.append(0, np.cumsum(unfolded_bytes(array.flatten()) + MEMBER_BYTES))
        return ends_M[ends_R] - ends_M[np.append(0, ends_R)[:-1]]
    if any(test(kind) for test in _FIXED_WIDTH):
        return np.full(len(array), 0 if pa.types.is_null(kind) else max(kind.bit_width // 8, 1), np.int64)
    is_view = pa.types.is_string_view(kind) or pa.types.is_binary_view(kind)
    return _as_int64(pc.binary_length(array.cast(pa.large_binary()) if is_view else array))


def _check_places(array: pa.DictionaryArray) -> None:
    """Of what stays dictionary-coded, pyarrow's reader does not look at them."""
    for place in pc.min_max(array.indices).as_py().values():
        if place is not None and not 0 <= place < len(array.dictionary):
            raise pa.ArrowInvalid(f"place {place:,} in a dictionary of {len(array.dictionary):,} values")


def num_values(array: pa.Array) -> np.ndarray:
    """int64 [len(array)]: how many values each value is made of, with itself.

    >>> num_values(pa.array([[1, 2], None])).tolist(), num_values(pa.array([{"a": [3]}])).tolist()
    ([3, 1], [3])
    """
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return num_values(array.storage)
    if pa.types.is_struct(kind):
        return sum(map(num_values, array.flatten()), np.ones(len(array), np.int64))
    if pa.types.is_map(kind):
        entry = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        return num_values(array.cast(pa.list_(entry)))
    if not pa.types.is_nested(kind) or not hasattr(array, "flatten"):
        return np.ones(len(array), np.int64)
    ends_R = np.cumsum(_as_int64(pc.list_value_length(array)))
    ends_M = np.append(0, np.cumsum(num_values(array.flatten())))
    return 1 + ends_M[ends_R] - ends_M[np.append(0, ends_R)[:-1]]


def _as_int64(lengths: pa.Array) -> np.ndarray:
    return lengths.cast(pa.int64()).fill_null(0).to_numpy()
