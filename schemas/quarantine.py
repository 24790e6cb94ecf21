"""Quarantine: what was rejected, why, and what to do about it. Nothing that came in disappears without a row here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

#: `got` is quoted from hostile input: shortened to this many characters, control characters escaped.
MAX_QUOTED_CHARACTERS = 200
#: Of a text: all of it that may be shown, and one more, which shows that there is more.
_ENOUGH = MAX_QUOTED_CHARACTERS + 1
#: Python prints no more than 4,300 digits, and takes the longer over each the more there are.
_PRINTED_BITS = 10_000
#: RE2: `where` of a row of a file.
_PLACE = r"^(?P<file>.*):(?P<number>[0-9]{1,18})$"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """One quarantine row; fields as in schemas.tables.REJECTIONS."""

    level: str
    stage: str
    item_id: str | None
    reason: str
    expected: str
    got: str
    where: str
    remedy: str


def quote(value: object) -> str:
    """A short, printable rendering of an untrusted value. No more of it is rendered than is shown.

    >>> quote("a\\x1b[31m")
    "'a\\\\x1b[31m'"
    """
    if value is None:  # what most rows without an id have
        return "None"
    text = repr(value[:_ENOUGH]) if isinstance(value, str) else _beginning(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MAX_QUOTED_CHARACTERS else text[: MAX_QUOTED_CHARACTERS - 1] + "…"


def _beginning(value: object) -> str:
    """ascii(value), or its first characters if they are more than are shown."""
    text = ""
    for piece in _pieces(value):
        text += piece
        if len(text) > MAX_QUOTED_CHARACTERS:
            break
    return text


def _pieces(value: object) -> Iterator[str]:
    """The pieces of ascii(value), one after the other, each short. What is within another value comes when it is asked
    for, so nesting as deep as the text is long is all that is looked into."""
    if isinstance(value, str | bytes):
        yield ascii(value[:_ENOUGH])
    elif isinstance(value, int) and value.bit_length() > _PRINTED_BITS:
        yield f"a whole number of {value.bit_length():,} bits"
    elif isinstance(value, dict) and type(value) is dict:
        yield "{"
        for number, (key, member) in enumerate(value.items()):
            yield ", " if number else ""
            yield from _pieces(key)
            yield ": "
            yield from _pieces(member)
        yield "}"
    elif isinstance(value, list | tuple) and type(value) in (list, tuple):
        yield "[" if type(value) is list else "("
        for number, member in enumerate(value):
            yield ", " if number else ""
            yield from _pieces(member)
        yield "]" if type(value) is list else ",)" if len(value) == 1 else ")"
    else:
        yield ascii(value)


def rejections_to_table(rejections: Iterable[Rejection]) -> "pa.Table":
    """The sorted REJECTIONS table of rejections in any order."""
    return sorted_rejections(unsorted_rejections(rejections))


def unsorted_rejections(rejections: Iterable[Rejection]) -> "pa.Table":
    """The REJECTIONS table of rejections in their order: a part of what is sorted when all are together."""
    import pyarrow as pa  # a moment that `itemsage --help` and `path`, which quote, need not wait for

    from schemas.tables import REJECTIONS

    values = attrgetter(*REJECTIONS.names)
    columns = zip(*map(values, rejections), strict=True)
    arrays = [pa.array(column, pa.string()) for column in columns]
    return pa.Table.from_arrays(arrays, schema=REJECTIONS) if arrays else REJECTIONS.empty_table()


def sorted_rejections(rejections: "pa.Table") -> "pa.Table":
    """A REJECTIONS table in a total order, so that equal rejections give equal bytes: what names no row of a file
    first, then by file and number of the row, then by all columns.

    >>> from dataclasses import replace
    >>> one = Rejection(level="row", stage="items", item_id=None, reason="r", expected="", got="", where="", remedy="")
    >>> table = rejections_to_table(replace(one, where=where) for where in ("a.csv:100", "b.csv:1", "a.csv:28"))
    >>> table["where"].to_pylist()
    ['a.csv:28', 'a.csv:100', 'b.csv:1']
    """
    import pyarrow as pa  # as above
    import pyarrow.compute as pc

    place = pc.extract_regex(rejections["where"], pattern=_PLACE)
    number = pc.cast(pc.struct_field(place, "number"), pa.int64())
    keys = {
        "file": pc.fill_null(pc.struct_field(place, "file"), ""),
        "number": pc.fill_null(number, -1),
        **{name: pc.fill_null(rejections[name], "None") for name in rejections.column_names},
        "is_null": pc.is_null(rejections["item_id"]),
    }
    return rejections.take(pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys]))


def quarantine_table(rejections: "pa.Table", run_id: str) -> "pa.Table":
    """The QUARANTINE table of a run from REJECTIONS columns (others, such as an earlier run's id, are dropped)."""
    import pyarrow as pa  # as above

    from schemas.tables import QUARANTINE, REJECTIONS

    columns = rejections.select(REJECTIONS.names).columns
    return pa.table([*columns, pa.array([run_id] * len(rejections), pa.string())], schema=QUARANTINE)
