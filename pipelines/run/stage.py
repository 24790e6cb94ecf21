"""A stage of a run: what it makes and what must hold of that, in one class of the stage's own folder.

    prepare -> what is to do? -> no manifest any more -> pipeline -> other units' files removed -> manifest -> summary

That is `run_stage`, the same for all. What others must know without the class is a line of pipelines.stages.
"""

import abc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.console.jobs import main_of, narrow, print_summary
from pipelines.console.progress import Progress
from pipelines.run.process_units import ProcessUnits, UnitStage
from pipelines.run.shared import closed_after_job
from pipelines.run.unit_files import manifest_path
from pipelines.run.units import Unit, check_not_published, finished_sidecar, read_stage_manifest, write_stage_manifest
from pipelines.stages import StageLine, line_of
from schemas import storage
from schemas.errors import CorruptFileError

if TYPE_CHECKING:
    from pipelines.run.opened import Run as OpenedRun

ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True, kw_only=True)
class RunCall:
    """What a command that runs several stages asks of each. config: its own, of which a stage takes the fields that it
    knows; run: the folder; model: folder of the day's model, None in a training; previous: the run that is taken over
    from."""

    config: Any
    run: str
    model: Path | None = None
    previous: Path | None = None

    def counts_before(self, stage: str) -> dict[str, int]:
        """A stage's counts of `previous`; none where there are none that can be read."""
        try:
            return {} if self.previous is None else dict(read_stage_manifest(str(self.previous), stage)["counts"])
        except (CorruptFileError, OSError, KeyError, TypeError, ValueError):
            return {}


class Stage(abc.ABC, Generic[ConfigT]):
    """One stage of the run in the folder `run`. Made from its flags without reading anything; what it reads it plans
    in `prepare` or when first asked.

    name: of its manifest, its units and their quarantine. config_class: its flags. code_versions: raised when the same
    input gives other output; part of a day's run id. label: what the summary calls it, if not by name. bars: of its
    progress, beside that of its name. identities: of the counts of `account`, as "rows = rows_reused + rows_computed".
    compared: "rows" if it counts rows_written, rows_yesterday ... against the run before. makes: the count of what it
    makes.
    """

    name: ClassVar[str]
    config_class: ClassVar[type]
    code_versions: ClassVar[tuple[int, ...]]
    label: ClassVar[str] = ""
    bars: ClassVar[tuple[str, ...]] = ()
    identities: ClassVar[tuple[str, ...]] = ()
    compared: ClassVar[str] = ""
    makes: ClassVar[str] = "rows_written"

    def __init__(self, config: ConfigT):
        self.config = config
        self.run: str = config.run  # type: ignore[attr-defined]

    @classmethod
    def of_call(cls, call: RunCall) -> Self:
        """The stage as a day or a training runs it."""
        return cls(narrow(cls.config_class, call.config, **{"run": call.run, **cls.given(call)}))

    @classmethod
    def given(cls, call: RunCall) -> dict[str, Any]:
        """The flags that the call's own do not decide."""
        has_earlier = "reuse_from" in {field.name for field in fields(cls.config_class)}
        return {"reuse_from": call.previous and str(call.previous)} if has_earlier else {}

    def prepare(self, options: PipelineOptions) -> None:
        """Checks what it is asked and readies what its workers need. May run another stage before it."""

    @property
    @abc.abstractmethod
    def units(self) -> Sequence[Unit]:
        """All that the finished stage has."""

    @property
    def unfinished(self) -> list[Unit]:
        """The units that are to be made, their files compared with their checksums."""
        return [unit for unit in self.units if finished_sidecar(self.run, unit, check_content=True) is None]

    @property
    def todo(self) -> Sequence[Unit]:
        """The units that go through the pipeline, which passes over finished ones; none: no pipeline is run."""
        return self.units

    @property
    def worker(self) -> UnitStage:
        """What workers do with a unit, of a stage whose pipeline is no more than that."""
        raise NotImplementedError(f"{type(self).__name__} has neither `worker` nor `define`")

    def define(self, root: beam.Pipeline) -> beam.PCollection[dict[str, Any]]:
        """The pipeline: sidecars of the units of `todo`. Runs nothing."""
        return root | "Units" >> beam.Create(self.todo) | ProcessUnits(self.run, self.worker)

    def facts(self) -> dict[str, Any]:
        """What its manifest says beside counts, files and units; asked once the units are finished."""
        return {}

    def seal(self) -> dict[str, Any]:
        """Writes the manifest, which says that the stage is finished, and returns it."""
        return write_stage_manifest(self.run, self.name, [unit.name for unit in self.units], **self.facts())

    def shown(self, counts: dict[str, int]) -> dict[str, int]:
        """Of its counts, what the summary shows."""
        return counts

    def tell(self, manifest: dict[str, Any], started_s: float) -> None:
        """Prints the summary."""
        print_summary(self.label or self.name, self.shown(manifest["counts"]), started_s, f"{self.run}/{self.name}")

    def after(self, call: RunCall, manifest: Mapping[str, Any]) -> None:
        """What a day or a training does once the stage is finished."""

    @staticmethod
    def account(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
        """The run's counts that this stage answers for, by name, from those of all its stages. See `identities`."""
        return {}

    @staticmethod
    def told(counts: Mapping[str, int]) -> str:
        """The lines that show a person that they add up, from the counts of a published run."""
        return ""

    @classmethod
    def problems(cls, run: "OpenedRun") -> Iterator[str]:
        """All that is wrong with a run's finished stage: expected, got, what to do. Raises one of
        pipelines.run.opened.DAMAGE for what cannot be read. The first fails its gate, verify tells each."""
        run.check_files(cls.name)
        yield from ()

    @classmethod
    def soundness(cls, run: "OpenedRun") -> str:
        """What was looked at and found right, of a finished stage without problems."""
        return f"{run.check_files(cls.name):,} files are as they should be"


def run_stage(stage: Stage[Any], options: PipelineOptions) -> dict[str, Any]:
    """Makes what the run lacks of a stage and returns its manifest.

    A call that is killed leaves a stage without a manifest, which the same call goes on with. Raises UsageError, before
    anything is computed, if the run is published and the stage would change; else what the stage raises.
    """
    started_s = time.monotonic()
    try:
        with closed_after_job():
            stage.prepare(options)
            if stage.todo:
                _unseal(stage)
                with beam.Pipeline(options=options) as pipeline:
                    stage.define(pipeline)
    finally:
        for bar in (stage.name, *stage.bars):
            Progress.close_shared(bar)
    manifest = stage.seal()
    stage.tell(manifest, started_s)
    return manifest


def _unseal(stage: Stage[Any]) -> None:
    """A stage of which a unit is to be computed has no manifest: a mixture of two plans is no stage."""
    if any(finished_sidecar(stage.run, unit) is None for unit in stage.todo):
        check_not_published(stage.run, stage.name)
        storage.remove(manifest_path(stage.run, stage.name), missing_ok=True)


def run_in_turn(
    call: RunCall, lines: Iterable[StageLine], options: PipelineOptions
) -> Iterator[tuple[StageLine, dict[str, Any], float]]:
    """Runs stages one after the other; after each yields its line, its manifest and the seconds that it took."""
    for line in lines:
        started_s = time.monotonic()
        stage = line.load().of_call(call)
        manifest = run_stage(stage, options)
        stage.after(call, manifest)
        yield line, manifest, time.monotonic() - started_s


Build = Callable[[beam.Pipeline, Any], beam.PCollection[dict[str, Any]]]
Run = Callable[[Any, PipelineOptions], dict[str, Any]]


def job_of(stage: type[Stage[Any]], example: str, alone: Run | None = None) -> tuple[Build, Run, Callable[..., int]]:
    """The functions of a stage's module, each of its config: `build(root, config)` defines the pipeline and runs
    nothing (workers in other working folders need absolute paths, see with_absolute_paths); `run(config, options)`
    makes the stage and returns its manifest; `main(argv)` is its command line. alone: what that runs in place of run.
    """

    def build(root: beam.Pipeline, config: Any) -> beam.PCollection[dict[str, Any]]:
        return stage(config).define(root)

    def run(config: Any, options: PipelineOptions) -> dict[str, Any]:
        return run_stage(stage(config), options)

    def main(argv: Sequence[str] | None = None) -> int:
        return main_of(stage.config_class, alone or run, argv, f"itemsage {line_of(stage.name).command}", example)

    return build, run, main
