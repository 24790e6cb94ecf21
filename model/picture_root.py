"""The folder that picture URIs start from: fast look-ups that do not leave it."""

import os
import stat
from dataclasses import dataclass

from schemas.files import resolve_inside

#: Names of a path that are no step down.
_NOT_PLAIN = frozenset(("", ".", ".."))


@dataclass(frozen=True, slots=True)
class PictureRoot:
    """A folder of pictures whose own symlinks are followed once, for many look-ups. real_path: as os.path.realpath."""

    real_path: str

    @classmethod
    def of(cls, image_root: "str | os.PathLike[str] | PictureRoot") -> "PictureRoot":
        """The root as it is now."""
        return image_root if isinstance(image_root, PictureRoot) else cls(os.path.realpath(image_root))

    def find(self, uri: str) -> tuple[str, os.stat_result] | None:
        """Real path and status of what `uri` names inside the root; None if it leaves it. Raises OSError, ValueError.

        Step by step, for a path without symlinks is its own real path, and following each is most of realpath's time.
        """
        path, status = self.real_path, None
        names = uri.split("/")
        if "\0" not in uri and not _NOT_PLAIN & set(names):
            for name in names:
                path = f"{path.rstrip('/')}/{name}"
                status = os.lstat(path)
                if stat.S_ISLNK(status.st_mode):
                    break
            else:
                assert status is not None, "a split text has one name at least"
                return path, status
        resolved = resolve_inside(self.real_path, uri)
        return None if resolved is None else (resolved, os.stat(resolved))
