"""What Arrow's types have in common, for columns that come in any of them."""

import pyarrow as pa

#: What pyarrow raises for a cast that it does not do.
ARROW_REFUSALS = (pa.ArrowInvalid, pa.ArrowNotImplementedError)
_TEXT = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
)


def is_text(kind: pa.DataType) -> bool:
    """Whether values of the type are strings, or bytes that may be UTF-8.

    >>> is_text(pa.large_string()), is_text(pa.int8())
    (True, False)
    """
    return any(test(kind) for test in _TEXT)
