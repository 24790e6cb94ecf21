"""Code that several threads run at the same moment, as the workers of portable runners do."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

ResultT = TypeVar("ResultT")

NUM_THREADS = 8
#: Beam's flags for so many workers that are threads of this process.
THREADED_WORKERS = [f"--direct_num_workers={NUM_THREADS}", "--direct_running_mode=multi_threading"]


def at_once(call: Callable[[], ResultT], num_threads: int = NUM_THREADS) -> list[ResultT]:
    """What `call` returns in each of so many threads that start it together and take turns as often as they can. Raises
    what the first of them raises."""
    barrier, turn_s = threading.Barrier(num_threads), sys.getswitchinterval()

    def start() -> ResultT:
        barrier.wait()
        return call()

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(num_threads) as pool:
            return [future.result() for future in [pool.submit(start) for _ in range(num_threads)]]
    finally:
        sys.setswitchinterval(turn_s)


def recorded(patch: pytest.MonkeyPatch, owner: Any, name: str, calls: list[str]) -> None:
    """From here on each call of `owner.name` leaves its name in `calls`."""
    real = getattr(owner, name)

    def record(*arguments: Any, **keywords: Any) -> Any:
        calls.append(name)
        return real(*arguments, **keywords)

    patch.setattr(owner, name, record)
