"""Two small models to embed items with, and parts of few rows."""

from pathlib import Path

import pytest
from embed_runs import write_model

from pipelines.embed import parts as embed_parts


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(embed_parts, "ROWS_A_FILE", 12)


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> list[Path]:
    """Two models over the same vocabulary and pictures."""
    folder = tmp_path_factory.mktemp("models")
    return [write_model(folder / str(seed), seed=seed) for seed in range(2)]
