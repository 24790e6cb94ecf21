"""Runs a check on many seeded inputs and keeps count.

ITEMSAGE_FUZZ        inputs over all kinds (default 500)
ITEMSAGE_FUZZ_SEED   number of the one input to run, as a failure's message gives it
"""

import os
import random
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from exploration import LINES, SEED, seed_to_explore

#: Share of the inputs that each kind gets.
SHARES = {"catalogue": 0.3, "pictures": 0.25, "engagements": 0.15, "configs": 0.15, "records": 0.15}
NUM_INPUTS = int(os.environ.get("ITEMSAGE_FUZZ", "500"))
MAX_CPU_S = 10.0
#: How much the process may grow over all inputs of a kind: one that is kept in memory, or a bomb that went off, shows.
MAX_GROWTH_BYTES = 600 << 20

ACCEPTED = "accepted"


@dataclass
class Outcome:
    """verdict: ACCEPTED or why the whole input was refused. counts: rows and what became of them."""

    verdict: str = ACCEPTED
    counts: Counter[str] = field(default_factory=Counter)


@dataclass
class Tally:
    """What became of all inputs of a kind."""

    kind: str
    inputs: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        refused = ", ".join(f"{name} {count:,}" for name, count in self.verdicts.most_common() if name != ACCEPTED)
        counts = ", ".join(f"{name} {count:,}" for name, count in sorted(self.counts.items()))
        return (
            f"{self.kind}: {self.inputs:,} inputs, {self.verdicts[ACCEPTED]:,} accepted, "
            f"{self.inputs - self.verdicts[ACCEPTED]:,} rejected ({refused or 'none'})"
            f"{'; ' if counts else ''}{counts}; {self.seconds:.1f} s"
        )


def fuzz(kind: str, check: Callable[[random.Random, Path], Outcome], folder: Path, num_inputs: int = 0) -> Tally:
    """Runs `check` on its share of the inputs (or `num_inputs`), each in an empty folder of its own.

    `check` raises for a broken property; the error raised here says how to run that input alone. The number of the
    input in progress stands in `<folder>/input`, for the case that the process dies.
    """
    only = os.environ.get("ITEMSAGE_FUZZ_SEED")
    numbers = [int(only)] if only else range(num_inputs or max(1, round(NUM_INPUTS * SHARES[kind])))
    tally = Tally(kind)
    started_s, peak_bytes = time.monotonic(), _peak_bytes()
    for number in numbers:
        (folder / "input").write_text(f"{kind} {number}\n")
        own = folder / str(number)
        own.mkdir()
        again = f"ITEMSAGE_SEED={SEED} ITEMSAGE_FUZZ_SEED={number} pytest tests/fuzz -k {kind}"
        started_cpu_s = time.process_time()
        try:
            outcome = check(random.Random(seed_to_explore("fuzz", kind, number)), own)
        except Exception as error:
            raise AssertionError(f"{kind} {number}: {type(error).__name__}: {str(error)[:2000]}\n{again}") from error
        cpu_s = time.process_time() - started_cpu_s
        assert cpu_s < MAX_CPU_S, f"{kind} {number}: expected less than {MAX_CPU_S} s, got {cpu_s:.1f} s\n{again}"
        tally.inputs += 1
        tally.verdicts[outcome.verdict] += 1
        tally.counts.update(outcome.counts)
        if tally.inputs == 50:  # what is loaded once a process has been loaded by now
            peak_bytes = max(peak_bytes, _peak_bytes())
        _remove(own)
    tally.seconds = time.monotonic() - started_s
    LINES.append(f"fuzz {tally}")
    growth = _peak_bytes() - peak_bytes
    assert growth < MAX_GROWTH_BYTES, f"{kind}: expected bounded memory, got {growth:,} bytes more at the peak"
    return tally


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    folder.rmdir()
