"""What is opened once a process: portable runners run several copies of a DoFn as threads of one worker."""

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")

_all: "list[Shared[Any, Any]]" = []


class Shared(Generic[KeyT, ValueT]):
    """One kind of thing that takes time or memory to open, at module level: all threads of the process get the same.

    `open_value(key)` is called by one thread at a time; the key names everything that the value depends on. The value
    of the last key is held, until `forget` or the end of the job (see `closed_after_job`). Threads use it side by side.
    """

    def __init__(self, open_value: Callable[[KeyT], ValueT]):
        self._open_value, self._lock = open_value, threading.Lock()
        self._held: tuple[KeyT, ValueT] | None = None
        _all.append(self)

    @property
    def is_open(self) -> bool:
        """Whether a value is held."""
        return self._held is not None

    def get(self, key: KeyT) -> ValueT:
        """The value of the key; threads that ask together wait for the one that opens it. Raises what that raises."""
        with self._lock:
            if self._held is None or self._held[0] != key:
                self._held = None  # frees its memory before the next takes some
                self._held = key, self._open_value(key)
            return self._held[1]

    def forget(self) -> None:
        """Drops the value: its memory is free once nobody uses it any more."""
        with self._lock:
            self._held = None


@contextmanager
def closed_after_job() -> Iterator[None]:
    """Forgets at the end what was not open at the start: the process goes on, and what comes next needs the memory."""
    opened_here = [shared for shared in _all if not shared.is_open]
    try:
        yield
    finally:
        for shared in opened_here:
            shared.forget()
