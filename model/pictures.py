"""From a picture URI to the uint8 crop that an image encoder takes: hostile bytes in, one shape or a PictureError out.

Geometry is torchvision's `ImageClassification` preset on a PIL picture (shorter side resized, centre crop), after its
EXIF orientation and the conversion to RGB: transparency over white, 16-bit grey scaled to 8 bits, first frame only.
"""

import io
import os
import re
import stat
import threading
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from schemas.files import resolve_inside
from schemas.quarantine import quote

#: Other Pillow formats are left out: some run programs (EPS), some have no checked decoder.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://|data:", re.ASCII)
_INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
_ORIENTATION_TAG = 0x0112
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: A decoded picture takes some 12 bytes a pixel while it is converted: beyond this size one at a time is decoded.
_LARGE_PIXELS = 12_000_000
_large_picture = threading.Lock()

REMEDIES = {
    "missing": "put the file under the image root or drop the URI from the catalogue",
    "outside_root": "list a path inside the image root, without symlinks that leave it",
    "remote_uri": "download the picture under the image root and list its path there",
    "unreadable": "give this process the right to read the file",
    "too_many_bytes": "store a smaller file or raise --max-picture-bytes",
    "too_many_pixels": "store a smaller picture or raise --max-picture-pixels",
    "not_a_picture": f"store a picture in one of the formats {', '.join(FORMATS)}",
    "truncated": "upload the file again: it ends early",
    "undecodable": "save the picture again with another program: it cannot be decoded",
    "encoder_failed": "save the picture again; if many fail, report it with the message",
}


class PictureError(ValueError):
    """A picture that cannot be used. `reason` is a key of REMEDIES; `expected` and `got` are short and printable."""

    def __init__(self, reason: str, expected: str, got: str):
        super().__init__(reason, expected, got)
        self.reason, self.expected, self.got = reason, expected, got

    def __str__(self) -> str:
        return f"{self.reason}: expected {self.expected}, got {self.got}: {self.remedy}"

    @property
    def remedy(self) -> str:
        """What the owner of the picture can do."""
        return REMEDIES[self.reason]


@dataclass(frozen=True, kw_only=True)
class PictureLimits:
    """What a picture file may cost: encoded bytes, and pixels as its header declares them."""

    max_bytes: int = 64 << 20
    max_pixels: int = 50_000_000


DEFAULT_LIMITS = PictureLimits()


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
        if self.interpolation not in _INTERPOLATIONS:
            raise ValueError(f"expected one of {', '.join(_INTERPOLATIONS)}, got {self.interpolation!r}")

    def to_json(self) -> dict[str, Any]:
        """The fields, tuples as lists."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Preprocessing":
        """Inverse of to_json."""
        return cls(**{**value, "mean": tuple(value["mean"]), "std": tuple(value["std"])})


def read_picture(image_root: str | os.PathLike[str], uri: str, limits: PictureLimits = DEFAULT_LIMITS) -> bytes:
    """The encoded bytes of the file that `uri` (relative to `image_root`, or absolute) names inside it.

    Raises PictureError: remote_uri, outside_root, missing, unreadable, too_many_bytes.
    """
    if _SCHEME.match(uri):
        raise PictureError("remote_uri", "a path under the image root", quote(uri))
    try:
        path = resolve_inside(image_root, uri)
        if path is None:
            raise PictureError("outside_root", "a path inside the image root", quote(uri))
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a named pipe would wait for ever
            raise PictureError("missing", "a file", f"something else at {quote(uri)}")
        if status.st_size > limits.max_bytes:
            raise PictureError("too_many_bytes", f"at most {limits.max_bytes:,} bytes", f"{status.st_size:,} bytes")
        with open(path, "rb") as file:
            return file.read(limits.max_bytes)
    except PictureError:
        raise
    except PermissionError as error:
        raise PictureError("unreadable", "a readable file", f"{error.strerror} for {quote(uri)}") from error
    except (OSError, ValueError) as error:  # ValueError: text that no file system encodes
        raise PictureError("missing", "a file", f"{type(error).__name__} for {quote(uri)}") from error


def decode_picture(data: bytes, preprocessing: Preprocessing, limits: PictureLimits = DEFAULT_LIMITS) -> np.ndarray:
    """Encoded picture -> uint8 [crop_px, crop_px, 3], RGB.

    Raises PictureError: not_a_picture, too_many_pixels (read from the header, nothing decoded), truncated, undecodable.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _check_size(picture.size, preprocessing.resize_px, limits)
            large = picture.width * picture.height > _LARGE_PIXELS
            with _large_picture if large else nullcontext():
                picture.load()
                return _crop(_to_rgb(_upright(picture)), preprocessing)
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError("too_many_pixels", f"at most {limits.max_pixels:,} pixels", quote(str(error))) from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, EOFError and more on hostile bytes
        got = f"{len(data):,} bytes, {type(error).__name__}: {quote(str(error))}"
        if _is_cut_short(data, error):
            raise PictureError("truncated", "a whole picture file", got) from error
        if isinstance(error, UnidentifiedImageError):
            got = f"{len(data):,} bytes starting with {quote(data[:8])}"
            raise PictureError("not_a_picture", " ".join(FORMATS), got) from error
        raise PictureError("undecodable", "a picture that decodes", got) from error


def _check_size(size: tuple[int, int], resize_px: int, limits: PictureLimits) -> None:
    width, height = size
    expected = f"at most {limits.max_pixels:,} pixels"
    if width * height > limits.max_pixels:
        raise PictureError("too_many_pixels", expected, f"{width} x {height}")
    new_width, new_height = _resized_size(width, height, resize_px)
    if new_width * new_height > max(limits.max_pixels, resize_px * resize_px):
        got = f"{width} x {height}, that is {new_width} x {new_height} when its shorter side is {resize_px}"
        raise PictureError("too_many_pixels", expected, got)


def _resized_size(width: int, height: int, shorter_px: int) -> tuple[int, int]:
    """
    >>> _resized_size(500, 375, 256)
    (341, 256)
    """
    if width <= height:
        return shorter_px, int(shorter_px * height / width)
    return int(shorter_px * width / height), shorter_px


def _crop(picture: Image.Image, preprocessing: Preprocessing) -> np.ndarray:
    """Shorter side to resize_px, centre crop: the arithmetic (truncation, rounding to even) is torchvision's."""
    size = _resized_size(picture.width, picture.height, preprocessing.resize_px)
    if size != picture.size:
        picture = picture.resize(size, _INTERPOLATIONS[preprocessing.interpolation])
    crop_px = preprocessing.crop_px
    left, top = round((size[0] - crop_px) / 2), round((size[1] - crop_px) / 2)
    return np.array(picture.crop((left, top, left + crop_px, top + crop_px)), np.uint8)


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says; damaged EXIF counts as none."""
    try:
        orientation = picture.getexif().get(_ORIENTATION_TAG)
    except Exception:  # whatever the EXIF parser meets, the pixels are good
        return picture
    transpose = _TRANSPOSES.get(orientation) if isinstance(orientation, int) else None
    return picture if transpose is None else picture.transpose(transpose)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode.startswith(("I", "F")):
        picture = Image.fromarray(_to_8_bits(np.asarray(picture), is_16_bit=picture.mode.startswith("I;16")))
    elif picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _to_8_bits(grey_HW: np.ndarray, is_16_bit: bool) -> np.ndarray:
    """Grey of more than 8 bits -> uint8, scaled (Pillow's own conversion clips at 255).

    16-bit has a known full scale; of 32-bit integers and floats the smallest usual one that holds all values is taken,
    and values that fit none are stretched from their minimum to their maximum.
    """
    values_HW = np.nan_to_num(np.asarray(grey_HW, np.float32), posinf=0.0, neginf=0.0)
    low, high = float(values_HW.min()), float(values_HW.max())
    scales = [65535.0] if is_16_bit else [1.0, 255.0, 65535.0] if grey_HW.dtype.kind == "f" else [255.0, 65535.0]
    fitting = [scale for scale in scales if high <= scale and low >= 0]
    if not fitting:
        values_HW, fitting = values_HW - low, [high - low]
    full_scale = fitting[0] or 1.0
    return np.clip(values_HW * (255.0 / full_scale) + 0.5, 0, 255).astype(np.uint8)


def _is_cut_short(data: bytes, error: Exception) -> bool:
    """Whether a file that failed to decode ends before its format says: its end mark or declared length is missing."""
    tail = data[-1024:]
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in tail
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in tail
    if data.startswith(b"GIF8"):
        return not tail.rstrip(b"\0").endswith(b";")
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if data.startswith(b"BM"):
        return len(data) < int.from_bytes(data[2:6], "little")
    return "truncated" in str(error)
