"""What the tests explore: the same on every machine, or something new where ITEMSAGE_SEED asks for it.

`make soak` draws a seed, gives it as ITEMSAGE_SEED and prints it; the same seed explores the same again. Without one
(`make test`) hypothesis derives its examples from each test's own source, and every other draw has a fixed seed.

ITEMSAGE_SOAK=1 runs the tests and cases marked `soak` too, which `make quick` and `make test` leave out.
"""

import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from schemas.hashing import seed_of

SEED = os.environ.get("ITEMSAGE_SEED", "")
SOAK = bool(os.environ.get("ITEMSAGE_SOAK"))
#: What the long tests have shown, by name, and lines of their own: printed at the end of the run.
FIGURES: Counter[str] = Counter()
LINES: list[str] = []


def seed_to_explore(*names: object) -> int:
    """A seed from names, as schemas.hashing.seed_of; another one for each ITEMSAGE_SEED."""
    return seed_of(*names, SEED) if SEED else seed_of(*names)


def soak(*cases: object) -> list[Any]:
    """Cases of a parametrised test that only `make soak` runs; a tuple is one case of several arguments."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.soak) for case in cases]


def representatives(cases: Iterable[object], *places: int) -> list[Any]:
    """All cases of a parametrised test, in their order: `make test` runs those at these places, `make soak` every one.

    >>> [case if isinstance(case, str) else case.marks[0].name for case in representatives("abc", 1)]
    ['soak', 'b', 'soak']
    """
    listed = list(cases)
    if missing := [place for place in places if not 0 <= place < len(listed)]:
        raise ValueError(f"expected places of {len(listed)} cases, from 0, got {missing}")
    return [case if place in places else soak(case)[0] for place, case in enumerate(listed)]


def load_hypothesis_profile() -> None:
    """Example counts bound the work, never the clock: a slow machine explores what a fast one does."""
    always = {"database": None, "deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("same everywhere", derandomize=True, **always)
    settings.register_profile("by the seed", derandomize=False, **always)
    settings.load_profile("by the seed" if SEED else "same everywhere")
