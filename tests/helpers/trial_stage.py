"""A stage that copies the vectors, each file twice: what the job in its folder would be."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.console.jobs import flag
from pipelines.console.progress import Progress
from pipelines.run.opened import Run
from pipelines.run.process_units import UnitStage
from pipelines.run.stage import Stage, job_of
from pipelines.run.units import Unit, UnitWriter, read_stage_manifest
from schemas.hashing import fingerprint

STAGE = "copies"
#: In a run folder, for tests: where it is, the stage finds itself unsound; the units that were computed, one a line.
UNSOUND, COMPUTED = "unsound", "computed.txt"


@dataclass(frozen=True, kw_only=True)
class TrialStageConfig:
    """Copies the vectors."""

    run: str = flag(path=True, help="run folder with finished embeddings")
    reuse_from: str | None = flag(path=True, default=None, help="earlier run folder whose equal copies are taken over")


@dataclass(frozen=True)
class Copier(UnitStage):
    """config: what is copied; sources: unit -> file of embeddings."""

    config: TrialStageConfig
    sources: Mapping[str, str]
    stage = STAGE

    def take_over(self, unit: Unit, writer: UnitWriter) -> bool:
        counts = None if self.config.reuse_from is None else writer.take_over(self.config.reuse_from)
        if counts is None:
            return False
        writer.counts.update(copies_written=counts["copies_written"], copies_reused=counts["copies_written"])
        return True

    def compute(self, unit: Unit, writer: UnitWriter, progress: Progress) -> None:
        with writer.file(f"copies/{unit.name}.parquet") as temporary:
            shutil.copyfile(Path(self.config.run, self.sources[unit.name]), temporary)
            num_rows = pq.read_metadata(temporary).num_rows
        writer.counts.update(copies_written=num_rows, copies_computed=num_rows)
        with Path(self.config.run, COMPUTED).open("a") as file:
            file.write(f"{unit.name}\n")


class Copies(Stage[TrialStageConfig]):
    """Two units a file of embeddings: a day can be killed between them."""

    name = STAGE
    config_class = TrialStageConfig
    code_versions = (1,)
    makes = "copies_written"
    identities = ("copies = copies_reused + copies_computed",)

    @property
    def sources(self) -> dict[str, dict[str, str]]:
        """Unit -> the file of embeddings that it copies."""
        entries = 2 * read_stage_manifest(self.run, "embeddings")["files"]
        return {f"copy-{number:05d}-of-{len(entries):05d}": entry for number, entry in enumerate(entries)}

    @property
    def units(self) -> list[Unit]:
        return [Unit(STAGE, name, fingerprint(entry["sha256"])) for name, entry in self.sources.items()]

    @property
    def worker(self) -> Copier:
        return Copier(self.config, {name: entry["path"] for name, entry in self.sources.items()})

    @staticmethod
    def account(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
        made = counts[STAGE]
        kinds = {f"copies_{name}": made.get(f"copies_{name}", 0) for name in ("reused", "computed")}
        return {"copies": made.get("copies_written", 0), **kinds}

    @staticmethod
    def told(counts: Mapping[str, int]) -> str:
        return (
            f"copies   {counts['copies']} = reused {counts['copies_reused']} + computed {counts['copies_computed']}\n"
        )

    @classmethod
    def problems(cls, run: Run) -> Iterator[str]:
        yield from super().problems(run)
        if (run.folder / UNSOUND).exists():
            yield "expected sound copies, got others"


build, run, main = job_of(Copies, "itemsage copies --run scratch")
