"""Characters that nobody sees: around an id they are as little of it as blanks are."""

import pyarrow as pa
import pyarrow.compute as pc

#: Of no width: spaces, joiners, the mark that begins a file, the soft hyphen.
INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_BLANKS = "".join(character for character in map(chr, range(0x3001)) if character.isspace())


def without_edges(texts: pa.Array) -> pa.Array:
    """The texts without the blanks and the invisible characters around them.

    >>> without_edges(pa.array([" A-1\u200b ", "\ufeffB", None])).to_pylist()
    ['A-1', 'B', None]
    """
    if pc.all(pc.string_is_ascii(texts)).as_py() is not False:
        return pc.utf8_trim_whitespace(texts)
    return pc.utf8_trim(texts, _BLANKS + INVISIBLE)
