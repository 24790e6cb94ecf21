"""What the tests explore: the same on every machine, or something new where ITEMSAGE_SEED asks for it.

`make soak` draws a seed, gives it as ITEMSAGE_SEED and prints it; the same seed explores the same again. Without one
(`make test`) hypothesis derives its examples from each test's own source, and every other draw has a fixed seed.
"""

import os
from collections import Counter

from hypothesis import HealthCheck, settings

from schemas.hashing import seed_of

SEED = os.environ.get("ITEMSAGE_SEED", "")
#: What the long tests have shown, by name, and lines of their own: printed at the end of the run.
FIGURES: Counter[str] = Counter()
LINES: list[str] = []


def seed_to_explore(*names: object) -> int:
    """A seed from names, as schemas.hashing.seed_of; another one for each ITEMSAGE_SEED."""
    return seed_of(*names, SEED) if SEED else seed_of(*names)


def load_hypothesis_profile() -> None:
    """Example counts bound the work, never the clock: a slow machine explores what a fast one does."""
    always = {"database": None, "deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("same everywhere", derandomize=True, **always)
    settings.register_profile("by the seed", derandomize=False, **always)
    settings.load_profile("by the seed" if SEED else "same everywhere")
