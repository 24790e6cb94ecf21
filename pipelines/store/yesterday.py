"""Which run came before: every answer to "what is yesterday?", each for its own question.

    previous_run     readers see it now, and it is sound: what a training takes over from
    yesterday_of     what a new run of a date takes over from: that, or the newest sound run of no later date
    pin_previous     the same, settled once for a run and kept in it, so that a resumed run has the same yesterday
    compared_with    what gates and changes/ hold a run against when it is published: readers may have moved on
    previous_of      what a finished run says it was made after: for explain, verify and diff

`store.seen_run` is where readers were sent last, sound or not.
"""

import sys
from pathlib import Path
from typing import Any

from pipelines.store import history, store
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import read_json, read_sealed_json, write_sealed_json

#: Of a run: what it was called with, and which run it takes over from.
STARTED_FILE = "started.json"


def previous_run(store_folder: str) -> Path | None:
    """The published run as something to compare with and to take over from; None, with a warning, if it is damaged:
    a store must never need its last run to make the next one."""
    try:
        run = store.current_run_or_none(store_folder)
    except CorruptFileError as error:
        print(f"warning: the published run is not used: {error}", file=sys.stderr)
        return None
    return run if run is not None and is_sound(run, "the published run") else None


def yesterday_of(store_folder: str, date: str) -> Path | None:
    """What a run of `date` is compared with and takes over from; None if there is nothing.

    The published run, unless it is of a later date or damaged. Then the newest sound run of no later date than `date`,
    so that another attempt of an old day is held against the one before, nor, in place of a damaged one, than that one
    had. Runs that were rolled back do not count.
    """
    published = previous_run(store_folder)
    if published is not None and published.parent.name <= date:
        return published
    name = store.named_run(store_folder)
    latest = min(date, name.split("/")[1]) if published is None and name else date
    for run in reversed(store.completed_runs(store_folder)):
        if run.parent.name > latest or history.name_of(run) == name or history.was_rolled_back(store_folder, run):
            continue
        if is_sound(run, "an earlier run"):
            return run
    return None


def pin_previous(store_folder: str, run: Path, facts: dict[str, Any] | None = None) -> Path | None:
    """The run that this one takes over from: settled at its first call and kept in started.json, with the facts of the
    call, so that a run that is resumed has the same yesterday whatever CURRENT names by then. None if there is none, or
    it is damaged by now: everything is computed then."""
    path = run / STARTED_FILE
    if not storage.has_file(path):
        previous = yesterday_of(store_folder, run.parent.name)
        name = store.run_name(store_folder, previous) if previous else None
        write_sealed_json(path, {"facts": facts or {}, "previous": name})
        return previous
    try:
        name = read_sealed_json(path)["previous"]
        previous = Path(store_folder, name) if name is not None else None
    except (KeyError, TypeError) as error:
        raise CorruptFileError(f'expected "previous" in {path}, got no {error}: delete {run}') from error
    if previous is not None:
        store.run_name(store_folder, previous)  # a name that leads out of the store is refused
    return previous if previous is not None and is_sound(previous, "the run before") else None


def compared_with(store_folder: str, run: Path, pinned: Path | None) -> Path | None:
    """The run that gates and changes/ hold this one against: the one that readers see by now, unless that is of a later
    date (then `pinned`, of pin_previous). If it is damaged or deleted, an older sound one; if there is none, the
    damaged one all the same: gates that need it fail then, where None, for a store's first run, would skip them."""
    seen = store.seen_run(store_folder)
    if seen is None or seen.parent.name > run.parent.name:
        return pinned
    return seen if is_sound(seen, "the run that readers see") else pinned or seen


def previous_of(store_folder: str, run: Path) -> Path | None:
    """The run that `run` was compared with and took over from, as it pinned it, or else as its changes say; None if
    there was none or it is not there any more. Raises CorruptFileError if what names it is damaged."""
    try:
        if storage.has_file(run / STARTED_FILE):
            name = read_sealed_json(run / STARTED_FILE)["previous"]
        elif storage.has_file(run / "changes.json"):
            name = read_json(run / "changes.json")["against"]
        else:
            return None
    except (KeyError, TypeError) as error:
        raise CorruptFileError(f"expected the run before in started.json or changes.json of {run}, got none") from error
    return next(
        (found for found in store.run_folders(store_folder) if name in (found.name, history.name_of(found))), None
    )


def is_sound(run: Path, which: str) -> bool:
    """Whether the run has what the next one takes over; if not, a warning says so."""
    missing = [name for name in ("COMPLETED", "embeddings", "features", "manifests") if not storage.has(run / name)]
    if missing:
        print(f"warning: {which} is not used: {run} lacks {', '.join(missing)}", file=sys.stderr)
    return not missing
