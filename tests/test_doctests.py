"""The examples in docstrings are true: of every module, so that none stands there unrun."""

import doctest
import importlib
import pkgutil

import pytest

MODULES = sorted(
    found.name
    for package in ("schemas", "model", "pipelines")
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) > 100
