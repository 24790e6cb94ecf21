"""One writer a store: a lock that the kernel frees when its holder ends, however it ends.

`<store>/LOCK` is locked with flock(2) for as long as a command that writes runs. The lock belongs to the open file, not
to the file's name or content: after kill -9 or a power cut nobody holds it, and nothing has to be deleted. What is
written inside says who holds it, for the message to those who come too late. Commands that only read never take it.
"""

import contextlib
import datetime
import errno
import functools
import getpass
import json
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

from schemas import storage
from schemas.errors import UsageError
from schemas.quarantine import quote

LOCK_FILE = "LOCK"
#: What flock says where the file system cannot lock: some network and object-store mounts.
_NO_FLOCK = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
_MAX_HOLDER_BYTES = 65_536
#: It is tried again for so long, for somebody may delete the file between its opening and its locking.
_PATIENCE_S = 0.05


class StoreBusyError(RuntimeError):
    """Another process works on the store; the call is right and may be repeated later: exit code 1."""


@contextlib.contextmanager
def store_lock(store: str | os.PathLike[str], purpose: str, name: str = LOCK_FILE) -> Iterator[None]:
    """Holds the lock `<store>/<name>`; within one thread a holder may take it again.

    `purpose` is what others are told. Raises StoreBusyError if another process holds it. Children do not inherit it:
    the file is closed on exec, and in forked children right after the fork.
    """
    from filelock import FileLock, Timeout  # time that commands which only read need not wait for

    path = os.path.join(storage.real_path(store), name)
    lock = FileLock(path, timeout=_PATIENCE_S, is_singleton=True, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise StoreBusyError(
            f"expected to be the only one that writes to {os.path.dirname(path)}, got {_describe(_read_holder(path))}: "
            "wait for it to end, or stop it; the lock ends with it, no file needs to be deleted"
        ) from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise UsageError(f"expected a plain file at {path}, got a link or a folder: move it away") from error
        if error.errno not in _NO_FLOCK:
            raise
        _warn_of_no_locks(path, str(error.strerror))
        yield
        return
    if lock.lock_counter == 1:
        if holder := _read_holder(path):
            print(f"the lock of {_who(holder)}, which has ended, is taken over", file=sys.stderr)
        _write_holder(path, purpose)
    try:
        yield
    finally:
        if lock.lock_counter == 1:  # an emptied file says that its last holder ended in order
            with contextlib.suppress(OSError):
                storage.rewrite(path, b"")
        lock.release()


@functools.cache
def _warn_of_no_locks(path: str, reason: str) -> None:
    """Once a file."""
    print(
        f"warning: expected a file system that can lock files, got {reason} for {path}: nothing keeps "
        "two runs apart here, see to it that only one runs at a time",
        file=sys.stderr,
    )


def _write_holder(path: str, purpose: str) -> None:
    """Tells who holds the lock, in place: another file would be another lock. Only a courtesy, so a full disk does not
    keep anybody (least of all the command that frees some of it) from working."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container with a user that has no name
        user = str(os.getuid())
    holder = {
        "command": " ".join(sys.argv),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "purpose": purpose,
        "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "who": user,
    }
    with contextlib.suppress(OSError):
        storage.rewrite(path, (json.dumps(holder) + "\n").encode()[:_MAX_HOLDER_BYTES])


def _read_holder(path: str) -> dict[str, Any]:
    """What the holder wrote; empty if it has not yet, or ended in order."""
    try:
        holder = json.loads(storage.read_in_place(path, _MAX_HOLDER_BYTES))
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _who(holder: dict[str, Any]) -> str:
    pid = holder.get("pid")
    host = holder.get("host")
    where = "" if host == socket.gethostname() else f" on {quote(host)}"
    return f"pid {pid if isinstance(pid, int) else quote(pid)}{where}"


def _describe(holder: dict[str, Any]) -> str:
    if not holder:
        return "another process that holds the lock"
    who, since, purpose, command = (quote(holder.get(key)) for key in ("who", "since", "purpose", "command"))
    return f"{_who(holder)}, user {who}, at work since {since} on {purpose} with {command}"
