"""The store: runs, models, and the pointers that readers follow.

store.json                      what is fixed for the store's life: the number of buckets
runs/<date>/<run id>/           one daily run
training/<date>/<training id>/  one training run: the same stages, plus vocabulary and pairs
models/<model id>/              one trained model (pipelines.store.models)
CURRENT                         `runs/<date>/<run id>`: which run readers see, replaced atomically
history.jsonl, LOCK             where readers have been (pipelines.store.history), who writes (pipelines.store.lock)
"""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.store import history
from pipelines.store.models import ITEM_MODELS
from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import check_sha256, read_json, shown, write_json, write_text
from schemas.hashing import fingerprint
from schemas.quarantine import quote
from schemas.records.manifests import RunManifest
from schemas.storage import resolve_inside


def check_date(date: str, flag_name: str = "--date") -> str:
    """`date` itself if it is YYYY-MM-DD, else UsageError, naming the flag."""
    try:
        if datetime.date.fromisoformat(date).isoformat() == date:
            return date
    except ValueError:
        pass
    raise UsageError(f"expected {flag_name} YYYY-MM-DD, got {date!r}")


def run_folder(store: str, date: str, identity: dict[str, Any], kind: str = "runs") -> Path:
    """The folder of the run with this identity: the same call finds its unfinished run, another input another one."""
    return Path(store, kind, check_date(date), fingerprint(identity))


def num_buckets_of(store: str) -> int | None:
    """The store's number of buckets, None before the first ingest fixed it."""
    path = Path(store, "store.json")
    if not storage.has_file(path):
        return None
    described = read_json(path)
    found = described.get("num_buckets") if isinstance(described, dict) else None
    if type(found) is not int or found < 1:
        raise CorruptFileError(f"expected num_buckets of at least 1 in {path}, got {quote(found)}: restore the file")
    return found


def buckets_for(store: str, wanted: int) -> int:
    """The number of buckets that a run of this store uses: the store's, or in a new store `wanted` (0: to be chosen).
    UsageError if somebody wants another one than the store has."""
    existing = num_buckets_of(store)
    if existing is not None and wanted not in (0, existing):
        raise UsageError(f"expected {existing} buckets, fixed when the store {store} was made, got {wanted}")
    return existing or wanted


def fix_num_buckets(store: str, num_buckets: int) -> None:
    """Writes the number of buckets of a new store; UsageError if the store has another one."""
    existing = num_buckets_of(store)
    if existing is None:
        write_json(Path(store, "store.json"), {"num_buckets": num_buckets})
    elif existing != num_buckets:
        raise UsageError(f"expected {existing} buckets, fixed when the store {store} was made, got {num_buckets}")


def named_run(store: str) -> str | None:
    """The run that CURRENT names, whether it is there or not; None if there is no CURRENT or it names none."""
    pointer = Path(store, "CURRENT")
    name = storage.text_of(pointer, errors="replace").strip() if storage.has_file(pointer) else ""
    return name if history.RUN_NAME.fullmatch(name) else None


def has_published(store: str) -> bool:
    """Whether readers see a run, be it sound or not."""
    return storage.has_file(Path(store, "CURRENT"))


def seen_run(store: str) -> Path | None:
    """The run that readers were sent to last, be it sound, damaged or deleted; None if nothing was ever published.

    A pointer that names a run which is not there is held against the history: it may be the pointer that is damaged.
    """
    if not storage.has_file(Path(store, "CURRENT")):
        return None
    name = named_run(store)
    if name is None or not storage.is_folder(Path(store, name)):
        moves = history.moves(store)
        name = moves[-1].to_run if moves else name
    return Path(store, name) if name is not None else None


def current_run_or_none(store: str) -> Path | None:
    """The published run's folder, None if nothing is published yet.

    Raises CorruptFileError if CURRENT names something that is not a finished run of this store.
    """
    pointer = Path(store, "CURRENT")
    if not storage.has_file(pointer):
        return None
    name = named_run(store)
    folder = resolve_inside(store, name) if name is not None else None
    if name is None or folder is None or not storage.has_file(Path(folder, "COMPLETED")):
        got = quote(name or storage.text_of(pointer, errors="replace").strip())
        raise CorruptFileError(f"expected {pointer} to name a finished run, got {got}: publish a run again")
    return Path(store, name)


def current_run(store: str) -> Path:
    """The published run's folder; UsageError if nothing is published."""
    run = current_run_or_none(store)
    if run is None:
        raise UsageError(f"expected a published run in the store {store}, got none: run `itemsage daily` first")
    return run


def run_folders(store: str) -> Iterator[Path]:
    """Every run of the store, finished or not, by date and id; nothing that lies outside it by way of a link."""
    for run in storage.paths_in(Path(store, "runs"), "*/*"):
        is_run = history.RUN_NAME.fullmatch(history.name_of(run)) and storage.is_folder(run)
        if is_run and not any(storage.is_link(path) for path in (run, run.parent, run.parent.parent)):
            yield run


def completed_runs(store: str) -> list[Path]:
    """The finished runs, newest last: by date, those of one date in the order in which they were published."""
    published = [move.to_run for move in history.moves(store)]

    def order(run: Path) -> tuple[str, int, int, str]:
        name = history.name_of(run)
        place = published.index(name) if name in published else -1
        return run.parent.name, place, storage.status(run / "COMPLETED").st_mtime_ns, run.name

    return sorted((run for run in run_folders(store) if storage.has_file(run / "COMPLETED")), key=order)


def run_name(store: str, run: Path) -> str:
    """`runs/<date>/<run id>`; UsageError if the folder is not a run of the store."""
    real_store, real_run = Path(storage.real_path(store)), Path(storage.real_path(run))
    name = real_run.relative_to(real_store).as_posix() if real_store in real_run.parents else str(run)
    if not history.RUN_NAME.fullmatch(name):
        raise UsageError(f"expected a run folder {store}/runs/<date>/<16 hex digits>, got {run}")
    return name


def check_run(store: str, run: Path) -> dict[str, Any]:
    """The manifest of a finished run that is as it was published, every published file read. Raises CorruptFileError if
    one is not, UsageError if the run is not finished or the store has lost its model."""
    if not storage.has_file(run / "COMPLETED"):
        raise UsageError(f"expected a finished run of the store {store}, got {shown(run)}, which is not")
    check_sha256(run / "manifest.json", storage.text_of(run / "COMPLETED", errors="replace").strip())
    manifest = RunManifest.read(run)
    manifest.count("rows_published")
    if not manifest.files:
        raise CorruptFileError(f"expected published files in {run}/manifest.json, got none")
    for name, sha256 in manifest.listed().items():
        path = resolve_inside(run, name)
        if path is None:
            raise CorruptFileError(f"expected a file inside {run}, got {quote(name)} in its manifest")
        check_sha256(path, sha256)
    ITEM_MODELS.folder(store, manifest.model_id)
    return manifest.to_json()


def point_to_run(store: str, run: Path, why: str = history.PUBLISHED, reason: str | None = None) -> None:
    """Replaces CURRENT atomically: readers now see `run`; the history keeps why, written before. Nothing happens if
    they see it already. UsageError unless it is a finished run of the store."""
    name = run_name(store, run)
    if not storage.has_file(Path(run, "COMPLETED")):
        raise UsageError(f"expected a finished run of the store {store}, got {run}, which is not")
    left = named_run(store)
    if left != name:
        history.record_move(store, left, name, why, reason)
        write_text(Path(store, "CURRENT"), name + "\n")
