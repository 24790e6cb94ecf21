"""Characters that nobody sees: around an id they are as little of it as blanks are, and some are in no text."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Of no width: spaces, joiners, the mark that begins a file, the soft hyphen.
INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
#: What fills a cell of fixed width up to its end, and what other programs take for the end of a text.
_NUL = "\0"
_BLANKS = "".join(character for character in map(chr, range(0x3001)) if character.isspace())


def without_edges(texts: pa.Array) -> pa.Array:
    """The texts without the blanks and the invisible characters around them.

    >>> without_edges(pa.array([" A-1\u200b ", "\ufeffB", None])).to_pylist()
    ['A-1', 'B', None]
    """
    if pc.all(pc.string_is_ascii(texts)).as_py() is not False:
        return pc.utf8_trim_whitespace(texts)
    return pc.utf8_trim(texts, _BLANKS + INVISIBLE)


def without_nul(texts: pa.Array) -> pa.Array:
    r"""The texts without NUL, wherever it is.

    >>> without_nul(pa.array(["a\0b", "\0", None])).to_pylist()
    ['ab', '', None]
    """
    data = texts.buffers()[-1]  # nearly never with a zero: one look costs less than a search of each text
    if data is None or np.count_nonzero(np.frombuffer(data, np.uint8)) == data.size:
        return texts
    return pc.replace_substring(texts, _NUL, "")
