"""A tiny text encoder with random weights in float32, and texts of all lengths for it."""

from pathlib import Path

import numpy as np
import pytest
from random_text_encoders import WORDS, needs_tokenizers, write_text_encoder

from model.text.text_encoder import TextEncoder, load_text_encoder

needs_tokenizers()


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return write_text_encoder(tmp_path_factory.mktemp("text encoder") / "tiny")


@pytest.fixture(scope="session")
def encoder(folder) -> TextEncoder:
    return load_text_encoder(str(folder), device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Different ones of 1 to 50 words, some of them unknown, some longer than the encoder reads."""
    random = np.random.default_rng(0)
    return [" ".join(random.choice([*WORDS[4:], "hat"], length)) for length in [*range(1, 51), *range(1, 51)]]
