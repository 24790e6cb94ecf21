"""Publish: check a finished run, pass the gates, write its manifest, and point CURRENT at it in one atomic step.

    python -m pipelines.publish --store STORE --run STORE/runs/2026-06-30/0123456789abcdef

Readers see the old run or the new one, never half of either. A run that fails a gate stays unpublished; gates.json in
its folder says why, and `--accept GATE --because REASON` publishes it all the same.
"""

import functools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.console.jobs import flag, main_of_alone, narrow, print_summary
from pipelines.gates.gated_run import counts_of_earlier
from pipelines.gates.judge import GATES_FILE, GateThresholds, format_gates, require_passed, run_gates
from pipelines.run.accounting import account, not_compared
from pipelines.run.changes import CHANGES_FOLDERS, write_changes
from pipelines.run.listed_files import EMBEDDINGS, ListedFiles, folders_of_vectors
from pipelines.run.units import read_stage_manifest
from pipelines.stages import lines_of_day, published_files
from pipelines.store import history, store
from pipelines.store.lock import store_lock
from pipelines.store.yesterday import STARTED_FILE, compared_with, pin_previous
from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_sealed_json, sha256_of_file, write_json, write_text
from schemas.quarantine import quote
from schemas.tables import SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """Gates that may fail this once, and why."""

    accept: str | None = flag(default=None, help="gates that may fail in this run, separated by commas", by_commas=True)
    because: str | None = flag(default=None, help="why they may: kept in the manifest (with --accept)")

    def accepted(self) -> dict[str, str]:
        """Gate -> reason. Raises UsageError for gates without a reason or a reason without gates."""
        if (self.accept is None) != (self.because is None or not self.because.strip()):
            raise UsageError(f"expected --accept and --because together, got {self.accept!r} and {self.because!r}")
        names = [name.strip() for name in (self.accept or "").split(",")]
        return {name: str(self.because) for name in names if name}


@dataclass(frozen=True, kw_only=True)
class PublishConfig(GateThresholds, Acceptance):
    """Checks a run whose stages are finished and makes it the one that readers see."""

    store: str = flag(path=True, help="store folder")
    run: str = flag(path=True, help="run folder inside the store")


def publish(config: PublishConfig, facts: dict[str, Any] | None = None) -> dict[str, Any]:
    """Checks, passes the gates, writes changes/, manifest.json and COMPLETED, then moves CURRENT. Returns the manifest.

    `facts` go into the manifest (date, inputs, config); default: those that the run was started with. Raises
    CorruptFileError if anything is not as promised, ThresholdError if a gate fails; CURRENT stays in both cases.
    """
    with store_lock(config.store, f"publish {config.run}"):
        run = Path(config.run)
        if storage.has_file(run / "COMPLETED"):
            return republish(config.store, run)
        return _publish_first(config, run, facts)


def _publish_first(config: PublishConfig, run: Path, facts: dict[str, Any] | None) -> dict[str, Any]:
    started_s = time.monotonic()
    _, date, run_id = store.run_name(config.store, run).split("/")
    expects = ListedFiles(run).expects
    stages = {line.name: read_stage_manifest(config.run, line.name) for line in filter(expects, lines_of_day())}
    counts = account({name: manifest["counts"] for name, manifest in stages.items()})
    pinned = pin_previous(config.store, run)
    counts |= not_compared(counts, functools.partial(counts_of_earlier, pinned))
    compared = compared_with(config.store, run, pinned)
    results = run_gates(run, compared, narrow(GateThresholds, config), config.accepted())
    print(format_gates(results), flush=True)
    require_passed(results, run, has_another=store.has_published(config.store))
    against, changes = _write_changes(run, compared, folders_of_vectors(expects))
    of_embeddings = changes.pop(EMBEDDINGS)
    write_json(run / "changes.json", {"against": against.name if against else None, "counts": of_embeddings, **changes})
    manifest = {
        "accepted": {result.name: result.accepted_reason for result in results if result.status == "accepted"},
        "counts": counts,
        "date": date,
        "files": published_files(stages),
        "model_id": stages["embeddings"]["model_id"],
        "records": _records(run),
        "run_id": run_id,
        "schema_version": SCHEMA_VERSION,
        **(facts if facts is not None else read_sealed_json(run / STARTED_FILE).get("facts", {})),
    }
    write_json(run / "manifest.json", manifest)
    write_text(run / "COMPLETED", sha256_of_file(run / "manifest.json") + "\n")
    move_readers(config.store, run, "published")
    print_summary("publish", {"rows_published": counts["rows_published"], **of_embeddings}, started_s, str(run))
    return manifest


def _records(run: Path) -> dict[str, str]:
    """Path -> sha256 of what else the run says of itself: with these, and the checksums in the stage manifests, the one
    checksum in COMPLETED vouches for every file but logs of time."""
    folders = [path for name in ("manifests", *CHANGES_FOLDERS.values()) for path in storage.paths_in(run / name)]
    single = [run / name for name in (STARTED_FILE, GATES_FILE, "metrics.json", "changes.json")]
    paths = [path for path in [*folders, *single] if storage.has_file(path) and not path.name.startswith(".")]
    return {path.relative_to(run).as_posix(): sha256_of_file(path) for path in sorted(paths)}


def _write_changes(
    run: Path, previous: Path | None, folders: Sequence[str]
) -> tuple[Path | None, dict[str, dict[str, int]]]:
    """Writes changes/, and those of unified vectors; the run they are against, and counts by folder of vectors. If the
    run before cannot be read (and somebody accepted that), they are against nothing: readers that upsert then take
    every row. folders: of the vectors that the run has."""
    try:
        return previous, {vectors: write_changes(run, previous, vectors) for vectors in folders}
    except (CorruptFileError, UsageError, OSError) as error:
        if previous is None:
            raise
        print(f"warning: changes/ lists every row as new: {error}", file=sys.stderr)
        return None, {vectors: write_changes(run, None, vectors) for vectors in folders}


def may_move_readers(store_folder: str, run: Path) -> bool:
    """Whether the finished `run` may become the published one without anybody asking for that run by name.

    Repeating an old call must not take readers back, nor undo a rollback, while a run that was killed just before
    CURRENT moved is still to be published. So a run that readers were already moved to, or from, waits for
    `itemsage publish` unless that was the very last move; a new one must not be of an earlier date than readers were
    sent to, and after a rollback it must be of a later date than the run that was taken back.
    """
    seen = store.seen_run(store_folder)
    if seen is None or history.name_of(seen) == history.name_of(run):
        return True
    moves = history.moves(store_folder)
    if history.last_move_of(moves, run) is not None:
        return moves[-1].to_run == history.name_of(run)
    if moves and moves[-1].why == history.ROLLED_BACK and moves[-1].from_run is not None:
        return run.parent.name > Path(moves[-1].from_run).parent.name
    return run.parent.name >= seen.parent.name


def move_readers(store_folder: str, run: Path, why: str) -> None:
    """Points CURRENT at the run unless readers see a later one, or somebody took them back from this one."""
    if may_move_readers(store_folder, run):
        store.point_to_run(store_folder, run, why=why)
        return
    moves = history.moves(store_folder)
    since = ""
    if moves and moves[-1].why == history.ROLLED_BACK:
        since = f", where they were taken back to ({quote(moves[-1].reason or 'no reason given')})"
    print(
        f"publish: readers stay with {store.seen_run(store_folder)}{since}; "
        f"`itemsage publish --store {store_folder} --run {run}` moves them to {run}",
        flush=True,
    )


def republish(store_folder: str, run: Path) -> dict[str, Any]:
    """Moves CURRENT to a run that was published before; CorruptFileError if a published file is not what it was."""
    manifest = store.check_run(store_folder, run)
    store.point_to_run(store_folder, run, why="republished")
    print(f"publish: {run} was finished before; it is the published run", flush=True)
    return manifest


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    example = "itemsage publish --store store --run store/runs/2026-06-30/0123456789abcdef"
    return main_of_alone(PublishConfig, publish, argv, "itemsage publish", example)


if __name__ == "__main__":
    sys.exit(main())
