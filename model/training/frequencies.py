"""How often a key was met: exact counts and their approximate twin, a count-min sketch. Both are monoids.

Keys are strings, integers (their low 64 bits) or numpy arrays of 64-bit hashes; a string counts as its stable hash.

Count-min sketch (Cormode and Muthukrishnan 2005): depth rows of width counters; a key adds to one counter of each row
and its count is read as the smallest of them. With N all counts added:

    count(key) >= true count, always        count(key) > true count + (e / width) N, with probability <= e^-depth

The rows' hash is multiply-shift, (a key + b) mod 2**64 >> (64 - log2 width) with odd a: two keys meet with probability
at most 2 / width, hence `for_error` doubles the width. Updates add to all counters (no "conservative update"): only so
do sketches of parts merge to the sketch of the whole.
"""

import math
from typing import Protocol, TypeVar, overload

import numpy as np

from schemas.errors import UsageError
from schemas.hashing import seed_of, stable_hash

Key = str | int
SelfT = TypeVar("SelfT", bound="Counts")


class Counts(Protocol):
    """What both have in common."""

    @overload
    def count(self, keys: Key) -> float: ...
    @overload
    def count(self, keys: np.ndarray) -> np.ndarray: ...
    def add(self, keys: Key | np.ndarray, counts: float | np.ndarray = 1.0) -> None: ...
    def merge(self: SelfT, other: SelfT) -> SelfT: ...


def hashes_of(keys: Key | np.ndarray) -> np.ndarray:
    """uint64 [K] of one key or of an array of 64-bit integers (signed ones keep their bits)."""
    if isinstance(keys, str):
        return np.array([stable_hash(keys)], np.uint64)
    if isinstance(keys, int):
        return np.array([keys & 0xFFFFFFFFFFFFFFFF], np.uint64)
    if keys.dtype.kind not in "iu":
        raise UsageError(f"expected an array of integer hashes, got dtype {keys.dtype}: hash strings by stable_hash")
    return keys.reshape(-1).astype(np.int64 if keys.dtype.kind == "i" else np.uint64).view(np.uint64)


class ExactCounts:
    """One float64 for each distinct key."""

    def __init__(self) -> None:
        self._counts: dict[int, float] = {}
        self.total = 0.0

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, keys: Key | np.ndarray, counts: float | np.ndarray = 1.0) -> None:
        """Adds `counts` (one for all, or one each) to the keys; repeated keys add up."""
        hashes_K = hashes_of(keys)
        distinct, inverse = np.unique(hashes_K, return_inverse=True)
        sums = np.bincount(inverse, np.broadcast_to(counts, hashes_K.shape), len(distinct))
        for key, value in zip(distinct.tolist(), sums.tolist(), strict=True):
            self._counts[key] = self._counts.get(key, 0.0) + value
        self.total += float(sums.sum())

    @overload
    def count(self, keys: Key) -> float: ...
    @overload
    def count(self, keys: np.ndarray) -> np.ndarray: ...
    def count(self, keys: Key | np.ndarray) -> float | np.ndarray:
        """The count of a key (0 if never met), or float64 [K] of an array's."""
        found_K = np.array([self._counts.get(key, 0.0) for key in hashes_of(keys).tolist()], np.float64)
        return found_K if isinstance(keys, np.ndarray) else float(found_K[0])

    def merge(self, other: "ExactCounts") -> "ExactCounts":
        """The counts of both; neither is changed."""
        merged = ExactCounts()
        merged._counts = dict(self._counts)
        for key, value in other._counts.items():
            merged._counts[key] = merged._counts.get(key, 0.0) + value
        merged.total = self.total + other.total
        return merged


class CountMinSketch:
    """depth x width float64 counters; width is a power of 2. The default is 4 MB: errors of 5e-5 N with 98 %."""

    def __init__(self, *, depth: int = 4, width: int = 1 << 17, seed: int = 0):
        if depth < 1 or width < 2 or width & (width - 1):
            raise UsageError(f"expected depth >= 1 and a power of 2 as width, got {depth} and {width}")
        self.depth, self.width, self.seed = depth, width, seed
        self.table_DW = np.zeros((depth, width), np.float64)
        self.total = 0.0
        names = [seed_of("count-min sketch", seed, row) for row in range(depth)]
        self._a_D = np.array([stable_hash(f"a{name}") | 1 for name in names], np.uint64)
        self._b_D = np.array([stable_hash(f"b{name}") for name in names], np.uint64)

    @classmethod
    def for_error(cls, *, share: float, probability: float, seed: int = 0) -> "CountMinSketch":
        """The smallest sketch whose counts are at most `share` of the total too high, except with `probability`."""
        if not (0 < share < 1 and 0 < probability < 1):
            raise UsageError(f"expected share and probability between 0 and 1, got {share} and {probability}")
        width = 1 << max(1, math.ceil(math.log2(2 * math.e / share)))
        return cls(depth=math.ceil(math.log(1 / probability)), width=width, seed=seed)

    def add(self, keys: Key | np.ndarray, counts: float | np.ndarray = 1.0) -> None:
        """Adds non-negative `counts` (one for all, or one each) to the keys; repeated keys add up."""
        hashes_K = hashes_of(keys)
        counts_K = np.broadcast_to(np.asarray(counts, np.float64), hashes_K.shape)
        if len(counts_K) and counts_K.min() < 0:
            raise UsageError(f"expected counts >= 0, got {counts_K.min()}: a sketch cannot count down")
        for row, columns_K in enumerate(self._columns(hashes_K)):
            self.table_DW[row] += np.bincount(columns_K, counts_K, self.width)
        self.total += float(counts_K.sum())

    @overload
    def count(self, keys: Key) -> float: ...
    @overload
    def count(self, keys: np.ndarray) -> np.ndarray: ...
    def count(self, keys: Key | np.ndarray) -> float | np.ndarray:
        """The estimated count of a key, or float64 [K] of an array's; never below the true count."""
        columns_DK = self._columns(hashes_of(keys))
        found_K = np.take_along_axis(self.table_DW, columns_DK, axis=1).min(axis=0)
        return found_K if isinstance(keys, np.ndarray) else float(found_K[0])

    def merge(self, other: "CountMinSketch") -> "CountMinSketch":
        """The sketch of both inputs; neither is changed. Raises UsageError for sketches of other shape or seed."""
        mine, yours = (self.depth, self.width, self.seed), (other.depth, other.width, other.seed)
        if mine != yours:
            raise UsageError(f"expected sketches of one depth, width and seed, got {mine} and {yours}")
        merged = CountMinSketch(depth=self.depth, width=self.width, seed=self.seed)
        merged.table_DW = self.table_DW + other.table_DW
        merged.total = self.total + other.total
        return merged

    def _columns(self, hashes_K: np.ndarray) -> np.ndarray:
        """int64 [depth, K]: the counter of each key in each row."""
        shift = np.uint64(64 - (self.width.bit_length() - 1))
        mixed_DK = self._a_D[:, None] * hashes_K + self._b_D[:, None]  # uint64 wraps: that is the modulus
        return (mixed_DK >> shift).astype(np.int64)
