"""Small pictures, and files of them."""

import io

import numpy as np
from PIL import Image


def smooth_picture(seed: int, size: tuple[int, int]) -> Image.Image:
    """A field of a few random colours that flow into each other; size: width and height in pixels."""
    coarse = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a file of that kind; options: of Pillow."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(pixels_HWC: np.ndarray) -> bytes:
    """The bytes of a PNG that is quickly made."""
    return encoded(Image.fromarray(pixels_HWC), "PNG", compress_level=1)
