"""Ids that a spreadsheet has written as a rounded number: `4.01235E+12` of 4012345678901.

A spreadsheet shows a long number of a cell that is not text so, and saves what it shows: which number it was is lost,
and other numbers have become the same text. Written so with all of its digits it has lost none, and is an id.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: A digit before the mark of decimals, and an exponent with a sign: what spreadsheets and most programs write. An
#: article number such as 12E5 has no sign.
_SCIENTIFIC = r"^\s*-?[1-9](?:[.,][0-9]*)?[eE]\+[0-9]{1,3}\s*$"


def rounded_ids(ids: pa.Array) -> np.ndarray:
    """bool [rows]: where an id is a number in scientific notation that has fewer digits than its exponent says.

    >>> rounded_ids(pa.array(["4,01235E+12", "4.012345678901E+12", "12E5", "4012345678901", None])).tolist()
    [True, False, False, False, False]
    """
    rounded = np.zeros(len(ids), bool)
    if not pc.any(pc.match_substring(ids, "+")).as_py():
        return rounded
    is_scientific = pc.fill_null(pc.match_substring_regex(ids, _SCIENTIFIC), False)
    for row in np.flatnonzero(is_scientific.to_numpy(zero_copy_only=False)).tolist():
        rounded[row] = is_rounded(ids[row].as_py())
    return rounded


def is_rounded(number: str) -> bool:
    """Whether a number in scientific notation has fewer digits than the whole number it stands for.

    >>> is_rounded("1.2E+02"), is_rounded("1.23E+02")
    (True, False)
    """
    digits, _, exponent = number.lower().partition("e")
    return sum(map(str.isdigit, digits)) <= int(exponent)
