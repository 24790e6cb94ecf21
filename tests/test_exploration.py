"""What the tests explore is the same everywhere without a seed, repeated by one, and another by another."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HELPERS = Path(__file__).parent
TEST = """
import sys
from hypothesis import given, strategies as st
from exploration import seed_to_explore

@given(st.lists(st.integers(0, 10**9)))
def test_numbers(numbers):
    print("drew", numbers)

def test_seed():
    print("drew", seed_to_explore("kill", 1))
"""


def drawn(folder: Path, seed: str | None) -> list[str]:
    """What a test process of its own draws, under this project's conftest."""
    (folder / "conftest.py").write_text((HELPERS / "conftest.py").read_text())
    (folder / "test_drawn.py").write_text(TEST)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("ITEMSAGE_SEED", "PYTEST"))
    }
    paths = [str(HELPERS / "helpers"), str(HELPERS.parent)]
    environment |= {"PYTHONPATH": os.pathsep.join(paths)} | ({"ITEMSAGE_SEED": seed} if seed else {})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", str(folder)],
        cwd=folder,
        env=environment | {"PYTHONHASHSEED": str(len(os.listdir(folder)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if "drew" in line]


@pytest.mark.soak
def test_a_seed_repeats_what_was_explored_and_without_one_it_is_the_same(tmp_path: Path) -> None:
    runs = [(None, "a"), (None, "b"), ("5", "c"), ("5", "d"), ("6", "e")]
    found = []
    for seed, name in runs:
        (tmp_path / name).mkdir()
        found.append(drawn(tmp_path / name, seed))
    assert len(found[0]) > 50
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert found[2] != found[4]
    assert found[0] not in found[2:]
