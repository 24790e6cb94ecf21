"""The fetched pictures of one host: the files under the image root, and a journal of what its server said of each.

    <image root>/fetched/<2 hex>/<sha256 of the URL>     the picture, as it came
    <image root>/fetched/hosts/<sha256 of the host>.jsonl   CacheRows (schemas.pictures.fetched), a line each

A picture is there whole or not at all. A line is appended after its picture is there: killed in between, the picture is
asked for once more. A line that was cut off by a kill tells nothing. Two processes must not write at the same time.
"""

import json
import os
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from schemas import storage
from schemas.pictures.fetched import CacheRow, journal_path, read_journal
from schemas.pictures.urls import FETCHED_FOLDER
from schemas.storage import atomic_write


class HostCache:
    """The cache of one host; threads use it side by side. Close it at the end."""

    def __init__(self, image_root: str | os.PathLike[str], host: str):
        self._root = Path(image_root)
        self._journal = journal_path(image_root, host)
        self._lock = threading.Lock()
        self._rows = read_journal(self._journal)
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
                storage.put_bytes(temporary, body)
        with self._lock:
            if self._file is None:
                storage.make_folder(self._journal.parent)
                self._file = storage.open_file(self._journal, "ab", buffering=0)
                self._file.write(b"\n")  # ends what a kill may have cut off
            self._file.write(_line_of(row))
            self._rows[row.url] = row

    def close(self) -> None:
        """Ends writing; the journal then has one line a URL."""
        if self._file is None:
            return
        self._file.close()
        self._file = None
        with atomic_write(self._journal) as temporary, storage.open_file(temporary, "wb") as file:
            for _, row in sorted(self._rows.items()):
                file.write(_line_of(row))

    def _size_of(self, row: CacheRow) -> int | None:
        with suppress(OSError):
            return storage.size_of(self._root / row.path)
        return None


def _line_of(row: CacheRow) -> bytes:
    return (json.dumps({name: value for name, value in asdict(row).items() if value is not None}) + "\n").encode()


def remove_half_files(image_root: str | os.PathLike[str]) -> None:
    """Removes what a kill left of pictures that were being written. Nobody may be writing."""
    for path in storage.paths_in(Path(image_root, FETCHED_FOLDER), "[0-9a-f][0-9a-f]/.*.tmp"):
        storage.remove(path, missing_ok=True)
