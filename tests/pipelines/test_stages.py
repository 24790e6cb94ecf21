"""The list of stages, and the one way in which all of them are run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from python_process import ROOT

from pipelines import stages
from pipelines.console.progress import Progress
from pipelines.gates.judge import GATES
from pipelines.run.process_units import UnitStage
from pipelines.run.stage import Stage, run_stage
from pipelines.run.unit_files import manifest_path
from pipelines.run.units import Unit, UnitWriter
from schemas.errors import CorruptFileError, UsageError
from schemas.files import read_sealed_json

OPTIONS = PipelineOptions(["--runner=FnApiRunner"])


@dataclass(frozen=True)
class Asked:
    """run: folder; plan: of how many units; fails: at which."""

    run: str
    plan: int
    fails: int | None = None


@dataclass(frozen=True)
class Writer(UnitStage):
    asked: Asked
    stage = "parts"

    def compute(self, unit: Unit, writer: UnitWriter, progress: Progress) -> None:
        number = int(unit.name[5:10])
        if number == self.asked.fails:
            raise CorruptFileError("expected another end")
        with writer.file(f"parts/{unit.name}") as temporary:
            Path(temporary).write_text(unit.name)
        writer.counts["parts"] += 1


class Parts(Stage[Asked]):
    name = "parts"

    @property
    def units(self) -> Sequence[Unit]:
        plan = self.config.plan
        return [Unit("parts", f"part-{number:05d}-of-{plan:05d}.txt", str(plan)) for number in range(plan)]

    @property
    def worker(self) -> Writer:
        return Writer(self.config)


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "parts").iterdir())


def test_another_plan_has_no_manifest_until_it_is_finished_and_leaves_nothing_of_the_one_before(tmp_path):
    run = str(tmp_path)
    assert run_stage(Parts(Asked(run, 3)), OPTIONS)["counts"] == {"parts": 3}
    with pytest.raises(Exception, match="expected another end"):
        run_stage(Parts(Asked(run, 2, fails=0)), OPTIONS)
    assert not manifest_path(run, "parts").exists()
    assert len(names(tmp_path)) >= 3
    manifest = run_stage(Parts(Asked(run, 2)), OPTIONS)
    assert manifest == read_sealed_json(manifest_path(run, "parts"))
    assert names(tmp_path) == ["part-00000-of-00002.txt", "part-00001-of-00002.txt"]
    assert len(list((tmp_path / "units" / "parts").iterdir())) == 2


def test_a_published_run_is_refused_before_a_worker_begins_and_stays_as_it_is(tmp_path, capsys):
    run = str(tmp_path)
    made = run_stage(Parts(Asked(run, 3)), OPTIONS)
    (tmp_path / "COMPLETED").touch()
    assert "parts: parts 3; " in capsys.readouterr().out
    with pytest.raises(UsageError, match="expected a run that is not published yet"):
        run_stage(Parts(Asked(run, 2, fails=0)), OPTIONS)
    assert run_stage(Parts(Asked(run, 3, fails=0)), OPTIONS) == made


def test_the_stages_are_themselves():
    for line in stages.STAGES:
        stage = line.load()
        assert (stage.name, stage.__module__) == (line.name, line.module)
        assert set(line.needs) <= {before.name for before in stages.STAGES[: stages.STAGES.index(line)]}
    assert {line.judged_by for line in stages.published_lines() if not line.optional} <= GATES.keys()
    folders = [folder for line in stages.STAGES for folder in (*line.published, *line.folders)]
    assert len(set(folders)) == len(folders)


def table() -> str:
    """The list as a page shows it."""
    called = {line.name: f"`{line.called}`" for line in stages.STAGES}
    when = {stages.always: "always", stages.never: "", stages.with_log: "with a log", stages.with_users: "with users"}
    when[stages.with_unified] = "if asked to unify"
    rows: list[Any] = [("stage", "makes", "needs", "readers read", "its own folders", "in a day", "in a training")]
    rows.append(["---"] * len(rows[0]))
    for line in stages.STAGES:
        folders = [" ".join(f"`{name}/`" for name in names) for names in (line.published, line.folders)]
        needs = ", ".join(called[name] for name in line.needs)
        training = "for its sources" if isinstance(line.training, stages.ForSources) else when[line.training]
        rows.append((called[line.name], line.does, needs, *folders, when[line.day], training))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def test_the_page_shows_the_list():
    assert table() in (ROOT / "docs" / "how-it-works.md").read_text(), f"expected this table:\n{table()}"
