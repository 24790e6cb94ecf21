"""The store: runs, models, and the pointers that readers follow.

store.json                      what is fixed for the store's life: the number of buckets
runs/<date>/<run id>/           one daily run
training/<date>/<training id>/  one training run: the same stages, plus vocabulary and pairs
models/<model id>/              one trained model;  models/CURRENT names the one that daily runs use
CURRENT                         `runs/<date>/<run id>`: which run readers see, replaced atomically
"""

import datetime
import re
import sys
from pathlib import Path
from typing import Any

from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_json, resolve_inside, write_json, write_text
from schemas.hashing import fingerprint

_RUN_POINTER = re.compile(r"runs/\d{4}-\d{2}-\d{2}/[0-9a-f]{16}")
_MODEL_ID = re.compile(r"itemsage-[0-9a-f]{12}")
#: Folders of a run that `itemsage path` prints.
READABLE = ("embeddings", "index", "users", "changes", "quarantine")


def check_date(date: str) -> str:
    """`date` itself if it is YYYY-MM-DD, else UsageError."""
    try:
        if datetime.date.fromisoformat(date).isoformat() == date:
            return date
    except ValueError:
        pass
    raise UsageError(f"expected --date YYYY-MM-DD, got {date!r}")


def run_folder(store: str, date: str, identity: dict[str, Any], kind: str = "runs") -> Path:
    """The folder of the run with this identity: the same call finds its unfinished run, another input another one."""
    return Path(store, kind, check_date(date), fingerprint(identity))


def num_buckets_of(store: str) -> int | None:
    """The store's number of buckets, None before the first ingest fixed it."""
    path = Path(store, "store.json")
    return int(read_json(path)["num_buckets"]) if path.is_file() else None


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


def current_run_or_none(store: str) -> Path | None:
    """The published run's folder, None if nothing is published yet.

    Raises CorruptFileError if CURRENT names something that is not a finished run of this store.
    """
    pointer = Path(store, "CURRENT")
    if not pointer.is_file():
        return None
    name = pointer.read_text(encoding="utf-8", errors="replace").strip()
    folder = resolve_inside(store, name) if _RUN_POINTER.fullmatch(name) else None
    if folder is None or not Path(folder, "COMPLETED").is_file():
        raise CorruptFileError(f"expected {pointer} to name a finished run, got {name[:100]!r}: publish a run again")
    return Path(store, name)


def previous_run(store: str) -> Path | None:
    """The published run as something to compare with and to take over from; None, with a warning, if it is damaged:
    a store must never need its last run to make the next one."""
    try:
        run = current_run_or_none(store)
        if run is None or all((run / name).is_dir() for name in ("embeddings", "features", "manifests")):
            return run
        problem = f"{run} lacks embeddings, features or manifests"
    except CorruptFileError as error:
        problem = str(error)
    print(f"warning: the published run is not used: {problem}", file=sys.stderr)
    return None


def current_run(store: str) -> Path:
    """The published run's folder; UsageError if nothing is published."""
    run = current_run_or_none(store)
    if run is None:
        raise UsageError(f"expected a published run in the store {store}, got none: run `itemsage daily` first")
    return run


def model_folder(store: str, model_id: str) -> Path:
    """The folder of a model; UsageError if the name is not a model id or there is no such model."""
    folder = Path(store, "models", model_id)
    if not _MODEL_ID.fullmatch(model_id) or not folder.is_dir():
        raise UsageError(f"expected a model of the store {store}, got {model_id[:100]!r}: see {store}/models")
    return folder


def current_model_id(store: str) -> str:
    """The model that daily runs use; UsageError if none has been trained."""
    pointer = Path(store, "models", "CURRENT")
    if not pointer.is_file():
        raise UsageError(f"expected a trained model in the store {store}, got none: run `itemsage train` first")
    model_id = pointer.read_text(encoding="utf-8").strip()
    model_folder(store, model_id)
    return model_id


def set_current_model(store: str, model_id: str) -> None:
    """Makes `model_id` the model of the next daily runs."""
    model_folder(store, model_id)
    write_text(Path(store, "models", "CURRENT"), model_id + "\n")


def run_name(store: str, run: Path) -> str:
    """`runs/<date>/<run id>`; UsageError if the folder is not a run of the store."""
    inside = Path(store).resolve() in run.resolve().parents
    name = run.resolve().relative_to(Path(store).resolve()).as_posix() if inside else str(run)
    if not _RUN_POINTER.fullmatch(name):
        raise UsageError(f"expected a run folder {store}/runs/<date>/<16 hex digits>, got {run}")
    return name


def readers_are_ahead(store: str, run: Path) -> bool:
    """Whether CURRENT names a sound run of a later date, or one of the same date finished after `run`: repeating an old
    call must not take readers back, while a run that was killed just before CURRENT moved is still to be published."""
    current = previous_run(store)
    if current is None or current.resolve() == run.resolve():
        return False

    def finished(folder: Path) -> tuple[str, int]:
        return folder.parent.name, (folder / "COMPLETED").stat().st_mtime_ns

    return finished(current) > finished(run)


def point_to_run(store: str, run: Path) -> None:
    """Replaces CURRENT atomically: readers now see `run`. UsageError unless it is a finished run of the store."""
    name = run_name(store, run)
    if not Path(run, "COMPLETED").is_file():
        raise UsageError(f"expected a finished run of the store {store}, got {run}, which is not")
    write_text(Path(store, "CURRENT"), name + "\n")
