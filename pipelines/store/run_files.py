"""What the commands that operate a store read of a run's files, and how they print it."""

import os
import re
from pathlib import Path
from typing import Any

from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import read_json
from schemas.quarantine import quote

_PLAIN = re.compile(r"[\w.@:/+-]{1,80}")


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; CorruptFileError if the file is missing or holds anything else."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise CorruptFileError(f"expected a JSON object at {path}, got {quote(value)}")
    return value


def gates_by_status(run: Path) -> dict[str, list[str]]:
    """Status -> names of the gates of `<run>/gates.json`; empty for a run that has not come that far."""
    found: dict[str, list[str]] = {}
    if storage.has_file(run / "gates.json"):
        for gate in read_object(run / "gates.json")["gates"]:
            found.setdefault(str(gate["status"]), []).append(str(gate["name"]))
    return found


def size_of(folder: str | os.PathLike[str]) -> tuple[int, float]:
    """Bytes of all files below a folder (or of a file), and the newest modification time in it, in seconds since 1970.
    Links are not followed; what vanishes meanwhile does not count."""
    total, newest_s = 0, 0.0
    paths = [str(folder)]
    for parent, folders, names in storage.walk(folder):
        paths += [os.path.join(parent, name) for name in (*folders, *names)]
    for path in paths:
        try:
            status = storage.status(path, follow_links=False)
        except OSError:
            continue
        newest_s = max(newest_s, status.st_mtime)
        total += status.st_size if not storage.is_folder(path) or storage.is_link(path) else 0
    return total, newest_s


def format_bytes(num_bytes: int) -> str:
    """
    >>> format_bytes(1_234), format_bytes(56_700_000)
    ('1.2 kB', '56.7 MB')
    """
    value = float(num_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def shown(text: object) -> str:
    """Text of the store as it is if it is harmless, else quoted."""
    return text if isinstance(text, str) and _PLAIN.fullmatch(text) else quote(text)
