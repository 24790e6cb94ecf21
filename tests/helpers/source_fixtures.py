"""A run whose sources of clickstream are all made, and the log that they were made of."""

from pathlib import Path

import pytest
from source_runs import make_items, run_sources, session_rows, write_rows

from pipelines.console.exit_codes import EXIT_DONE


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return session_rows()


@pytest.fixture(scope="module")
def run(rows, tmp_path_factory) -> Path:
    """All sources are made."""
    folder = tmp_path_factory.mktemp("sources")
    made = make_items(folder / "run")
    assert run_sources(made, write_rows(folder / "log", rows)) == EXIT_DONE
    return made
