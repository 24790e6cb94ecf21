"""Versions of what computes: an upgrade of a library, told without importing it, or of this code may change numbers."""

import functools
from importlib import metadata
from pathlib import Path

from schemas.errors import CorruptFileError
from schemas.quarantine import quote


@functools.cache
def versions_of(*names: str) -> dict[str, str]:
    """Installed version of each distribution, as its package metadata has it; "none" for one that is not installed.

    >>> versions_of("a library that nobody has")
    {'a library that nobody has': 'none'}
    """
    return {name: _version_of(name) for name in names}


def check_network_id(network_id: str, saved: str, folder: str | Path) -> None:
    """network_id: of a saved encoder, as this code makes it; saved: as its manifest has it. Raises CorruptFileError
    unless they are equal."""
    if network_id != saved:
        raise CorruptFileError(
            f"expected network id {quote(saved)}, got {network_id} for {folder}: the encoder was saved "
            "by another version of this code; train the model again"
        )


def _version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
