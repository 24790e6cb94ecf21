"""Shared fixtures, what is explored, and the figures of the long tests.

Real data: the folder named by ITEMSAGE_DATA, else ../shared/data beside the checkout.
"""

import functools
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import one_thread  # noqa: F401  # before what makes threads is imported
import pytest
from cached_beam import remember_flags_and_signatures
from exploration import FIGURES, LINES, SEED, SOAK, load_hypothesis_profile
from remembered_pictures import FOLDER, remember_pictures
from seldom_collected import collect_seldom
from unsynced import wait_for_no_disk

_DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

load_hypothesis_profile()
wait_for_no_disk()
if not SOAK:
    remember_flags_and_signatures()
    if _IS_FIRST := FOLDER not in os.environ:  # worker processes have it
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="itemsage-pictures-")
    remember_pictures()
    collect_seldom()


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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves to `make soak` what is its own. Modules with whole days come first (pytest-xdist keeps that order under
    --no-loadscope-reorder), so that the worker processes end together."""
    left_out = [item for item in items if item.get_closest_marker("soak") and not SOAK]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    modules = {item.path for item in items if item.get_closest_marker("slow")}
    kept = [item for item in items if item not in set(left_out)]
    items[:] = sorted(kept, key=lambda item: item.path not in modules)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker process runs all modules that share what is made once in a process: each would make it anew."""
    if config.getoption("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Sharing(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.split("::")[0]
            return _shared(config.rootpath / module) or module

    return Sharing(config, log)


#: A word of the modules that share something.
_SHARED = ('"fault_fixtures"', "real_store")


@functools.cache
def _shared(module: Path) -> str | None:
    if module.suffix != ".py":
        return None
    text = module.read_text()
    return next((word for word in _SHARED if word in text), None)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker process hands its figures to the one that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["shown"] = (dict(FIGURES), LINES)


def pytest_unconfigure() -> None:
    if not SOAK and _IS_FIRST:
        shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


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
