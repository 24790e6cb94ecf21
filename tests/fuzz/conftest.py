"""Makes the generators beside this file importable, and prints what the fuzz tests saw at the end of the run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_run import TALLIES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLIES:
        terminalreporter.section("fuzz")
        for tally in TALLIES:
            terminalreporter.write_line(str(tally))
