"""Pixels of a decoded picture: upright, RGB, 8 bits, resized and cropped as torchvision does it."""

import numpy as np
from PIL import Image

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
        picture = Image.fromarray(to_8_bits(np.asarray(picture), is_16_bit=picture.mode.startswith("I;16")))
    elif picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def to_8_bits(grey_HW: np.ndarray, is_16_bit: bool) -> np.ndarray:
    """Grey of more than 8 bits -> uint8, scaled (Pillow's own conversion clips at 255).

    16-bit has a known full scale; of 32-bit integers and floats the smallest usual one that holds all values is taken,
    and values that fit none are stretched from their minimum to their maximum.
    """
    values_HW = np.nan_to_num(np.asarray(grey_HW, np.float32), posinf=0.0, neginf=0.0)
    low, high = float(values_HW.min()), float(values_HW.max())
    scales = [65535.0] if is_16_bit else [1.0, 255.0, 65535.0] if grey_HW.dtype.kind == "f" else [255.0, 65535.0]
    fitting = [scale for scale in scales if high <= scale and low >= 0]
    if not fitting:
        values_HW, fitting = values_HW - low, [high - low]
    full_scale = fitting[0] or 1.0
    return np.clip(values_HW * (255.0 / full_scale) + 0.5, 0, 255).astype(np.uint8)
