"""Where the files of a run's units lie, and the removal of those that no unit has any more.

A call with another plan (other buckets, pictures that were mended, other flags) writes files of other names, and
readers take every file of a stage's folders. So each stage, before it says that it is finished, removes what its units
do not list.
"""

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import read_json
from schemas.records.manifests import is_data_file, manifest_path, sidecar_path
from schemas.storage import resolve_inside

__all__ = ["manifest_path", "sidecar_path"]

_QUARANTINE = "quarantine"
#: A file that is one of several of a plan says so in its name: bucket-00003-of-00064.parquet.
_ONE_OF_SEVERAL = re.compile(r"[a-z]+-[0-9]{5,}-of-[0-9]{5,}\..+")


def quarantine_path(stage: str, unit_name: str) -> str:
    """Of a unit's quarantine, relative to the run."""
    return f"{_QUARANTINE}/{stage}-{unit_name}.parquet"


def data_path(run: str, name: Any) -> str | None:
    """The path of a data file that a sidecar names; None unless it is one, inside the run also after symlinks. It need
    not exist."""
    return resolve_inside(run, name) if is_data_file(name) else None


def remove_files(run: str, names: Iterable[Any]) -> None:
    """Removes the data files of these names, as far as there are such inside the run."""
    for name in names:
        path = data_path(run, name)
        if path is not None and storage.has_file(path):
            storage.remove(path)


def listed_files(sidecar_file: Path) -> set[str]:
    """The files that a sidecar lists, damaged or not; none if that cannot be told."""
    try:
        return {name for entry in read_json(sidecar_file)["files"] if isinstance(name := entry["path"], str)}
    except (CorruptFileError, KeyError, TypeError):
        return set()


def remove_unit(run: str, sidecar_file: Path, keep: Collection[str] = ()) -> None:
    """Removes the files that a sidecar lists, but for those of `keep`, then the sidecar: killed in between, it can be
    done again."""
    remove_files(run, sorted(listed_files(sidecar_file).difference(keep)))
    storage.remove(sidecar_file, missing_ok=True)


def remove_leftovers(run: str, stage: str, unit_names: Collection[str], listed: Collection[str]) -> None:
    """Removes the stage's units of other names, the files that they list, and those that nobody lists because their
    unit was killed. `listed`: the files of the units of `unit_names`, all finished.

    The stage's manifest, which may list some of them, goes first: a call that is killed leaves a stage that is not
    finished. A published run stays as it is.
    """
    others = [path for path in storage.paths_in(Path(run, "units", stage), "*.json") if path.stem not in unit_names]
    unlisted = _unlisted(run, stage, listed)
    if storage.has(Path(run, "COMPLETED")) or not (others or unlisted):
        return
    storage.remove(manifest_path(run, stage), missing_ok=True)
    for path in others:
        remove_unit(run, path, keep=listed)
    remove_files(run, unlisted)


def _unlisted(run: str, stage: str, listed: Collection[str]) -> list[str]:
    """Files of the stage's own folders that are one of several and not `listed`, and such quarantines of the stage."""
    folders = {name.partition("/")[0] for name in listed} - {_QUARANTINE}
    there = [path for folder in folders for path in storage.files_below(Path(run, folder))]
    found = {path for path in there if _ONE_OF_SEVERAL.fullmatch(path.name)}
    found.update(storage.paths_in(Path(run, _QUARANTINE), f"{stage}-*.parquet"))
    return sorted({path.relative_to(run).as_posix() for path in found}.difference(listed))
