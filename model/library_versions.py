"""Versions of installed libraries, told without importing them: what is computed may change with an upgrade."""

import functools
from importlib import metadata


@functools.cache
def versions_of(*names: str) -> dict[str, str]:
    """Installed version of each distribution, as its package metadata has it; "none" for one that is not installed.

    >>> versions_of("a library that nobody has")
    {'a library that nobody has': 'none'}
    """
    return {name: _version_of(name) for name in names}


def _version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
