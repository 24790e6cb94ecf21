"""JSON from hands that are not ours: what nests deeper than any value of ours is refused, the same on every stack."""

import json
from typing import Any

#: No value of ours nests deeper than a few lists and tables. Python itself gives up near 1,000, sooner on a deep stack,
#: and what it still reads it may not be able to write or to show.
MAX_JSON_DEPTH = 100


def load_json(text: str) -> Any:
    """json.loads; ValueError also for what nests deeper than MAX_JSON_DEPTH."""
    too_deep = f"expected JSON of at most {MAX_JSON_DEPTH} levels, got more"
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(too_deep) from error
    if text.count("[") + text.count("{") > MAX_JSON_DEPTH and is_deeper(value, MAX_JSON_DEPTH):
        raise ValueError(too_deep)
    return value


def is_deeper(value: Any, max_depth: int) -> bool:
    """Whether lists and dicts nest deeper than that.

    >>> is_deeper([[1]], 2), is_deeper([{"a": []}], 1)
    (False, True)
    """
    level = [value]
    for _ in range(max_depth):
        level = [
            member
            for parent in level
            if isinstance(parent, list | dict)
            for member in (parent.values() if isinstance(parent, dict) else parent)
        ]
    return any(isinstance(member, list | dict) for member in level)
