"""Pattern tiles: how much of the second colour shows at each place, periodic in both directions."""

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

TILE_PX = 128


@functools.cache
def tile(pattern: str) -> np.ndarray:
    """uint8 [128, 128]: 0 = the product's colour, 255 = its second colour. Raises KeyError for an unknown pattern."""
    return _TILES[pattern]()


def _grid() -> tuple[np.ndarray, np.ndarray]:
    axis = np.arange(TILE_PX) / TILE_PX
    return np.meshgrid(axis, axis)


def _soft(distance: np.ndarray) -> np.ndarray:
    """An edge three pixels wide at distance 0: positive inside, in units of the tile."""
    return (np.clip(distance * TILE_PX / 3 + 0.5, 0, 1) * 255).astype(np.uint8)


def _solid() -> np.ndarray:
    return np.zeros((TILE_PX, TILE_PX), np.uint8)


def _striped() -> np.ndarray:
    _, y = _grid()
    return _soft(0.09 - np.abs((y * 2) % 1 - 0.5) / 2)


def _dotted() -> np.ndarray:
    x, y = _grid()
    first = np.hypot((x * 2) % 1 - 0.5, (y * 2) % 1 - 0.5)
    return _soft((0.25 - first) / 2)


def _checked() -> np.ndarray:
    x, y = _grid()
    return (((x * 2) % 1 < 0.5) * 128 + ((y * 2) % 1 < 0.5) * 127).astype(np.uint8)


def _zigzag() -> np.ndarray:
    x, y = _grid()
    wave = np.abs((x * 2) % 1 - 0.5) * 0.5
    return _soft(0.085 - np.abs((y * 2 + wave * 2) % 1 - 0.5) / 2)


def _geometric() -> np.ndarray:
    x, y = _grid()
    outer = 0.5 - np.abs(x - 0.5) - np.abs(y - 0.5)
    ring = np.minimum(_soft(outer - 0.04), 255 - _soft(outer - 0.18))
    return np.maximum(ring, _soft(outer - 0.33))


def _floral() -> np.ndarray:
    x, y = _grid()
    result = np.zeros((TILE_PX, TILE_PX), np.uint8)
    for cx, cy, radius, petals, turn in ((0.3, 0.3, 0.24, 5, 0.2), (0.78, 0.72, 0.2, 6, 0.9), (0.76, 0.2, 0.1, 4, 0.0)):
        dx, dy = (x - cx + 0.5) % 1 - 0.5, (y - cy + 0.5) % 1 - 0.5
        distance, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
        flower = _soft(radius * (0.55 + 0.45 * np.abs(np.cos(angle * petals / 2 + turn))) - distance)
        result = np.maximum(result, np.minimum(flower, 255 - _soft(radius * 0.25 - distance)))
    stem = _soft(0.014 - np.abs((x + 0.1 * np.sin(2 * np.pi * y) - 0.05) % 1 - 0.5))
    return np.maximum(result, stem)


def _leopard() -> np.ndarray:
    rng = np.random.default_rng(7)
    image = Image.new("L", (TILE_PX * 3, TILE_PX * 3))
    draw = ImageDraw.Draw(image)
    for cell in range(25):
        cx, cy = (cell % 5 + 0.5) / 5 + rng.uniform(-0.05, 0.05), (cell // 5 + 0.5) / 5 + rng.uniform(-0.05, 0.05)
        radius, start = rng.uniform(0.05, 0.085), rng.uniform(0, 360)
        for shift_x in (0, 1, 2):
            for shift_y in (0, 1, 2):
                x, y, r = (cx + shift_x) * TILE_PX, (cy + shift_y) * TILE_PX, radius * TILE_PX
                box = (x - r, y - r * 0.8, x + r, y + r * 0.8)
                draw.arc(box, start, start + 130, fill=255, width=6)
                draw.arc(box, start + 180, start + 310, fill=255, width=6)
    blurred = image.filter(ImageFilter.GaussianBlur(1))
    return np.asarray(blurred.crop((TILE_PX, TILE_PX, 2 * TILE_PX, 2 * TILE_PX)))


_TILES = {
    "solid": _solid,
    "striped": _striped,
    "dotted": _dotted,
    "checked": _checked,
    "floral": _floral,
    "zigzag": _zigzag,
    "geometric": _geometric,
    "leopard": _leopard,
}
