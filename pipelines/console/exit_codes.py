"""From what a command raises to its exit code and one line on stderr that says what to do.

0 done, 1 a fault (a corrupt file, a full disk), 2 the call is wrong, 3 the data failed a threshold.
"""

import errno
import logging
import os
import re
import select
import sys
from collections.abc import Callable

from pipelines.store.lock import StoreBusyError
from schemas import storage
from schemas.errors import CorruptFileError, ThresholdError, UsageError, printable

EXIT_DONE, EXIT_FAULT, EXIT_USAGE, EXIT_THRESHOLD = 0, 1, 2, 3
#: 128 + the signal's number, as shells report it: nobody reads our output any more, somebody pressed Ctrl-C.
EXIT_BROKEN_PIPE, EXIT_INTERRUPTED = 141, 130
_EXIT_CODES = {
    UsageError: EXIT_USAGE,
    ThresholdError: EXIT_THRESHOLD,
    CorruptFileError: EXIT_FAULT,
    StoreBusyError: EXIT_FAULT,
}
_DISK_REMEDIES = {
    errno.ENOSPC: "free some disk space (`itemsage gc` removes old runs)",
    errno.EDQUOT: "raise the disk quota (`itemsage gc` removes old runs)",
    errno.EROFS: "mount the file system writable or choose another folder",
    errno.EACCES: "give this user the right to read and write there",
    errno.EPERM: "give this user the right to read and write there",
    errno.ENOTDIR: "a file lies where a folder is expected: move it away or choose another folder",
    errno.EMFILE: "allow this process more open files (ulimit -n)",
    errno.EIO: "the disk or its connection fails: check it",
    errno.ESTALE: "the network file system went away: mount it again",
}
_BEAM_LOGGER = "apache_beam.runners.common"
#: Where Beam adds the name of the step to a message, and an exception in a traceback that a runner passes on as text.
_STEP = " [while running '"
_EXCEPTION_IN_TEXT = re.compile(
    rf"^([\w.]+(?:Error|Exception)): (.*?)(?={re.escape(_STEP)}|\n\t|\n\n|\Z)", re.MULTILINE | re.DOTALL
)


def exit_code(run: Callable[[], int | None]) -> int:
    """Runs a command and turns what it raises into exit codes, with a line on stderr instead of a traceback:
    0 done, 1 corrupt file, 2 usage, 3 threshold, 130 interrupted, 141 nobody reads the output. Other errors propagate.
    """
    logging.getLogger(_BEAM_LOGGER).addFilter(_is_not_ours)
    try:
        code = run() or EXIT_DONE
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("interrupted: the same call goes on where it stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        if not _stdout_is_broken():
            raise
        return EXIT_BROKEN_PIPE
    except Exception as error:
        found = _our_error(error)
        if found is None:
            raise
        code, message = found
        print(f"error: {printable(message)}", file=sys.stderr)
        return code


def code_of(error: CorruptFileError | UsageError | ThresholdError | StoreBusyError) -> int:
    """The exit code that an error of ours means."""
    return next(code for kind, code in _EXIT_CODES.items() if isinstance(error, kind))


def _is_not_ours(record: logging.LogRecord) -> bool:
    """False for the traceback that Beam logs of an error which exit_code tells in one line."""
    return not record.exc_info or _our_error(record.exc_info[1]) is None


def _our_error(error: BaseException | None) -> tuple[int, str] | None:
    """(exit code, message) of the error if it is ours, or of ours that a runner wrapped in RuntimeErrors."""
    codes = {f"{kind.__module__}.{kind.__name__}": code for kind, code in _EXIT_CODES.items()}
    while error is not None:
        names, message = [f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__], str(error)
        if isinstance(error, RuntimeError) and (found := _EXCEPTION_IN_TEXT.findall(message)):
            names, message = [found[-1][0]], found[-1][1]
        if (code := next((codes[name] for name in names if name in codes), None)) is not None:
            return code, " ".join(line.strip() for line in message.partition(_STEP)[0].splitlines())
        if (disk := _disk_error(error)) is not None:
            return EXIT_FAULT, disk
        if not isinstance(error, RuntimeError):
            return None
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def _disk_error(error: BaseException) -> str | None:
    """What to tell of an error that the machine or its set-up is to blame for; None if it is not one of those.

    Libraries wrap such errors in types of their own, hence the look at the text.
    """
    number = error.errno if isinstance(error, OSError) else None
    text = " ".join(str(error).partition(_STEP)[0].split())
    for known, remedy in _DISK_REMEDIES.items():
        signs = (f"os error {known})", f"[errno {known}]", f"{os.strerror(known).lower()} ({known})")
        if number == known or any(sign in text.lower() for sign in signs):
            return f"expected to read and write the store, got {text}: {remedy}; the same call goes on where it stopped"
    return None


def _stdout_is_broken() -> bool:
    """Whether nobody reads our output any more; if so it now goes nowhere, for Python flushes it once more at exit."""
    try:
        descriptor = sys.stdout.fileno()
    except OSError:
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    is_broken = any(event & select.POLLERR for _, event in poll.poll(0))
    if is_broken:
        with storage.open_file(os.devnull, "ab") as nowhere:
            os.dup2(nowhere.fileno(), descriptor)
    return is_broken
