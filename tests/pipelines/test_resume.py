"""Killed runs: readers keep the old run whatever was written when SIGKILL came, and the same call ends in equal bytes.

Every file of a run appears by `os.replace`, so a point of death is "before" or "after" the replace of a named file.
Commands run in children of one server (this file as a script) that has imported everything and computed nothing: a
fork of it starts at once and is as clean as a new process.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines import store
from pipelines.searcher import Searcher
from schemas.embeddings import read_embeddings
from schemas.sample_shop.generate import generate

ROOT = Path(__file__).resolve().parents[2]
DAY_BEFORE, DAY = "2026-06-29", "2026-06-30"
pytestmark = pytest.mark.slow


@dataclass
class Commands:
    """The server of the module; its children's output goes to `log`."""

    process: subprocess.Popen[str]
    log: Path

    def run(self, *argv: str, die: tuple[str, str] | None = None) -> int:
        """`itemsage argv` in a process of its own: its exit code, or minus the signal that killed it.

        die: ("before" or "after", pattern of the path that is replaced).
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"argv": argv, "die": die}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the server has ended: {self.shown()}"
        return int(answer)

    def shown(self) -> str:
        return self.log.read_text()[-5000:]


def serve() -> None:
    """Requests on standard input, exit codes on standard output."""
    from model import image_encoder, training  # noqa: F401 (imported once, for all children)
    from pipelines import cli, daily, train  # noqa: F401

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            request = json.loads(line)
            if request["die"]:
                die_at(*request["die"])
            code = 1
            try:
                code = cli.main(request["argv"])
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def die_at(when: str, pattern: str) -> None:
    """From now on this process kills itself at the replace of the first file whose path fits."""
    replace = os.replace

    def replace_or_die(source: Any, target: Any) -> None:
        fits = fnmatch(os.fspath(target), pattern)
        if fits and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if fits:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace_or_die


@pytest.fixture(scope="module")
def commands(tmp_path_factory) -> Iterator[Commands]:
    log = tmp_path_factory.mktemp("server") / "log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        open(log, "w") as file,
        subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env=environment,
        ) as process,
    ):
        yield Commands(process, log)
        process.stdin.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """catalog.parquet, and half.parquet with its first half: what the model is trained on."""
    folder = tmp_path_factory.mktemp("shop")
    generate(folder, items=50, seed=3)
    table = pq.read_table(folder / "catalog.parquet")
    pq.write_table(table.slice(0, len(table) // 2), folder / "half.parquet")
    return folder


def train_call(shop: Path, folder: Path) -> list[str]:
    places = [
        "--catalog",
        f"{shop}/half.parquet",
        "--image-root",
        str(shop),
        "--store",
        str(folder),
        "--date",
        DAY_BEFORE,
    ]
    tiny = "--image-encoder efficientnet_lite0 --pseudo-queries 2 --epochs 1 --min-steps 5 --batch-size 32"
    return ["train", *places, "--engagements", f"{shop}/engagements.parquet", "--num-buckets", "3", *tiny.split()]


def day_call(shop: Path, folder: Path, date: str = DAY) -> list[str]:
    catalog = f"{shop}/{'catalog' if date == DAY else 'half'}.parquet"
    return ["daily", "--catalog", catalog, "--image-root", str(shop), "--store", str(folder), "--date", date]


@pytest.fixture(scope="module")
def trained(shop, commands, tmp_path_factory) -> Path:
    """A store with a model and no run."""
    folder = tmp_path_factory.mktemp("trained")
    assert commands.run(*train_call(shop, folder)) == 0, commands.shown()
    return folder


@pytest.fixture(scope="module")
def day_old(shop, trained, commands, tmp_path_factory) -> Path:
    """The same store with the run of the day before published."""
    folder = copy_of(trained, tmp_path_factory.mktemp("day-old") / "store")
    assert commands.run(*day_call(shop, folder, DAY_BEFORE)) == 0, commands.shown()
    return folder


@pytest.fixture(scope="module")
def expected(shop, day_old, commands, tmp_path_factory) -> dict[str, bytes]:
    """Files of the run that nobody interrupted."""
    folder = copy_of(day_old, tmp_path_factory.mktemp("uninterrupted") / "store")
    assert commands.run(*day_call(shop, folder)) == 0, commands.shown()
    files = files_of(store.current_run(str(folder)))
    assert sum(name.startswith("features/") for name in files) == 3
    assert {"embeddings/part-00000-of-00001.parquet", "index/items.ann", "manifest.json"} <= files.keys()
    counts = json.loads(files["manifest.json"])["counts"]
    assert counts["pictures_computed"] > 0
    assert counts["rows_published"] > 20
    return files


def copy_of(source: Path, target: Path) -> Path:
    """A store with a life of its own, but for models and training runs, which a daily run only reads."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("models", "training"))
    for name in ("models", "training"):
        (target / name).symlink_to((source / name).resolve())
    return target


def files_of(run: Path) -> dict[str, bytes]:
    names = ("items", "features", "embeddings", "index", "quarantine", "changes")
    paths = [path for name in names for path in (run / name).rglob("*") if path.is_file()]
    paths = [path for path in paths if not path.name.startswith(".") and path.name != "times.json"]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in [*paths, run / "manifest.json"]}


@pytest.mark.parametrize(
    ("when", "pattern"),
    [
        ("before", "*/items/bucket-00001-of-00003.parquet"),
        ("before", "*/units/features/bucket-00001-of-00003.json"),
        ("after", "*/units/features/bucket-*.json"),
        ("before", "*/units/embeddings/*.json"),
        ("before", "*/index/manifest.json"),
        ("before", f"*/runs/{DAY}/{'?' * 16}/manifest.json"),
        ("before", "*/COMPLETED"),
        ("before", "*/CURRENT"),
    ],
)
def test_a_killed_day_goes_on_to_equal_bytes(shop, day_old, commands, expected, tmp_path, when, pattern):
    folder = copy_of(day_old, tmp_path / "store")
    before = (folder / "CURRENT").read_bytes()
    assert commands.run(*day_call(shop, folder), die=(when, pattern)) == -signal.SIGKILL, commands.shown()
    assert (folder / "CURRENT").read_bytes() == before
    old_run = store.current_run(str(folder))
    assert old_run.parent.name == DAY_BEFORE
    ids, _ = read_embeddings(old_run / "embeddings")
    assert len(Searcher(str(folder)).by_item([ids[0].as_py()], 3)[0]) == 3
    (killed,) = (folder / "runs" / DAY).iterdir()
    assert (killed / "COMPLETED").exists() == (pattern == "*/CURRENT")
    sealed = modification_times(killed, "units/*/*.json")

    assert commands.run(*day_call(shop, folder)) == 0, commands.shown()
    assert store.current_run(str(folder)) == killed
    sealed_now = modification_times(killed, "units/*/*.json")
    assert {path: sealed_now[path] for path in sealed} == sealed, "computed again instead of read"
    found = files_of(killed)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def test_a_first_day_that_is_killed_publishes_nothing(shop, trained, commands, tmp_path):
    folder = copy_of(trained, tmp_path / "store")
    assert commands.run(*day_call(shop, folder), die=("before", "*/units/embeddings/*.json")) == -signal.SIGKILL
    assert store.current_run_or_none(str(folder)) is None
    assert commands.run(*day_call(shop, folder)) == 0, commands.shown()
    assert store.current_run(str(folder)).parent.name == DAY


@pytest.mark.parametrize(
    ("when", "pattern"), [("after", "*/training/*/.model/manifest.json"), ("before", "*/models/CURRENT")]
)
def test_a_killed_training_installs_the_same_model(shop, trained, commands, tmp_path, when, pattern):
    assert commands.run(*train_call(shop, tmp_path), die=(when, pattern)) == -signal.SIGKILL, commands.shown()
    assert not (tmp_path / "models" / "CURRENT").exists()
    checkpoints = modification_times(tmp_path, "training/*/*/checkpoints/**/*.safetensors")
    assert checkpoints
    assert commands.run(*train_call(shop, tmp_path)) == 0, commands.shown()
    assert store.current_model_id(str(tmp_path)) == store.current_model_id(str(trained))
    assert [path.name for path in (tmp_path / "models").iterdir() if path.is_dir()] == [
        store.current_model_id(str(trained))
    ]
    assert modification_times(tmp_path, "training/*/*/checkpoints/**/*.safetensors") == checkpoints


def modification_times(folder: Path, pattern: str) -> dict[str, int]:
    return {path.as_posix(): path.stat().st_mtime_ns for path in folder.glob(pattern)}


if __name__ == "__main__":
    serve()
