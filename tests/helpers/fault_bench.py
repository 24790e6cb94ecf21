"""A small shop, stores with random models, and how the run of a day must end whatever the fault: in a clear error that
leaves readers where they were, or with the right bytes (`Bench.check`)."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from command_server import Commands
from random_models import save_random_model

from pipelines.operations.verify.job import verify_run
from pipelines.store import store
from schemas.files import sha256_of_file
from schemas.records.embeddings import read_embeddings, validate_embeddings
from schemas.sample_shop.generate import generate
from schemas.tables import TEXT_FIELDS

DAY_BEFORE, DAY = "2026-06-29", "2026-06-30"
NUM_BUCKETS = 3
#: Keeps about two thirds of the shop's items as the models of these tests see them.
REFINE_COSINE = "0.95"
#: What ends a run in a clear way: a fault, a wrong call, a failed threshold.
CLEAR = (1, 2, 3)
MODEL, OTHER_MODEL = 0, 1


@dataclass
class Outcome:
    """How a command ended and what it printed."""

    code: int
    output: str

    @property
    def error(self) -> str:
        """The one line that says what is wrong; fails unless the command ended in such a line."""
        assert self.code in CLEAR, f"exit code {self.code}\n{self.output}"
        assert "Traceback" not in self.output, self.output
        lines = [line for line in self.output.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.output
        line = lines[0]
        assert "expected" in line, line
        assert " got " in line, line
        return line


@dataclass
class Bench:
    """Everything that the tests copy from. clean: file -> bytes of what readers read of the day's complete run."""

    commands: Commands
    shop: Path
    models: list[str]
    day_old: Path
    half: Path = field(default_factory=Path)
    clean: dict[str, bytes] = field(default_factory=dict)

    def run(self, *argv: str, **death: Any) -> Outcome:
        """`itemsage argv` in a process of its own."""
        return run_in(self.commands, *argv, **death)

    def day(self, folder: Path, *argv: str, date: str = DAY, **death: Any) -> Outcome:
        """The daily run; later flags override those of the fixture."""
        return self.run(*self.day_call(folder, *argv, date=date), **death)

    def day_call(self, folder: Path, *argv: str, date: str = DAY) -> list[str]:
        given = {
            "--catalog": f"{self.shop}/{'today' if date == DAY else 'yesterday'}.parquet",
            "--engagements": f"{self.shop}/engagements.parquet",
            "--image-root": str(self.shop),
            "--store": str(folder),
            "--date": date,
            "--refine-cosine": REFINE_COSINE,
            **dict(zip(argv[::2], argv[1::2], strict=True)),
        }
        return ["daily", *(word for pair in given.items() for word in pair)]

    def check(self, folder: Path, before: bytes, outcome: Outcome) -> bool:
        """Whether the day was published; fails unless it was, whole and with the right bytes, or a clear error left
        readers where they were. `before`: content of CURRENT when the run began."""
        if outcome.code:
            assert outcome.error
            assert (folder / "CURRENT").read_bytes() == before, "readers moved although the run failed"
            return False
        assert "Traceback" not in outcome.output, outcome.output
        run = store.current_run(str(folder))
        assert run.parent.name == DAY, outcome.output
        assert differing(result_of(run), self.clean) == [], outcome.output
        assert_sound(folder, run)
        return True


def run_in(commands: Commands, *argv: str, **death: Any) -> Outcome:
    """`itemsage argv` by that server, with what this call printed."""
    start = commands.log.stat().st_size
    code = commands.run(*argv, **death)
    with open(commands.log, "rb") as file:
        file.seek(start)
        return Outcome(code, file.read().decode("utf-8", "replace"))


def copy_of(source: Path, target: Path, own_models: bool = False) -> Path:
    """A store with a life of its own; a link to the models, which a daily run only reads, unless they are to change."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("models"))
    if own_models:
        shutil.copytree(source / "models", target / "models")
    else:
        (target / "models").symlink_to((source / "models").resolve())
    return target


def result_of(run: Path) -> dict[str, bytes]:
    """What readers read, but for the times of the indexes."""
    folders = ("embeddings", "index", "refined_index", "users", "user_actions", "item_popularity")
    paths = [path for name in folders for path in sorted((run / name).iterdir()) if path.is_file()]
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in paths
        if path.name != "times.json" and not path.name.startswith(".")
    }


def differing(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> list[str]:
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def assert_sound(folder: Path, run: Path, but: tuple[str, ...] = ()) -> None:
    """Every check of `itemsage verify` (`but` those named), and the vectors once more by hand."""
    findings = verify_run(folder, run)
    assert [problem for finding in findings if finding.check not in but for problem in finding.problems] == []
    ids, matrix_ND = read_embeddings(run / "embeddings")
    validate_embeddings(ids, matrix_ND, str(run))
    for entry in store.read_json(run / "manifest.json")["files"]:
        assert sha256_of_file(run / entry["path"]) == entry["sha256"]


def published_after(bench: Bench, folder: Path, *argv: str) -> None:
    """Fails unless this run of the day is published, whole and with the right bytes."""
    assert bench.check(folder, pointer_of(folder), bench.day(folder, *argv))


def pointer_of(folder: Path) -> bytes:
    return (folder / "CURRENT").read_bytes()


def write_shop(folder: Path) -> None:
    """today.parquet; yesterday.parquet, of which 2 rows are gone today, 3 have another text, and 4 are missing. All
    engagement is a click: two tasks to evaluate."""
    generate(folder, items=50, seed=3)
    clicks_alone(folder / "engagements.parquet")
    table = pq.read_table(folder / "catalog.parquet")
    rows = table.to_pylist()
    pq.write_table(table.slice(2), folder / "today.parquet")
    for row in rows[10:40:10]:
        row["title"] = "red dress"
    pq.write_table(pa.Table.from_pylist(rows[:-4], schema=table.schema), folder / "yesterday.parquet")


def clicks_alone(path: Path) -> None:
    """Whatever people did in a log of engagements becomes a click: a day has two tasks to evaluate, not eight."""
    log = pq.read_table(path)
    place = log.schema.get_field_index("action")
    clicks = pc.if_else(pc.equal(log["action"], "impression"), log["action"], "click")
    pq.write_table(log.set_column(place, log.schema.field(place), clicks), path)


def write_model(folder: Path, shop: Path, seed: int) -> str:
    """A random model in `folder`/models that knows the shop's words; no engagement trained it."""
    rows = pq.read_table(shop / "today.parquet").to_pylist()
    return save_random_model(folder / "models", [row[name] for row in rows for name in TEXT_FIELDS], 2, seed).name


def flip(path: Path, position: int, mask: int = 1) -> bytes:
    """Changes one byte in place (an empty file gets one) and keeps the file's times; returns what the file held."""
    before, times = path.read_bytes(), path.stat()
    data = bytearray(before or b"\0")
    data[position % len(data)] ^= mask
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return before


def position_and_mask(path: Path, seed: int) -> tuple[int, int]:
    """A byte of the file and the bit of it to flip."""
    random = np.random.default_rng(seed)
    return int(random.integers(max(1, path.stat().st_size))), 1 << int(random.integers(8))
