"""A Flink cluster: a job manager, a task manager of two slots, and workers in a pool beside it."""

from pathlib import Path

import pytest
from engine_day import Day, differences, run_daily, run_jobs
from engine_processes import engine_processes
from flink_cluster import start_flink

pytestmark = pytest.mark.engine("flink")
_JOB_S = 900
#: The seven jobs, and ingest, features, embed, index and users of the day.
_NUM_PIPELINES = 14


def test_all_jobs_alone_and_the_whole_day_give_the_local_bytes(
    flink_downloads: None, day: Day, local_run: Path, tmp_path: Path
) -> None:
    """Ends with nothing left running, or fails: see engine_processes."""
    with engine_processes(tmp_path / "logs") as processes:
        cluster = start_flink(processes, tmp_path / "cluster")
        run_jobs(processes, day, tmp_path / "flink", cluster.flags, _JOB_S)
        run_daily(processes, day, tmp_path / "flink", cluster.flags, _JOB_S)
        assert cluster.num_finished_jobs() == _NUM_PIPELINES
    assert differences(local_run, tmp_path / "flink") == []
