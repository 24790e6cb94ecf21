"""From a picture URI to the uint8 crop that an image encoder takes: hostile bytes in, one shape or a PictureError out.

Geometry is torchvision's `ImageClassification` preset on a PIL picture (shorter side resized, centre crop), after its
EXIF orientation and the conversion to RGB: transparency over white, 16-bit grey scaled to 8 bits, first frame only.
"""

import errno
import io
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from model.picture_mending import bare_png, ended_jpegs, is_cut_short
from model.picture_pixels import INTERPOLATIONS, crop_middle, pixels_hash, resized_size, to_rgb, upright
from model.picture_root import PictureRoot
from model.pillow_settings import own_pixel_limit_lifted, silence
from schemas.picture_urls import fetched_path
from schemas.quarantine import quote

silence()

#: Other Pillow formats are left out: some run programs (EPS), some have no checked decoder.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
#: A file that was modified less than this before it was read may be modified again without another time: the coarsest
#: file systems in use (FAT) count in steps of two seconds.
_SETTLED_NS = 2_000_000_000
#: What a name raises that names no file. All else (EIO, ESTALE, EMFILE, ...) is the machine's fault, not the picture's.
_NO_FILE = frozenset(
    (
        errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ,
        errno.ENXIO, errno.ENODEV,
    )
)  # fmt: skip
#: What is wrong with the content itself: equal bytes under equal limits are rejected in the same words.
CONTENT_REASONS = frozenset(("too_many_pixels", "not_a_picture", "truncated", "undecodable"))
#: Of those, what may be wrong with a file that can be mended.
_MENDABLE = CONTENT_REASONS - {"too_many_pixels"}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://|data:", re.ASCII)
#: While it is decoded and converted, a picture takes up to 13 bytes a pixel (WEBP 17): beyond this size one at a time.
_LARGE_PIXELS = 12_000_000
_large_picture = threading.Lock()

REMEDIES = {
    "missing": "put the file under the image root, or drop its path from the catalogue or log",
    "outside_root": "list a path inside the image root, without symlinks that leave it",
    "remote_uri": (
        "fetch the pictures of http(s) URLs with `itemsage fetch-images`; download others under the image root and "
        "list their paths there"
    ),
    "unreadable": "give this process the right to read the file",
    "too_many_bytes": "store a smaller file or raise --max-picture-bytes",
    "too_many_pixels": "store a smaller picture or raise --max-picture-pixels",
    "not_a_picture": f"store a picture in one of the formats {', '.join(FORMATS)}",
    "truncated": "upload the file again: it ends early",
    "undecodable": "save the picture again with another program: it cannot be decoded",
    "out_of_memory": "give the job more memory or store a smaller picture",
    "encoder_failed": "save the picture again; if many fail, report it with the message",
}
#: For a path with a comma, which may be meant as several.
_LIST_REMEDY = '; several paths in one cell are written as a JSON list, ["a.jpg", "b.jpg"], or in CSV as a.jpg|b.jpg'


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
        is_list = self.reason == "missing" and "," in self.got
        return REMEDIES[self.reason] + (_LIST_REMEDY if is_list else "")


@dataclass(frozen=True, kw_only=True)
class PictureLimits:
    """What a picture file may cost: encoded bytes, and pixels as its header declares them.

    The default takes what a camera of 50 megapixels makes (8,688 x 5,792 and somewhat more).
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 56_000_000


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
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"expected one of {', '.join(INTERPOLATIONS)}, got {self.interpolation!r}")

    def to_json(self) -> dict[str, Any]:
        """The fields, tuples as lists."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Preprocessing":
        """Inverse of to_json."""
        return cls(**{**value, "mean": tuple(value["mean"]), "std": tuple(value["std"])})


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture's file as it was read. size_bytes, modified_ns: a file that has both unchanged has the same content;
    -1 both if that cannot be told, because it was changed while it was read or just before."""

    data: bytes
    size_bytes: int
    modified_ns: int


def find_picture(
    image_root: str | os.PathLike[str] | PictureRoot, uri: str, limits: PictureLimits = DEFAULT_LIMITS
) -> tuple[str, int, int]:
    """(path, bytes, modified_ns) of the file that `uri` (relative to `image_root`, or absolute) names inside it, or
    that `uri`, an http(s) URL, was fetched into; opens nothing. Raises PictureError: remote_uri, outside_root, missing,
    unreadable, too_many_bytes; OSError if the disk or the machine fails."""
    root = PictureRoot.of(image_root)
    if _SCHEME.match(uri):
        name = fetched_path(uri)
        if name is None or not os.path.lexists(os.path.join(root.real_path, name)):
            raise PictureError("remote_uri", "a path under the image root", quote(uri))
    else:
        name = uri
    with _file_faults(uri):
        found = root.find(name)
        if found is None:
            raise PictureError("outside_root", "a path inside the image root", quote(uri))
        path, status = found
        if not stat.S_ISREG(status.st_mode):  # opening a named pipe would wait for ever
            raise PictureError("missing", "a file", f"something else at {quote(uri)}")
        _check_bytes(status, limits)
        return path, status.st_size, status.st_mtime_ns


def read_picture_file(
    image_root: str | os.PathLike[str] | PictureRoot, uri: str, limits: PictureLimits = DEFAULT_LIMITS
) -> PictureFile:
    """The file that find_picture finds, with the size and time by which it can be recognised unread. Raises as it does,
    and out_of_memory."""
    path, _, _ = find_picture(image_root, uri, limits)
    with _file_faults(uri), open(path, "rb") as file:
        before = os.fstat(file.fileno())
        _check_bytes(before, limits)
        data = file.read(before.st_size)
        after = os.fstat(file.fileno())
    # Git's "racily clean" files: a write right after this one could leave the same time behind
    settled = time.time_ns() - after.st_mtime_ns >= _SETTLED_NS
    size_bytes, modified_ns = before.st_size, before.st_mtime_ns
    if settled and (size_bytes, modified_ns) == (after.st_size, after.st_mtime_ns) and len(data) == size_bytes:
        return PictureFile(data, size_bytes, modified_ns)
    return PictureFile(data, -1, -1)


def read_picture(
    image_root: str | os.PathLike[str] | PictureRoot, uri: str, limits: PictureLimits = DEFAULT_LIMITS
) -> bytes:
    """The encoded bytes of the file that `uri` names inside `image_root`. Raises as read_picture_file does."""
    return read_picture_file(image_root, uri, limits).data


@contextmanager
def _file_faults(uri: str) -> Iterator[None]:
    """Makes a PictureError of what the file system raises because of the picture."""
    try:
        yield
    except PictureError:
        raise
    except PermissionError as error:
        raise PictureError("unreadable", "a readable file", f"{error.strerror} for {quote(uri)}") from error
    except MemoryError as error:
        raise PictureError("out_of_memory", "memory for the file", f"none for {quote(uri)}") from error
    except (OSError, ValueError) as error:  # ValueError: text that no file system encodes
        if isinstance(error, OSError) and error.errno not in _NO_FILE:
            raise
        raise PictureError("missing", "a file", f"{type(error).__name__} for {quote(uri)}") from error


def _check_bytes(status: os.stat_result, limits: PictureLimits) -> None:
    if status.st_size > limits.max_bytes:
        raise PictureError("too_many_bytes", f"at most {limits.max_bytes:,} bytes", f"{status.st_size:,} bytes")


def decode_picture(data: bytes, preprocessing: Preprocessing, limits: PictureLimits = DEFAULT_LIMITS) -> np.ndarray:
    """Encoded picture -> uint8 [crop_px, crop_px, 3], RGB. A file that is whole but for what no pixel needs (see
    model.picture_mending) is mended first.

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
