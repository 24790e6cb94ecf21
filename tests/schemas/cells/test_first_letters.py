"""What texts begin with, told by their bytes, is what a look at each text tells."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from schemas.cells.first_letters import some_begins_with

_TEXTS = st.lists(st.none() | st.text(alphabet='{[= "aé{', max_size=4), max_size=8)


@given(_TEXTS, st.integers(0, 3), st.sampled_from(["{[", "=", " \t"]))
def test_as_each_text_tells(texts: list[str | None], first: int, letters: str) -> None:
    part = pa.array(texts, pa.string()).slice(first)
    expected = any(text[:1] in set(letters) for text in texts[first:] if text)
    assert some_begins_with(part, letters) is expected


def test_what_a_null_hides_is_not_looked_at() -> None:
    buffers = [b"\x02", np.array([0, 1, 2], np.int32).tobytes(), b"{a"]
    hidden = pa.Array.from_buffers(pa.string(), 2, list(map(pa.py_buffer, buffers)))
    assert hidden.to_pylist() == [None, "a"]
    assert not some_begins_with(hidden, "{")
