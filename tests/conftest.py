"""Shared fixtures, what is explored, and the figures of the long tests.

Real data: the folder named by ITEMSAGE_DATA, else ../shared/data beside the checkout.
"""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from exploration import FIGURES, LINES, SEED, load_hypothesis_profile

_DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

load_hypothesis_profile()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it are skipped, loudly, where it is missing."""
    folder = Path(os.environ.get("ITEMSAGE_DATA", _DEFAULT_DATA))
    if not folder.is_dir():
        pytest.skip(f"REAL DATA MISSING: no folder {folder}; set ITEMSAGE_DATA to run this test")
    return folder


@pytest.fixture(scope="session")
def figures() -> Counter[str]:
    """What the long tests have shown, by name: printed at the end of the run."""
    return FIGURES


@pytest.hookimpl(tryfirst=True)  # before hypothesis looks at its option
def pytest_configure(config: pytest.Config) -> None:
    if SEED and config.getoption("--hypothesis-seed") is None:
        config.option.hypothesis_seed = SEED


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker process hands its figures to the one that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["shown"] = (dict(FIGURES), LINES)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    figures, lines = getattr(node, "workeroutput", {}).get("shown", ({}, []))
    FIGURES.update(figures)
    LINES.extend(lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FIGURES or LINES:
        terminalreporter.section("figures")
        for line in [*(f"{name}: {figure:,}" for name, figure in FIGURES.items()), *LINES]:
            terminalreporter.write_line(line)
    if SEED:
        terminalreporter.write_line(f"ITEMSAGE_SEED={SEED} repeats what was explored")
