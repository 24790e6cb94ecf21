"""Ids that are whole numbers, but were written as floats: `100.0`, as pandas writes a column of which some are missing.

Of a number's own type such an id is its digits (see schemas.cells.text). Of text no cell can tell alone: `12.0` is an
article of its own where `12.5` is another. The column of the whole table tells, whatever files the table is in:

| a text in the column | is | says |
|---|---|---|
| `100.0` | pointed | the id is `100`, unless the column has codes |
| `12.5` `1.10` `1.0.1` `007` | a code | digits are more than a number here, so that `12.0` is an id, too |
| `100` | whole | nothing |
| `abc` `10.0.0.1` | another | nothing: one such id among users is no reason to call all others otherwise |

The mapping's `whole` says it once and for all: then each cell is read alone.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells.text import NULL_WORDS
from schemas.coercion.guests import GUESTS
from schemas.quarantine import quote

#: RE2, each of the whole text, blanks around it aside.
_POINTED = r"^\s*(-?(?:0|[1-9][0-9]*))\.0+\s*$"
_CODE = r"^\s*-?(?:[0-9]+\.(?:[0-9]*[1-9][0-9]*|[0-9]+\.[0-9]+)|0[0-9]+(?:\.0+)?)\s*$"
_WHOLE = r"^\s*-?(?:0|[1-9][0-9]*)\s*$"
#: Digits that begin with a zero, which a sheet that takes them for a number takes away.
_WITH_ZEROS, _DIGITS = "^0[0-9]+$", "^[0-9]+$"
#: Of the codes and pointed ids so many are codes, at least, where a point is part of the ids; a slip in one cell of
#: many is none.
_LEAST_CODES = 0.01
#: Begins the names of the counts of pointed cells of a column: those that were read as whole numbers, and as they are.
POINTS = "ids_point_"
DROPPED, KEPT = f"{POINTS}dropped:", f"{POINTS}kept:"


@dataclass
class IdForms:
    """The ids of a column by what they are: how many, and the first of each; sums in order of the rows."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: "IdForms") -> "IdForms":
        return IdForms(self.counts + other.counts, {**other.first, **self.first})

    @property
    def are_whole(self) -> bool:
        """Whether `100.0` is 100 in this column.

        >>> forms_of(pa.array(["100.0", "guest-7", None])).are_whole, forms_of(pa.array(["12.0", "12.5"])).are_whole
        (True, False)
        """
        pointed, codes = self.counts["pointed"], self.counts["code"]
        return pointed > 0 and codes < _LEAST_CODES * (pointed + codes)

    @property
    def others(self) -> dict[str, int]:
        """What the column has beside pointed ids."""
        return {kind: count for kind, count in self.counts.items() if kind != "pointed" and count}


def forms_of(ids: pa.Array) -> IdForms:
    """What the ids of a column are. Blanks, nulls and words for nobody or for null are none.

    >>> forms_of(pa.array(["100.0", "100", "1.10", "nan", "Guest", "", "007.0", "x"])).counts
    Counter({'code': 2, 'pointed': 1, 'whole': 1, 'another': 1})
    """
    trimmed = pc.utf8_trim_whitespace(ids)
    is_none = pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(["", *GUESTS, *map(str.lower, NULL_WORDS)]))
    there = trimmed.filter(pc.and_(trimmed.is_valid(), pc.invert(is_none)))
    forms, rest = IdForms(), there
    for kind, pattern in (("pointed", _POINTED), ("code", _CODE), ("whole", _WHOLE), ("another", "")):
        is_one = pc.match_substring_regex(rest, pattern)
        found, rest = rest.filter(is_one), rest.filter(pc.invert(is_one))
        if len(found):
            forms.counts[kind] = len(found)
            forms.first[kind] = found[0].as_py()
    return forms


def zeros_in_words(ids: pa.Array | pa.ChunkedArray) -> str:
    """What to say of ids that differ from others by leading zeros alone; "" without any.

    >>> zeros_in_words(pa.array(["007", "7", "08", "0A", "A"])).partition(",")[0]
    '1 ids are there with other leading zeros'
    >>> zeros_in_words(pa.array(["007", "8"]))
    ''
    """
    if not pc.any(pc.match_substring_regex(ids, _WITH_ZEROS)).as_py():
        return ""
    digits = pc.unique(ids.filter(pc.match_substring_regex(ids, _DIGITS)))
    numbers = pc.utf8_ltrim(digits, "0")
    counts = pc.value_counts(numbers)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if not len(twice):
        return ""
    beside = " beside ".join(map(quote, digits.filter(pc.equal(numbers, twice[0])).to_pylist()[:2]))
    return (
        f"{len(twice):,} ids are there with other leading zeros, too, as items of their own, {beside}: a sheet that "
        "takes them for numbers takes the zeros away. If they are one, write each in one way in the export"
    )


def whole_part(pointed: str) -> str:
    """
    >>> whole_part("100.0")
    '100'
    """
    return pointed.partition(".")[0]


def without_points(ids: pa.Array, whole: bool | None, are_whole: Callable[[], bool]) -> tuple[pa.Array, np.ndarray]:
    """(ids with `100.0` as 100 where that is so, bool [rows] where an id is pointed, whatever it is read as). whole:
    what the mapping says; are_whole: tells it of a column that has pointed ids, if the mapping does not.

    >>> without_points(pa.array(["100.0", "abc"]), True, bool)[0].to_pylist()
    ['100', 'abc']
    """
    pointed = np.zeros(len(ids), bool)
    if pc.any(pc.match_substring(ids, ".0")).as_py():
        is_pointed = pc.fill_null(pc.match_substring_regex(ids, _POINTED), False)
        pointed = is_pointed.to_numpy(zero_copy_only=False)
    if pointed.any() and (are_whole() if whole is None else whole):
        ids = pc.replace_substring_regex(ids, _POINTED, r"\1")
    return ids, pointed
