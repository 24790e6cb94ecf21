"""A time in two columns, a day in one and a clock in the other: joined to one column of texts.

Of other pairs of columns of times the first that is there counts. What is a clock shows in the texts of a batch, of
which most are one: `14:05`, `14:05:30.5`, `2:05 PM`, or an hour alone. A day without a clock is its midnight.
"""

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells.text import UnreadableCellError, cell_text
from schemas.coercion.cells import Cells

_CLOCK = r"^\s*\d{1,2}(?::\d\d(?::\d\d(?:\.\d{1,9})?)?\s*(?:[AaPp]\.?[Mm]\.?)?(?:Z|\s?[+-]\d\d:?\d\d)?)?\s*$"
_HOUR = r"^\s*(\d{1,2})\s*$"


def is_clock(text: str) -> bool:
    """Whether a text is a time of a day, or an hour.

    >>> is_clock("14:05:30"), is_clock("2:05 PM"), is_clock("14"), is_clock("2026-06-20")
    (True, True, True, False)
    """
    return re.match(_CLOCK, text) is not None


def joined_texts_of(days: pa.Array, clocks: pa.Array, told: str | None) -> pa.Array | None:
    """Texts of days and of clocks as `2026-06-20 14:05`, null where there is no day; None if most of the clocks are
    none. told: the format of the whole, if there is one: then nothing is changed in its parts, and midnight is written
    as the first clock is."""
    are_clocks = pc.match_substring_regex(clocks, _CLOCK)
    num_clocks = pc.sum(are_clocks).as_py() or 0
    if not num_clocks or 2 * num_clocks < len(clocks) - clocks.null_count:
        return None
    if told is None:
        hours = pc.utf8_lpad(pc.replace_substring_regex(clocks, _HOUR, r"\1"), 2, "0")
        clocks = pc.replace_substring_regex(hours, r"^(\d\d)$", r"\1:00")
        days = pc.replace_substring_regex(days, r"^\s*(\d{4})(\d\d)(\d\d)\s*$", r"\1-\2-\3")
        clocks = pc.fill_null(clocks, "00:00")
    else:
        first = clocks.filter(are_clocks)[0].as_py().strip()
        clocks = pc.fill_null(clocks, re.sub(r"\d", "0", first) if "%p" not in told else _midnight_of_12_hours(first))
    return pc.binary_join_element_wise(pc.utf8_trim_whitespace(days), pc.utf8_trim_whitespace(clocks), " ")


def with_clocks(sources: Sequence[Cells]) -> Sequence[Cells]:
    """The cells of the sources of a time: of a day and a clock those of the whole, of any others as they are."""
    if len(sources) != 2:
        return sources
    days, clocks = map(_texts, sources)
    joined = None if days is None or clocks is None else joined_texts_of(days, clocks, sources[0].spec.time)
    if joined is None:
        return sources
    called = " and ".join(cells.called for cells in sources)
    return [Cells(sources[0].spec, joined, joined, np.zeros(len(joined), bool), joined, called)]


def _midnight_of_12_hours(clock: str) -> str:
    """
    >>> _midnight_of_12_hours("2:05 PM"), _midnight_of_12_hours("11:05:30 AM")
    ('12:00 AM', '12:00:00 AM')
    """
    rest = re.sub(r"\d", "0", clock.partition(":")[2])
    return re.sub(r"[Pp](?=\.?[Mm])", "A", f"12:{rest}")


def _texts(cells: Cells) -> pa.Array | None:
    """The cells as texts, of a timestamp at midnight its day; None if one has no text."""
    try:
        texts = [None if value is None else cell_text(value) for value in map(cells.value, range(len(cells.values)))]
    except UnreadableCellError:
        return None
    return pc.replace_substring_regex(pa.array(texts, pa.string()), r"T00:00:00$", "")
