"""Primitives of the drawn products: closed polygons in a unit square (x right, y down), each with its role.

Everything is a polygon, so that a view (scale, rotation, shear, mirror) is one matrix applied to the points.
"""

import math
from typing import NamedTuple

import numpy as np

#: Roles: what a part is painted with. The first three carry the product's colour and pattern (plain, in shadow, lit).
BODY, BODY_DARK, BODY_LIGHT, TRIM, TRIM_DARK, BLACK, WHITE, GLASS = range(1, 9)

_CURVE_STEPS = 8


class Part(NamedTuple):
    """One painted polygon: role and float64 points [P, 2]. Later parts of a list cover earlier ones."""

    role: int
    points_P2: np.ndarray


def polygon(role: int, *points: tuple[float, float]) -> Part:
    """A polygon with straight sides."""
    return Part(role, np.array(points, dtype=np.float64))


def blob(role: int, *points: tuple[float, float]) -> Part:
    """A smooth closed curve through the points (Catmull-Rom)."""
    p1 = np.array(points, dtype=np.float64)
    p0, p2, p3 = np.roll(p1, 1, axis=0), np.roll(p1, -1, axis=0), np.roll(p1, -2, axis=0)
    t = (np.arange(_CURVE_STEPS) / _CURVE_STEPS)[None, :, None]
    p0, p1, p2, p3 = p0[:, None], p1[:, None], p2[:, None], p3[:, None]
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    return Part(role, curve.reshape(-1, 2))


def box(role: int, x0: float, y0: float, x1: float, y1: float, radius: float = 0.0) -> Part:
    """An upright rectangle, its corners rounded by `radius`."""
    if radius <= 0:
        return polygon(role, (x0, y0), (x1, y0), (x1, y1), (x0, y1))
    radius = min(radius, (x1 - x0) / 2, (y1 - y0) / 2)
    angles = np.linspace(0, math.pi / 2, 6)
    cosine, sine = np.cos(angles) * radius, np.sin(angles) * radius
    corners = [
        (x1 - radius + cosine, y1 - radius + sine),
        (x0 + radius - sine, y1 - radius + cosine),
        (x0 + radius - cosine, y0 + radius - sine),
        (x1 - radius + sine, y0 + radius - cosine),
    ]
    return Part(role, np.concatenate([np.stack(corner, axis=1) for corner in corners]))


def oval(role: int, cx: float, cy: float, rx: float, ry: float) -> Part:
    """An ellipse."""
    angles = np.linspace(0, 2 * math.pi, 36, endpoint=False)
    return Part(role, np.stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)], axis=1))


def bar(role: int, x0: float, y0: float, x1: float, y1: float, width: float) -> Part:
    """A straight band of the given width between two points."""
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    nx, ny = -(y1 - y0) / length * width / 2, (x1 - x0) / length * width / 2
    return polygon(role, (x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny))


def arc(role: int, cx: float, cy: float, rx: float, ry: float, width: float, start_deg: float, end_deg: float) -> Part:
    """A band along an ellipse from `start_deg` to `end_deg` (0 = right, 90 = down): handles, rims, straps."""
    angles = np.radians(np.linspace(start_deg, end_deg, 24))
    cosine, sine = np.cos(angles), np.sin(angles)
    outer = np.stack([cx + (rx + width / 2) * cosine, cy + (ry + width / 2) * sine], axis=1)
    inner = np.stack([cx + (rx - width / 2) * cosine, cy + (ry - width / 2) * sine], axis=1)
    return Part(role, np.concatenate([outer, inner[::-1]]))
