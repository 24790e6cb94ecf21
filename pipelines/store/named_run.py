"""The run that a person means: the published one, a date, a run id, a pointer's text or a folder."""

import datetime
import re
from pathlib import Path

from pipelines.store import history, store
from schemas import storage
from schemas.errors import UsageError
from schemas.quarantine import quote

_RUN_ID = re.compile(r"[0-9a-f]{16}")


def check_store(folder: str) -> None:
    """UsageError unless there is such a folder: a command that operates a store never makes one."""
    if not storage.is_folder(folder):
        raise UsageError(f"expected --store to name a store, got {quote(folder)}, where there is no folder")


def find_run(store_folder: str, name: str | None) -> Path:
    """The folder of a run of the store. None: the published run. A date: the published run if it is of that date, else
    the run of that date that was finished last. Else a run id, `runs/<date>/<run id>` or a path to such a folder.

    Raises UsageError if there is none or (unfinished ones of a date) several, CorruptFileError if CURRENT is damaged.
    """
    check_store(store_folder)
    if name is None:
        return store.current_run(store_folder)
    if is_date(name):
        return _of_date(store_folder, name)
    if _RUN_ID.fullmatch(name):
        return _only([run for run in store.run_folders(store_folder) if run.name == name], store_folder, name)
    inside = Path(store_folder, name)
    folder = inside if storage.is_folder(inside) else Path(name)
    if not storage.is_folder(folder):
        raise UsageError(f"expected DATE, RUN_ID or runs/DATE/RUN_ID of {store_folder}, got {quote(name)}")
    return Path(store_folder, store.run_name(store_folder, folder))


def is_date(name: str) -> bool:
    """Whether it is YYYY-MM-DD.

    >>> is_date("2026-06-30"), is_date("yesterday")
    (True, False)
    """
    try:
        return datetime.date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False


def _of_date(store_folder: str, date: str) -> Path:
    finished = [run for run in store.completed_runs(store_folder) if run.parent.name == date]
    current = [run for run in finished if history.name_of(run) == store.named_run(store_folder)]
    if finished:
        return (current or finished)[-1]
    return _only([run for run in store.run_folders(store_folder) if run.parent.name == date], store_folder, date)


def _only(runs: list[Path], store_folder: str, name: str) -> Path:
    if len(runs) != 1:
        got = ", ".join(sorted(run.name for run in runs)) or "none"
        raise UsageError(f"expected one run {name} in {store_folder}/runs, got {got}: see `itemsage runs`")
    return runs[0]
