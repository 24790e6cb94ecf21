"""`itemsage rollback --store S`: readers go back to the run they saw before, in one atomic step.

The run is checked first: its manifest against COMPLETED, every published file against the manifest. A repeated daily
call does not publish again what was taken back; the next day's run does move readers on.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import history, store
from pipelines.jobs import flag, main_of_alone
from pipelines.lock import store_lock
from pipelines.operations.named_run import find_run
from pipelines.operations.runs import check_store, shown
from schemas.errors import CorruptFileError, UsageError
from schemas.files import check_sha256, read_json, resolve_inside
from schemas.quarantine import quote


@dataclass(frozen=True, kw_only=True)
class RollbackConfig:
    """Takes readers back to an earlier run."""

    store: str = flag(help="store folder")
    to: str | None = flag(default=None, help="DATE, RUN_ID or runs/DATE/RUN_ID; default: the run before the current")
    reason: str | None = flag(default=None, help="why, for the history")


def default_target(folder: str) -> Path | None:
    """The run that readers saw before the one they see: from the history, else the newest finished run before it that
    was not taken back itself; None if there is none."""
    current = store.named_run(folder)
    if current is None:
        return None
    arrived = [move for move in history.moves(folder) if move.to_run == current and move.why != history.ROLLED_BACK]
    before = arrived[-1].from_run if arrived else None
    finished = store.completed_runs(folder)
    names = [history.name_of(run) for run in finished]
    if before is not None and before != current and before in names:
        return finished[names.index(before)]
    if current in names:
        earlier = finished[: names.index(current)]
    else:
        earlier = [run for run in finished if run.parent.name <= current.split("/")[1]]
    return next((run for run in reversed(earlier) if not history.was_rolled_back(folder, run)), None)


def check_run(folder: str, target: Path) -> dict[str, Any]:
    """The manifest of a finished run that is as it was published. Raises CorruptFileError if a file is not, UsageError
    if the store has lost its model."""
    check_sha256(target / "manifest.json", (target / "COMPLETED").read_text(encoding="utf-8", errors="replace").strip())
    manifest = read_json(target / "manifest.json")
    try:
        files = [(str(entry["path"]), str(entry["sha256"])) for entry in manifest["files"]]
        model_id, _ = str(manifest["model_id"]), int(manifest["counts"]["rows_published"])
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(
            f"expected model_id, counts and files in {target}/manifest.json, got no {error}"
        ) from error
    if not files:
        raise CorruptFileError(f"expected published files in {target}/manifest.json, got none")
    for name, sha256 in files:
        path = resolve_inside(target, name)
        if path is None:
            raise CorruptFileError(f"expected a file inside {target}, got {quote(name)} in its manifest")
        check_sha256(path, sha256)
    store.model_folder(folder, model_id)
    return dict(manifest)


def _target(config: RollbackConfig) -> Path:
    if config.to is None:
        target = default_target(config.store)
        if target is None:
            raise UsageError(
                f"expected a finished run before the current one in {config.store}, got none: choose one "
                "of `itemsage runs` with --to"
            )
        return target
    of_date = [run for run in store.completed_runs(config.store) if run.parent.name == config.to]
    if len(of_date) > 1:
        got = ", ".join(run.name for run in of_date)
        raise UsageError(f"expected --to to name one finished run, got {len(of_date)} of {config.to}: {got}")
    target = of_date[0] if of_date else find_run(config.store, config.to)
    if not (target / "COMPLETED").is_file():
        raise UsageError(f"expected --to to name a finished run, got {shown(str(target))}: see `itemsage runs`")
    return target


def run(config: RollbackConfig) -> Path:
    """Moves CURRENT to the wanted run, prints what readers see now, and returns it.

    Raises UsageError if there is no such run or readers see it already, CorruptFileError if it is damaged,
    StoreBusyError if another process works on the store; CURRENT stays in all these cases.
    """
    check_store(config.store)
    with store_lock(config.store, "rollback"):
        target = _target(config)
        name, left = history.name_of(target), store.named_run(config.store)
        if name == left:
            raise UsageError(f"expected another run than readers see already, got {name}")
        manifest = check_run(config.store, target)
        rows = int(manifest["counts"]["rows_published"])
        is_forward = left is not None and name.split("/")[1] > left.split("/")[1]
        again = is_forward or history.was_rolled_back(config.store, target)
        why = history.REPUBLISHED if again else history.ROLLED_BACK
        store.point_to_run(config.store, target, why=why, reason=config.reason)
    print(f"readers now see {name}: {rows:,} rows of {shown(manifest['model_id'])}; they left {left or 'nothing'}")
    if left is not None:
        print(f"back again: itemsage rollback --store {shown(config.store)} --to {left}")
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = "itemsage rollback --store store --to 2026-06-29 --reason 'titles were cut off'"
    return main_of_alone(RollbackConfig, run, argv, "itemsage rollback", example)


if __name__ == "__main__":
    sys.exit(main())
