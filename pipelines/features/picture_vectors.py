"""Vectors of pictures and texts by the digest of their content: of one bucket on disk, those used last in memory."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

import numpy as np

from pipelines.run.shared import Shared
from schemas import storage

_CACHE_BYTES = 256 << 20


class VectorFile:
    """Vectors by the digest of their content, in a nameless scratch file: memory holds the digests only."""

    def __init__(self, folder: Path, dim: int):
        self.dim = dim
        self._rows: dict[bytes, int] = {}
        self._file = storage.nameless_file(folder)

    def __enter__(self) -> "VectorFile":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._rows

    def add(self, digest: bytes, vector_D: np.ndarray) -> None:
        """Stores float16 [dim]; the first vector of a digest stays. Raises ValueError for another width."""
        if vector_D.shape != (self.dim,):
            raise ValueError(f"expected a vector of width {self.dim}, got shape {vector_D.shape}")
        if digest not in self._rows:
            row = self._rows[digest] = len(self._rows)
            storage.write_at(self._file, vector_D.astype("<f2").tobytes(), row * self.dim * 2)

    def get(self, digest: bytes) -> np.ndarray:
        """float16 [dim]. Raises KeyError."""
        size_bytes = self.dim * 2
        return np.frombuffer(storage.read_at(self._file, size_bytes, self._rows[digest] * size_bytes), "<f2")


class VectorCache:
    """The vectors used last, within a number of bytes. Threads may share it."""

    def __init__(self, max_bytes: int):
        self.max_bytes, self.num_bytes = max_bytes, 0
        self._lock = threading.Lock()
        self._vectors: OrderedDict[bytes, np.ndarray] = OrderedDict()

    def get(self, digest: bytes) -> np.ndarray | None:
        """The vector, which then counts as used last, or None."""
        with self._lock:
            vector_D = self._vectors.get(digest)
            if vector_D is not None:
                self._vectors.move_to_end(digest)
            return vector_D

    def add(self, digest: bytes, vector_D: np.ndarray) -> None:
        """Stores a vector and drops the oldest ones beyond the limit."""
        with self._lock:
            if digest not in self._vectors:
                self._vectors[digest] = vector_D.copy()  # a row of a batch would keep the whole batch alive
                self.num_bytes += vector_D.nbytes
            while self.num_bytes > self.max_bytes:
                _, dropped_D = self._vectors.popitem(last=False)
                self.num_bytes -= dropped_D.nbytes


_CACHES: Shared[Hashable, VectorCache] = Shared(lambda made_with: VectorCache(_CACHE_BYTES))

_TEXT_CACHES: Shared[Hashable, VectorCache] = Shared(lambda made_with: VectorCache(_CACHE_BYTES))


def shared_cache(made_with: Hashable) -> VectorCache:
    """The cache of all buckets of the process whose vectors depend on nothing but their digest and `made_with`."""
    return _CACHES.get(made_with)


def shared_text_cache(made_with: Hashable) -> VectorCache:
    """As shared_cache, for texts: a process that makes vectors of both holds both."""
    return _TEXT_CACHES.get(made_with)
