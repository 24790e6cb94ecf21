"""Map over a stream in threads: results in input order, bounded work ahead."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

InT = TypeVar("InT")
OutT = TypeVar("OutT")

_STARTING_POOL = threading.Lock()


def usable_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(
    pool: ThreadPoolExecutor,
    function: Callable[[InT], OutT],
    elements: Iterable[InT],
    *,
    max_waiting: int,
    cost: Callable[[InT], int] = lambda element: 0,
    max_cost: int = 0,
) -> Iterator[OutT]:
    """Yields function(element) in order; `elements` is pulled by the consumer's thread only.

    At most `max_waiting` elements, and beyond the first at most `max_cost` of their summed `cost` (bytes, say), are
    taken and not yet yielded. What `function` raises is raised at its place; then, or when the consumer stops early,
    what has not started is dropped.

    >>> list(ordered_map(ThreadPoolExecutor(2), str.upper, ["a", "b"], max_waiting=2))
    ['A', 'B']
    """
    waiting: deque[tuple[Future[OutT], int]] = deque()
    total_cost = 0
    try:
        for element in elements:
            element_cost = cost(element)
            while waiting and (len(waiting) >= max_waiting or total_cost + element_cost > max_cost > 0):
                future, done_cost = waiting.popleft()
                total_cost -= done_cost
                yield future.result()
            waiting.append((pool.submit(function, element), element_cost))
            total_cost += element_cost
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        for future, _ in waiting:
            future.cancel()


def single_threaded_pool(num_threads: int) -> ThreadPoolExecutor:
    """A pool whose threads run each torch operator alone, while other threads keep their number of cores.

    torch.set_num_threads sets the calling thread's number and the default of threads that come later: once all threads
    of the pool have set theirs, the default is set back. One pool at a time: another would take 1 for the default.
    """
    barrier = threading.Barrier(num_threads + 1)

    def start() -> None:
        torch.get_num_threads()  # a thread takes the default at its first use of torch: not after the line below
        torch.set_num_threads(1)
        barrier.wait()

    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="single-threaded")
    with _STARTING_POOL:
        previous = torch.get_num_threads()
        for _ in range(num_threads):
            pool.submit(start)
        barrier.wait()
        torch.set_num_threads(previous)
    return pool
