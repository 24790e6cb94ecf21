"""Pictures for the tests of decoding, and why one is refused."""

import numpy as np
import pytest

from model.pictures.decoding import Preprocessing, decode_picture
from model.pictures.faults import PictureError, PictureLimits

SMALL = Preprocessing(resize_px=40, crop_px=32, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
LIMITS = PictureLimits(max_bytes=1 << 20, max_pixels=200_000)


def pixels(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Smooth colours: JPEG keeps them within a few steps."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return (np.stack([x, y, (x + y + seed) % 1], axis=-1) * 255).astype(np.uint8)


def reason_of(data: bytes, limits: PictureLimits = LIMITS) -> str:
    """Why these bytes are refused; fails where they are decoded."""
    with pytest.raises(PictureError) as caught:
        decode_picture(data, SMALL, limits)
    assert caught.value.remedy
    assert caught.value.got
    return caught.value.reason
