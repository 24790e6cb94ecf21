"""Units of work: the resumable step that every stage is made of.

A run folder holds, for each stage, data files and beside them one sidecar a unit, written last:

    <run>/<data folder>/...                     what readers read; only finished files have names without a dot
    <run>/quarantine/<stage>-<unit>.parquet     only if the unit rejected something
    <run>/units/<stage>/<unit>.json             fingerprint of what went in, sha256 and size of what came out, counts
    <run>/manifests/<stage>.json                the sum of the sidecars, written when all units are done

A unit whose sidecar carries the expected fingerprint and whose files are there in full size is not computed again.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.run.unit_files import (
    data_path,
    listed_files,
    quarantine_path,
    remove_files,
    remove_leftovers,
    remove_unit,
)
from schemas import storage
from schemas.errors import CorruptFileError, UsageError
from schemas.files import check_sha256, sha256_of_file
from schemas.quarantine import Rejection, quarantine_table, quote, rejections_to_table, sorted_rejections
from schemas.records.manifests import FileEntry, Sidecar, StageManifest, manifest_path, sidecar_path, sum_of
from schemas.storage import atomic_write


@dataclass(frozen=True, order=True)
class Unit:
    """A named piece of a stage; `fingerprint` identifies everything that its output depends on."""

    stage: str
    name: str
    fingerprint: str


@dataclass
class UnitWriter:
    """Writes a unit's files atomically, remembers their checksums, and seals the unit with its sidecar.

    From then on until all units are finished the stage has no manifest: a mixture of two plans is no stage. Raises
    UsageError, before anything is touched, for a run that is published.
    """

    run: str
    unit: Unit
    counts: Counter[str] = field(default_factory=Counter)
    files: list[FileEntry] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_not_published(self.run, self.unit.stage)
        storage.remove(manifest_path(self.run, self.unit.stage), missing_ok=True)

    @contextmanager
    def file(self, relative_path: str) -> Iterator[str]:
        """Yields a temporary name; on success the file becomes `<run>/<relative_path>`."""
        path = Path(self.run, relative_path)
        with atomic_write(path) as temporary:
            yield temporary
            entry = FileEntry(relative_path, sha256_of_file(temporary), storage.size_of(temporary))
        self.files.append(entry)

    def quarantine(self, rejections: Iterable[Rejection] | pa.Table) -> None:
        """Writes the unit's quarantine table (none if empty), of rejections or REJECTIONS in any order, and counts rows
        by level."""
        is_table = isinstance(rejections, pa.Table)
        rows = sorted_rejections(rejections) if is_table else rejections_to_table(rejections)
        if not rows.num_rows:
            return
        with self.file(quarantine_path(self.unit.stage, self.unit.name)) as temporary:
            pq.write_table(self.quarantined(rows), temporary, compression="zstd")

    def quarantined(self, rejections: pa.Table) -> pa.Table:
        """The QUARANTINE of REJECTIONS, which are counted, by level and reason."""
        for name, counted in (("level", "{}s_quarantined"), ("reason", "reason:{}")):
            for entry in pc.value_counts(rejections[name]).to_pylist():
                self.counts[counted.format(entry["values"])] += entry["counts"]
        return quarantine_table(rejections, Path(self.run).name)

    def take_over(self, earlier_run: str) -> dict[str, int] | None:
        """Copies the files of the same unit of an earlier run and returns its counts, which the caller translates into
        this run's; None, with nothing taken over, unless it was made from the same fingerprint and is as it was."""
        sidecar = finished_sidecar(earlier_run, self.unit)
        if sidecar is None:
            return None
        try:
            for entry in sidecar.files:
                self._copy(earlier_run, entry.path, entry.sha256)
            return dict(sidecar.counts)
        except (CorruptFileError, OSError, KeyError, TypeError, ValueError) as error:  # a quarantine of other columns
            print(f"{self.unit.stage}: {self.unit.name} is computed, not taken over: {error}", file=sys.stderr)
            for entry in self.files:  # what is computed now may have fewer files
                storage.remove(Path(self.run, entry.path), missing_ok=True)
            self.files.clear()
            return None

    def _copy(self, earlier_run: str, name: str, sha256: str) -> None:
        source = data_path(earlier_run, name)
        if source is None:
            raise CorruptFileError(f"expected the name of a data file inside {earlier_run}, got {quote(name)}")
        if name.startswith("quarantine/"):
            check_sha256(source, sha256)
            with self.file(name) as temporary:
                rows = quarantine_table(pq.read_table(source), Path(self.run).name)
                pq.write_table(rows, temporary, compression="zstd")
            return
        with self.file(name) as temporary:
            storage.copy_file(source, temporary)
        if (got := self.files[-1].sha256) != sha256:  # read once: these are the largest files of a run
            raise CorruptFileError(f"expected sha256 {quote(sha256)}, got {got} for {source}")

    def seal(self) -> dict[str, Any]:
        """Writes the sidecar, after all files: from here on the unit is finished. Returns its content, as JSON values:
        it travels through pipelines.

        Files of an earlier computation of this unit that it no longer has are removed first.
        """
        self._remove_stale_files()
        sidecar = Sidecar(
            unit=self.unit.name,
            fingerprint=self.unit.fingerprint,
            counts=dict(self.counts),
            files=tuple(sorted(self.files)),
        )
        sidecar.write(self.run, self.unit.stage)
        return sidecar.to_json()

    def _remove_stale_files(self) -> None:
        names = listed_files(sidecar_path(self.run, self.unit.stage, self.unit.name))
        names.add(quarantine_path(self.unit.stage, self.unit.name))  # a computation that was killed may have left one
        remove_files(self.run, names - {entry.path for entry in self.files})


def check_not_published(run: str, stage: str) -> None:
    """Raises UsageError for a run that readers may see."""
    if storage.has(Path(run, "COMPLETED")):
        raise UsageError(
            f"expected a run that is not published yet, got {run}, whose {stage} would change under its readers: start "
            "another run (`itemsage daily --attempt 1`)"
        )


def finished_sidecar(run: str, unit: Unit, check_content: bool = False) -> Sidecar | None:
    """The sidecar of a unit that is finished with this fingerprint, else None (never an error: it is redone).

    Its files must lie inside the run and have their size. check_content: and their sha256, for callers that do not
    check the content later.
    """
    try:
        sidecar = Sidecar.read(run, unit.stage, unit.name)
        complete = sidecar.fingerprint == unit.fingerprint and all(
            (path := data_path(run, entry.path)) is not None
            and storage.size_of(path) == entry.bytes
            and (not check_content or sha256_of_file(path) == entry.sha256)
            for entry in sidecar.files
        )
    except (CorruptFileError, ValueError, OSError):  # ValueError: a name that is none
        return None
    return sidecar if complete else None


def sealed_unit(run: str, unit: Unit, write: Callable[[UnitWriter], dict[str, Any]]) -> dict[str, Any]:
    """The sidecar of a unit that is finished, files of the right content and all; else that which `write` seals, after
    what an earlier computation left is gone."""
    sidecar = finished_sidecar(run, unit, check_content=True)
    if sidecar is not None:
        return sidecar.to_json()
    writer = UnitWriter(run, unit)
    remove_unit(run, sidecar_path(run, unit.stage, unit.name))
    return write(writer)


def write_stage_manifest(run: str, stage: str, unit_names: Iterable[str], **facts: Any) -> dict[str, Any]:
    """Sums the sidecars of all units into `<run>/manifests/<stage>.json`, with `facts` beside, and returns it. What
    other units of the stage left is removed before (see remove_leftovers).

    Raises CorruptFileError if a unit has no sidecar: then the stage is not done, and nothing is removed.
    """
    names = sorted(unit_names)
    manifest = sum_of((Sidecar.read(run, stage, name) for name in names), stage, facts)
    remove_leftovers(run, stage, names, manifest.listed())
    manifest.write(run)
    return manifest.to_json()


def read_stage_manifest(run: str, stage: str) -> dict[str, Any]:
    """StageManifest.read as JSON values: for who hands them on."""
    return StageManifest.read(run, stage).to_json()


def bucket_name(bucket: int, num_buckets: int) -> str:
    """
    >>> bucket_name(3, 64)
    'bucket-00003-of-00064'
    """
    return f"bucket-{bucket:05d}-of-{num_buckets:05d}"
