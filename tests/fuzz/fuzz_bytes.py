"""Damage to any file: flips, truncations, insertions, repetitions, runs of zeros."""

import random

_MAGIC_NUMBERS = (b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\xff" * 8)


def damaged(data: bytes, rng: random.Random, times: int | None = None) -> bytes:
    """`data` with one to eight injuries."""
    for _ in range(times or rng.choice((1, 1, 1, 2, 3, 8))):
        data = rng.choice(_INJURIES)(data, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    """Anywhere, more often near the ends, where headers and footers are."""
    span = len(data) if rng.random() < 0.5 else min(len(data), 256)
    offset = rng.randrange(span + 1)
    return offset if rng.random() < 0.5 else len(data) - offset


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    changed[min(_place(data, rng), len(data) - 1)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _set_byte(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    changed[min(_place(data, rng), len(data) - 1)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(changed)


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    place, number = _place(data, rng), rng.choice(_MAGIC_NUMBERS)
    return data[:place] + number + data[place + len(number) :]


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _behead(data: bytes, rng: random.Random) -> bytes:
    return data[_place(data, rng) :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    place = _place(data, rng)
    return data[:place] + rng.randbytes(rng.choice((1, 2, 7, 64))) + data[place:]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    start, end = sorted((_place(data, rng), _place(data, rng)))
    return data[:end] + data[start:end] + data[end:]


def _cut_out(data: bytes, rng: random.Random) -> bytes:
    start = _place(data, rng)
    return data[:start] + data[start + rng.choice((1, 2, 8, 100)) :]


def _zeros(data: bytes, rng: random.Random) -> bytes:
    start = _place(data, rng)
    count = min(rng.choice((1, 8, 512, 4096)), len(data) - start)
    return data[:start] + b"\0" * count + data[start + count :]


_INJURIES = (_flip, _flip, _set_byte, _overwrite, _truncate, _behead, _insert, _repeat, _cut_out, _zeros)
