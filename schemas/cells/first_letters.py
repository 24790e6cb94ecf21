"""What texts begin with, told by their first bytes: nearly none of a column begins as what is looked for."""

import numpy as np
import pyarrow as pa


def some_begins_with(texts: pa.Array, letters: str) -> bool:
    r"""Whether some text begins with one of these ASCII letters: one look at the first bytes of all, which costs less
    than a search for each letter. texts: strings.

    >>> some_begins_with(pa.array(["", None, "mug", "[1]"]), "{["), some_begins_with(pa.array(["a{"]), "{[")
    (True, False)
    """
    _, offsets, data = texts.buffers()
    if data is None:
        return False
    offsets_N = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    is_there_N = offsets_N[1:] > offsets_N[:-1]
    if texts.null_count:  # which may hide bytes
        is_there_N &= texts.is_valid().to_numpy(zero_copy_only=False)
    first_N = offsets_N[:-1][is_there_N]
    is_one = np.zeros(256, bool)
    is_one[list(letters.encode("ascii"))] = True
    return bool(is_one[np.frombuffer(data, np.uint8)[first_N]].any())
