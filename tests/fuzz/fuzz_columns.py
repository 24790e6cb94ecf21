"""Arrow columns of every type that a Parquet file may bring, filled with whatever fits."""

import datetime
import decimal
import random
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from fuzz_values import text

_BAD_UTF8 = (b"\xff\xfe", b"a\x80", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x28\xa1", b"ok", b"")
_EXTREMES = (
    0,
    1,
    -1,
    2**31 - 1,
    -(2**31),
    2**62,
    -(2**62),
    2**63 - 1,
    -(2**63),
    1_719_705_600_000_000,
    253_402_300_800_000_000,
)
_ZONES = ("UTC", "Europe/Berlin", "+05:30", "Mars/Olympus_Mons", "", "../../etc/passwd", "\0")


def column(rng: random.Random, count: int) -> pa.Array:
    """An array of `count` values of a random type."""
    return rng.choice(_MAKERS)(rng, count)


def _strings(kind: pa.DataType) -> Callable[[random.Random, int], pa.Array]:
    return lambda rng, n: pa.array([None if rng.random() < 0.1 else text(rng) for _ in range(n)], kind)


def _bytes(kind: pa.DataType) -> Callable[[random.Random, int], pa.Array]:
    return lambda rng, n: pa.array([None if rng.random() < 0.1 else rng.choice(_BAD_UTF8) for _ in range(n)], kind)


def _bad_strings(rng: random.Random, n: int) -> pa.Array:
    """Typed as strings, but not UTF-8: Parquet's reader does not look."""
    values = pa.array([rng.choice(_BAD_UTF8) for _ in range(n)], pa.binary())
    return pa.Array.from_buffers(pa.string(), n, values.buffers())


def _list_of(
    make: Callable[[random.Random, int], pa.Array], large: bool = False
) -> Callable[[random.Random, int], pa.Array]:
    def lists(rng: random.Random, n: int) -> pa.Array:
        lengths = [rng.choice((0, 1, 2, 21)) for _ in range(n)]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64 if large else np.int32)
        marks = [None if rng.random() < 0.1 else int(offset) for offset in offsets[:-1]] + [int(offsets[-1])]
        kind = pa.LargeListArray if large else pa.ListArray
        return kind.from_arrays(pa.array(marks, pa.int64() if large else pa.int32()), make(rng, int(offsets[-1])))

    return lists


def _integers(kind: pa.DataType) -> Callable[[random.Random, int], pa.Array]:
    bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return lambda rng, n: pa.array([rng.choice((None, low, high, 0, 7)) for _ in range(n)], kind)


def _floats(kind: pa.DataType) -> Callable[[random.Random, int], pa.Array]:
    values = (None, 0.0, -0.0, 1.5, float("nan"), float("inf"), 1e300)
    return lambda rng, n: pa.array(np.array([rng.choice(values) or 0.0 for _ in range(n)]), pa.float64()).cast(
        kind, safe=False
    )


def _cast_integers(kinds: tuple[pa.DataType, ...]) -> Callable[[random.Random, int], pa.Array]:
    """Types that are integers underneath, at the ends of their range too."""

    def make(rng: random.Random, n: int) -> pa.Array:
        kind = rng.choice(kinds)
        limit = 2 ** (kind.bit_width - 1)
        if kind in (pa.timestamp("s"), pa.timestamp("s", tz=getattr(kind, "tz", None))):
            limit //= 1000  # Parquet has no seconds
        values = np.array(
            [min(max(rng.choice(_EXTREMES), -limit), limit - 1) for _ in range(n)], f"i{kind.bit_width // 8}"
        )
        return pa.array(values).view(kind)

    return make


def _decimals(rng: random.Random, n: int) -> pa.Array:
    return pa.array(
        [rng.choice((None, decimal.Decimal("1.50"), decimal.Decimal(10) ** 30)) for _ in range(n)], pa.decimal128(38, 2)
    )


def _dictionary(rng: random.Random, n: int) -> pa.Array:
    values = pa.array([text(rng) for _ in range(3)], rng.choice((pa.string(), pa.large_string())))
    return pa.DictionaryArray.from_arrays(pa.array([rng.choice((None, 0, 1, 2)) for _ in range(n)], pa.int32()), values)


def _structs(rng: random.Random, n: int) -> pa.Array:
    return pa.array([rng.choice((None, {"a": "x", "b": [1]}, {"a": None, "b": None})) for _ in range(n)],
                    pa.struct([("a", pa.string()), ("b", pa.list_(pa.int64()))]))  # fmt: skip


def _maps(rng: random.Random, n: int) -> pa.Array:
    return pa.array([rng.choice((None, [("k", "v")], [])) for _ in range(n)], pa.map_(pa.string(), pa.string()))


def _fixed_lists(rng: random.Random, n: int) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(_strings(pa.string())(rng, 2 * n), 2)


def _dates(rng: random.Random, n: int) -> pa.Array:
    return pa.array(
        [rng.choice((None, datetime.date(2026, 6, 30), datetime.date(1, 1, 1))) for _ in range(n)], pa.date32()
    )


_UNITS = ("s", "ms", "us", "ns")
_MAKERS = (
    _strings(pa.string()), _strings(pa.string()), _strings(pa.large_string()), _strings(pa.string_view()), _bad_strings,
    _bytes(pa.binary()), _bytes(pa.large_binary()), lambda rng, n: pa.array([rng.randbytes(4) for _ in range(n)],
    pa.binary(4)),
    _integers(pa.int64()), _integers(pa.uint64()), _integers(pa.int8()), _floats(pa.float64()), _floats(pa.float32()),
    lambda rng, n: pa.array([rng.choice((None, True, False)) for _ in range(n)]), lambda rng, n: pa.nulls(n),
    _cast_integers(tuple(pa.timestamp(unit) for unit in _UNITS)), _cast_integers((pa.date32(), pa.time32("ms"),
    pa.time64("us"))),
    lambda rng, n: _cast_integers(tuple(pa.timestamp(unit, tz=rng.choice(_ZONES)) for unit in _UNITS))(rng, n),
    _cast_integers(tuple(pa.duration(unit) for unit in _UNITS)), _decimals, _dictionary, _dates, _structs, _maps,
    _fixed_lists,
    _list_of(_strings(pa.string())), _list_of(_strings(pa.string())), _list_of(_strings(pa.large_string()), large=True),
    _list_of(_bytes(pa.binary())), _list_of(_bad_strings), _list_of(_integers(pa.int64())),
    _list_of(_list_of(_strings(pa.string()))),
    _list_of(_structs),
)  # fmt: skip
