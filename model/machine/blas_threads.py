"""BLAS with one thread, for many small matrices: faster than waking all cores for each, and the same bits on any
machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import threadpoolctl

_LOCK = threading.Lock()
#: A limit for each of those who are inside; the first remembers how many threads there were.
_limits: list[Any] = []


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limits the BLAS libraries of the process to one thread until the last of those that are inside leaves: Beam may
    run several bundles as threads of one process."""
    with _LOCK:
        _take_control()
        _limits.append(_controller().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _LOCK:
            if len(_limits) == 1:
                _take_control()
                _limits[0].restore_original_limits()
                _take_control()
            _limits.pop()


@cache
def _controller() -> threadpoolctl.ThreadpoolController:
    """Looks for the loaded libraries once: that takes milliseconds."""
    return threadpoolctl.ThreadpoolController()


def _take_control() -> None:
    """threadpoolctl silently ignores limits of a process-wide OpenBLAS set by any thread but the first that ever set
    one, be it idle: Beam's bundles run in threads of their own."""
    clear = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)
