"""The sources of a finished run, as they go into a unified model."""

from dataclasses import dataclass
from pathlib import Path

from model.sources.unified import SourceVectors, read_source
from model.sources.unified_manifest import DAE, EVIDENCE_FOLDER, MODEL_FOLDER, SIAMESE, VECTORS_FOLDER
from pipelines.run.listed_files import ListedFiles
from schemas import storage
from schemas.errors import UsageError
from schemas.storage import atomic_write


@dataclass(frozen=True)
class RunSource:
    """A source of a run: its name, its id, where."""

    run: ListedFiles
    name: str
    source_id: str

    @classmethod
    def of(cls, run: str, name: str) -> "RunSource":
        """Raises UsageError, saying what makes it, if the run lacks it."""
        opened = ListedFiles(run)
        if not opened.has(name):
            raise UsageError(
                f"expected the source {name} in {run}, got none: `itemsage sources --run {run} --sources {name} ...` "
                "makes it, or leave it out"
            )
        return cls(opened, name, opened.manifest(name).text("source_id"))

    @property
    def dim(self) -> int:
        """How many numbers a vector of it has."""
        return self.run.manifest(self.name).whole("dimension", least=1)

    def vectors(self) -> SourceVectors:
        """All of them, of files that are as listed."""
        self._checked((VECTORS_FOLDER, EVIDENCE_FOLDER))
        return read_source(Path(self.run.folder, self.name))

    def copy_into(self, folder: Path) -> None:
        """What a unified model needs of it: of one that encodes items its model, else vectors and evidence."""
        kept = (MODEL_FOLDER,) if self.name in (DAE, SIAMESE) else (VECTORS_FOLDER, EVIDENCE_FOLDER)
        for name in self._checked(kept):
            with atomic_write(folder / name) as temporary:
                storage.copy_file(self.run.path(name), temporary)

    def _checked(self, folders: tuple[str, ...]) -> list[str]:
        """The listed files of these folders of the source, by path inside the run, each as listed."""
        listed = [name for name in self.run.listed(self.name) if name.split("/")[1] in folders]
        for name in listed:
            self.run.checked(name)
        return sorted(listed)
