"""Units of work: the resumable step that every stage is made of.

A run folder holds, for each stage, data files and beside them one sidecar a unit, written last:

    <run>/<data folder>/...                     what readers read; only finished files have names without a dot
    <run>/quarantine/<stage>-<unit>.parquet     only if the unit rejected something
    <run>/units/<stage>/<unit>.json             fingerprint of what went in, sha256 and size of what came out, counts
    <run>/manifests/<stage>.json                the sum of the sidecars, written when all units are done

A unit whose sidecar carries the expected fingerprint and whose files are there in full size is not computed again.
"""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import CorruptFileError, UsageError
from schemas.files import (
    atomic_write,
    check_sha256,
    read_json,
    read_sealed_json,
    resolve_inside,
    sha256_of_file,
    write_sealed_json,
)
from schemas.quarantine import Rejection, quarantine_table, quote, rejections_to_table


@dataclass(frozen=True, order=True)
class Unit:
    """A named piece of a stage; `fingerprint` identifies everything that its output depends on."""

    stage: str
    name: str
    fingerprint: str


@dataclass
class UnitWriter:
    """Writes a unit's files atomically, remembers their checksums, and seals the unit with its sidecar."""

    run: str
    unit: Unit
    counts: Counter[str] = field(default_factory=Counter)
    files: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if Path(self.run, "COMPLETED").exists():
            raise UsageError(
                f"expected a run that is not published yet, got {self.run}, whose {self.unit.stage} would change under "
                "its readers: start another run (`itemsage daily --attempt 1`)"
            )

    @contextmanager
    def file(self, relative_path: str) -> Iterator[str]:
        """Yields a temporary name; on success the file becomes `<run>/<relative_path>`."""
        path = Path(self.run, relative_path)
        with atomic_write(path) as temporary:
            yield temporary
            entry = {"bytes": os.path.getsize(temporary), "path": relative_path, "sha256": sha256_of_file(temporary)}
        self.files.append(entry)

    def quarantine(self, rejections: Iterable[Rejection]) -> None:
        """Writes the unit's quarantine table (none if empty) and counts rows by level."""
        rows = list(rejections)
        if not rows:
            return
        with self.file(self._quarantine_name) as temporary:
            self._write_quarantine(rejections_to_table(rows), temporary)
        for row in rows:
            self.counts[f"{row.level}s_quarantined"] += 1
            self.counts[f"reason:{row.reason}"] += 1

    def take_over(self, earlier_run: str) -> dict[str, int] | None:
        """Copies the files of the same unit of an earlier run and returns its counts, which the caller translates into
        this run's; None, with nothing taken over, unless it was made from the same fingerprint and is as it was."""
        sidecar = finished_sidecar(earlier_run, self.unit)
        if sidecar is None:
            return None
        try:
            for entry in sidecar["files"]:
                self._copy(earlier_run, entry["path"], entry["sha256"])
            return {str(name): int(count) for name, count in sidecar["counts"].items()}
        except (CorruptFileError, OSError, KeyError, AttributeError, TypeError, ValueError) as error:
            print(f"{self.unit.stage}: {self.unit.name} is computed, not taken over: {error}", file=sys.stderr)
            for entry in self.files:  # what is computed now may have fewer files
                Path(self.run, entry["path"]).unlink(missing_ok=True)
            self.files.clear()
            return None

    def _copy(self, earlier_run: str, name: str, sha256: str) -> None:
        source = resolve_inside(earlier_run, name)
        if source is None or not _is_data_file(name):
            raise CorruptFileError(f"expected the name of a data file inside {earlier_run}, got {quote(name)}")
        if name.startswith("quarantine/"):
            check_sha256(source, sha256)
            with self.file(name) as temporary:
                self._write_quarantine(pq.read_table(source), temporary)
            return
        with self.file(name) as temporary:
            shutil.copyfile(source, temporary)
        if (got := self.files[-1]["sha256"]) != sha256:  # read once: these are the largest files of a run
            raise CorruptFileError(f"expected sha256 {quote(sha256)}, got {got} for {source}")

    def _write_quarantine(self, rejections: pa.Table, path: str) -> None:
        pq.write_table(quarantine_table(rejections, Path(self.run).name), path, compression="zstd")

    def seal(self) -> dict[str, Any]:
        """Writes the sidecar, after all files: from here on the unit is finished. Returns its content.

        Files of an earlier computation of this unit that it no longer has are removed first.
        """
        self._remove_stale_files()
        sidecar = {
            "counts": dict(self.counts),
            "files": sorted(self.files, key=lambda entry: entry["path"]),
            "fingerprint": self.unit.fingerprint,
            "unit": self.unit.name,
        }
        write_sealed_json(sidecar_path(self.run, self.unit.stage, self.unit.name), sidecar)
        return sidecar

    def _remove_stale_files(self) -> None:
        try:
            earlier = read_json(sidecar_path(self.run, self.unit.stage, self.unit.name))["files"]
            names = {entry["path"] for entry in earlier}
        except (CorruptFileError, KeyError, TypeError):
            names = set()
        names.add(self._quarantine_name)  # a computation that was killed may have left one
        remove_files(self.run, names - {entry["path"] for entry in self.files})

    @property
    def _quarantine_name(self) -> str:
        return f"quarantine/{self.unit.stage}-{self.unit.name}.parquet"


def remove_files(run: str, names: Iterable[Any]) -> None:
    """Removes the data files that a sidecar lists, as far as they are files inside the run."""
    for name in names:
        path = resolve_inside(run, name) if _is_data_file(name) else None
        if path is not None and os.path.isfile(path):
            os.unlink(path)


def remove_unit(run: str, sidecar_file: Path) -> None:
    """Removes the sidecar, then the files it lists (a new run may not write all of them again)."""
    try:
        files = [entry["path"] for entry in read_json(sidecar_file)["files"]]
    except (CorruptFileError, KeyError, TypeError):
        files = []
    sidecar_file.unlink(missing_ok=True)
    remove_files(run, files)


def remove_other_units(run: str, stage: str, names: Iterable[str]) -> None:
    """Removes the units that a call with another number of buckets left: readers take all files of a stage."""
    kept = set(names)
    for path in sorted(Path(run, "units", stage).glob("*.json")):
        if path.stem not in kept:
            remove_unit(run, path)


def _is_data_file(name: Any) -> bool:
    """Whether the name, which somebody may have forged, is that of a file in a data folder of a run: what makes a stage
    or a run finished (units/, manifests/, COMPLETED, ...) is never copied or removed by name."""
    parts = name.split("/") if isinstance(name, str) and name.isprintable() else []
    return len(parts) > 1 and parts[0] not in ("units", "manifests") and not {"", ".", ".."} & set(parts)


def sidecar_path(run: str, stage: str, unit_name: str) -> Path:
    return Path(run, "units", stage, f"{unit_name}.json")


def finished_sidecar(run: str, unit: Unit, check_content: bool = False) -> dict[str, Any] | None:
    """The sidecar of a unit that is finished with this fingerprint, else None (never an error: it is redone).

    check_content: files must have their sha256; else their size is enough, for callers that check the content later.
    """
    try:
        sidecar = read_sealed_json(sidecar_path(run, unit.stage, unit.name))
        complete = sidecar["fingerprint"] == unit.fingerprint and all(
            os.path.getsize(path := Path(run, entry["path"])) == entry["bytes"]
            and (not check_content or sha256_of_file(path) == entry["sha256"])
            for entry in sidecar["files"]
        )
    except (CorruptFileError, KeyError, TypeError, ValueError, OSError):  # ValueError: a name that is none
        return None
    return sidecar if complete else None


def write_stage_manifest(run: str, stage: str, unit_names: Iterable[str], **facts: Any) -> dict[str, Any]:
    """Sums the sidecars of all units into `<run>/manifests/<stage>.json`, with `facts` beside, and returns it.

    Raises CorruptFileError if a unit has no sidecar: then the stage is not done.
    """
    counts: Counter[str] = Counter()
    files: list[dict[str, Any]] = []
    units = {}
    for name in sorted(unit_names):
        sidecar = read_sealed_json(sidecar_path(run, stage, name))
        counts.update(sidecar["counts"])
        files += sidecar["files"]
        units[name] = {"counts": sidecar["counts"], "fingerprint": sidecar["fingerprint"]}
    manifest = {"counts": dict(counts), "files": files, "stage": stage, "units": units, **facts}
    write_sealed_json(Path(run, "manifests", f"{stage}.json"), manifest)
    return manifest


def read_stage_manifest(run: str, stage: str) -> dict[str, Any]:
    """The manifest of a finished stage; CorruptFileError (naming the stage to run) if it is not finished."""
    path = Path(run, "manifests", f"{stage}.json")
    if not path.is_file():
        raise CorruptFileError(f"expected the finished stage {stage!r} in {run}, got no {path.name}: run it first")
    return read_sealed_json(path)


def bucket_name(bucket: int, num_buckets: int) -> str:
    """
    >>> bucket_name(3, 64)
    'bucket-00003-of-00064'
    """
    return f"bucket-{bucket:05d}-of-{num_buckets:05d}"
