"""Pictures that came in the table itself: each content once below the run, in a file that is named by it.

An item lists such a picture as `sha256:` and the hex digest of its bytes. The name is no path and no URL, and it says
for ever what the picture is: whoever knows the name need not open the file to know that nothing has changed.
"""

import hashlib
import os
import re
from pathlib import Path

from schemas import storage
from schemas.storage import atomic_write

#: Below the run.
STORED_FOLDER = "pictures"
STORED_PREFIX = "sha256:"
_NAME = re.compile(rf"{STORED_PREFIX}([0-9a-f]{{64}})")


def stored_name(data: bytes) -> str:
    """What an item lists for a picture of this content.

    >>> stored_name(b"")[:20]
    'sha256:e3b0c44298fc1'
    """
    return STORED_PREFIX + hashlib.sha256(data).hexdigest()


def stored_path(name: str) -> str | None:
    """Where the picture of that name lies, relative to the run; None for what is no such name.

    >>> stored_path("sha256:" + "0" * 64) == "pictures/00/" + "0" * 64, stored_path("a.jpg")
    (True, None)
    """
    match = _NAME.fullmatch(name)
    return None if match is None else f"{STORED_FOLDER}/{match[1][:2]}/{match[1]}"


def keep_picture(data: bytes, run: str | os.PathLike[str]) -> str:
    """Writes a picture below the run, unless it is there, and returns its name. Whoever repeats it, or does the same at
    the same time, writes the same file."""
    name = stored_name(data)
    path = Path(run, str(stored_path(name)))
    if not storage.has_file(path) or storage.size_of(path) != len(data):
        with atomic_write(path) as temporary:
            storage.put_bytes(temporary, data)
    return name
