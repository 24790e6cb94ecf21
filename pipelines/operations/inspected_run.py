"""A run as its manifests describe it, read without trust: what is missing or broken is a finding, not an exception."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines.operations.findings import Finding
from pipelines.run.opened import Run
from pipelines.stages import StageLine, always, of_every_day
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import read_json, read_sealed_json, sha256_of_file
from schemas.hashing import stable_hash
from schemas.quarantine import quote
from schemas.records.manifests import Sidecar, StageManifest
from schemas.storage import resolve_inside

#: JSON files that carry their own checksum; of the others another file has it.
_SEALED = ("manifests/", "units/", "started.json", "metrics.json")


class _Stages(dict[str, dict[str, Any]]):
    """Manifests by stage. Asking for one that could not be read ends a check, so that it blames no other file."""

    def __missing__(self, stage: str) -> dict[str, Any]:
        raise CorruptFileError(f"not looked into: manifests/{stage}.json is missing or damaged")


@dataclass
class InspectedRun:
    """manifest: of the run; stages: manifests by stage; entries: path -> {"bytes", "sha256"} of every file that a stage
    or a unit lists; sound: those of them that are as listed; unreadable: damaged JSON files. What could not be read is
    empty."""

    store: Path
    run: Path
    manifest: dict[str, Any] = field(default_factory=dict)
    stages: _Stages = field(default_factory=_Stages)
    sidecars: dict[tuple[str, str], Sidecar] = field(default_factory=dict)
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    sound: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)

    @cached_property
    def opened(self) -> Run:
        """The run's artefacts, of files that are not hashed again. What is damaged raises: ask under a guard."""
        opened = Run(self.run)
        opened.trust(self.sound)
        return opened

    @property
    def was_published(self) -> bool:
        """Whether publishing has sealed the run, be it that a part of its seal is gone by now."""
        return any(storage.has(self.run / name) for name in ("COMPLETED", "manifest.json"))

    @property
    def model_id(self) -> str | None:
        """As manifest.json has it; of a run without one, as the vectors have it."""
        manifest = self.manifest if self.was_published else self.stages.get("embeddings", {})
        found = manifest.get("model_id")
        return None if found is None else str(found)

    def expects(self, line: StageLine) -> bool:
        """Whether the run has a stage, as far as anything tells, or must have it as all runs of a day do."""
        return line.day is always or line.name in self.stages or any(map(self.listed, line.published))

    def listed(self, folder: str) -> list[str]:
        """The listed files of a folder of the run, sorted."""
        return sorted(path for path in self.entries if path.startswith(f"{folder}/"))

    def usable(self, folder: str, finding: Finding) -> bool:
        """Whether a folder may be looked into: it lists files and all are sound. If not, the finding says so."""
        listed = self.listed(folder)
        if not listed:
            finding.fail(f"expected files of {folder}/ in the manifests, got none: run the stage again")
            return False
        return not self.damaged(listed, finding)

    def damaged(self, paths: list[str], finding: Finding) -> bool:
        """Whether a listed file is not sound; then nothing is read, and the finding says that it is not known to be
        good either."""
        broken = [path for path in paths if path not in self.sound]
        if broken:
            named = ", ".join(map(quote, broken[:3]))
            finding.fail(f"not looked into: {len(broken)} of the files failed their checksums ({named})")
        return bool(broken)


def read_run(store: Path, run: Path) -> tuple[InspectedRun, list[Finding]]:
    """Reads manifests and sidecars and hashes every file they list: (the run, findings "manifests" and "checksums")."""
    inspected = InspectedRun(store, run)
    manifests = Finding("manifests")
    documents = {path: _load(path, run, manifests) for path in storage.files_below(run, "*.json")}
    for path, value in documents.items():
        if value is None:
            inspected.unreadable.add(path.relative_to(run).as_posix())
            continue
        parts = path.relative_to(run).parts
        if parts == ("manifest.json",):
            inspected.manifest = value
        elif parts[0] == "manifests" and len(parts) == 2:
            inspected.stages[path.stem] = value
        elif parts[0] == "units" and len(parts) == 3:
            inspected.sidecars[parts[1], path.stem] = Sidecar.from_json(value, str(path))
    sidecars = [sidecar.to_json() for sidecar in inspected.sidecars.values()]
    for value in [*inspected.stages.values(), *sidecars, inspected.manifest]:
        with manifests.guard("the list of files of a manifest"):
            for entry in value.get("files", []):
                inspected.entries.setdefault(str(entry["path"]), entry)
    for stage in of_every_day():
        if stage not in inspected.stages:
            manifests.fail(f"expected manifests/{stage}.json, got none that can be read: run the stage again")
    manifests.looked_at = f"{len(documents):,} JSON files of {len(inspected.stages)} stages"
    return inspected, [manifests, _check_checksums(inspected)]


def _load(path: Path, run: Path, finding: Finding) -> dict[str, Any] | None:
    """The object in a JSON file, {} for JSON that need not be one; None, with a problem, if it is damaged. Other bytes
    than this program writes are a problem too."""
    name = path.relative_to(run).as_posix()
    with finding.guard(quote(name)):
        value = read_json(path)
        if not isinstance(value, dict) and name.startswith(("manifest", "units/")):
            raise TypeError(f"{type(value).__name__} instead of an object")
        if name.startswith("manifests/"):
            StageManifest.from_json(value, name)
        elif name.startswith("units/"):
            Sidecar.from_json(value, name)
        written = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        if written.encode("utf-8", "replace") != storage.bytes_of(path):
            finding.fail(f"expected JSON as it was written, got other spacing or order in {quote(name)}")
        if name.startswith(_SEALED):
            return read_sealed_json(path)
        return value if isinstance(value, dict) else {}
    return None


def _check_checksums(inspected: InspectedRun) -> Finding:
    finding = Finding("checksums")
    num_bytes = 0
    for name, entry in sorted(inspected.entries.items()):
        with finding.guard(quote(name)):
            path = resolve_inside(inspected.run, name)
            if path is None:
                finding.fail(f"expected a file inside the run, got {quote(name)} in a manifest")
            elif not storage.has_file(path):
                finding.fail(f"expected the file {quote(name)}, got none: restore it or make the run again")
            elif (size := storage.size_of(path)) != entry["bytes"]:
                finding.expect(f"bytes of {quote(name)}", entry["bytes"], size, "restore it or make the run again")
            elif (got := sha256_of_file(path)) != entry["sha256"]:
                finding.expect(f"sha256 of {quote(name)}", entry["sha256"], got, "restore it or make the run again")
            else:
                inspected.sound.add(name)
                num_bytes += size
    finding.looked_at = f"{len(inspected.entries):,} files, {num_bytes:,} bytes sound"
    return finding


def sample_by_hash(names: list[str], count: int, purpose: str) -> list[int]:
    """Positions, ascending, of the `count` names of smallest stable hash: the same sample on every call.

    >>> sample_by_hash(["a", "b"], 5, "x")
    [0, 1]
    """
    ranked = sorted(range(len(names)), key=lambda i: (stable_hash(f"{purpose}/{names[i]}"), i))
    return sorted(ranked[:count])
