"""Random numbers that depend on names alone, never on who draws them, when, or how many others do.

splitmix64's finaliser (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014, figure 17)
over 64-bit words, so that a hash of names can be drawn from many times without hashing names again.
"""

from collections.abc import Sequence

import numpy as np

from schemas.hashing import stable_hash

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def name_hashes(names: Sequence[str], *of: object) -> np.ndarray:
    """uint64: a stable hash of each name and of what it is for."""
    prefix = "/".join(map(str, of))
    return np.array([stable_hash(f"{prefix}/{name}") for name in names], np.uint64)


def mixed(words: np.ndarray, *more: np.ndarray | int) -> np.ndarray:
    """uint64: the words mixed with others one after the other; the order of these matters. Shapes broadcast.

    >>> int(mixed(np.array([0], np.uint64), 0)[0]) == 0xE220A8397B1DCDAF  # splitmix64's first output from state 0
    True
    """
    state = words
    with np.errstate(over="ignore"):
        for word in more:
            added = word.astype(np.uint64) if isinstance(word, np.ndarray) else np.uint64(word)
            state = state + (added + np.uint64(1)) * _GAMMA
            state = (state ^ (state >> np.uint64(30))) * _FIRST
            state = (state ^ (state >> np.uint64(27))) * _SECOND
            state = state ^ (state >> np.uint64(31))
    return state


def uniform(words: np.ndarray) -> np.ndarray:
    """float64 in [0, 1): the upper 53 bits.

    >>> uniform(np.array([0, 1 << 63], np.uint64)).tolist()
    [0.0, 0.5]
    """
    return (words >> np.uint64(11)) * 2.0**-53
