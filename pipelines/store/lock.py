"""One writer a store: a lock that the kernel frees when its holder ends, however it ends.

`<store>/LOCK` is locked with flock(2) for as long as a command that writes runs. The lock belongs to the open file, not
to the file's name or content: after kill -9 or a power cut nobody holds it, and nothing has to be deleted. What is
written inside says who holds it, for the message to those who come too late. Commands that only read never take it.
"""

import contextlib
import datetime
import errno
import fcntl
import getpass
import json
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.errors import UsageError
from schemas.quarantine import quote

LOCK_FILE = "LOCK"
#: What flock says where the file system cannot lock: some network and object-store mounts.
_NO_FLOCK = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
_MAX_HOLDER_BYTES = 65_536


class StoreBusyError(RuntimeError):
    """Another process works on the store; the call is right and may be repeated later: exit code 1."""


@dataclass
class _Held:
    descriptor: int | None
    depth: int = 0


_held: dict[str, _Held] = {}


@contextlib.contextmanager
def store_lock(store: str | os.PathLike[str], purpose: str, name: str = LOCK_FILE) -> Iterator[None]:
    """Holds the lock `<store>/<name>`; within one process a holder may take it again (not from another thread).

    `purpose` is what others are told. Raises StoreBusyError, at once, if another process holds it. Children do not
    inherit it: the file is closed on exec, and in forked children right after the fork.
    """
    path = os.path.join(os.path.realpath(store), name)
    held = _held.get(path)
    if held is None:
        held = _held[path] = _Held(_acquire(path, purpose))
    held.depth += 1
    try:
        yield
    finally:
        held.depth -= 1
        if held.depth == 0:
            _held.pop(path, None)
            _release(held)


def _acquire(path: str, purpose: str) -> int | None:
    """The descriptor that holds the lock; None, with a warning, where the file system knows no locks."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read_holder(descriptor)
            os.close(descriptor)
            raise StoreBusyError(
                f"expected to be the only one that writes to {os.path.dirname(path)}, got {_describe(holder)}: wait "
                "for it to end, or stop it; the lock ends with it, no file needs to be deleted"
            ) from None
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_FLOCK:
                raise
            print(
                f"warning: expected a file system that can lock files, got {error.strerror} for {path}: nothing keeps "
                "two runs apart here, see to it that only one runs at a time",
                file=sys.stderr,
            )
            return None
        if _is_still(path, descriptor):
            break
        os.close(descriptor)  # somebody deleted the file between open and flock
    holder = _read_holder(descriptor)
    if holder:
        print(f"the lock of {_who(holder)}, which has ended, is taken over", file=sys.stderr)
    _write_holder(descriptor, purpose)
    return descriptor


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR):
            raise
        raise UsageError(f"expected a plain file at {path}, got a link or a folder: move it away") from error


def _is_still(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _release(held: _Held) -> None:
    """An emptied file says that its last holder ended in order."""
    if held.descriptor is not None:
        with contextlib.suppress(OSError):
            os.ftruncate(held.descriptor, 0)
        os.close(held.descriptor)


def _write_holder(descriptor: int, purpose: str) -> None:
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
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, (json.dumps(holder) + "\n").encode()[:_MAX_HOLDER_BYTES], 0)


def _read_holder(descriptor: int) -> dict[str, Any]:
    """What the holder wrote; empty if it has not yet, or ended in order."""
    try:
        holder = json.loads(os.pread(descriptor, _MAX_HOLDER_BYTES, 0))
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


def _forget_after_fork() -> None:
    """A forked child would keep the lock alive after its parent's death. Closing its copy leaves the parent's lock."""
    for held in _held.values():
        if held.descriptor is not None:
            os.close(held.descriptor)
            held.descriptor = None
    _held.clear()


os.register_at_fork(after_in_child=_forget_after_fork)
