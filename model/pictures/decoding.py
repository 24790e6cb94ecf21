"""From a picture's file to the uint8 crop that an image encoder takes: hostile bytes in, one shape or a
PictureError out.

Geometry is torchvision's `ImageClassification` preset on a PIL picture (shorter side resized, centre crop), after its
EXIF orientation and the conversion to RGB: transparency over white, 16-bit grey scaled to 8 bits, first frame only.
"""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from model.pictures.faults import CONTENT_REASONS, DEFAULT_LIMITS, FORMATS, HEIC, PictureError, PictureLimits
from model.pictures.mending import bare_png, ended_jpegs, is_cut_short
from model.pictures.pillow_settings import own_pixel_limit_lifted, silence
from model.pictures.pixels import INTERPOLATIONS, crop_middle, pixels_hash, resized_size, to_rgb, upright
from schemas.pictures.types import picture_type
from schemas.quarantine import quote

silence()

#: What may be wrong with a file that can be mended.
_MENDABLE = CONTENT_REASONS - {"too_many_pixels"}
#: While it is decoded and converted, a picture takes up to 13 bytes a pixel (WEBP 17): beyond this size one at a time.
_LARGE_PIXELS = 12_000_000
_large_picture = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What an image encoder's weights were trained with; mean and std are of RGB in [0, 1]."""

    resize_px: int
    crop_px: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not 0 < self.crop_px <= self.resize_px:
            raise ValueError(f"expected 0 < crop_px <= resize_px, got {self.crop_px} and {self.resize_px}")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"expected one of {', '.join(INTERPOLATIONS)}, got {self.interpolation!r}")

    def to_json(self) -> dict[str, Any]:
        """The fields, tuples as lists."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Preprocessing":
        """Inverse of to_json."""
        return cls(**{**value, "mean": tuple(value["mean"]), "std": tuple(value["std"])})


def decode_picture(data: bytes, preprocessing: Preprocessing, limits: PictureLimits = DEFAULT_LIMITS) -> np.ndarray:
    """Encoded picture -> uint8 [crop_px, crop_px, 3], RGB. A file that is whole but for what no pixel needs (see
    model.pictures.mending) is mended first.

    Raises PictureError: not_a_picture, too_many_pixels (read from the header, nothing decoded), truncated, undecodable,
    out_of_memory.
    """
    try:
        with _loaded(data, preprocessing, limits) as picture:
            return _crop(picture, preprocessing)
    except PictureError as error:
        crop_HWC = _mended_crop(data, preprocessing, limits) if error.reason in _MENDABLE else None
        if crop_HWC is None:
            raise
        return crop_HWC


def _mended_crop(data: bytes, preprocessing: Preprocessing, limits: PictureLimits) -> np.ndarray | None:
    """As decode_picture, of a file that cannot be decoded as it is; None if it cannot be mended."""
    try:
        if (bare := bare_png(data)) is not None:
            with _loaded(bare, preprocessing, limits) as picture:
                return _crop(picture, preprocessing)
        crop_HWC, hashes = None, set()
        for ended in ended_jpegs(data):
            with _loaded(ended, preprocessing, limits) as picture:
                crop_HWC = _crop(picture, preprocessing)
                hashes.add(pixels_hash(picture))
        return crop_HWC if len(hashes) == 1 else None
    except PictureError as error:
        if error.reason not in CONTENT_REASONS:
            raise
        return None


def _crop(picture: Image.Image, preprocessing: Preprocessing) -> np.ndarray:
    rgb = to_rgb(upright(picture))
    return crop_middle(rgb, preprocessing.resize_px, preprocessing.crop_px, preprocessing.interpolation)


@contextmanager
def _loaded(data: bytes, preprocessing: Preprocessing, limits: PictureLimits) -> Iterator[Image.Image]:
    """The decoded picture. Makes a PictureError of whatever Pillow raises here or in the caller's block."""
    if picture_type(data) == HEIC:
        raise PictureError("not_a_picture", " ".join(FORMATS), f"{len(data):,} bytes of {HEIC}")
    try:
        with own_pixel_limit_lifted(), Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _check_size(picture.size, preprocessing.resize_px, limits)
            large = picture.width * picture.height > _LARGE_PIXELS
            with _large_picture if large else nullcontext():
                picture.load()
                yield picture
    except PictureError:
        raise
    except MemoryError as error:
        raise PictureError("out_of_memory", "memory to decode the picture", f"none for {len(data):,} bytes") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, EOFError and more on hostile bytes
        unidentified = isinstance(error, UnidentifiedImageError)  # its message holds an address in memory
        why = f" starting with {quote(data[:8])}" if unidentified else f", {type(error).__name__}: {quote(str(error))}"
        got = f"{len(data):,} bytes{why}"
        cut_short = is_cut_short(data)
        if "truncated" in str(error) if cut_short is None else cut_short:
            raise PictureError("truncated", "a whole picture file", got) from error
        if unidentified:
            raise PictureError("not_a_picture", " ".join(FORMATS), got) from error
        raise PictureError("undecodable", "a picture that decodes", got) from error


def _check_size(size: tuple[int, int], resize_px: int, limits: PictureLimits) -> None:
    width, height = size
    expected = f"at most {limits.max_pixels:,} pixels"
    if width * height > limits.max_pixels:
        raise PictureError("too_many_pixels", expected, f"{width} x {height}")
    new_width, new_height = resized_size(width, height, resize_px)
    if new_width * new_height > max(limits.max_pixels, resize_px * resize_px):
        got = f"{width} x {height}, that is {new_width} x {new_height} when its shorter side is {resize_px}"
        raise PictureError("too_many_pixels", expected, got)
