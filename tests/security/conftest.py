import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from security_helpers import publish_by_hand


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with 40 plain items."""
    publish_by_hand(tmp_path / "store", [f"item-{n:02d}" for n in range(40)], [f"chair {n}" for n in range(40)])
    return tmp_path / "store"
