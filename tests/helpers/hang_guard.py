"""A test that would never end fails instead."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def ends(within_cpu_s: int = 30) -> Iterator[None]:
    """Raises AssertionError within work that takes more of the processor than that. It is no measure of speed: what is
    tried takes a hundredth of it, or very much more. Searches of `re` look for signals meanwhile."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"expected an end, got none within {within_cpu_s} s of the processor")

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, within_cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
