"""A small encoder in float32, and pictures for it that do not change when they are decoded."""

import numpy as np
import pytest
import torch
from random_models import IMAGE_ENCODER, WEIGHTS_NAME, write_image_weights
from remembered_pictures import FOLDER
from torch import nn

from model.pictures.image_encoder import ImageEncoder, load_image_encoder


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch) -> None:
    """Here pictures are encoded."""
    monkeypatch.delenv(FOLDER, raising=False)


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory) -> str:
    return write_image_weights(tmp_path_factory.mktemp("weights") / "weights.pth")


@pytest.fixture(scope="session")
def encoder(weights_file) -> ImageEncoder:
    return load_image_encoder(IMAGE_ENCODER, weights_file, WEIGHTS_NAME, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def pictures_BHWC() -> np.ndarray:
    """Smooth fields of different colours, 256 px: decoded, they are their own middle."""
    coarse = torch.from_numpy(np.random.default_rng(0).random((19, 3, 5, 5), np.float32)) * 255
    fields = nn.functional.interpolate(coarse, (256, 256), mode="bilinear").permute(0, 2, 3, 1)
    return fields.numpy().astype(np.uint8)


@pytest.fixture(scope="session")
def crops_BHWC(pictures_BHWC) -> np.ndarray:
    return np.ascontiguousarray(pictures_BHWC[:, 16:-16, 16:-16])
