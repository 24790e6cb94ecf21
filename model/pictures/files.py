"""From a picture URI to the bytes of its file, inside the image root or in the run: every fault a PictureError."""

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from model.pictures.faults import (
    DEFAULT_LIMITS,
    FETCH_FAILED,
    IN_OTHER_CASE,
    IN_RUN,
    NO_SCHEME,
    NOT_FETCHED,
    PictureError,
    PictureLimits,
)
from model.pictures.root import NO_FILE, PictureRoot
from schemas import storage
from schemas.errors import CorruptFileError, printable
from schemas.files import shown
from schemas.pictures.fetched import why_not_fetched
from schemas.pictures.paths import path_forms
from schemas.pictures.stored import stored_name, stored_path
from schemas.pictures.urls import FETCHED_FOLDER, fetched_path, is_picture_url
from schemas.quarantine import quote

#: A file that was modified less than this before it was read may be modified again without another time: the coarsest
#: file systems in use (FAT) count in steps of two seconds.
_SETTLED_NS = 2_000_000_000
#: The modification time of a picture whose name says its content: it never changes, whatever its file's says.
_NEVER_MODIFIED_NS = 0
_SCHEME = re.compile(r"\s*(?!file:)[a-z][a-z0-9+.\-]+://|data:", re.ASCII | re.IGNORECASE)
#: A URL as pages write it, for whichever scheme they have; `//m/b/a.jpg` is a path, for no host is one word.
_NO_SCHEME = re.compile(r"\s*//[a-z0-9-]+(?:\.[a-z0-9-]+)+/", re.ASCII | re.IGNORECASE)


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
