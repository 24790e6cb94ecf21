"""Progress where there is no terminal: a line every few seconds, with numbers that a person reads."""

import pytest

from pipelines.console import progress
from pipelines.console.progress import Progress
from pipelines.console.terminal import few_digits


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The one element is what the clock shows, in seconds."""
    now_s = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now_s[0])
    return now_s


@pytest.mark.parametrize(
    ("done", "total", "seconds", "line"),
    [
        (4, 10, 10, "pairs: 4 of 10 steps, 15 s left, 0.4/s"),
        (62, 300, 10, "pairs: 62 of 300 steps, 38 s left, 6.2/s"),
        (10, 1_000, 10_000, "pairs: 10 of 1,000 steps, 990,000 s left, 0.001/s"),
        (9, 1_000, 10, "pairs: 9 of 1,000 steps, 0.9/s"),
        (25_000, None, 10, "pairs: 25,000 steps, 2,500/s"),
        (3, 2, 10, "pairs: 3 of 2 steps, 0 s left, 0.3/s"),
        (0, 7, 10, "pairs: 0 of 7 steps, 0/s"),
    ],
)
def test_a_line_says_how_much_is_done_how_fast_and_how_long_it_will_take(clock, capsys, done, total, seconds, line):
    shown = Progress("pairs", "steps", total)
    clock[0] += seconds
    shown.advance(done)
    assert capsys.readouterr().err == line + "\n"
    shown.advance()
    assert capsys.readouterr().err == ""  # too soon


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((0.0, "0"), (1e-5, "0.00001"), (0.0423, "0.042"), (0.4, "0.4"), (1.0, "1"), (8.34, "8.3")),
        *((9.96, "10"), (99.6, "100"), (2e3, "2,000"), (1.5e6, "1,500,000")),
    ],
)
def test_few_digits_have_no_exponent_and_small_numbers_are_not_nothing(value, shown):
    assert few_digits(value) == shown
