"""The folder that picture URIs start from: fast look-ups that do not leave it."""

import errno
import functools
import itertools
import os
import stat
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from schemas import storage
from schemas.storage import resolve_inside

#: What a name raises that names no file. All else (EIO, ESTALE, EMFILE, ...) is the machine's fault, not the picture's.
NO_FILE = frozenset(
    (
        errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ,
        errno.ENXIO, errno.ENODEV,
    )
)  # fmt: skip
#: Names of a path that are no step down.
_NOT_PLAIN = frozenset(("", ".", ".."))
#: Names of a folder that are looked through for one in another case, and folders whose names are kept.
_MAX_NAMES, _FOLDERS_KEPT = 50_000, 4


class FoundFile(NamedTuple):
    """What a name names: real path and status. is_other_form: it is not the first name that was tried."""

    path: str
    status: os.stat_result
    is_other_form: bool


@dataclass(frozen=True, slots=True)
class PictureRoot:
    """A folder of pictures whose own symlinks are followed once, for many look-ups. real_path: as os.path.realpath.
    run: the run that has the pictures which came in its table (see schemas.pictures.stored), None: there are none."""

    real_path: str
    run: str | None = None

    @classmethod
    def of(
        cls, image_root: "str | os.PathLike[str] | PictureRoot", run: str | os.PathLike[str] | None = None
    ) -> "PictureRoot":
        """The root as it is now."""
        if isinstance(image_root, PictureRoot):
            return image_root
        return cls(storage.real_path(image_root), None if run is None else os.fspath(run))

    def find_stored(self, path: str) -> tuple[str, os.stat_result]:
        """Path and status of the run's picture at stored_path. Raises OSError."""
        if self.run is None:
            raise FileNotFoundError(errno.ENOENT, "no run")
        whole = os.path.join(self.run, path)
        return whole, storage.status(whole, follow_links=False)

    def find(self, uri: str) -> tuple[str, os.stat_result] | None:
        """Real path and status of what `uri` names inside the root; None if it leaves it. Raises OSError, ValueError.

        Step by step, for a path without symlinks is its own real path, and following each is most of realpath's time.
        """
        path, status = self.real_path, None
        names = uri.split("/")
        if "\0" not in uri and not _NOT_PLAIN & set(names):
            for name in names:
                path = f"{path.rstrip('/')}/{name}"
                status = storage.status(path, follow_links=False)
                if stat.S_ISLNK(status.st_mode):
                    break
            else:
                assert status is not None, "a split text has one name at least"
                return path, status
        resolved = resolve_inside(self.real_path, uri)
        return None if resolved is None else (resolved, storage.status(resolved))

    def search(self, names: Iterable[str]) -> FoundFile | None:
        """The first of the names that is a file inside the root; if none is, what else one of them names there. None if
        there is nothing, and one of them leaves the root. Raises OSError, ValueError as `find` does for the first.

        An absolute name leaves the root only if it may be one of this machine: `/m/b/a.jpg` is below the root in other
        shops' programs.
        """
        fault, outside, other = None, False, None
        for number, name in enumerate(names):
            try:
                found = self.find(name)
            except PermissionError:
                raise
            except (OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno not in NO_FILE:
                    raise
                fault = fault or error
                continue
            if found is None:
                outside = outside or _is_of_machine(name)
            elif stat.S_ISREG(found[1].st_mode):
                return FoundFile(*found, number > 0)
            else:
                other = other or FoundFile(*found, number > 0)
        if outside or (fault is None and other is None):
            return None
        if other is None and fault is not None:
            raise fault
        return other

    def in_other_case(self, names: Iterable[str]) -> str | None:
        """The path of a file inside the root that has one of these relative names in another case, None without one,
        and in a folder of very many files."""
        for name in names:
            path: str | None = self.real_path
            for step in name.split("/"):
                path = None if path is None else _step_down(path, step)
            if path is not None and storage.has_file(path):
                return os.path.relpath(path, self.real_path)
        return None


def _is_of_machine(name: str) -> bool:
    """Whether a name that is not inside the root is of a file of this machine, or is no name below a root. Of absolute
    ones only the first step is looked at: others' paths are nobody's business."""
    first = name.lstrip("/").partition("/")[0]
    return not name.startswith("/") or first in _NOT_PLAIN or "\0" in name or storage.is_taken(f"/{first}")


def _step_down(folder: str, name: str) -> str | None:
    """The path of what has this name in a folder, in any case; None if that is nothing, or a symlink."""
    if name in _NOT_PLAIN or "\0" in name:
        return None
    try:
        path = os.path.join(folder, name)
        if not storage.is_taken(path):
            known = _names_by_fold(folder, storage.status(folder).st_mtime_ns).get(_folded(name))
            path = os.path.join(folder, known) if known is not None else ""
        return path if path and not storage.is_link(path) else None
    except (OSError, ValueError):
        return None


@functools.lru_cache(_FOLDERS_KEPT)
def _names_by_fold(folder: str, modified_ns: int) -> dict[str, str]:
    """The names in a folder by what they are without case; none of a folder of very many."""
    with storage.entries_in(folder) as entries:
        names = [entry.name for entry in itertools.islice(entries, _MAX_NAMES + 1)]
    return {} if len(names) > _MAX_NAMES else {_folded(name): name for name in sorted(names, reverse=True)}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
