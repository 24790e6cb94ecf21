"""Prism, Beam's portable runner on one machine: several threads of one worker, elements serialised between stages."""

from pathlib import Path

import pytest
from engine_day import Day, differences, run_daily, run_jobs
from engine_processes import engine_processes

pytestmark = pytest.mark.engine("prism")
_JOB_S = 300


def test_all_jobs_alone_and_the_whole_day_give_the_local_bytes(
    prism_binary: Path, day: Day, local_run: Path, tmp_path: Path
) -> None:
    """Ends with nothing left running, or fails: see engine_processes."""
    runner = ["--runner=PrismRunner", f"--prism_location={prism_binary}"]
    with engine_processes(tmp_path / "logs") as processes:
        run_jobs(processes, day, tmp_path / "prism", runner, _JOB_S)
        run_daily(processes, day, tmp_path / "prism", runner, _JOB_S)
    assert differences(local_run, tmp_path / "prism") == []
