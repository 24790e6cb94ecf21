"""Fixtures of the fault tests and of others that run commands, a pytest plugin: built once for all their modules, which
one worker process runs (tests/conftest.py)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_server import Commands, command_server
from fault_bench import (
    DAY_BEFORE,
    MODEL,
    NUM_BUCKETS,
    OTHER_MODEL,
    Bench,
    assert_sound,
    copy_of,
    result_of,
    write_model,
    write_shop,
)

from pipelines.store import store
from pipelines.store.models import ITEM_MODELS


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with command_server(tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture(scope="session")
def other_commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A second server, for commands that run at the same time."""
    with command_server(tmp_path_factory.mktemp("other-server") / "log") as server:
        yield server


@pytest.fixture(scope="session")
def bench(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Built once: yesterday published, today's run killed just before it is finished, and what it should be."""
    folder = tmp_path_factory.mktemp("faults")
    write_shop(folder / "shop")
    day_old = folder / "day-old"
    models = [write_model(day_old, folder / "shop", seed) for seed in (MODEL, OTHER_MODEL)]
    ITEM_MODELS.make_current(str(day_old), models[MODEL])
    made = Bench(commands, folder / "shop", models, day_old)
    first = made.day(day_old, "--num-buckets", str(NUM_BUCKETS), date=DAY_BEFORE)
    assert first.code == 0, first.output
    made.half = copy_of(day_old, folder / "half")
    killed = made.day(made.half, die=("before", "*/COMPLETED"))
    assert killed.code < 0, killed.output
    clean = copy_of(made.half, folder / "clean")
    finished = made.day(clean)
    assert finished.code == 0, finished.output
    made.clean = result_of(store.current_run(str(clean)))
    counts = store.read_json(store.current_run(str(clean)) / "manifest.json")["counts"]
    assert min(counts[name] for name in ("rows_reused", "rows_new", "rows_changed", "rows_gone")) > 0, counts
    assert min(counts[name] for name in ("users_reused", "users_changed")) > 0, counts
    refined = store.read_json(store.current_run(str(clean)) / "refined_index" / "manifest.json")["refined"]
    assert refined["items_kept"] > refined["items_removed"] > 3, refined
    assert_sound(clean, store.current_run(str(clean)))
    return made


@pytest.fixture
def folder(bench: Bench, tmp_path: Path) -> Path:
    """A store whose last run is yesterday's."""
    return copy_of(bench.day_old, tmp_path / "store")
