"""Where the log ends that something has learnt from, as manifests tell it: whoever asks about later days must know.

None          it has read no log
a number      the first instant after the rows that it has read (microseconds since 1970, UTC)
ANY_DAY       it has read one whose end is not told: it may know any day
"""

import math
from collections.abc import Iterable
from typing import cast

from schemas.days import instant_in_words

#: What manifests call it.
LOG_END = "log_end_us"
ANY_DAY = math.inf
_NOT_TOLD = "not told"


def told_end(end: object) -> float:
    """The end of a log that was read, as the manifest of a stage or a model has it: ANY_DAY unless it is a number."""
    return end if isinstance(end, int) else ANY_DAY


def latest(ends: Iterable[float | None]) -> float | None:
    """The last of the ends of several logs.

    >>> latest([None, 5, 7]), latest([5, ANY_DAY]), latest([None])
    (7, inf, None)
    """
    return max((end for end in ends if end is not None), default=None)


def end_to_json(end_us: float | None) -> int | str | None:
    """As the manifests have it of what may have read a log or none.

    >>> end_to_json(ANY_DAY), end_to_json(5), end_to_json(None)
    ('not told', 5, None)
    """
    return _NOT_TOLD if end_us == ANY_DAY else None if end_us is None else int(end_us)


def end_from_json(value: object) -> float | None:
    """Inverse of end_to_json. Raises ValueError for what that does not write."""
    if value is not None and value != _NOT_TOLD and type(value) is not int:
        raise ValueError("microseconds since 1970, or nothing")
    return ANY_DAY if value == _NOT_TOLD else cast("int | None", value)


def log_in_words(end_us: float) -> str:
    """A log that was read.

    >>> log_in_words(0), log_in_words(ANY_DAY)
    ('the log up to 1970-01-01 00:00 UTC', 'a log whose end is not told')
    """
    return "a log whose end is not told" if end_us == ANY_DAY else f"the log up to {instant_in_words(end_us)}"
