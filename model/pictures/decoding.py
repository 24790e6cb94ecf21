"""From a picture URI to the uint8 crop that an image encoder takes: hostile bytes in, one shape or a PictureError out.

Geometry is torchvision's `ImageClassification` preset on a PIL picture (shorter side resized, centre crop), after its
EXIF orientation and the conversion to RGB: transparency over white, 16-bit grey scaled to 8 bits, first frame only.
"""

import io
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from model.pictures.faults import (
    CONTENT_REASONS,
    DEFAULT_LIMITS,
    FETCH_FAILED,
    FORMATS,
    HEIC,
    IN_OTHER_CASE,
    IN_RUN,
    NO_SCHEME,
    NOT_FETCHED,
    PictureError,
    PictureLimits,
)
from model.pictures.mending import bare_png, ended_jpegs, is_cut_short
from model.pictures.pillow_settings import own_pixel_limit_lifted, silence
from model.pictures.pixels import INTERPOLATIONS, crop_middle, pixels_hash, resized_size, to_rgb, upright
from model.pictures.root import NO_FILE, PictureRoot
from schemas import storage
from schemas.errors import CorruptFileError, printable
from schemas.files import shown
from schemas.pictures.fetched import why_not_fetched
from schemas.pictures.paths import path_forms
from schemas.pictures.stored import stored_name, stored_path
from schemas.pictures.types import picture_type
from schemas.pictures.urls import FETCHED_FOLDER, fetched_path, is_picture_url
from schemas.quarantine import quote

silence()

#: A file that was modified less than this before it was read may be modified again without another time: the coarsest
#: file systems in use (FAT) count in steps of two seconds.
_SETTLED_NS = 2_000_000_000
#: The modification time of a picture whose name says its content: it never changes, whatever its file's says.
_NEVER_MODIFIED_NS = 0
#: What may be wrong with a file that can be mended.
_MENDABLE = CONTENT_REASONS - {"too_many_pixels"}
_SCHEME = re.compile(r"\s*(?!file:)[a-z][a-z0-9+.\-]+://|data:", re.ASCII | re.IGNORECASE)
#: A URL as pages write it, for whichever scheme they have; `//m/b/a.jpg` is a path, for no host is one word.
_NO_SCHEME = re.compile(r"\s*//[a-z0-9-]+(?:\.[a-z0-9-]+)+/", re.ASCII | re.IGNORECASE)
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


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture's file as it was read. size_bytes, modified_ns: a file that has both unchanged has the same content;
    -1 both if that cannot be told, because it was changed while it was read or just before."""

    data: bytes
    size_bytes: int
    modified_ns: int


class LocatedPicture(NamedTuple):
    """Where a picture's file is. is_other_form: it is listed in another form (schemas.pictures.paths)."""

    path: str
    size_bytes: int
    modified_ns: int
    is_other_form: bool


def locate_picture(
    image_root: str | os.PathLike[str] | PictureRoot, uri: str, limits: PictureLimits = DEFAULT_LIMITS
) -> LocatedPicture:
    """The file inside `image_root` that `uri` names in one of its forms, or that `uri`, an http(s) URL, was fetched
    into, or that holds a picture of the table (in the run of a PictureRoot); opens nothing. Raises PictureError:
    remote_uri, outside_root, missing, unreadable, too_many_bytes; OSError if the disk or the machine fails."""
    root = PictureRoot.of(image_root)
    try:
        with _file_faults(uri):
            return _located(root, uri, limits)
    except PictureError as error:
        if _NO_SCHEME.match(uri) and error.reason in ("missing", "outside_root"):
            raise PictureError("remote_uri", "a path under the image root", f"{NO_SCHEME}{quote(uri)}") from error
        not_found = error.reason in ("missing", "outside_root")  # /media/a.jpg is both, where there is a folder /media
        by_path = not_found and not _SCHEME.match(uri) and stored_path(uri) is None
        other = root.in_other_case(path_forms(uri)) if by_path else None
        if other is None:
            raise
        raise PictureError("missing", error.expected, f"{error.got}{IN_OTHER_CASE}{quote(other)}") from error


def _located(root: PictureRoot, uri: str, limits: PictureLimits) -> LocatedPicture:
    if (stored := stored_path(uri)) is not None:
        try:
            path, status = root.find_stored(stored)
        except FileNotFoundError as error:
            raise PictureError("missing", IN_RUN, quote(uri)) from error
        if not stat.S_ISREG(status.st_mode):
            raise PictureError("missing", IN_RUN, f"something else at {quote(uri)}")
        _check_bytes(status, limits)
        return LocatedPicture(path, status.st_size, _NEVER_MODIFIED_NS, False)
    found = root.search((_fetched(root, uri),) if _SCHEME.match(uri) else _paths(root, uri))
    if found is None:
        below = ", or below it" if uri.startswith("/") else ""
        raise PictureError("outside_root", f"a path inside the image root{below}", quote(uri))
    path, status, is_other_form = found
    if not stat.S_ISREG(status.st_mode):  # opening a named pipe would wait for ever
        raise PictureError("missing", "a file", f"something else at {quote(uri)}")
    _check_bytes(status, limits)
    return LocatedPicture(path, status.st_size, status.st_mtime_ns, is_other_form)


def _paths(root: PictureRoot, uri: str) -> Iterator[str]:
    """The forms of a path; then, for a path that begins where the root's own folder lies, those from the root."""
    yield from path_forms(uri)
    start = f"{os.path.basename(root.real_path)}/"
    yield from (form.removeprefix(start) for form in path_forms(uri) if form.startswith(start))


def _fetched(root: PictureRoot, uri: str) -> str:
    """Where the picture of a URL lies below the root."""
    name = fetched_path(uri)
    if name is None or not storage.is_taken(os.path.join(root.real_path, name)):
        was_fetched = name is not None and storage.is_folder(os.path.join(root.real_path, FETCHED_FOLDER))
        why = NOT_FETCHED if was_fetched else ""
        if (row := why_not_fetched(root.real_path, uri)) is not None:
            why = printable(f"{FETCH_FAILED}{row.reason}, expected {row.expected}, got {row.got}")
        elif name is None and is_picture_url(uri):
            why = f"{FETCH_FAILED}bad_url"
        raise PictureError("remote_uri", "a path under the image root", quote(uri) + why)
    return name


def find_picture(
    image_root: str | os.PathLike[str] | PictureRoot, uri: str, limits: PictureLimits = DEFAULT_LIMITS
) -> tuple[str, int, int]:
    """(path, bytes, modified_ns) of what locate_picture locates."""
    return locate_picture(image_root, uri, limits)[:3]


def read_picture_file(
    image_root: str | os.PathLike[str] | PictureRoot, uri: str, limits: PictureLimits = DEFAULT_LIMITS
) -> PictureFile:
    """The file that find_picture finds, with the size and time by which it can be recognised unread. Raises as it does,
    and out_of_memory; CorruptFileError for a picture of the table that is not the one that its name says."""
    path, _, _ = find_picture(image_root, uri, limits)
    with _file_faults(uri), storage.open_file(path, "rb") as file:
        before = storage.status_of_open(file)
        _check_bytes(before, limits)
        data = file.read(before.st_size)
        after = storage.status_of_open(file)
    if stored_path(uri) is not None:
        if stored_name(data) != uri:
            raise CorruptFileError(
                f"expected the picture whose sha256 its name says, got another in {shown(path)}: remove the file, and "
                "run ingest again, which writes the pictures of the table"
            )
        return PictureFile(data, len(data), _NEVER_MODIFIED_NS)
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
        if isinstance(error, OSError) and error.errno not in NO_FILE:
            raise
        raise PictureError("missing", "a file", f"{type(error).__name__} for {quote(uri)}") from error


def _check_bytes(status: os.stat_result, limits: PictureLimits) -> None:
    if status.st_size > limits.max_bytes:
        raise PictureError("too_many_bytes", f"at most {limits.max_bytes:,} bytes", f"{status.st_size:,} bytes")


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
