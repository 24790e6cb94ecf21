"""What is started for an engine ends with the test: after its end, its failure, a signal, or the death of pytest."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_processes import EngineProcesses, engine_processes, is_listening, living_processes
from python_process import ENVIRONMENT, ROOT

pytestmark = pytest.mark.medium

#: A process that listens, with a child that heeds no SIGTERM; both go on for ever.
_SERVER = """
import signal, socket, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1e6)"])
time.sleep(1)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(1e6)
"""
_OWNER = """
import sys, time
from pathlib import Path
from engine_processes import engine_processes
with engine_processes(Path(sys.argv[1]), stop_s=1) as processes:
    (port,) = processes.free_ports(1)
    processes.start("server", sys.executable, "-c", sys.argv[2], str(port))
    print(processes.session_of("server"), port, flush=True)
    time.sleep(1e6)
"""


def start_server(processes: EngineProcesses) -> tuple[int, int]:
    """(session, port) of a server that listens."""
    (port,) = processes.free_ports(1)
    processes.start("server", sys.executable, "-c", _SERVER, str(port))
    processes.wait_until("the server listens", lambda: is_listening(port))
    return processes.session_of("server"), port


def is_gone(session: int, port: int, within_s: float = 30) -> bool:
    """Whether nothing is left of a session and its port in time."""
    deadline_s = time.monotonic() + within_s
    while is_listening(port) or any(of == session for _, of in living_processes()):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)
    return True


def test_all_ends_with_the_block_also_what_heeds_no_signal(tmp_path: Path) -> None:
    with engine_processes(tmp_path, stop_s=1) as processes:
        session, port = start_server(processes)
        assert sum(of == session for _, of in living_processes()) == 3  # with the guard
        assert f"port {port}" in processes.left()
    assert is_gone(session, port, within_s=0)


def test_all_ends_when_the_test_fails(tmp_path: Path) -> None:
    started = []

    def fail() -> None:
        with engine_processes(tmp_path, stop_s=1) as processes:
            started.extend(start_server(processes))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert is_gone(*started, within_s=0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_its_owner(tmp_path: Path, number: int) -> None:
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])}
    argv = [sys.executable, "-c", _OWNER, str(tmp_path), _SERVER]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as owner:
        assert owner.stdout is not None
        session, port = map(int, owner.stdout.readline().split())
        while not is_listening(port):
            time.sleep(0.1)
        owner.send_signal(number)
    assert is_gone(session, port)


def test_a_command_that_fails_or_takes_too_long_is_shown(tmp_path: Path) -> None:
    with engine_processes(tmp_path) as processes:
        processes.run("good", sys.executable, "-c", "", timeout_s=60)
        with pytest.raises(AssertionError, match=r"bad: exit code 3\s+why"):
            processes.run("bad", sys.executable, "-c", "print('why'); raise SystemExit(3)", timeout_s=60)
        with pytest.raises(AssertionError, match="slow takes more than 0 s"):
            processes.run("slow", sys.executable, "-c", "import time; time.sleep(1e6)", timeout_s=0.2)


def test_a_server_that_dies_meanwhile_is_shown(tmp_path: Path) -> None:
    with engine_processes(tmp_path) as processes:
        processes.start("server", sys.executable, "-c", "print('out of memory'); raise SystemExit(1)")
        with pytest.raises(AssertionError, match=r"server ended with 1\s+out of memory"):
            processes.run("job", sys.executable, "-c", "import time; time.sleep(1e6)", timeout_s=60)
