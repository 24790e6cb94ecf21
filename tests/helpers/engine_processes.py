"""Processes of an engine: each leads a session of its own, writes a log, and ends with all that it started."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from python_process import ENVIRONMENT

_GUARD = Path(__file__).with_name("engine_guard.py")
_SHOWN_CHARACTERS = 4_000


class EngineProcesses:
    """What was started, by name. `stop` ends it all; afterwards `left` says what is still there: nothing, one hopes.

    stop_s: how long a signal may take to end it.
    """

    def __init__(self, logs: Path, stop_s: float = 10.0):
        self.logs, self._stop_s = logs, stop_s
        self._ports: list[int] = []
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._may_end: set[str] = set()
        logs.mkdir(parents=True, exist_ok=True)

    def free_ports(self, count: int) -> list[int]:
        """So many ports that nobody listens to now; `left` looks at them in the end."""
        sockets = [socket.socket() for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in sockets]
        for one in sockets:
            one.close()
        self._ports += ports
        return ports

    def start(
        self, name: str, *argv: str, environment: Mapping[str, str] = ENVIRONMENT, folder: Path | None = None
    ) -> None:
        """Starts a program, in `folder`, that goes on until `stop`; output in logs/<name>.log."""
        with open(self.logs / f"{name}.log", "wb") as log:
            self._started[name] = subprocess.Popen(
                [sys.executable, str(_GUARD), *argv],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=folder or self.logs,
                start_new_session=True,
            )

    def run(self, name: str, *argv: str, timeout_s: float, folder: Path | None = None) -> None:
        """Runs a program to its end. Raises AssertionError with its last words if it fails or takes too long, or if
        something that goes on has ended meanwhile."""
        self._may_end.add(name)
        self.start(name, *argv, folder=folder)
        deadline_s = time.monotonic() + timeout_s
        while self._started[name].poll() is None:
            self.check_alive()
            assert time.monotonic() < deadline_s, f"{name} takes more than {timeout_s:.0f} s:\n{self.log_of(name)}"
            time.sleep(0.1)
        code = self._started[name].wait()
        assert code == 0, f"{name}: exit code {code}\n{self.log_of(name)}"

    def check_alive(self) -> None:
        """Raises AssertionError if something has ended that should go on."""
        for name, process in self._started.items():
            if name not in self._may_end:
                assert process.poll() is None, f"{name} ended with {process.poll()}\n{self.log_of(name)}"

    def wait_until(self, what: str, is_so: Callable[[], bool], timeout_s: float = 60) -> None:
        """Raises AssertionError if it is not so in time."""
        deadline_s = time.monotonic() + timeout_s
        while not is_so():
            self.check_alive()
            assert time.monotonic() < deadline_s, f"expected within {timeout_s:.0f} s: {what}"
            time.sleep(0.2)

    def session_of(self, name: str) -> int:
        """The number of the session that a program and all that it starts are in."""
        return self._started[name].pid

    def log_of(self, name: str) -> str:
        """The end of a log."""
        return (self.logs / f"{name}.log").read_text(errors="replace")[-_SHOWN_CHARACTERS:]

    def stop(self) -> None:
        """Ends all: by SIGTERM, and what does not heed it by SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid, _ in self._alive():
                with contextlib.suppress(ProcessLookupError):  # ended meanwhile
                    os.kill(pid, number)
            deadline_s = time.monotonic() + self._stop_s
            while self.left() and time.monotonic() < deadline_s:  # ports too: threads may outlive their leader
                time.sleep(0.1)
        for process in self._started.values():
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

    def left(self) -> list[str]:
        """What is still running of all that was started, and ports of ours that still answer."""
        name_of = {process.pid: name for name, process in self._started.items()}
        processes = [f"process {pid} of {name_of[session]}" for pid, session in self._alive()]
        return [*processes, *(f"port {port}" for port in self._ports if is_listening(port))]

    def _alive(self) -> list[tuple[int, int]]:
        """(process, session) of all that lives in the sessions that were started."""
        sessions = {process.pid for process in self._started.values()}
        return [(pid, session) for pid, session in living_processes() if session in sessions]


@contextlib.contextmanager
def engine_processes(logs: Path, stop_s: float = 10.0) -> Iterator[EngineProcesses]:
    """Ends what was started when the block ends, however it does, SIGTERM too, and raises AssertionError if something
    is left."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt(f"signal {number}")

    processes = EngineProcesses(logs, stop_s)
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield processes
    finally:
        processes.stop()
        signal.signal(signal.SIGTERM, before)
        assert not (left := processes.left()), f"still running: {left}"


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections to the port on this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def living_processes() -> Iterator[tuple[int, int]]:
    """(process, session) of every process that is no zombie. Linux."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
            continue
        if state not in "ZX":
            yield int(folder.name), int(session)
