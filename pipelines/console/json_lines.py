"""JSON lines that people or programs ask with: one object a line, and a bad line spoils no other."""

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from schemas import storage
from schemas.errors import UsageError
from schemas.quarantine import quote

MAX_LINE_BYTES = 1 << 20
_SHOWN_BYTES = 80


def open_lines(path: str, flag_name: str) -> contextlib.AbstractContextManager[BinaryIO]:
    """The file of JSON lines at `path`, `-` for standard input. UsageError, naming the flag, if there is none."""
    if path == "-":
        return contextlib.nullcontext(sys.stdin.buffer)
    try:
        return storage.open_file(path, "rb")
    except OSError as error:
        raise UsageError(
            f"expected {flag_name} to name a file of JSON lines, got {path!r}: {error.strerror}"
        ) from error


def bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines of a file; of one longer than MAX_LINE_BYTES only so much that it is seen to be too long."""
    while line := file.readline(MAX_LINE_BYTES + 2):
        end = line
        while not end.endswith(b"\n") and (end := file.readline(MAX_LINE_BYTES)):
            pass
        yield line.rstrip(b"\r\n") if line.endswith(b"\n") else line


def object_in(line: bytes) -> dict[str, Any]:
    """The JSON object of a line; an empty one for a line that is too long, or no object.

    >>> object_in(b'{"text": "red dress"}'), object_in(b"[]"), object_in(bytes([255]))
    ({'text': 'red dress'}, {}, {})
    """
    if len(line) <= MAX_LINE_BYTES:
        with contextlib.suppress(ValueError, RecursionError):  # not UTF-8, not JSON, or nested too deeply
            value = json.loads(line.decode("utf-8-sig"))
            if isinstance(value, dict):
                return value
    return {}


def is_text(value: object) -> bool:
    """Whether a JSON value is a string that text can hold: not half a surrogate pair, which JSON can spell."""
    return isinstance(value, str) and value.encode("utf-8", "ignore").decode() == value


def line_error(line: bytes, line_number: int, expected: str) -> UsageError:
    """Why a line is not answered: it is not what is `expected`, or too long."""
    if len(line) > MAX_LINE_BYTES:
        return UsageError(f"line {line_number}: expected at most {MAX_LINE_BYTES:,} bytes, got more")
    got = quote(line[:_SHOWN_BYTES].decode("utf-8", "backslashreplace"))
    return UsageError(f"line {line_number}: expected {expected}, got {got}")


def print_answers(command: str, answers: Iterable[dict[str, Any]]) -> None:
    """Prints a JSON line for each answer, and on stderr how many have an "error". UsageError if all of them have:
    a caller who asks in a wrong way should see it in the exit code."""
    num_answers = num_errors = 0
    for answer in answers:
        num_answers += 1
        num_errors += "error" in answer
        print(json.dumps(answer, allow_nan=False))
    if num_errors == num_answers > 0:
        raise UsageError(f'expected at least one line that can be answered, got {num_errors:,} with an "error"')
    if num_errors:
        print(f'{command}: {num_errors:,} lines could not be answered: see their "error"', file=sys.stderr)
