"""Shared fixtures. Real data: the folder named by ITEMSAGE_DATA, else ../shared/data beside the checkout."""

import os
from collections import Counter
from pathlib import Path

import pytest

_DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it are skipped, loudly, where it is missing."""
    folder = Path(os.environ.get("ITEMSAGE_DATA", _DEFAULT_DATA))
    if not folder.is_dir():
        pytest.skip(f"REAL DATA MISSING: no folder {folder}; set ITEMSAGE_DATA to run this test")
    return folder


_figures: Counter[str] = Counter()


@pytest.fixture(scope="session")
def figures() -> Counter[str]:
    """What the long tests have shown, by name: printed at the end of the run."""
    return _figures


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _figures:
        terminalreporter.section("figures")
        for name, figure in _figures.items():
            terminalreporter.write_line(f"{name}: {figure:,}")
