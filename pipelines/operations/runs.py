"""`itemsage runs --store S`: what is in a store, newest first: state, model, rows, size, gates of every run."""

import datetime
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipelines.console.jobs import flag, main_of_alone
from pipelines.console.terminal import aligned
from pipelines.store import history, store
from pipelines.store.named_run import check_store
from pipelines.store.run_files import format_bytes, gates_by_status, read_object, shown, size_of
from schemas import storage
from schemas.errors import CorruptFileError, printable
from schemas.quarantine import quote
from schemas.records.manifests import RunManifest

CURRENT, PUBLISHED, FINISHED = "CURRENT", "published before", "finished, never published"
ROLLED_BACK, FAILED_GATES, UNFINISHED, BROKEN = "rolled back", "failed gates", "unfinished", "broken"


@dataclass(frozen=True, kw_only=True)
class RunsConfig:
    """Lists the runs of a store, newest first."""

    store: str = flag(path=True, help="store folder")
    json: bool = flag(default=False, help="print JSON")


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """One line of the list. bytes: size on disk; seconds: of the whole run; times are UTC, ISO; None: not known.

    gates: status -> names of gates. reason: why readers were taken back from it, if somebody said. problem: why the run
    is broken, or what is wrong with CURRENT.
    """

    date: str
    run: str
    state: str
    model_id: str | None = None
    rows: int | None = None
    bytes: int = 0
    gates: dict[str, list[str]] = field(default_factory=dict)
    seconds: float | None = None
    finished: str | None = None
    superseded: str | None = None
    reason: str | None = None
    problem: str | None = None


def list_runs(folder: str) -> list[RunInfo]:
    """Every folder below `<store>/runs/<date>/`, newest first; what is not a run, or a damaged one, is told as such."""
    order = {run: place for place, run in enumerate(store.completed_runs(folder))}
    current = store.named_run(folder)
    moved = {name for move in history.moves(folder) for name in (move.from_run, move.to_run)}
    found = [
        path
        for path in storage.paths_in(Path(folder, "runs"), "*/*")
        if storage.is_folder(path) and not path.name.startswith(".")
    ]
    found.sort(key=lambda path: (path.parent.name, order.get(path, -1), path.name), reverse=True)
    infos = [_describe(folder, path, current, moved) for path in found]
    if current is not None and current not in {history.name_of(path) for path in found}:
        problem = "CURRENT names it, but there is no such run: `itemsage rollback --to` or a new daily run mends it"
        infos.insert(0, RunInfo(date=current.split("/")[1], run=current, state=BROKEN, problem=problem))
    return infos


def _describe(folder: str, run: Path, current: str | None, moved: set[str | None]) -> RunInfo:
    name = history.name_of(run)
    num_bytes, _ = size_of(run)
    known: dict[str, Any] = {"date": run.parent.name, "run": name, "bytes": num_bytes}
    if not history.RUN_NAME.fullmatch(name):
        return RunInfo(**known, state=BROKEN, problem="its name is not runs/<date>/<16 hex digits>")
    if storage.is_link(run) or storage.is_link(run.parent):
        return RunInfo(**known, state=BROKEN, problem="it is a link")
    try:
        known["gates"] = gates_by_status(run)
        if not storage.has_file(run / "COMPLETED"):
            if name == current:
                return RunInfo(**known, state=BROKEN, problem="CURRENT names it, but it is not finished")
            return RunInfo(**known, state=FAILED_GATES if known["gates"].get("failed") else UNFINISHED)
        manifest = RunManifest.read(run)
        known["model_id"], known["rows"] = manifest.model_id, manifest.count("rows_published")
        known["finished"] = _iso(storage.status(run / "COMPLETED").st_mtime)
        if storage.has_file(run / "times.json"):
            known["seconds"] = float(read_object(run / "times.json").get("total", 0.0))
    except (CorruptFileError, KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        return RunInfo(**known, state=BROKEN, problem=f"{type(error).__name__}: {error}")
    if name == current or name not in moved:
        return RunInfo(**known, state=CURRENT if name == current else FINISHED)
    left = history.superseded_at(folder, run)
    known["superseded"] = _iso(left.timestamp()) if left else None
    if history.was_rolled_back(folder, run):
        last = history.last_move_of(history.moves(folder), run)
        return RunInfo(**known, state=ROLLED_BACK, reason=last.reason if last else None)
    return RunInfo(**known, state=PUBLISHED)


def _iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")


def format_runs(infos: Sequence[RunInfo]) -> str:
    """The list for a person; problems below their run."""
    head = ("date", "run", "state", "model", "rows", "size", "gates", "seconds", "finished", "superseded")
    lines = aligned([head, *map(_cells, infos)])
    shown_lines = lines[:1]
    for line, info in zip(lines[1:], infos, strict=True):
        shown_lines.append(line)
        if failed := info.gates.get("failed"):
            shown_lines.append(f"    failed: {', '.join(map(shown, failed))}")
        if info.reason:
            shown_lines.append(f"    rolled back: {quote(info.reason)}")
        if info.problem:
            shown_lines.append(f"    {printable(info.problem)}")
    return "\n".join(shown_lines)


def _cells(info: RunInfo) -> tuple[str, ...]:
    gates = ", ".join(f"{len(names)} {shown(status)}" for status, names in sorted(info.gates.items()))
    return (
        shown(info.date),
        shown(info.run.split("/")[-1]),
        info.state,
        "-" if info.model_id is None else shown(info.model_id),
        "-" if info.rows is None else f"{info.rows:,}",
        format_bytes(info.bytes),
        gates or "-",
        "-" if info.seconds is None else f"{info.seconds:.1f}",
        info.finished or "-",
        info.superseded or "-",
    )


def run(config: RunsConfig) -> list[RunInfo]:
    """Prints the list and returns it. Raises UsageError if there is no such store."""
    check_store(config.store)
    infos = list_runs(config.store)
    if config.json:
        print(json.dumps([asdict(info) for info in infos], indent=1))
    else:
        print(format_runs(infos) if infos else f"no runs in {config.store} yet: `itemsage daily` makes one")
    return infos


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the job; returns its exit code."""
    return main_of_alone(RunsConfig, run, argv, "itemsage runs", "itemsage runs --store store")


if __name__ == "__main__":
    sys.exit(main())
