"""Values that no shop should send, and some that it may."""

import random
from typing import Any

CONTROL = (
    "\0",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\r\n",
    "\x85",
    "\u2028",
    "\u202egnp.exe",
    "\u2066a\u2069",
    "\ufeff",
)
TEXTS = (
    "", " ", "\t\n", "\u00a0\u2003", "chair", "Straße", "木椅", "e\u0301" * 40, "\U0001f6cb\ufe0f", "\u0d4d" * 9, "a|b",
    '["a"',
    "<script>alert(1)</script>", "'; drop table items; --", "../../etc/passwd", "/etc/passwd", "C:\\con", "%2e%2e%2f",
    "%00",
    "NULL", "nan", "-inf", "1e999", "True", "0x1f", "{date}", "__HIVE_DEFAULT_PARTITION__", "=1+1", "$(reboot)", '"',
    "\\", ",",
    "\ufffe\uffff", "\U0010ffff", "ı", "İ", "ﬁ", "ǅ", "x" * 513, "ü" * 257, "w " * 6000, "x" * 10_001,
    "\U0001f600" * 10_001,
    *CONTROL,
)  # fmt: skip
URIS = (
    "a.jpg", "../a.jpg", "/etc/passwd", "http://x/a.jpg", "file:///etc/passwd", "data:image/png;base64,AA",
    "\\\\host\\a",
    "%2e%2e/%2e%2e/etc/passwd", "a.jpg\0.png", "", " ", "s3://b/k", "/dev/zero", "/proc/self/mem", "x" * 5000, ".",
    "..", "~",
    "\u2025/\uff0e\uff0e/a", "a/" * 300 + "b", *CONTROL,
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, 2**63 - 1, -(2**63), 2**64, 10**30, 0.0, -0.0, 1.5, 1e300, float("inf"), float("nan"))
TIMES = (
    "2026-06-30", "2026-06-30T12:00:00Z", "2026-06-30T12:00:00+14:00", "2026-06-30 12:00", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59Z", "9998-12-31T23:59:59-14:00", "10000-01-01", "0000-00-00", "2026-02-30", "2026-W27-1",
    "1719705600",
    "20260630", "now", "2026-06-30T24:00:00", "2026-06-30T12:00:60Z", "2026-06-30T12:00:00.123456789Z", "-2026-01-01",
    "2026-06-30T12:00:00+99:99", "", " ", "٢٠٢٦-06-30",
)  # fmt: skip


def text(rng: random.Random) -> str:
    """A good or a hostile string that UTF-8 can hold."""
    draw = rng.random()
    if draw < 0.6:
        return rng.choice(TEXTS)
    if draw < 0.8:
        return "".join(chr(_code(rng)) for _ in range(rng.choice((1, 3, 20, 200))))
    return rng.choice(TEXTS) + rng.choice(TEXTS)[:50] + rng.choice(CONTROL)


def _code(rng: random.Random) -> int:
    code = rng.choice((rng.randrange(32), rng.randrange(128), rng.randrange(0x250), rng.randrange(0x10000), 0x1F600))
    return code if not 0xD800 <= code < 0xE000 else 0xFFFD


def python_value(rng: random.Random, depth: int = 0) -> Any:
    """Whatever JSON can spell, lone surrogates too."""
    kind = rng.randrange(12 if depth < 3 else 8)
    if kind < 3:
        return text(rng)
    if kind == 3:
        return rng.choice(("\ud800", "a\udfff", "\udcff\udcfe", "\ud83d"))
    if kind == 4:
        return None
    if kind == 5:
        return rng.choice((True, False))
    if kind < 8:
        return rng.choice(NUMBERS)
    if kind < 11:
        return [python_value(rng, depth + 1) for _ in range(rng.choice((0, 1, 2, 25)))]
    return {text(rng)[:20]: python_value(rng, depth + 1) for _ in range(rng.choice((0, 1, 3)))}
