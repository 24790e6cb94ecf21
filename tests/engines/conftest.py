"""Real engines, fetched and started by the tests, and tools in a Python of their own: only where ITEMSAGE_ENGINES names
them, as the make targets do."""

import os
from collections.abc import Iterator
from pathlib import Path

import engine_downloads
import pytest
from engine_day import Day, make_day, run_daily, run_jobs
from engine_processes import EngineProcesses, engine_processes

_TARGETS = {name: f"make {name}-test" for name in ("prism", "flink", "readers", "airflow")}
_not_tried: set[str] = set()


def pytest_runtest_setup(item: pytest.Item) -> None:
    marker = item.get_closest_marker("engine")
    if marker is not None and marker.args[0] not in os.environ.get("ITEMSAGE_ENGINES", "").split(","):
        _not_tried.add(marker.args[0])
        pytest.skip(f"ENGINE NOT TRIED: {_TARGETS[marker.args[0]]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _not_tried:
        terminalreporter.section("engines that were not tried")
        for engine in sorted(_not_tried):
            terminalreporter.write_line(f"{engine}: {_TARGETS[engine]}")


@pytest.fixture(scope="session")
def prism_binary() -> Path:
    return engine_downloads.prism()


@pytest.fixture(scope="session")
def flink_downloads() -> None:
    """Fetched before anything else is done: a network that fails costs no time."""
    engine_downloads.flink()
    engine_downloads.job_server()


@pytest.fixture(scope="session")
def local_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcesses]:
    """Commands that no engine takes part in."""
    with engine_processes(tmp_path_factory.mktemp("local") / "logs") as processes:
        yield processes


@pytest.fixture(scope="session")
def day(local_processes: EngineProcesses, tmp_path_factory: pytest.TempPathFactory) -> Day:
    return make_day(local_processes, tmp_path_factory.mktemp("day"))


@pytest.fixture(scope="session")
def local_run(local_processes: EngineProcesses, day: Day, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the local runner makes of the day: run/ by the jobs alone, store/ by the whole."""
    folder = tmp_path_factory.mktemp("local-run")
    run_jobs(local_processes, day, folder, [], timeout_s=300)
    run_daily(local_processes, day, folder, [], timeout_s=300)
    return folder
