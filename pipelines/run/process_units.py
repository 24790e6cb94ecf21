"""Runs the units of a stage: skips what is finished, computes the rest, seals each with its sidecar."""

import abc
from collections.abc import Iterable
from typing import Any

import apache_beam as beam

from pipelines.console.progress import Progress
from pipelines.run.counted import CountedDoFn
from pipelines.run.units import Unit, UnitWriter, finished_sidecar


class UnitStage(abc.ABC):
    """What one stage does with one unit. Pickled to the workers: it holds configuration; `compute` opens what it needs,
    through pipelines.run.shared if that is costly, for several copies may run as threads of one process."""

    #: Name of the stage, of its sidecar folder and its manifest.
    stage: str
    #: What `weight` counts, for the progress bar: "items", "pictures".
    progress_unit: str = "units"
    #: How much that is in all, if it is known.
    total: int | None = None

    def take_over(self, unit: Unit, writer: UnitWriter) -> bool:
        """Takes the unit over from an earlier run, files and counts; False if it must be computed."""
        return False

    @abc.abstractmethod
    def compute(self, unit: Unit, writer: UnitWriter, progress: Progress) -> None:
        """Reads the unit's input, writes its output with `writer.file`, counts into `writer.counts`."""


class _RunUnit(CountedDoFn):
    def __init__(self, run: str, stage: UnitStage):
        self.run, self.stage = run, stage

    def metrics_namespace(self) -> str:
        return self.stage.stage

    def process(self, unit: Unit) -> Iterable[dict[str, Any]]:
        sidecar = finished_sidecar(self.run, unit, check_content=True)
        if sidecar is not None:
            beam.metrics.Metrics.counter(self.stage.stage, "units_skipped").inc()
            yield sidecar.to_json()
            return
        writer = UnitWriter(self.run, unit)
        if self.stage.take_over(unit, writer):
            yield writer.seal()
            return
        progress = Progress.shared(self.stage.stage, self.stage.progress_unit, self.stage.total)
        self.stage.compute(unit, writer, progress)
        yield writer.seal()


class ProcessUnits(beam.PTransform):
    """Units in, sidecars out. Units are spread over workers; each is computed at most once a run."""

    def __init__(self, run: str, stage: UnitStage):
        super().__init__(label=f"Process units of {stage.stage}")
        self.run, self.stage = run, stage

    def expand(self, units: beam.PCollection[Unit]) -> beam.PCollection[dict[str, Any]]:
        return units | "Spread" >> beam.Reshuffle() | "Run unit" >> beam.ParDo(_RunUnit(self.run, self.stage))
