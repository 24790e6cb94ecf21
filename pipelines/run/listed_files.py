"""The files of a run as its manifests list them: each is inside the run, there, and as its checksum."""

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines.stages import StageLine, always, line_of, stage_of_folder
from schemas import storage
from schemas.errors import CorruptFileError
from schemas.files import check_sha256, expand_inputs, read_json
from schemas.quarantine import quote
from schemas.records.manifests import Manifest, RunManifest, StageManifest, manifest_path
from schemas.storage import resolve_inside

EMBEDDINGS, UNIFIED, INDEX = "embeddings", "unified", "index"
#: Folders of vectors that an index, and users, may be made of.
VECTORS = (EMBEDDINGS, UNIFIED)
VECTORS_HELP = "which vectors of the run: the item model's, or those of many sources (daily --unify)"


def folders_of_vectors(expects: Callable[[StageLine], bool]) -> list[str]:
    """Which of VECTORS a run has, or must have. expects: of the run, what says so of a stage."""
    return [name for name in VECTORS if expects(line_of(name))]


class ListedFiles:
    """A run folder whose files its stages' manifests list. A file is hashed once, when it is first asked for."""

    #: Who lists the files, and what to do if they are others, for messages.
    _whose, _remedy = "stage's", "run the stage again"

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        self._manifests: dict[str, StageManifest] = {}
        self._listed: dict[str, dict[str, str]] = {}
        self._sound: set[str] = set()

    def has(self, stage: str) -> bool:
        """Whether the stage is finished, be its manifest sound or not."""
        return storage.has_file(manifest_path(self.folder, stage))

    def expects(self, line: StageLine) -> bool:
        """Whether the run has a stage, or must have it as all runs of a day do."""
        return line.day is always or self.has(line.name)

    def manifest(self, stage: str) -> StageManifest:
        """A finished stage's manifest. Raises CorruptFileError, saying what makes it, if there is none."""
        if stage not in self._manifests:
            if stage == UNIFIED and not self.has(stage):
                raise CorruptFileError(
                    f"expected unified vectors in {self.folder}, got none: `itemsage daily --unify` makes them for a "
                    "day, by the unified model of `itemsage unify`"
                )
            self._manifests[stage] = StageManifest.read(self.folder, stage)
        return self._manifests[stage]

    def counts(self, stage: str) -> dict[str, int]:
        """A finished stage's counts."""
        return dict(self.manifest(stage).counts)

    def listed(self, folder: str) -> dict[str, str]:
        """Path inside the run -> sha256 of the files that a folder of the run must hold."""
        if folder not in self._listed:
            self._listed[folder] = self._listing(folder).listed(folder)
        return self._listed[folder]

    def _listing(self, folder: str) -> Manifest:
        return self.manifest(stage_of_folder(folder))

    @property
    def model_id(self) -> str:
        """The model of the embeddings."""
        return self.manifest(EMBEDDINGS).text("model_id")

    @cached_property
    def run_manifest(self) -> RunManifest:
        """Of a published run."""
        return RunManifest.read(self.folder)

    def report(self, name: str) -> Any:
        """What metrics.json or gates.json says; None if there is none."""
        return read_json(self.folder / name) if storage.has_file(self.folder / name) else None

    def trust(self, names: set[str]) -> None:
        """These files have been compared with their checksums: they are not hashed again."""
        self._sound |= names

    def path(self, name: str) -> str:
        """Of a file that is there and inside the run, also after symlinks, by its path inside the run."""
        path = resolve_inside(self.folder, name)
        if path is None:
            raise CorruptFileError(f"expected a file inside {self.folder}, got {quote(name)}")
        if not storage.has_file(path):
            raise CorruptFileError(f"expected the file {quote(name)} in {self.folder}, got none: restore it")
        return path

    def checked(self, name: str) -> str:
        """As `path`, of a listed file, whose content is hashed once and must be as listed."""
        listed = self.listed(name.partition("/")[0])
        if name not in listed:
            raise CorruptFileError(
                f"expected {name} among the {self._whose} files of {self.folder}, got none: {self._remedy}"
            )
        return self._checked(name, listed[name])

    def _checked(self, name: str, sha256: str) -> str:
        path = self.path(name)
        if name not in self._sound:
            check_sha256(path, sha256)
            self._sound.add(name)
        return path

    def check_files(self, stage: str) -> int:
        """How many files a stage has, in all folders. Raises unless each is as it was written, byte for byte."""
        files = self.manifest(stage).files
        for entry in files:
            self._checked(entry.path, entry.sha256)
        return len(files)

    def checked_folder(self, folder: str) -> list[str]:
        """The listed files of a folder, by path inside the run, each as `checked`; the folder holds no others."""
        self._check_names(folder)
        for name in self.listed(folder):
            self.checked(name)
        return sorted(self.listed(folder))

    def _check_names(self, folder: str) -> None:
        found = {Path(path).relative_to(self.folder).as_posix() for path in expand_inputs(str(self.folder / folder))}
        if differing := sorted(found ^ self.listed(folder).keys()):
            names = ", ".join(map(quote, differing[:3]))
            where = f"manifests/{stage_of_folder(folder)}.json"
            raise CorruptFileError(
                f"expected the files of {where} in {self.folder / folder}, got other: {names}: run the stage again"
            )
