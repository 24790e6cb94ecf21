"""The suite makes the same few hundred pictures for hundreds of runs; a third of its time went into encoding them. What
one process of it has encoded, none encodes again: a picture's vector does not depend on the others of its batch, which
the tests of the encoder itself show without this. `make soak`, the engines and whoever runs the jobs do not remember.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from model.pictures.image_encoder import ImageEncoder

#: Names the folder of the vectors, for the processes that the suite starts.
FOLDER = "ITEMSAGE_REMEMBERED_PICTURES"
_VECTORS: dict[bytes, np.ndarray] = {}
_Forward = Callable[[ImageEncoder, np.ndarray], np.ndarray]


def remember_pictures() -> None:
    """From now on this process takes vectors that are in the folder, and leaves others there."""
    folder = os.environ.get(FOLDER)
    if folder and Path(folder).is_dir():
        ImageEncoder._forward = _remembered(ImageEncoder._forward, Path(folder))  # type: ignore[method-assign]


def _remembered(forward: _Forward, folder: Path) -> _Forward:
    def remembered(self: ImageEncoder, pictures_BHWC: np.ndarray) -> np.ndarray:
        if FOLDER not in os.environ:
            return forward(self, pictures_BHWC)
        number_format = next(self._network.parameters()).dtype
        made_by = f"{self.spec.network_id} {number_format} {self.spec.device} {len(pictures_BHWC)}".encode()
        keys = [hashlib.blake2b(made_by + picture.tobytes(), digest_size=16).digest() for picture in pictures_BHWC]
        known = [_vector(folder, key) for key in keys]
        if any(vector is None for vector in known):
            known = list(forward(self, pictures_BHWC))
            for key, vector in zip(keys, known, strict=True):
                _leave(folder, key, vector)
        return np.stack(known)

    return remembered


def _vector(folder: Path, key: bytes) -> np.ndarray | None:
    if key not in _VECTORS:
        try:
            _VECTORS[key] = np.frombuffer((folder / key.hex()).read_bytes(), np.float32)
        except FileNotFoundError:
            return None
    return _VECTORS[key]


def _leave(folder: Path, key: bytes, vector: np.ndarray) -> None:
    _VECTORS[key] = vector
    unfinished = folder / f"{key.hex()}-{os.getpid()}-{id(vector)}"
    unfinished.write_bytes(vector.tobytes())
    unfinished.replace(folder / key.hex())
