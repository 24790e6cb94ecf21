"""What stands around a product in a picture: white, a gradient, a room with clutter; its shadow; light and noise."""

import functools

import numpy as np
from PIL import Image, ImageDraw

_SHADOW_REDUCE = 8
_NOISE_PX = 1024


def draw(view: str, width: int, height: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """The empty scene, float32 [H, W, 3] in 0..255, and the strength of shadows in it (0..1)."""
    if view == "packshot" or (view == "crop" and rng.random() < 0.5):
        level = 255.0 if rng.random() < 0.7 else rng.uniform(236, 252)
        return np.full((height, width, 3), level, np.float32), 0.12
    if view == "room":
        return np.array(_room(width, height, rng), dtype=np.float32), 0.35
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    if rng.random() < 0.4:
        ramp = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    first, second = _pastel(rng, 60), _pastel(rng, 60)
    return np.broadcast_to(first + (second - first) * ramp, (height, width, 3)).copy(), 0.25


def cast_shadow(scene: np.ndarray, alpha: np.ndarray, strength: float) -> None:
    """Darkens `scene` [H, W, 3] in place by a soft copy of the coverage `alpha` [H, W], moved down and right."""
    height, width = alpha.shape
    small = Image.fromarray(alpha.astype(np.uint8)).reduce(_SHADOW_REDUCE)
    soft = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)
    down, right = min(9, height - 1), min(6, width - 1)
    scene[down:, right:] *= 1 - soft[: height - down, : width - right, None] * np.float32(strength / 255)


def light(scene: np.ndarray, view: str, rng: np.random.Generator) -> None:
    """Exposure, colour temperature, a falloff to one side and sensor noise, in place on [H, W, 3] in 0..255."""
    height, width, _ = scene.shape
    if view == "packshot":
        noise = rng.uniform(0, 1.5)
    else:
        warmth = rng.uniform(-0.07, 0.07)
        gain = rng.uniform(0.84, 1.1) * np.array([1 + warmth, 1.0, 1 - warmth])
        falloff = np.linspace(1.0, rng.uniform(0.8, 1.0), width, dtype=np.float32)[:: rng.choice((-1, 1))]
        scene *= falloff[None, :, None] * gain.astype(np.float32)
        noise = rng.uniform(1, 6)
    if noise > 0.5:
        row, column = rng.integers(0, _NOISE_PX - height), rng.integers(0, _NOISE_PX - width)
        scene += (_noise()[row : row + height, column : column + width] * np.float32(noise))[..., None]


@functools.cache
def _noise() -> np.ndarray:
    return np.random.default_rng(11).standard_normal((_NOISE_PX, _NOISE_PX), dtype=np.float32)


def _pastel(rng: np.random.Generator, spread: int) -> np.ndarray:
    return (rng.uniform(235 - spread, 245) + rng.uniform(-spread / 2, spread / 2, 3)).clip(0, 255).astype(np.float32)


def _room(width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """A wall, a floor, and a few things that are not for sale: a window, a picture, a plant, a shelf, a basket."""
    wall, floor = _paint(rng, 120, 240), _paint(rng, 70, 200)
    image = Image.new("RGB", (width, height), wall)
    canvas = ImageDraw.Draw(image)
    horizon = int(height * rng.uniform(0.6, 0.78))
    canvas.rectangle((0, horizon, width, height), fill=floor)
    canvas.rectangle((0, horizon - 6, width, horizon), fill=_paint(rng, 200, 255))
    for x in range(0, width, 40) if rng.random() < 0.5 else ():
        canvas.line(
            (x, horizon, x * 1.6 - width * 0.3, height), fill=tuple(int(value * 0.85) for value in floor), width=2
        )
    for _ in range(int(rng.integers(2, 6))):
        _CLUTTER[rng.integers(len(_CLUTTER))](canvas, int(rng.uniform(0, width)), horizon, height, rng)
    return image


def _paint(rng: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = (rng.uniform(low, high) + rng.uniform(-35, 35, 3)).clip(0, 255).astype(int).tolist()
    return red, green, blue


def _window(canvas: ImageDraw.ImageDraw, x: int, horizon: int, height: int, rng: np.random.Generator) -> None:
    half, top, bottom = int(height * rng.uniform(0.1, 0.18)), int(height * 0.06), int(horizon * 0.62)
    canvas.rectangle((x - half, top, x + half, bottom), fill=_paint(rng, 215, 250), outline=(245, 245, 242), width=5)
    canvas.line((x, top, x, bottom), fill=(245, 245, 242), width=4)


def _frame(canvas: ImageDraw.ImageDraw, x: int, horizon: int, height: int, rng: np.random.Generator) -> None:
    half, top = int(height * rng.uniform(0.05, 0.11)), int(horizon * rng.uniform(0.08, 0.35))
    box = (x - half, top, x + half, top + int(half * 2.4))
    canvas.rectangle(box, fill=_paint(rng, 60, 240), outline=_paint(rng, 20, 120), width=4)
    canvas.ellipse((x - half // 2, top + half // 2, x + half // 2, top + half * 3 // 2), fill=_paint(rng, 60, 240))


def _plant(canvas: ImageDraw.ImageDraw, x: int, horizon: int, height: int, rng: np.random.Generator) -> None:
    size, base = int(height * rng.uniform(0.06, 0.1)), horizon + int(height * 0.06)
    for lean in (-2, -1, 0, 1, 2):
        tip = (x + lean * size // 2, base - size * 4 + abs(lean) * size // 2)
        canvas.polygon((x - 4, base - size, x + 4, base - size, *tip), fill=(40 + 12 * lean, 112 + 14 * lean, 62))
    canvas.polygon(
        (x - size, base - size, x + size, base - size, x + size * 2 // 3, base, x - size * 2 // 3, base),
        fill=_paint(rng, 90, 220),
    )


def _shelf(canvas: ImageDraw.ImageDraw, x: int, horizon: int, height: int, rng: np.random.Generator) -> None:
    half, y = int(height * rng.uniform(0.1, 0.18)), int(horizon * rng.uniform(0.25, 0.6))
    for offset in range(-half, half - 8, 10):
        tall = int(height * rng.uniform(0.04, 0.1))
        canvas.rectangle((x + offset, y - tall, x + offset + 8, y), fill=_paint(rng, 60, 230))
    canvas.rectangle((x - half, y, x + half, y + 5), fill=_paint(rng, 70, 140))


def _basket(canvas: ImageDraw.ImageDraw, x: int, horizon: int, height: int, rng: np.random.Generator) -> None:
    size, base = int(height * rng.uniform(0.06, 0.12)), horizon + int(height * rng.uniform(0.05, 0.16))
    canvas.rectangle((x - size, base - size, x + size, base), fill=_paint(rng, 110, 220))
    canvas.ellipse((x - size, base - size - 8, x + size, base - size + 8), fill=_paint(rng, 60, 160))


_CLUTTER = (_window, _frame, _plant, _shelf, _basket)
