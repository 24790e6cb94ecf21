"""The fetched pictures of one host: the files under the image root, and a journal of what its server said of each.

    <image root>/fetched/<2 hex>/<sha256 of the URL>     the picture, as it came
    <image root>/fetched/hosts/<sha256 of the host>.jsonl   CacheRows, a line each; the last one of a URL counts

A picture is there whole or not at all. A line is appended after its picture is there: killed in between, the picture is
asked for once more. A line that was cut off by a kill tells nothing. Two processes must not write at the same time.
"""

import hashlib
import json
import os
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import BinaryIO

from schemas.files import atomic_write
from schemas.picture_urls import FETCHED_FOLDER, fetched_path

_HOSTS = "hosts"


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheRow:
    """What is known of a URL. asked_at: Unix seconds. status: of the last HTTP answer, null if there was none. sha256,
    bytes, etag, last_modified: of the picture that lies at `path` below the image root, null without one. reason,
    expected, got: why the last question failed, null if it did not; an earlier picture stays."""

    url: str
    path: str
    asked_at: float
    status: int | None = None
    sha256: str | None = None
    bytes: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    reason: str | None = None
    expected: str | None = None
    got: str | None = None


#: field -> the types that it may have.
_TYPES = {
    field.name: {"url": str, "path": str, "asked_at": int | float}.get(
        field.name, int | None if field.name in ("status", "bytes") else str | None
    )
    for field in fields(CacheRow)
}


def host_key(host: str) -> str:
    """A name for the files of a host."""
    return hashlib.sha256(host.encode()).hexdigest()[:32]


class HostCache:
    """The cache of one host; threads use it side by side. Close it at the end."""

    def __init__(self, image_root: str | os.PathLike[str], host: str):
        self._root = Path(image_root)
        self._journal = self._root / FETCHED_FOLDER / _HOSTS / f"{host_key(host)}.jsonl"
        self._lock = threading.Lock()
        self._rows = _read_journal(self._journal)
        self._file: BinaryIO | None = None

    def row(self, url: str) -> CacheRow | None:
        """What is known of a URL; a picture that is not there any more, or of another size, is not known."""
        row = self._rows.get(url)
        if row is None or row.sha256 is None or self._size_of(row) == row.bytes:
            return row
        return None

    def keep(self, row: CacheRow, body: bytes | None = None) -> None:
        """Records a row, after its picture if that is another than before."""
        if body is not None:
            with atomic_write(self._root / row.path) as temporary:
                Path(temporary).write_bytes(body)
        line = json.dumps({name: value for name, value in asdict(row).items() if value is not None}) + "\n"
        with self._lock:
            if self._file is None:
                self._journal.parent.mkdir(parents=True, exist_ok=True)
                self._file = open(self._journal, "ab", buffering=0)  # noqa: SIM115 (closed by close)
                self._file.write(b"\n")  # ends what a kill may have cut off
            self._file.write(line.encode())
            self._rows[row.url] = row

    def close(self) -> None:
        """Ends writing; the journal then has one line a URL."""
        if self._file is None:
            return
        self._file.close()
        self._file = None
        with atomic_write(self._journal) as temporary, open(temporary, "w", encoding="utf-8") as file:
            for _, row in sorted(self._rows.items()):
                file.write(json.dumps({name: value for name, value in asdict(row).items() if value is not None}) + "\n")

    def _size_of(self, row: CacheRow) -> int | None:
        with suppress(OSError):
            return os.stat(self._root / row.path).st_size
        return None


def remove_half_files(image_root: str | os.PathLike[str]) -> None:
    """Removes what a kill left of pictures that were being written. Nobody may be writing."""
    for path in Path(image_root, FETCHED_FOLDER).glob("[0-9a-f][0-9a-f]/.*.tmp"):
        path.unlink(missing_ok=True)


def _read_journal(path: Path) -> dict[str, CacheRow]:
    rows: dict[str, CacheRow] = {}
    with suppress(FileNotFoundError), open(path, "rb") as file:
        for line in file:
            row = _parsed(line)
            if row is not None:
                rows[row.url] = row
    return rows


def _parsed(line: bytes) -> CacheRow | None:
    """The row of a line; None for anything else, a row of another place than its URL's too."""
    try:
        values = json.loads(line)
        row = CacheRow(**values)
    except (ValueError, TypeError, RecursionError):
        return None
    fits = all(isinstance(getattr(row, name), kind) for name, kind in _TYPES.items())
    return row if fits and row.path == fetched_path(row.url) else None
