"""Stable hashes: equal on every machine, Python version and run (the built-in `hash` is none of these)."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    import numpy as np


def stable_hash(text: str) -> int:
    """XXH3, 64 bits, of the UTF-8 bytes of `text`: an int in [0, 2**64). Buckets, token ids and seeds come from it.

    >>> stable_hash("item-1") == stable_hash("item-1")
    True
    """
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


def content_hash(data: bytes) -> bytes:
    """XXH3, 128 bits (16 bytes), of `data`: tells whether content changed; not for adversaries, where sha256 is."""
    return xxhash.xxh3_128_digest(data)


def row_hashes(matrix_ND: "np.ndarray") -> "np.ndarray":
    """uint64 [N]: XXH3, 64 bits, of the bytes of each row (C order): equal for equal rows."""
    import numpy as np  # a moment that commands which read no vector need not wait for

    return np.fromiter(map(xxhash.xxh3_64_intdigest, matrix_ND), np.uint64, count=len(matrix_ND))


def mixed_hashes(first_N: "np.ndarray", second_N: "np.ndarray") -> "np.ndarray":
    """uint64 [N]: one hash of two numbers of a row, uint64 [N] each; which is the first matters. Multiplied by an odd
    number near 2**64 / phi (Fibonacci hashing: Knuth, The Art of Computer Programming, volume 3, section 6.4), its high
    bits onto the low ones.

    >>> import numpy as np
    >>> one, two = np.array([1], np.uint64), np.array([2], np.uint64)
    >>> bool((mixed_hashes(one, two) == mixed_hashes(two, one)).any())
    False
    """
    import numpy as np  # as above

    return (first_N * np.uint64(0x9E3779B97F4A7C15)) ^ (first_N >> np.uint64(29)) ^ second_N


def bucket_of(item_id: str, num_buckets: int) -> int:
    """The bucket an item lives in, in every stage of every run of a store."""
    return stable_hash(item_id) % num_buckets


def seed_of(*names: object) -> int:
    """A 63-bit seed from names, for example `seed_of("negatives", seed, epoch)`."""
    return stable_hash("/".join(str(name) for name in names)) >> 1


def fingerprint(value: Any) -> str:
    """sha256 (hex, first 16 digits) of the canonical JSON of `value`: identifies configs, inputs, runs and models."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]
