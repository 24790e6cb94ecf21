"""The demo's day with pictures, users and evaluation: every job alone, and `daily` whole, on any runner.

Two runners are tried on the same shop and model; all that they write is compared, but for what tells the time.
"""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from engine_processes import EngineProcesses

ITEMS, NUM_BUCKETS, DATE = 240, 8, "2026-06-30"
#: Files that hold seconds or moments, which differ from run to run on one runner too, and why.
TIMES = {
    "store/runs/*/*/times.json": "seconds that each stage of the day took",
    "store/runs/*/*/index/times.json": "seconds to build the index, milliseconds to search it",
    "run/index/times.json": "the same, of the job alone",
}
#: Lines with a "time", when readers were moved: equal but for that.
HISTORY = "store/history.jsonl"


@dataclass(frozen=True)
class Day:
    """A sample shop and a model that was trained on it without an engine."""

    shop: Path
    models: Path

    @property
    def model(self) -> Path:
        """The folder of the one model."""
        (folder,) = (path for path in self.models.iterdir() if path.is_dir() and not path.name.startswith("."))
        return folder

    def jobs(self, run: Path) -> dict[str, list[str]]:
        """The seven Beam jobs, each alone, in their order: name -> flags."""
        log = ["--engagements", str(self.shop / "engagements.parquet"), "--date", DATE]
        images = ["--image-root", str(self.shop)]
        catalog = ["--catalog", str(self.shop / "catalog.parquet"), "--date", DATE, "--num-buckets", str(NUM_BUCKETS)]
        flags = {
            "ingest": catalog,
            "vocabulary": [],
            "features": [*images, "--image-encoder", "efficientnet_lite0"],
            "pairs": [*log, *images, "--pseudo-queries", "2"],
            "embed": ["--model", str(self.model)],
            "index": [],
            "users": log,
        }
        return {name: ["--run", str(run), *given] for name, given in flags.items()}

    def daily(self, store: Path) -> list[str]:
        """The flags of the whole day, called beside the shop by relative paths: workers have other working folders."""
        shop = self.shop.name
        log = ["--engagements", f"{shop}/engagements.parquet", "--date", DATE]
        catalog = ["--catalog", f"{shop}/catalog.parquet", "--num-buckets", str(NUM_BUCKETS)]
        return [*catalog, *log, "--image-root", shop, "--store", os.path.relpath(store, self.shop.parent)]


def make_day(processes: EngineProcesses, folder: Path) -> Day:
    """Makes the shop and trains the model, without an engine."""
    shop, store = folder / "shop", folder / "trained"
    run_command(processes, "sample-shop", [str(shop), "--items", str(ITEMS)])
    inputs = ["--catalog", str(shop / "catalog.parquet"), "--engagements", str(shop / "engagements.parquet")]
    quick = ["--epochs", "1", "--min-steps", "1", "--batch-size", "64", "--pseudo-queries", "2"]
    places = ["--image-root", str(shop), "--store", str(store), "--date", DATE]
    run_command(processes, "train", [*inputs, *places, "--image-encoder", "efficientnet_lite0", *quick])
    return Day(shop, store / "models")


def run_jobs(processes: EngineProcesses, day: Day, folder: Path, runner: list[str], timeout_s: float) -> None:
    """Runs the seven jobs into folder/run."""
    for name, flags in day.jobs(folder / "run").items():
        run_command(processes, name, [*flags, *runner], timeout_s)


def run_daily(processes: EngineProcesses, day: Day, folder: Path, runner: list[str], timeout_s: float) -> None:
    """Runs the day in folder/store, which starts with the model only: there is nothing to take over."""
    shutil.copytree(day.models, folder / "store" / "models")
    run_command(processes, "daily", [*day.daily(folder / "store"), *runner], timeout_s, day.shop.parent)


def run_command(
    processes: EngineProcesses, command: str, flags: list[str], timeout_s: float = 300, folder: Path | None = None
) -> None:
    """`itemsage command flags` in a process of its own, in `folder`. Raises AssertionError with its last words if it
    fails."""
    itemsage = (sys.executable, "-m", "pipelines.cli")
    processes.run(command, *itemsage, command, *flags, timeout_s=timeout_s, folder=folder)


def differences(one: Path, other: Path) -> list[str]:
    """Paths below two folders whose files are not byte for byte the same in both, or are in one of them only; times are
    left aside, as TIMES and HISTORY say. Raises AssertionError if there is nothing to compare."""
    found = [{path.relative_to(folder).as_posix(): path for path in folder.rglob("*")} for folder in (one, other)]
    names = sorted(found[0].keys() | found[1].keys())
    assert sum(path.is_file() for path in found[0].values()) > 30, f"expected a whole run in {one}, got {names}"
    return [name for name in names if _content(name, found[0].get(name)) != _content(name, found[1].get(name))]


def _content(name: str, path: Path | None) -> object:
    """What of a file or folder is compared."""
    if path is None or path.is_dir():
        return None if path is None else "a folder"
    if any(fnmatch(name, pattern) for pattern in TIMES):
        return "times"
    if name == HISTORY:
        return [{**json.loads(line), "time": None} for line in path.read_text().splitlines()]
    return path.read_bytes()
