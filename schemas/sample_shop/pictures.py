"""Pictures of products: a look (type, colour, pattern, shape) seen in a view (framing, background, light), encoded.

A silhouette is painted as role numbers at twice the size, which gives coverage and paint by lookup tables; the pattern
is looked up per pixel in the product's own coordinates, so it turns and scales with the product.
"""

import io
import math
import os
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from schemas import storage
from schemas.sample_shop import backgrounds
from schemas.sample_shop.product_types import PRODUCT_TYPES
from schemas.sample_shop.shapes import BODY, BODY_DARK, BODY_LIGHT
from schemas.sample_shop.textures import TILE_PX, tile

Rgb = tuple[int, int, int]

VIEWS = ("packshot", "gradient", "room", "crop")
#: Every encoding a catalogue brings; the ones after the first two are rare.
FORMATS = ("jpeg", "png", "exif", "cmyk", "palette", "grey", "sixteen_bit", "transparent", "gif", "webp")
EXTENSIONS = {"jpeg": "jpg", "exif": "jpg", "cmyk": "jpg", "grey": "jpg", "gif": "gif", "webp": "webp"}

_SIZES_PX = ((256, 256), (256, 256), (288, 288), (256, 304), (304, 256))
#: Room around the outline for the shadow.
_MARGIN_PX = 20
_EXIF_ORIENTATION = 0x0112
_ROTATE_CLOCKWISE = 6
#: A seam runs along each body part, so that a patterned sofa still shows its cushions.
_SEAM = 9
_SHADE = {BODY: 228, BODY_DARK: 172, BODY_LIGHT: 255, _SEAM: 120}
_FIXED_PAINTS = {6: (32, 32, 34), 7: (246, 245, 242), 8: (186, 208, 216)}


@dataclass(frozen=True, slots=True)
class Look:
    """How a product looks, whatever the view. `shape` are the silhouette's three parameters in [0, 1]."""

    product_type: int
    colour: Rgb
    second_colour: Rgb
    trim: Rgb
    pattern: str
    repeats: float
    shape: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PictureSpec:
    """One picture file to render: everything about it follows from these values."""

    uri: str
    look: Look
    view: str
    file_format: str
    seed: int


def write_picture(root: str, spec: PictureSpec) -> int:
    """Renders and writes one picture below `root`, whose folders exist; returns its size in bytes."""
    data = encode(spec)
    storage.put_bytes(os.path.join(root, spec.uri), data)
    return len(data)


def encode(spec: PictureSpec) -> bytes:
    """The bytes of a picture file, equal for equal specs."""
    rng = np.random.default_rng(spec.seed)
    if spec.file_format == "transparent":
        return _encode_transparent(spec, rng)
    image = render(spec.look, spec.view, rng)
    buffer, kind = io.BytesIO(), spec.file_format
    if kind == "jpeg":
        image.save(buffer, "JPEG", quality=int(rng.integers(78, 93)))
    elif kind == "png":
        image.save(buffer, "PNG", compress_level=1)
    elif kind == "exif":
        exif = Image.Exif()
        exif[_EXIF_ORIENTATION] = _ROTATE_CLOCKWISE
        image.transpose(Image.Transpose.ROTATE_90).save(buffer, "JPEG", quality=88, exif=exif)
    elif kind == "cmyk":
        image.convert("CMYK").save(buffer, "JPEG", quality=88)
    elif kind == "palette":
        image.quantize(96, method=Image.Quantize.FASTOCTREE).save(buffer, "PNG", compress_level=1)
    elif kind == "grey":
        image.convert("L").save(buffer, "JPEG", quality=88)
    elif kind == "sixteen_bit":
        grey = np.asarray(image.convert("L"), dtype=np.uint16) * 257
        Image.fromarray(grey).save(buffer, "PNG", compress_level=1)
    elif kind in ("gif", "webp"):
        frames = [image, render(spec.look, spec.view, rng).resize(image.size)]
        options = {"quality": 80, "method": 0} if kind == "webp" else {}
        frames[0].save(buffer, kind.upper(), save_all=True, append_images=frames[1:], duration=400, loop=0, **options)
    else:
        raise ValueError(f"expected a file format out of {FORMATS}, got {kind!r}")
    return buffer.getvalue()


def render(look: Look, view: str, rng: np.random.Generator) -> Image.Image:
    """An RGB picture of the look, its framing, background and light drawn from `rng`."""
    width, height = _SIZES_PX[rng.integers(len(_SIZES_PX))]
    matrix, centre = _framing(view, width, height, rng)
    product, alpha, (left, top) = paint(look, matrix, centre, (width, height))
    scene, shadow = backgrounds.draw(view, width, height, rng)
    place = scene[top : top + alpha.shape[0], left : left + alpha.shape[1]]
    backgrounds.cast_shadow(place, alpha, shadow)
    product -= place
    product *= (alpha * np.float32(1 / 255))[..., None]
    place += product
    backgrounds.light(scene, view, rng)
    return Image.fromarray(np.clip(scene, 0, 255, out=scene).astype(np.uint8))


def paint(
    look: Look, matrix: np.ndarray, centre: tuple[float, float], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Paints a look: float32 [h, w, 3] in 0..255, its coverage float32 [h, w] in 0..255, and where the two go.

    `matrix` [2, 2] and `centre` take unit coordinates around (0.5, 0.5) to the pixels of a picture of `size` (width,
    height); the result is the part of it that holds the product and its shadow, with that part's left and top.
    """
    parts = PRODUCT_TYPES[look.product_type].draw(*look.shape)
    outlines = [(part.points_P2 - 0.5) @ matrix.T + centre for part in parts]
    every_point = np.concatenate(outlines)
    left, top = np.clip(np.floor(every_point.min(axis=0)).astype(int) - _MARGIN_PX, 0, None).tolist()
    right, bottom = np.clip(np.ceil(every_point.max(axis=0)).astype(int) + _MARGIN_PX, None, size).tolist()
    roles = Image.new("L", ((right - left) * 2, (bottom - top) * 2))
    draw = ImageDraw.Draw(roles)
    for part, outline in zip(parts, outlines, strict=True):
        points = ((outline - (left, top)) * 2).ravel().tolist()
        if part.role in _SHADE:
            draw.polygon(points, fill=part.role, outline=_SEAM, width=2)
        else:
            draw.polygon(points, fill=part.role)
    alpha, body, cloth = _layers(roles, look)
    local_centre = centre[0] - left, centre[1] - top
    pattern = _pattern(look, matrix, local_centre, (right - left, bottom - top))[..., None]
    first, second = (np.array(rgb, np.float32) / 228 for rgb in (look.colour, look.second_colour))
    # body 0: the paint as it is; body 1: the paint is a grey shade, multiplied by the two colours of the cloth
    factor = first + (second - first) * pattern - 1
    cloth *= 1 + factor * (body * np.float32(1 / 255))[..., None]
    return cloth, alpha, (left, top)


def _layers(roles: Image.Image, look: Look) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coverage [H, W], body coverage [H, W] and paint [H, W, 3], float32 in 0..255, at half the size of `roles`.

    The paint of a body role is the grey it is shaded with; of nothing it is the body's shade, so that edges stay clean.
    """
    alpha = roles.point([0] + [255] * 255).reduce(2)
    body = roles.point([255] + [255 if role in _SHADE else 0 for role in range(1, 256)]).reduce(2)
    trim_dark = tuple(int(value * 0.72) for value in look.trim)
    palette = {**{role: (shade,) * 3 for role, shade in _SHADE.items()}, 4: look.trim, 5: trim_dark, **_FIXED_PAINTS}
    palette[0] = palette[BODY]
    roles.putpalette([value for role in range(10) for value in palette[role]])
    paints = roles.convert("RGB").reduce(2)
    return np.array(alpha, np.float32), np.array(body, np.float32), np.array(paints, np.float32)


def _pattern(look: Look, matrix: np.ndarray, centre: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """float32 [H, W] in 0..1: the share of the second colour per pixel."""
    if look.pattern == "solid":
        return np.zeros((1, 1), np.float32)
    inverse = np.linalg.inv(matrix) * (look.repeats * TILE_PX)
    x = np.arange(size[0], dtype=np.float32) - np.float32(centre[0])
    y = (np.arange(size[1], dtype=np.float32) - np.float32(centre[1]))[:, None]
    columns = (np.float32(inverse[0, 0]) * x + np.float32(inverse[0, 1]) * y).astype(np.int32) & (TILE_PX - 1)
    rows = (np.float32(inverse[1, 0]) * x + np.float32(inverse[1, 1]) * y).astype(np.int32) & (TILE_PX - 1)
    return tile(look.pattern).ravel()[rows * TILE_PX + columns].astype(np.float32) * np.float32(1 / 255)


def _framing(view: str, width: int, height: int, rng: np.random.Generator) -> tuple[np.ndarray, tuple[float, float]]:
    """Matrix and centre of a view: packshots straight and large, rooms small and low, crops beyond the frame."""
    low, high, turn_deg, move = {
        "packshot": (0.74, 0.88, 3, 0.02),
        "gradient": (0.62, 0.84, 12, 0.05),
        "room": (0.48, 0.7, 6, 0.12),
        "crop": (1.1, 1.5, 8, 0.14),
    }[view]
    side, angle = min(width, height) * rng.uniform(low, high), math.radians(rng.uniform(-turn_deg, turn_deg))
    squeeze = 1.0 if view == "packshot" else rng.uniform(0.82, 1.0)
    mirror = -1.0 if rng.random() < 0.35 else 1.0
    shear = 0.0 if view == "packshot" else rng.uniform(-0.1, 0.1)
    cosine, sine = math.cos(angle), math.sin(angle)
    matrix = np.array([[cosine, -sine], [sine, cosine]]) @ np.array([[mirror * squeeze, shear], [0.0, 1.0]]) * side
    drop = 0.08 if view == "room" else 0.0
    centre = width * (0.5 + rng.uniform(-move, move)), height * (0.5 + drop + rng.uniform(-move, move) * 0.7)
    return matrix, centre


def _encode_transparent(spec: PictureSpec, rng: np.random.Generator) -> bytes:
    """A cut-out PNG: the product alone, alpha 0 around it."""
    matrix, centre = _framing("packshot", 256, 256, rng)
    product, alpha, (left, top) = paint(spec.look, matrix, centre, (256, 256))
    rgba = np.zeros((256, 256, 4), np.uint8)
    place = rgba[top : top + alpha.shape[0], left : left + alpha.shape[1]]
    place[..., :3], place[..., 3] = np.clip(product, 0, 255), alpha
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
