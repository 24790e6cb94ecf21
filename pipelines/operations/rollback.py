"""`itemsage rollback --store S`: readers go back to the run they saw before, in one atomic step.

The run is checked first: its manifest against COMPLETED, every published file against the manifest. A repeated daily
call does not publish again what was taken back; the next day's run does move readers on.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.console.jobs import flag, main_of_alone
from pipelines.store import history, store
from pipelines.store.lock import StoreBusyError, store_lock
from pipelines.store.named_run import check_store, find_run
from pipelines.store.run_files import shown
from schemas import storage
from schemas.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class RollbackConfig:
    """Takes readers back to an earlier run."""

    store: str = flag(path=True, help="store folder")
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
    if not storage.has_file(target / "COMPLETED"):
        raise UsageError(f"expected --to to name a finished run, got {shown(str(target))}: see `itemsage runs`")
    return target


@contextlib.contextmanager
def _lock_or_advice(folder: str) -> Iterator[None]:
    """The store's lock; who comes too late is told what loses least."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(store_lock(folder, "rollback"))
        except StoreBusyError as error:
            raise StoreBusyError(
                f"{error}. If readers cannot wait: stop that process (Ctrl-C or kill), repeat this rollback, then "
                "repeat the command that was stopped: it keeps the units that are finished"
            ) from None
        yield


def run(config: RollbackConfig) -> Path:
    """Moves CURRENT to the wanted run, prints what readers see now, and returns it.

    Raises UsageError if there is no such run or readers see it already, CorruptFileError if it is damaged,
    StoreBusyError if another process works on the store; CURRENT stays in all these cases.
    """
    check_store(config.store)
    with _lock_or_advice(config.store):
        target = _target(config)
        name, left = history.name_of(target), store.named_run(config.store)
        if name == left:
            raise UsageError(f"expected another run than readers see already, got {name}")
        manifest = store.check_run(config.store, target)
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
