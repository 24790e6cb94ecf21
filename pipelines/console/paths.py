"""What a path flag may name, and what it becomes: a place on the file systems of this machine, absolute in a Beam job.

Workers of a Beam runner have working folders of their own: what is relative where the job was called would be another
place there.
"""

import dataclasses
import os
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Self, TypeVar
from urllib.parse import unquote

from schemas.errors import UsageError
from schemas.files import NOTHING_DECLARED, InputPath, declare, declared_form, shown
from schemas.quarantine import quote

ConfigT = TypeVar("ConfigT")

#: `s3://...` anywhere in the text; where it begins also with one slash, which is what pathlib leaves of two.
_URI = re.compile(r"\s*[a-z][a-z0-9+.-]+:/|.*://", re.IGNORECASE | re.DOTALL)
_FILE_URI = re.compile(r"\s*file:(?://(?:localhost)?)?(/(?:[^/].*)?)", re.IGNORECASE | re.DOTALL)
_LEADING_DOTS = re.compile(r"(?:\./+)*(?:\.\Z)?")


class LocalPath(InputPath):
    """An absolute path that was relative. `given`: as the call spelled it, for what must not change with the folder
    that a call is made from: the id of a run, and what the run says of its config."""

    given: str

    def __new__(cls, path: str, declared: Mapping[str, str] = NOTHING_DECLARED, given: str = "") -> Self:
        """What is left out, where a copy is made, is that of the original."""
        made = super().__new__(cls, path, declared)
        made.given = given
        return made

    def with_form(self, form: Mapping[str, str]) -> "LocalPath":
        return LocalPath(self, form, self.given)


def check_local(value: str, source: str) -> None:
    """Raises UsageError, naming the `source` of the value, for a URI: as a path it would make a folder called `s3:`."""
    if _URI.match(value) is None:
        return
    file = _FILE_URI.fullmatch(value)
    to_do = (
        f"give {shown(unquote(file[1]))}"
        if file
        else "object stores and other remote places are neither read nor written. Copy what is needed to a local "
        "folder, or mount it as one, and give that path"
    )
    raise UsageError(f"expected a local path for {source}, got {quote(value)}: {to_do}")


def named_folders(text: str, taken: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """(name, folder) of --also `name=folder,name=folder`. Raises UsageError for another form, or a name that is taken.

    >>> list(named_folders("other=vectors, best=truth/"))
    [('other', 'vectors'), ('best', 'truth/')]
    """
    names = set()
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, folder = part.partition("=")
        if not name or not folder or name in names or name in taken:
            raise UsageError(f"expected --also NAME=FOLDER with new names, separated by commas, got {quote(part)}")
        check_local(folder, "--also")
        names.add(name)
        yield name, folder


def absolute(path: str) -> str:
    """The path from the root. An empty one names nothing and stays.

    No `..` is resolved here: behind a symlink that is another place.
    """
    if not path or os.path.isabs(path):
        return path
    below = _LEADING_DOTS.sub("", path, count=1)
    folder = os.getcwd()
    return LocalPath(os.path.join(folder, below) if below else folder, declared_form(path), given=path)


def as_given(value: Any) -> Any:
    """A path as the call spelled it; any other value as it is."""
    return value.given if isinstance(value, LocalPath) else value


def with_date(value: str, date: str) -> str:
    """`value` with the date in place of `{date}`, also in what was given."""
    filled = value.replace("{date}", date)
    if isinstance(value, LocalPath):
        return LocalPath(filled, value.declared, value.given.replace("{date}", date))
    return declare(filled, declared_form(value))


def path_fields(config_class: type) -> "list[dataclasses.Field[Any]]":
    """The fields that name places: those declared with `flag(path=True)`."""
    return [field for field in dataclasses.fields(config_class) if field.metadata.get("path")]


def with_absolute_paths(config: ConfigT) -> ConfigT:
    """The config with every path absolute, as Beam jobs need it. Raises UsageError for a URI."""
    found = {field.name: getattr(config, field.name) for field in path_fields(type(config))}
    for name, path in found.items():
        check_local(path or "", name)
    return dataclasses.replace(config, **{name: path and absolute(path) for name, path in found.items()})  # type: ignore[type-var]


def given_values(config: Any) -> dict[str, Any]:
    """The values of a config's fields, paths as the call spelled them."""
    return {name: as_given(value) for name, value in dataclasses.asdict(config).items()}
