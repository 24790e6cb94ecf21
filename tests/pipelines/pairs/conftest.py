"""A picture encoder with random weights, and pictures to search with."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from random_models import save_random_image_encoder


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory) -> Path:
    """A real squeezenet with random weights, saved."""
    return save_random_image_encoder(tmp_path_factory.mktemp("encoder") / "made")


@pytest.fixture(scope="session")
def image_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("images")
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"photo-{number}.png")
    (root / "broken.png").write_bytes((root / "photo-0.png").read_bytes()[:100])
    return root
