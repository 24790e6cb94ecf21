"""A store of two days that every gate passes, to be damaged."""

import shutil
from pathlib import Path

import pytest
from gate_runs import TODAY, YESTERDAY, make_run, names, report_of, unit_rows


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """A store of two sound days: 60 items, of which 2 have gone, 2 are new and 1 has another vector today."""
    store = tmp_path_factory.mktemp("store")
    vectors = unit_rows(62)
    make_run(store, YESTERDAY, names(60), vectors[:60], report=report_of(click=(0.5, 300), save=(0.4, 250)))
    changed = vectors.copy()
    changed[30] = unit_rows(1, seed=7)[0]
    make_run(store, TODAY, names(60, first=2), changed[2:], report=report_of(click=(0.48, 310), save=(0.41, 260)))
    return store


@pytest.fixture
def days(made, tmp_path) -> tuple[Path, Path]:
    """(today, yesterday): copies to be damaged."""
    shutil.copytree(made, tmp_path / "store")
    runs = tmp_path / "store" / "runs"
    return runs / TODAY / "0123456789abcdef", runs / YESTERDAY / "0123456789abcdef"
