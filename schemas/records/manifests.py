"""What a run says of itself, read and checked here alone: the sidecar of a unit, the manifest of a stage, and that of
the whole run once it is published.

    units/<stage>/<unit>.json     Sidecar        sealed: carries its own checksum
    manifests/<stage>.json        StageManifest  sealed; the sum of the sidecars, and facts of the stage
    manifest.json                 RunManifest    its sha256 is in COMPLETED; the files that readers read

Reading raises CorruptFileError for whatever is not as this program writes it.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeGuard

from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import read_json, read_sealed_json, shown, write_sealed_json
from schemas.quarantine import quote

Folder = str | os.PathLike[str]
_AGAIN = "run the stage again"


def sidecar_path(run: Folder, stage: str, unit_name: str) -> Path:
    """Where a unit's sidecar lies."""
    return Path(run, "units", stage, f"{unit_name}.json")


def manifest_path(run: Folder, stage: str) -> Path:
    """Where a stage's manifest lies."""
    return Path(run, "manifests", f"{stage}.json")


def is_data_file(name: Any) -> bool:
    """Whether the name, which somebody may have forged, is that of a file in a data folder of a run: what makes a stage
    or a run finished (units/, manifests/, COMPLETED, ...) is never read, copied or removed by name."""
    parts = name.split("/") if isinstance(name, str) and name.isprintable() else []
    return len(parts) > 1 and parts[0] not in ("units", "manifests") and not {"", ".", ".."} & set(parts)


@dataclass(frozen=True, order=True)
class FileEntry:
    """A file of a run as it was written: its path inside the run's data folders, its checksum and its size."""

    path: str
    sha256: str
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return {"bytes": self.bytes, "path": self.path, "sha256": self.sha256}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What all three have. counts: whole numbers >= 0. facts: what is said beside. where: the file, for messages.

    The accessors raise CorruptFileError for what is not there or of another type.
    """

    counts: Mapping[str, int]
    files: tuple[FileEntry, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    where: str = field(default="", compare=False)
    #: The fields beside these, and their types.
    _own: ClassVar[Mapping[str, type]] = {}

    @classmethod
    def from_json(cls, value: Any, where: str) -> Self:
        """Inverse of `to_json`; `where`: what messages name."""
        counts, files = (value.get(name) for name in ("counts", "files")) if isinstance(value, dict) else (None, None)
        if not _are_counts(counts) or not isinstance(files, list) or not all(isinstance(e, dict) for e in files):
            raise CorruptFileError(f"expected counts and files, got {quote(value)} in {shown(where)}: {_AGAIN}")
        own = {name: value.get(name) for name in cls._own}
        if not all(isinstance(own[name], kind) for name, kind in cls._own.items()):
            raise CorruptFileError(f"expected {', '.join(own)}, got {quote(own)} in {shown(where)}: {_AGAIN}")
        facts = {name: fact for name, fact in value.items() if name not in ("counts", "files", *own)}
        entries = tuple(_file_entry(entry, where) for entry in files)
        return cls(counts=counts, files=entries, facts=facts, where=where, **own)

    def to_json(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self._own}
        return {"counts": dict(self.counts), "files": [entry.to_json() for entry in self.files], **own, **self.facts}

    def listed(self, folder: str = "") -> dict[str, str]:
        """Path inside the run -> sha256 of the files of a folder of the run; of all without one."""
        return {e.path: e.sha256 for e in self.files if not folder or e.path.startswith(f"{folder}/")}

    def sha256_of(self, path: str) -> str:
        """Checksum of a file, by its path inside the run."""
        found = self.listed()
        if path not in found:
            raise CorruptFileError(f"expected {quote(path)} among the files of {shown(self.where)}, got none")
        return found[path]

    def count(self, name: str) -> int:
        """A count that must be there."""
        if name not in self.counts:
            raise CorruptFileError(f"expected the count {name}, got none in {shown(self.where)}: {_AGAIN}")
        return self.counts[name]

    def text(self, name: str) -> str:
        """A fact that is a string."""
        return self._fact(name, "text", lambda value: isinstance(value, str))

    def whole(self, name: str, least: int = 0, most: int = 2**62, default: int | None = None) -> int:
        """A fact that is a whole number in this range; the default where the manifest has no such fact."""
        in_range = f"a whole number from {least} to {most}"
        return self._fact(name, in_range, lambda value: type(value) is int and least <= value <= most, default)

    def number(self, name: str) -> float:
        """A fact that is a finite number >= 0."""
        in_range = "a number >= 0"
        return float(self._fact(name, in_range, lambda value: type(value) in (int, float) and 0 <= value < 1e300))

    def truth(self, name: str, default: bool) -> bool:
        """A fact that is true or false."""
        return self._fact(name, "true or false", lambda value: type(value) is bool, default)

    def _fact(self, name: str, what: str, is_good: Callable[[Any], bool], default: Any = None) -> Any:
        value = self.facts.get(name, default)
        if not is_good(value):
            raise CorruptFileError(f"expected {name} ({what}), got {quote(value)} in {shown(self.where)}: {_AGAIN}")
        return value


@dataclass(frozen=True, kw_only=True)
class Sidecar(Manifest):
    """A finished unit. fingerprint: of what it was made from."""

    unit: str
    fingerprint: str
    _own: ClassVar[Mapping[str, type]] = {"fingerprint": str, "unit": str}

    @classmethod
    def read(cls, run: Folder, stage: str, unit_name: str) -> Self:
        """Of a unit of a run. Raises CorruptFileError if there is none."""
        return cls.read_file(sidecar_path(run, stage, unit_name))

    @classmethod
    def read_file(cls, path: Folder) -> Self:
        """As `read`, of one that lies elsewhere."""
        return cls.from_json(read_sealed_json(path), str(path))

    def write(self, run: Folder, stage: str) -> None:
        """Seals the unit: from here on it is finished."""
        write_sealed_json(sidecar_path(run, stage, self.unit), self.to_json())


@dataclass(frozen=True, kw_only=True)
class UnitSummary:
    """What a stage's manifest keeps of a sidecar."""

    counts: Mapping[str, int]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class StageManifest(Manifest):
    """A finished stage: the counts and files of all its units, by name. Which facts it has, the stage's job says."""

    stage: str
    units: Mapping[str, UnitSummary]
    _own: ClassVar[Mapping[str, type]] = {"stage": str, "units": dict}

    @classmethod
    def read(cls, run: Folder, stage: str) -> Self:
        """Of a stage of a run. Raises CorruptFileError, naming the stage to run, if it is not finished."""
        path = manifest_path(run, stage)
        if not storage.has_file(path):
            where = f"{shown(run)}, got no {path.name}"
            raise CorruptFileError(f"expected the finished stage {stage!r} in {where}: run it first")
        return cls.from_json(read_sealed_json(path), str(path))

    @classmethod
    def from_json(cls, value: Any, where: str) -> Self:
        made = super().from_json(value, where)
        return replace(made, units={name: _unit_summary(unit, where) for name, unit in value["units"].items()})

    def to_json(self) -> dict[str, Any]:
        units = {n: {"counts": dict(unit.counts), "fingerprint": unit.fingerprint} for n, unit in self.units.items()}
        return {**super().to_json(), "units": units}

    def write(self, run: Folder) -> None:
        """Finishes the stage."""
        write_sealed_json(manifest_path(run, self.stage), self.to_json())


@dataclass(frozen=True, kw_only=True)
class RunManifest(Manifest):
    """A published run: the files that readers read, and who made them. facts: date, run_id, accepted (gate -> reason),
    records (path -> sha256 of what else the run says of itself), and what the run was called with."""

    model_id: str
    _own: ClassVar[Mapping[str, type]] = {"model_id": str}

    @classmethod
    def read(cls, run: Folder) -> Self:
        """Of a run. Whether it is the one that was published, COMPLETED tells (`pipelines.store.store.check_run`)."""
        path = Path(run, "manifest.json")
        return cls.from_json(read_json(path), str(path))


def sum_of(sidecars: Iterable[Sidecar], stage: str, facts: Mapping[str, Any]) -> StageManifest:
    """The manifest of a stage whose units these are, in their order."""
    counts: dict[str, int] = {}
    files: list[FileEntry] = []
    units = {}
    for sidecar in sidecars:
        for name, count in sidecar.counts.items():
            counts[name] = counts.get(name, 0) + count
        files += sidecar.files
        units[sidecar.unit] = UnitSummary(counts=sidecar.counts, fingerprint=sidecar.fingerprint)
    return StageManifest(stage=stage, counts=counts, files=tuple(files), units=units, facts=facts)


def _are_counts(value: Any) -> TypeGuard[dict[str, int]]:
    return isinstance(value, dict) and all(type(count) is int and count >= 0 for count in value.values())


def _file_entry(value: dict[str, Any], where: str) -> FileEntry:
    path, sha256, num_bytes = (value.get(name) for name in ("path", "sha256", "bytes"))
    if not is_data_file(path):
        raise CorruptFileError(f"expected names of data files inside the run, got {quote(path)} in {shown(where)}")
    if not isinstance(sha256, str) or type(num_bytes) is not int or num_bytes < 0:
        raise CorruptFileError(f"expected sha256 and bytes of a file, got {quote(value)} in {shown(where)}: {_AGAIN}")
    return FileEntry(str(path), sha256, num_bytes)


def _unit_summary(value: Any, where: str) -> UnitSummary:
    counts, made_from = (value.get(n) for n in ("counts", "fingerprint")) if isinstance(value, dict) else (None, None)
    if not _are_counts(counts) or not isinstance(made_from, str):
        got = f"{quote(value)} in {shown(where)}"
        raise CorruptFileError(f"expected counts and fingerprint of each unit, got {got}: {_AGAIN}")
    return UnitSummary(counts=counts, fingerprint=made_from)
