"""`itemsage gc --store S --keep N --min-age-hours H`: deletes what no pointer names and no reader can still be inside.

A reader follows CURRENT once and stays in that run, for at most H hours. Kept are therefore: the run that readers see,
those they left less than H hours ago, the one a rollback goes to, the newest N finished runs, whatever was at work less
than H hours ago and the run it is compared with; the models and training runs that any of these name. A folder is first
renamed to a hidden name and then removed: nobody sees half of it, and what a crash leaves goes with the next call.
"""

import contextlib
import datetime
import fnmatch
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.console.jobs import flag, main_of_alone
from pipelines.console.terminal import aligned
from pipelines.operations.gc.rules import REMOVED, Collector, Doomed
from pipelines.store.lock import StoreBusyError, store_lock
from pipelines.store.named_run import check_store
from pipelines.store.run_files import format_bytes
from schemas import storage
from schemas.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class GcConfig:
    """Deletes old runs, models and leftovers that no pointer names and no reader can still be inside."""

    store: str = flag(path=True, help="store folder")
    keep: int = flag(default=7, help="finished runs to keep at least, the newest ones")
    min_age_hours: float = flag(
        default=72.0, help="longer than any reader stays in a run, any run takes, and a weekend with a failed run lasts"
    )
    dry_run: bool = flag(default=False, help="only say what would go")
    json: bool = flag(default=False, help="print JSON")

    def __post_init__(self) -> None:
        if self.keep < 0 or not (math.isfinite(self.min_age_hours) and self.min_age_hours >= 0):
            got = f"{self.keep} and {self.min_age_hours}"
            raise UsageError(f"expected --keep and --min-age-hours of 0 or more, got {got}")


def remove(path: Path) -> None:
    """Removes a folder at once for readers (it is renamed to a hidden name first), or a file; then the folder above it
    if that is empty and one of dates. Links inside are removed, not followed."""
    if not storage.is_folder(path) or storage.is_link(path):
        storage.remove(path, missing_ok=True)
        return
    hidden = path
    if not fnmatch.fnmatch(path.name, REMOVED):
        hidden = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.removed"
        storage.move(path, hidden)
    storage.remove_folder(hidden)
    if path.parent.parent.name in ("runs", "training"):
        with contextlib.suppress(OSError):  # not empty
            storage.remove_empty_folder(path.parent)


def run(config: GcConfig) -> list[Doomed]:
    """Deletes (or with dry_run names) what may go, prints what and how many bytes, and returns it.

    Raises CorruptFileError if CURRENT is damaged (nobody knows what readers see: nothing is deleted), StoreBusyError
    if another process works on the store.
    """
    check_store(config.store)
    with store_lock(config.store, "gc"), contextlib.ExitStack() as stack:
        training_is_busy = False
        if storage.is_folder(Path(config.store, "training")):
            try:
                stack.enter_context(store_lock(config.store, "gc", name="training/LOCK"))
            except StoreBusyError:
                training_is_busy = True
        now_s = datetime.datetime.now(datetime.UTC).timestamp()
        collector = Collector(
            config.store,
            keep=config.keep,
            min_age_hours=config.min_age_hours,
            now_s=now_s,
            training_is_busy=training_is_busy,
        )
        if not config.dry_run:
            for doomed in collector.doomed:
                remove(Path(config.store, doomed.path))
    _print(config, collector.kept, collector.doomed)
    return collector.doomed


def _print(config: GcConfig, kept: Mapping[str, str], doomed: Sequence[Doomed]) -> None:
    total = sum(one.bytes for one in doomed)
    if config.json:
        gone = [asdict(one) for one in doomed]
        stays = [{"path": path, "why": why} for path, why in kept.items()]
        print(json.dumps({"bytes": total, "deleted": gone, "dry_run": config.dry_run, "kept": stays}, indent=1))
        return
    verb = "would delete" if config.dry_run else "deleted"
    rows = [("kept", path, why) for path, why in kept.items()]
    rows += [(verb, one.path, f"{one.kind}, {format_bytes(one.bytes)}") for one in doomed]
    if rows:
        print(*aligned(rows), sep="\n")
    print(f"gc: {verb} {len(doomed)} of {len(rows)}, {format_bytes(total)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = "itemsage gc --store store --keep 7 --min-age-hours 72 --dry-run"
    return main_of_alone(GcConfig, run, argv, "itemsage gc", example)
