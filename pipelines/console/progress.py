"""Progress a person sees: a bar with rate and time left on a terminal, a plain line every few seconds elsewhere."""

import sys
import threading
import time

from tqdm import tqdm

from pipelines.console.terminal import few_digits

_LINE_INTERVAL_S = 10.0
#: Of the whole so much is done before the time left is told.
_LEAST_SHARE = 0.01


class Progress:
    """Counts done work of one named step. Call `advance(n)`, from any thread, as work gets done and `close()` at the
    end."""

    _shared: "dict[str, Progress]" = {}  # noqa: RUF012 (one bar a stage and process, on purpose)
    _sharing = threading.Lock()

    def __init__(self, name: str, unit: str, total: int | None = None):
        self.name, self.unit, self.total = name, unit, total
        self.done, self._lock = 0, threading.Lock()
        self._started_s = self._last_line_s = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, desc=f"{name:<12}", unit=f" {unit}", dynamic_ncols=True, leave=True)

    @classmethod
    def shared(cls, name: str, unit: str, total: int | None = None) -> "Progress":
        """The one Progress of this name in this process, so that the units of a stage move one bar."""
        with cls._sharing:
            if name not in cls._shared:
                cls._shared[name] = cls(name, unit, total)
            return cls._shared[name]

    @classmethod
    def close_shared(cls, name: str) -> None:
        """Ends the bar of a stage, if there is one."""
        with cls._sharing:
            progress = cls._shared.pop(name, None)
        if progress is not None:
            progress.close()

    def advance(self, count: int = 1) -> None:
        """Adds `count` done units of work."""
        with self._lock:
            self.done += count
            now_s = time.monotonic()
            if self._bar is not None:
                self._bar.update(count)
            elif now_s - self._last_line_s >= _LINE_INTERVAL_S:
                self._last_line_s = now_s
                self._line(now_s)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()

    def _line(self, now_s: float) -> None:
        rate = self.done / max(now_s - self._started_s, 1e-9)
        of_total = "" if self.total is None else f" of {self.total:,}"
        # of the first few nothing follows: they wait for what is made once
        tells = self.total is not None and self.done > 0 and self.done >= _LEAST_SHARE * self.total
        left = f", {max((self.total or 0) - self.done, 0) / rate:,.0f} s left" if tells else ""
        print(
            f"{self.name}: {self.done:,}{of_total} {self.unit}{left}, {few_digits(rate)}/s", file=sys.stderr, flush=True
        )
