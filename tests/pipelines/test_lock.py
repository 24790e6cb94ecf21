"""The lock, with real processes: who comes second is told, who is killed holds nothing."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from python_process import ENVIRONMENT, run_python

from pipelines.store.lock import StoreBusyError, store_lock
from schemas.errors import UsageError

_HOLD = """
import sys, time
from pipelines.store.lock import store_lock
with store_lock(sys.argv[1], "daily 2026-06-30"):
    {body}
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Starts a process that holds the lock of tmp_path/store; `body` runs in it while it does."""
    started = []

    def start(body="pass"):
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLD.format(body=body), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        started.append(process)
        assert process.stdout.readline().strip() == "held"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_second_process_is_told_who_holds_the_lock_since_when(tmp_path, holder):
    process = holder()
    before = (tmp_path / "store" / "LOCK").read_text()
    with pytest.raises(StoreBusyError) as error, store_lock(tmp_path / "store", "gc"):
        pass
    for expected in (f"pid {process.pid}", "'daily 2026-06-30'", "since '20", "wait", "no file needs to be deleted"):
        assert expected in str(error.value)
    assert (tmp_path / "store" / "LOCK").read_text() == before
    assert json.loads(before).keys() == {"command", "host", "pid", "purpose", "since", "who"}


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder, capsys):
    process = holder()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with store_lock(tmp_path / "store", "daily"):
        assert json.loads((tmp_path / "store" / "LOCK").read_text())["pid"] == os.getpid()
    assert f"the lock of pid {process.pid}, which has ended, is taken over" in capsys.readouterr().err
    with store_lock(tmp_path / "store", "daily"):
        pass
    assert capsys.readouterr().err == ""  # the one before ended in order


@pytest.mark.parametrize(
    "body",
    [
        "import os; child = os.fork(); child or (time.sleep(30), os._exit(0)); "
        "open(sys.argv[1] + '.child', 'w').write(str(child))",
        "import subprocess; child = subprocess.Popen(['sleep', '30'], close_fds=False).pid; "
        "open(sys.argv[1] + '.child', 'w').write(str(child))",
    ],
    ids=["forked", "executed"],
)
def test_a_child_that_outlives_the_holder_does_not_keep_the_lock(tmp_path, holder, body):
    process = holder(body)
    child = int((tmp_path / "store.child").read_text())
    try:
        with pytest.raises(StoreBusyError), store_lock(tmp_path / "store", "daily"):
            pass  # the child's copy is closed, the parent still holds it
        process.kill()
        process.wait()
        assert _is_free_soon(tmp_path / "store")
        os.kill(child, 0)  # alive all the while
    finally:
        os.kill(child, signal.SIGKILL)


def _is_free_soon(store: Path) -> bool:
    """A child closes its copy as soon as it runs, which on a busy machine may be after the parent was killed."""
    for _ in range(100):
        try:
            with store_lock(store, "daily"):
                return True
        except StoreBusyError:
            time.sleep(0.1)
    return False


def test_one_process_takes_it_again_and_frees_it_at_the_end(tmp_path):
    with store_lock(tmp_path, "backfill"):
        with store_lock(tmp_path / ".", "daily"), store_lock(str(tmp_path), "publish"):
            pass
        assert _taken_elsewhere(tmp_path)
        assert json.loads((tmp_path / "LOCK").read_text())["purpose"] == "backfill"
    assert not _taken_elsewhere(tmp_path)
    with pytest.raises(KeyError), store_lock(tmp_path, "daily"):
        raise KeyError
    assert not _taken_elsewhere(tmp_path)


def test_another_thread_of_the_holder_is_another_writer(tmp_path):
    def take():
        with store_lock(tmp_path, "publish"):
            pass

    with ThreadPoolExecutor(1) as pool, store_lock(tmp_path, "daily"):
        with pytest.raises(StoreBusyError, match=f"pid {os.getpid()},.* 'daily'"):
            pool.submit(take).result()
        assert json.loads((tmp_path / "LOCK").read_text())["purpose"] == "daily"


def _taken_elsewhere(store):
    """Whether another process finds the lock taken."""
    code = "import sys; from pipelines.store.lock import *\nwith store_lock(sys.argv[1], 'probe'): pass"
    done = run_python(code, str(store))
    assert done.returncode == 0 or "StoreBusyError" in done.stderr
    return done.returncode != 0


def test_locks_of_other_names_are_independent(tmp_path, holder):
    holder()
    with store_lock(tmp_path / "store", "train", name="training/LOCK"):
        assert (tmp_path / "store" / "training" / "LOCK").is_file()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"pid": "\\u001b[31m", "host": 7}', b"null"])
def test_whatever_a_dead_holder_left_does_not_matter(tmp_path, content, capsys):
    (tmp_path / "LOCK").write_bytes(content)
    with store_lock(tmp_path, "daily"):
        pass
    assert "\x1b" not in capsys.readouterr().err


def test_a_link_in_its_place_is_refused_and_its_target_left_alone(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "LOCK").symlink_to(tmp_path / "victim")
    with pytest.raises(UsageError, match="plain file"), store_lock(tmp_path / "store", "daily"):
        pass
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, capsys):
    def cannot_lock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", cannot_lock)
    with store_lock(tmp_path, "daily"), store_lock(tmp_path, "publish"):
        pass
    assert "only one runs at a time" in capsys.readouterr().err


def test_a_full_disk_does_not_keep_gc_from_its_lock(tmp_path, monkeypatch):
    def disk_is_full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.pwrite", disk_is_full)
    with store_lock(tmp_path, "gc"):
        assert _taken_elsewhere(tmp_path)


def test_many_processes_at_once_one_at_a_time_holds_it(tmp_path):
    code = (
        "import os, sys, time\nfrom pipelines.store.lock import store_lock, StoreBusyError\n"
        "store, done = sys.argv[1], 0\n"
        "while done < 20:\n"
        "    try:\n"
        "        with store_lock(store, 'x'):\n"
        "            fd = os.open(store + '/alone', os.O_CREAT | os.O_EXCL)\n"  # fails if another is inside
        "            os.close(fd); os.unlink(store + '/alone'); done += 1\n"
        "    except StoreBusyError: time.sleep(0.001)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    started_s = time.monotonic()
    processes = [subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE) for _ in range(3)]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    assert time.monotonic() - started_s < 60
