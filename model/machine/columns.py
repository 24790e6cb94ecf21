"""Memory-mapped columns: arrays written once in bounded memory and read through the page cache.

A column is one `.npy` file. A folder of columns is named by the fingerprint of its sources and appears in one rename:
what is there is finished, and columns of other sources are built beside it.

Ragged columns (token ids, pictures) are a flat column and an offsets column: row i owns
flat[offsets[i]:offsets[i + 1]].
"""

import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import read_json, write_json
from schemas.hashing import fingerprint

#: Version 1 of the npy header: 10 bytes of magic, version and length, then the description, padded to this many bytes.
_HEADER_BYTES = 128
#: In a folder of columns, what `write` of build_columns returned.
FACTS_FILE = "columns.json"


class ColumnWriter:
    """Appends rows to `<folder>/<name>.npy` without knowing how many will come; use as a context manager.

    A column that never gets any has shape [0, *row_shape].
    """

    def __init__(self, folder: str | os.PathLike[str], name: str, dtype: str, row_shape: tuple[int, ...] = ()):
        self.name, self.dtype, self.row_shape, self.num_rows = name, np.dtype(dtype), row_shape, 0
        self._file = storage.open_file(Path(folder, f"{name}.npy"), "wb", buffering=1 << 20)
        self._file.write(b"\0" * _HEADER_BYTES)

    def append(self, rows: np.ndarray) -> None:
        """Appends rows [n, *row_shape]; values are converted to the column's dtype. Raises CorruptFileError on another
        row shape (pictures of another encoder)."""
        if len(rows) == 0:
            return
        if rows.shape[1:] != self.row_shape:
            raise CorruptFileError(f"expected rows of shape {self.row_shape} for {self.name}, got {rows.shape[1:]}")
        self._file.write(np.ascontiguousarray(rows, self.dtype).tobytes())
        self.num_rows += len(rows)

    def __enter__(self) -> "ColumnWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shape = (self.num_rows, *self.row_shape)
        text = str({"descr": self.dtype.str, "fortran_order": False, "shape": shape})
        body = text.ljust(_HEADER_BYTES - 11).encode() + b"\n"
        self._file.seek(0)
        self._file.write(b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body)
        self._file.close()


def write_column(folder: str | os.PathLike[str], name: str, values: np.ndarray) -> None:
    """Writes a whole column that is in memory already."""
    np.save(Path(folder, f"{name}.npy"), values)


def read_column(folder: str | os.PathLike[str], name: str) -> np.ndarray:
    """The column as a read-only memory map (an empty column as an empty array: nothing can be mapped there)."""
    path = Path(folder, f"{name}.npy")
    with storage.open_file(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        assert version == (1, 0), version
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return np.load(storage.local_path(path), mmap_mode="r") if np.prod(shape) else np.zeros(shape, dtype)


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """
    >>> offsets_of(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def gather_ragged(flat: np.ndarray, offsets: np.ndarray, rows_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows' values one after the other, and their offsets int64 [B + 1].

    >>> gather_ragged(np.array([7, 8, 9]), np.array([0, 2, 3]), np.array([1, 0]))[0].tolist()
    [9, 7, 8]
    """
    starts_B = np.asarray(offsets[rows_B], np.int64)
    lengths_B = np.asarray(offsets[rows_B + 1], np.int64) - starts_B
    gathered_offsets = offsets_of(lengths_B)
    positions = np.repeat(starts_B - gathered_offsets[:-1], lengths_B) + np.arange(gathered_offsets[-1])
    return np.asarray(flat[positions]), gathered_offsets


def source_fingerprint(paths: Sequence[str | os.PathLike[str]], *facts: Any) -> str:
    """Identifies source files by name, size and time of change (reading them all again would cost a build)."""
    stats = [(os.path.basename(path), storage.size_of(path), storage.status(path).st_mtime_ns) for path in paths]
    return fingerprint([stats, *facts])


def build_columns(folder: str | os.PathLike[str], source: str, write: Callable[[Path], dict[str, Any]]) -> Path:
    """The finished columns of this `source` (a fingerprint), `<folder>/<source>`; made with `write(temporary folder)`,
    which returns facts for the manifest, unless they are there. Several processes may build at once: one wins."""
    target = Path(folder, source)
    if storage.has_file(target / FACTS_FILE):
        return target
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.tmp"
    storage.make_folder(temporary)
    try:
        write_json(temporary / FACTS_FILE, write(temporary))
        storage.move(temporary, target)
    except OSError:
        if not storage.has_file(target / FACTS_FILE):
            raise
    finally:
        storage.remove_folder(temporary, ignore_errors=True)
    return target


def read_facts(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What `write` returned when the columns were built."""
    return read_json(Path(folder, FACTS_FILE))
