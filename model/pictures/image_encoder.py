"""Pictures -> vectors, fast and repeatable.

The network runs on batches of one fixed size, the last one padded, each in one thread: a picture's bytes depend on the
picture and the encoder id, not on its neighbours or the number of cores. Batches run side by side, one a core, which
needs no barrier inside an operator. bfloat16 and channels_last where the hardware has them, after a parity check.
"""

import copy
import threading
import warnings
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from model.machine.number_formats import DTYPES, MIN_PARITY_COSINE, refuse_or_warn, smallest_cosine
from model.machine.ordered_map import ordered_map, single_threaded_pool, usable_cores
from model.machine.out_of_memory import is_out_of_memory
from model.pictures import backbones
from model.pictures.decoding import decode_picture
from model.pictures.faults import DEFAULT_LIMITS, PictureError, PictureLimits
from model.pictures.image_encoder_spec import (
    ImageEncoderSpec,
    image_encoder_spec,
    save_from_spec,
    saved_image_encoder_spec,
)
from schemas.hashing import seed_of
from schemas.quarantine import quote

KeyT = TypeVar("KeyT", bound=Hashable)

_PARITY_PICTURES = 4
_MAX_THREADS = 16
#: Of a stream: elements of one chunk (pictures and what passes through), and encoded bytes held in all.
_CHUNK_ELEMENTS = 256
_MAX_WAITING_BYTES = 256 << 20
_FLOAT16_MAX = float(np.finfo(np.float16).max)


class ImageEncoder:
    """A loaded encoder. Attributes: spec (settled dtype), encoder_id, network_id, dim, preprocessing, parity_cosine."""

    def __init__(self, spec: ImageEncoderSpec, may_fall_back: bool = False):
        network = backbones.build_network(spec.name, spec.weights_entry)
        backbones.load_weights(network, spec.name, spec.weights_file)
        exact = backbones.vector_network(network).to(spec.device).to(memory_format=torch.channels_last)
        self.spec, self.parity_cosine = spec, 1.0
        self._network: torch.nn.Module = exact
        self._batch_size, self._halving = spec.batch_size, threading.Lock()
        self._pool = single_threaded_pool(_num_threads())
        self._mean_C = torch.tensor(spec.preprocessing.mean, device=spec.device) * 255
        self._inverse_std_C = 1 / (torch.tensor(spec.preprocessing.std, device=spec.device) * 255)
        if spec.dtype != "float32":
            self._lower_precision(exact, may_fall_back)
        self.encoder_id, self.network_id = self.spec.encoder_id, self.spec.network_id
        self.dim, self.preprocessing = spec.dim, spec.preprocessing

    def _lower_precision(self, exact: torch.nn.Module, may_fall_back: bool) -> None:
        """Takes the faster number format if it keeps the vectors; else float32 with a warning, or UsageError."""
        pictures_BHWC = _parity_pictures(self.spec.preprocessing.crop_px)
        reference_BD = self._pool.submit(self._forward, pictures_BHWC).result()
        self._network = copy.deepcopy(exact).to(DTYPES[self.spec.dtype])
        try:
            vectors_BD = self._pool.submit(self._forward, pictures_BHWC).result()
        except RuntimeError as error:  # an operator that does not know the number format
            if is_out_of_memory(error):
                raise
            self.parity_cosine, got = -1.0, str(error)
        else:
            self.parity_cosine = smallest_cosine(reference_BD, vectors_BD)
            got = f"{self.parity_cosine:.5f}"
        if self.parity_cosine >= MIN_PARITY_COSINE:
            return
        refuse_or_warn(self.spec.name, self.spec.dtype, MIN_PARITY_COSINE, got, may_fall_back)
        self._network, self.spec = exact, replace(self.spec, dtype="float32")

    def encode(self, pictures_BHWC: np.ndarray) -> np.ndarray:
        """uint8 [B, crop_px, crop_px, 3] RGB -> float16 [B, dim], not normalised. Any B, also 0.

        A row's bytes do not depend on the other rows or on B. Raises ValueError for another shape or dtype.
        """
        crop_px = self.preprocessing.crop_px
        if pictures_BHWC.dtype != np.uint8 or pictures_BHWC.shape[1:] != (crop_px, crop_px, 3):
            raise ValueError(
                f"expected uint8 [B, {crop_px}, {crop_px}, 3], got {pictures_BHWC.dtype} {list(pictures_BHWC.shape)}"
            )
        size = self.spec.batch_size
        parts = (pictures_BHWC[start : start + size] for start in range(0, len(pictures_BHWC), size))
        vectors = ordered_map(self._pool, self._encode_batch, parts, max_waiting=2 * _num_threads())
        return np.concatenate([np.empty((0, self.dim), np.float16), *vectors])

    def encode_stream(
        self, pictures: Iterable[tuple[KeyT, Any]], limits: PictureLimits = DEFAULT_LIMITS
    ) -> Iterator[tuple[KeyT, Any]]:
        """(key, encoded picture bytes) -> (key, float16 [dim] or PictureError), in the order of the input.

        Pictures are decoded and encoded in threads, some batches ahead; `pictures` is pulled by the caller's thread.
        A value that is not bytes passes through unchanged, in its place. A picture that cannot be decoded or encoded
        costs only itself.
        """
        chunks = ordered_map(
            self._pool,
            lambda chunk: self._encode_chunk(chunk, limits),
            _chunks(pictures, self.spec.batch_size),
            max_waiting=2 * _num_threads(),
            cost=_num_bytes,
            max_cost=_MAX_WAITING_BYTES,
        )
        for chunk in chunks:
            yield from chunk

    def _encode_chunk(self, chunk: list[tuple[KeyT, Any]], limits: PictureLimits) -> list[tuple[KeyT, Any]]:
        """Decodes and encodes the pictures of a chunk (at most one batch), in this thread."""
        results = list(chunk)
        crops = []
        for position, (key, value) in enumerate(chunk):
            if isinstance(value, bytes):
                try:
                    crops.append((position, decode_picture(value, self.preprocessing, limits)))
                except PictureError as error:
                    results[position] = key, error.with_traceback(None)
        vectors = self._encode_each([crop_HWC for _, crop_HWC in crops])
        for (position, _), vector in zip(crops, vectors, strict=True):
            results[position] = chunk[position][0], vector
        return results

    def _encode_each(self, crops: Sequence[np.ndarray]) -> list[Any]:
        """A vector or PictureError each. A batch that fails is halved until the bad picture is alone; if a blank one
        fails too, the fault is not the picture's and is raised."""
        if not crops:
            return []
        try:
            return [_finite_or_error(vector_D) for vector_D in self._encode_batch(np.stack(crops))]
        except Exception as error:
            failure = error.with_traceback(None)  # whose frames would keep the batch in memory
        if len(crops) > 1:
            middle = len(crops) // 2
            return [*self._encode_each(crops[:middle]), *self._encode_each(crops[middle:])]
        self._encode_batch(np.zeros_like(np.stack(crops)))
        got = f"{type(failure).__name__}: {quote(str(failure))}"
        if is_out_of_memory(failure):
            return [PictureError("out_of_memory", "memory to encode the picture", got)]
        return [PictureError("encoder_failed", "a vector", got)]

    def _encode_batch(self, part_BHWC: np.ndarray) -> np.ndarray:
        """uint8 of at most spec.batch_size pictures -> float16 [B, dim], in smaller batches if memory runs out."""
        while True:
            size = self._batch_size
            try:
                starts = range(0, len(part_BHWC), size)
                return np.concatenate([self._encode_padded(part_BHWC[start : start + size], size) for start in starts])
            except Exception as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
            self._halve_batches(size)  # here the failed batch is no longer held by the error

    def _encode_padded(self, part_BHWC: np.ndarray, size: int) -> np.ndarray:
        """uint8 of at most `size` pictures -> float16 [B, dim], padded to `size` in between."""
        padded_BHWC = np.zeros((size, *part_BHWC.shape[1:]), np.uint8)
        padded_BHWC[: len(part_BHWC)] = part_BHWC
        vectors_BD = self._forward(padded_BHWC)[: len(part_BHWC)]
        clipped_BD = np.clip(vectors_BD, -_FLOAT16_MAX, _FLOAT16_MAX)
        return np.where(np.isfinite(vectors_BD), clipped_BD, np.nan).astype(np.float16)

    def _halve_batches(self, failed_size: int) -> None:
        """From here on batches are half of `failed_size`, unless another thread has made them smaller already."""
        with self._halving:
            if self._batch_size == failed_size:
                self._batch_size = failed_size // 2
                if failed_size == self.spec.batch_size:
                    warnings.warn(
                        f"expected memory for batches of {failed_size} pictures, got none: smaller batches are used, "
                        "slower; the last bit of vectors may differ from that of other runs",
                        stacklevel=2,
                    )
        if self.spec.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _forward(self, pictures_BHWC: np.ndarray) -> np.ndarray:
        """uint8 [B, S, S, 3] -> float32 [B, dim], in the network's number format."""
        network_dtype = next(self._network.parameters()).dtype
        with torch.inference_mode():
            pixels_BHWC = torch.from_numpy(pictures_BHWC).to(self.spec.device).float()
            pixels_BHWC = pixels_BHWC.sub_(self._mean_C).mul_(self._inverse_std_C).to(network_dtype)
            vectors_BD = self._network(pixels_BHWC.permute(0, 3, 1, 2))  # a view that is channels_last
            return vectors_BD.float().cpu().numpy()


def load_image_encoder(
    name: str = "resnet50",
    weights_file: str | None = None,
    weights_name: str | None = None,
    weights_sha256: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
) -> ImageEncoder:
    """A loaded encoder; arguments as in image_encoder_spec. dtype "auto" falls back to float32 if parity fails."""
    spec = image_encoder_spec(name, weights_file, weights_name, weights_sha256, device, dtype, batch_size)
    return ImageEncoder(spec, may_fall_back=dtype == "auto")


def save_image_encoder(encoder: ImageEncoder, folder: str | Path) -> None:
    """Writes image_encoder.safetensors and image_encoder.json: what open_image_encoder needs, on any machine."""
    save_from_spec(encoder.spec, folder)


def open_image_encoder(
    folder: str | Path, device: str = "auto", dtype: str = "auto", batch_size: int | None = None
) -> ImageEncoder:
    """Inverse of save_image_encoder: the same network id, and the same encoder id on the same kind of machine."""
    return ImageEncoder(saved_image_encoder_spec(folder, device, dtype, batch_size), may_fall_back=dtype == "auto")


def _num_threads() -> int:
    return min(usable_cores(), _MAX_THREADS)


def _num_bytes(chunk: Sequence[tuple[Any, Any]]) -> int:
    return sum(len(value) for _, value in chunk if isinstance(value, bytes))


def _chunks(pictures: Iterable[tuple[KeyT, Any]], batch_size: int) -> Iterator[list[tuple[KeyT, Any]]]:
    """Cuts a stream where a batch of pictures is full, or sooner where elements or bytes become many."""
    chunk: list[tuple[KeyT, Any]] = []
    num_pictures = num_bytes = 0
    for element in pictures:
        chunk.append(element)
        if isinstance(element[1], bytes):
            num_pictures, num_bytes = num_pictures + 1, num_bytes + len(element[1])
        if num_pictures == batch_size or len(chunk) == _CHUNK_ELEMENTS or num_bytes > _MAX_WAITING_BYTES // 4:
            yield chunk
            chunk, num_pictures, num_bytes = [], 0, 0
    if chunk:
        yield chunk


def _parity_pictures(size_px: int) -> np.ndarray:
    """uint8 [4, S, S, 3]: smooth random colour fields with noise, different from each other, the same always."""
    random = np.random.default_rng(seed_of("image encoder parity", size_px))
    coarse = torch.from_numpy(random.random((_PARITY_PICTURES, 3, 7, 7), np.float32))
    fields_BCHW = torch.nn.functional.interpolate(coarse, (size_px, size_px), mode="bilinear").numpy()
    noisy_BCHW = fields_BCHW + 0.1 * random.standard_normal(fields_BCHW.shape, np.float32)
    return np.ascontiguousarray((noisy_BCHW.clip(0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1))


def _finite_or_error(vector_D: np.ndarray) -> np.ndarray | PictureError:
    if np.isfinite(vector_D).all():
        return vector_D
    return PictureError("encoder_failed", "a finite vector", "infinity or NaN")
