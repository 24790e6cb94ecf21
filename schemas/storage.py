"""Storage: the one module that touches files. Everything else names a place and asks here for its bytes, what lies
there, and that it be moved or removed, so that another kind of storage needs no other module.

A place is a path of the local file system. What an object store would have to do is what is written here: whole files
that appear at once (atomic_write), folders as prefixes of names, listings in the order of names, files appended to, and
a local path (local_path) for libraries that open or map files themselves.

All raise OSError as the file system does, and ValueError for text that it does not encode.
"""

import contextlib
import fcntl
import glob
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

Place = str | os.PathLike[str]


def has(place: Place) -> bool:
    """Whether there is a file or a folder; False also for a link that leads nowhere."""
    return os.path.exists(place)


def has_file(place: Place) -> bool:
    """Whether there is a file, after links."""
    return os.path.isfile(place)


def is_folder(place: Place) -> bool:
    """Whether there is a folder, after links."""
    return os.path.isdir(place)


def is_link(place: Place) -> bool:
    """Whether the name itself is a link."""
    return os.path.islink(place)


def is_taken(place: Place) -> bool:
    """Whether there is anything of that name, be it a link that leads nowhere."""
    return os.path.lexists(place)


def status(place: Place, follow_links: bool = True) -> os.stat_result:
    """Size in bytes (st_size), time of change (st_mtime_ns), kind (st_mode) and so on."""
    return os.stat(place) if follow_links else os.lstat(place)


def size_of(place: Place) -> int:
    """Of a file, in bytes."""
    return os.path.getsize(place)


def status_of_open(file: IO[Any]) -> os.stat_result:
    """As `status`, of a file that is open."""
    return os.fstat(file.fileno())


def open_file(place: Place, mode: str = "rb", buffering: int = -1) -> BinaryIO:
    """A file's bytes: to read ("rb"), to append to ("ab"), to change in place ("r+b"), or to write anew ("wb", "xb"),
    for which atomic_write gives a name that no reader sees."""
    assert "b" in mode, mode
    return cast(BinaryIO, open(place, mode, buffering=buffering))


def bytes_of(place: Place) -> bytes:
    """The whole file."""
    with open(place, "rb") as file:
        return file.read()


def text_of(place: Place, encoding: str = "utf-8", errors: str = "strict") -> str:
    """The whole file, as text."""
    with open(place, encoding=encoding, errors=errors) as file:
        return file.read()


def put_bytes(place: Place, data: bytes) -> None:
    """Writes a whole file in its place: not atomic."""
    with open(place, "wb") as file:
        file.write(data)


@contextlib.contextmanager
def atomic_write(place: Place) -> Iterator[str]:
    """Yields a temporary name beside the place; on success syncs it and moves it there, on error removes it.

    The name starts with `.`, so no reader of the folder takes it for data. Whoever may read new files of the folder may
    read this one, whatever library writes it.
    """
    target = Path(place)
    make_folder(target.parent)
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        mode = _mode_of_new_file(temporary)
        yield str(temporary)
        if stat.S_IMODE(os.stat(temporary).st_mode) != mode:
            os.chmod(temporary, mode)
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)  # else a power cut may forget the move
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _mode_of_new_file(path: Path) -> int:
    """The permission bits that a file gets there, by umask and folder: of one that is made and removed, for the umask
    itself can only be asked by changing it, under all threads."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
        os.unlink(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_at(file: IO[bytes], num_bytes: int, offset: int) -> bytes:
    """Bytes of an open file from there; its own position stays, so threads may read side by side."""
    return os.pread(file.fileno(), num_bytes, offset)


def write_at(file: IO[bytes], data: bytes, offset: int) -> int:
    """Writes into an open file, past what is buffered; how many bytes it took."""
    return os.pwrite(file.fileno(), data, offset)


def sync(file: IO[Any]) -> None:
    """Returns when what was written to an open file will outlast a power cut."""
    file.flush()
    os.fsync(file.fileno())


def make_folder(place: Place) -> None:
    """Makes a folder and those above it, unless they are there."""
    os.makedirs(place, exist_ok=True)


def names_in(folder: Place) -> list[str]:
    """The names of what lies in a folder, sorted."""
    return sorted(os.listdir(folder))


def entries_in(folder: Place) -> contextlib.AbstractContextManager[Iterator[os.DirEntry[str]]]:
    """What lies in a folder, one after the other, in no order, while the context is open."""
    return os.scandir(folder)


def walk(folder: Place) -> Iterator[tuple[str, list[str], list[str]]]:
    """(folder, names of its folders, names of its files), from above, links not followed. Folders that the caller takes
    out of the list are not walked through."""
    return os.walk(folder)


def paths_in(folder: Place, pattern: str = "*") -> list[Path]:
    """Paths of what lies in a folder and matches the pattern (Path.glob's: hidden ones too); sorted. None of a folder
    that is not there."""
    return sorted(Path(folder).glob(pattern))


def files_below(folder: Place, pattern: str = "*") -> list[Path]:
    """Paths of the files below a folder, at any depth, whose own names match the pattern; sorted."""
    return sorted(path for path in Path(folder).rglob(pattern) if path.is_file())


def has_any(folder: Place, pattern: str) -> bool:
    """Whether paths_in finds something."""
    return any(Path(folder).glob(pattern))


def matching(pattern: str, root: Place | None = None) -> list[str]:
    """The places that a pattern names, relative to the root, sorted; `**` goes to any depth, hidden ones left out."""
    return sorted(glob.glob(pattern, root_dir=root, recursive=True))


def remove(place: Place, missing_ok: bool = False) -> None:
    """Removes a file."""
    with contextlib.suppress(*([FileNotFoundError] if missing_ok else [])):
        os.unlink(place)


def remove_empty_folder(place: Place) -> None:
    """Removes a folder; OSError if something is in it."""
    os.rmdir(place)


def remove_folder(place: Place, ignore_errors: bool = False) -> None:
    """Removes a folder and everything below it."""
    shutil.rmtree(place, ignore_errors=ignore_errors)


def move(source: Place, target: Place) -> None:
    """Moves a file over the target, or a folder to where there is none or an empty one, at once."""
    os.replace(source, target)


def move_from_elsewhere(source: Place, target: Place) -> None:
    """As `move`, of what may lie on another file system: then it is copied, and not at once."""
    shutil.move(source, target)


def copy_file(source: Place, target: Place) -> None:
    """Copies a file's bytes, not its mode."""
    shutil.copyfile(source, target)


def copy_folder(source: Place, target: Place) -> None:
    """Copies a folder to the new folder `target`, as new files: unlike shutil.copytree's, with the modes of such."""
    names = names_in(source)
    os.makedirs(target)
    for name in names:
        path = Path(source, name)
        (copy_folder if path.is_dir() else copy_file)(path, Path(target, name))


def link_file(source: Place, target: Place) -> None:
    """Gives a file a second name, without a copy; OSError where the file system cannot."""
    os.link(source, target)


def real_path(place: Place) -> str:
    """The absolute path after links, be there something or not."""
    return os.path.realpath(place)


def resolve_inside(root: Place, uri: str) -> str | None:
    """The real path of `uri` (relative to `root`, or absolute) if it lies inside `root` after symlinks, else None.

    Existence is not checked: a missing file is another fault than an escape. ValueError for text that no file system
    encodes.
    """
    if "\0" in uri:
        return None
    real_root = os.path.realpath(root)
    real_place = os.path.realpath(os.path.join(real_root, uri))
    inside = real_place == real_root or real_place.startswith(real_root.rstrip(os.sep) + os.sep)
    return real_place if inside else None


def local_path(place: Place) -> str:
    """The path at which a library that opens or maps files itself finds this one."""
    return os.fspath(place)


def rewrite(place: Place, data: bytes) -> None:
    """Replaces what is in a file without replacing the file, which may be locked; no link is followed. Not atomic."""
    with _opened_in_place(place) as descriptor:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, data, 0)


def read_in_place(place: Place, most_bytes: int) -> bytes:
    """The first bytes of a file that somebody may be rewriting; a link is not followed."""
    with _opened_in_place(place) as descriptor:
        return os.pread(descriptor, most_bytes, 0)


@contextlib.contextmanager
def _opened_in_place(place: Place) -> Iterator[int]:
    descriptor = os.open(place, os.O_RDWR | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def problems_of(folder: Place) -> Iterator[str]:
    """What a file system does not do there that runs need: write, sync, replace a file in one step, lock. Raises what
    it raises."""
    old, new = Path(folder, "old"), Path(folder, "new")
    put_bytes(old, b"old")
    with open_file(new, "wb") as file:
        file.write(b"new")
        sync(file)
    move(new, old)
    if bytes_of(old) != b"new" or has(new):
        yield f"expected a rename to replace the file, got other content in {folder}: use another file system"
    with open_file(old) as first, open_file(old) as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
    yield f"expected a second lock to be refused, got two at {folder}: two runs could work on the store at once"


def free_bytes(place: Place) -> int:
    """Of the disk."""
    return shutil.disk_usage(place).free


def nameless_file(inside: Place) -> IO[bytes]:
    """An empty file to write and to read that nobody else sees, and that is gone when it is closed."""
    import tempfile

    return tempfile.TemporaryFile(dir=inside)


def is_same_place(place: Place, other: Place) -> bool:
    """Whether two paths lead to one place, after links; it need not be there."""
    return real_path(place) == real_path(other)


def is_same_file(place: Place, other: Place) -> bool:
    """Whether two places are names of one file."""
    return os.path.samefile(place, other)


@contextlib.contextmanager
def temporary_folder(prefix: str = "", suffix: str = "", inside: Place | None = None) -> Iterator[str]:
    """A folder that is gone afterwards, where the system keeps such ones if not inside another."""
    import tempfile  # a moment that commands which make none need not wait for

    with tempfile.TemporaryDirectory(prefix=prefix, suffix=suffix, dir=inside) as folder:
        yield folder
