"""Pixels of a decoded picture: upright, RGB, 8 bits, resized and cropped as torchvision does it."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from schemas.hashing import content_hash

#: Whole pictures are converted this much at a time: every mode between would be as large as the picture.
_STRIP_PIXELS = 1 << 20
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
_ORIENTATION_TAG = 0x0112
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def resized_size(width: int, height: int, shorter_px: int) -> tuple[int, int]:
    """Width and height once the shorter side is `shorter_px`.

    >>> resized_size(500, 375, 256)
    (341, 256)
    """
    if width <= height:
        return shorter_px, int(shorter_px * height / width)
    return int(shorter_px * width / height), shorter_px


def crop_middle(picture: Image.Image, resize_px: int, crop_px: int, interpolation: str) -> np.ndarray:
    """Shorter side to resize_px, centre crop: the arithmetic (truncation, rounding to even) is torchvision's."""
    size = resized_size(picture.width, picture.height, resize_px)
    if size != picture.size:
        picture = picture.resize(size, INTERPOLATIONS[interpolation])
    left, top = round((size[0] - crop_px) / 2), round((size[1] - crop_px) / 2)
    return np.array(picture.crop((left, top, left + crop_px, top + crop_px)), np.uint8)


def upright(picture: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says; damaged EXIF counts as none."""
    try:
        orientation = picture.getexif().get(_ORIENTATION_TAG)
    except Exception:  # whatever the EXIF parser meets, the pixels are good
        return picture
    transpose = _TRANSPOSES.get(orientation) if isinstance(orientation, int) else None
    return picture if transpose is None else picture.transpose(transpose)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any mode to RGB: transparency over white, grey of more than 8 bits scaled."""
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode.startswith(("I", "F")):
        return _by_strips(picture, _wide_grey_to_rgb(picture))
    return _by_strips(picture, _over_white) if picture.has_transparency_data else picture.convert("RGB")


def pixels_hash(picture: Image.Image) -> bytes:
    """XXH3-128 of the pixels' values."""
    return content_hash(b"".join(content_hash(strip.tobytes()) for _, strip in _strips(picture)))


def to_8_bits(grey_HW: np.ndarray, is_16_bit: bool) -> np.ndarray:
    """Grey of more than 8 bits -> uint8, scaled (Pillow's own conversion clips at 255).

    16-bit has a known full scale; of 32-bit integers and floats the smallest usual one that holds all values is taken,
    and values that fit none are stretched from their minimum to their maximum.
    """
    return _scaled(grey_HW, *_black_and_white(*_range(grey_HW), grey_HW.dtype.kind == "f", is_16_bit))


def _strips(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(its first row, strip) of whole rows, each of a bounded number of pixels."""
    height = max(_STRIP_PIXELS // picture.width, 1)
    for top in range(0, picture.height, height):
        yield top, picture.crop((0, top, picture.width, min(top + height, picture.height)))


def _by_strips(picture: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """The picture in RGB, converted strip by strip: what lies between is small."""
    rgb = Image.new("RGB", picture.size)
    for top, strip in _strips(picture):
        rgb.paste(convert(strip), (0, top))
    return rgb


def _over_white(picture: Image.Image) -> Image.Image:
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def _wide_grey_to_rgb(picture: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What converts strips of this picture, whose mode has more than 8 bits, on one scale."""
    ranges = [_range(np.asarray(strip)) for _, strip in _strips(picture)]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    black, white = _black_and_white(low, high, picture.mode == "F", picture.mode.startswith("I;16"))
    return lambda strip: Image.fromarray(_scaled(np.asarray(strip), black, white)).convert("RGB")


def _black_and_white(low: float, high: float, is_float: bool, is_16_bit: bool) -> tuple[float, float]:
    """The values that become 0 and 255, of greys from low to high."""
    scales = [65535.0] if is_16_bit else [1.0, 255.0, 65535.0] if is_float else [255.0, 65535.0]
    fitting = [scale for scale in scales if high <= scale and low >= 0]
    return (0.0, fitting[0]) if fitting else (low, high)


def _range(grey_HW: np.ndarray) -> tuple[float, float]:
    values_HW = _finite(grey_HW)
    return float(values_HW.min()), float(values_HW.max())


def _scaled(grey_HW: np.ndarray, black: float, white: float) -> np.ndarray:
    return np.clip((_finite(grey_HW) - black) * (255.0 / ((white - black) or 1.0)) + 0.5, 0, 255).astype(np.uint8)


def _finite(grey_HW: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.asarray(grey_HW, np.float32), posinf=0.0, neginf=0.0)
