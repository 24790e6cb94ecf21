"""Silhouettes of furniture.

Each function takes three shape parameters in [0, 1] that a product family shares, and returns its parts in a unit
square.
"""

from schemas.sample_shop.shapes import (
    BLACK,
    BODY,
    BODY_DARK,
    BODY_LIGHT,
    TRIM,
    TRIM_DARK,
    WHITE,
    Part,
    bar,
    box,
    oval,
    polygon,
)


def chair(a: float, b: float, c: float) -> list[Part]:
    top, left = 0.06 + 0.12 * a, 0.25 - 0.04 * b
    parts = [bar(TRIM_DARK, 0.36, 0.55, 0.34, 0.9, 0.04), bar(TRIM_DARK, 0.64, 0.55, 0.67, 0.9, 0.04)]
    parts += [
        box(BODY, left, top, 1 - left, 0.5, 0.02 + 0.14 * c),
        polygon(BODY_DARK, (0.28, 0.5), (0.72, 0.5), (0.72, 0.54), (0.28, 0.54)),
    ]
    parts += [
        polygon(BODY_LIGHT, (0.26, 0.53), (0.74, 0.53), (0.84, 0.64), (0.16, 0.64)),
        box(BODY_DARK, 0.16, 0.64, 0.84, 0.69),
    ]
    return [*parts, bar(TRIM, 0.2, 0.68, 0.16, 0.96, 0.05), bar(TRIM, 0.8, 0.68, 0.84, 0.96, 0.05)]


def armchair(a: float, b: float, c: float) -> list[Part]:
    top, arm = 0.1 + 0.12 * a, 0.5 - 0.08 * b
    parts = [bar(TRIM, 0.22, 0.82, 0.19, 0.95, 0.05), bar(TRIM, 0.78, 0.82, 0.81, 0.95, 0.05)]
    parts += [box(BODY, 0.18, top, 0.82, 0.7, 0.08 + 0.15 * c), box(BODY_LIGHT, 0.24, 0.56, 0.76, 0.7, 0.05)]
    parts += [box(BODY_DARK, 0.22, 0.69, 0.78, 0.84, 0.02)]
    return [*parts, box(BODY, 0.08, arm, 0.27, 0.85, 0.08), box(BODY, 0.73, arm, 0.92, 0.85, 0.08)]


def sofa(a: float, b: float, c: float) -> list[Part]:
    top, arm, seats = 0.26 + 0.08 * a, 0.45 - 0.06 * b, 2 if c < 0.5 else 3
    parts = [bar(TRIM, x, 0.74, x, 0.84, 0.035) for x in (0.1, 0.36, 0.64, 0.9)]
    parts += [box(BODY, 0.08, top, 0.92, 0.62, 0.05), box(BODY_DARK, 0.06, 0.64, 0.94, 0.77, 0.02)]
    width = 0.76 / seats
    for seat in range(seats):
        x = 0.12 + seat * width
        parts += [box(BODY_DARK, x + width - 0.006, top + 0.02, x + width + 0.006, 0.6)] if seat < seats - 1 else []
        parts += [box(BODY_LIGHT, x + 0.006, 0.54, x + width - 0.006, 0.66, 0.03)]
    return [*parts, box(BODY, 0.02, arm, 0.13, 0.77, 0.05), box(BODY, 0.87, arm, 0.98, 0.77, 0.05)]


def table(a: float, b: float, c: float) -> list[Part]:
    top, inset = 0.34 + 0.1 * a, 0.06 + 0.12 * b
    legs = [bar(TRIM_DARK, 0.3, top, 0.28, 0.76, 0.035), bar(TRIM_DARK, 0.7, top, 0.72, 0.76, 0.035)]
    legs += [bar(TRIM, 0.05 + inset, top + 0.1, 0.08, 0.88, 0.05), bar(TRIM, 0.95 - inset, top + 0.1, 0.92, 0.88, 0.05)]
    if c < 0.4:
        legs = [bar(TRIM, 0.5, top + 0.1, 0.5, 0.84, 0.1), oval(TRIM_DARK, 0.5, 0.85, 0.2, 0.04)]
        return [*legs, oval(BODY_DARK, 0.5, top + 0.12, 0.46, 0.1), oval(BODY, 0.5, top + 0.08, 0.46, 0.1)]
    plate = polygon(BODY, (0.2, top - 0.02), (0.8, top - 0.02), (0.97, top + 0.13), (0.03, top + 0.13))
    return [*legs, plate, box(BODY_DARK, 0.03, top + 0.13, 0.97, top + 0.17)]


def bookcase(a: float, b: float, c: float) -> list[Part]:
    left, shelves = 0.18 + 0.1 * a, 3 + int(b * 2.99)
    parts = [box(BODY, left, 0.04, 1 - left, 0.96), box(BODY_DARK, left + 0.04, 0.08, 0.96 - left, 0.92)]
    height = 0.84 / shelves
    for shelf in range(shelves):
        y, x = 0.08 + (shelf + 1) * height, left + 0.06
        parts.append(box(BODY_LIGHT, left, y - 0.025, 1 - left, y + 0.005))
        for book in range(3 + (shelf * 2 + int(9 * c)) % 4):
            top = y - height * (0.55 + 0.09 * ((book * 7 + shelf * 3) % 4))
            parts.append(box((WHITE, TRIM, BLACK, TRIM_DARK)[(book + shelf) % 4], x, top, x + 0.045, y - 0.025))
            x += 0.052
    return parts


def stool(a: float, b: float, c: float) -> list[Part]:
    top, half = 0.22 + 0.2 * a, 0.22 + 0.1 * b
    parts = [bar(TRIM_DARK, 0.5, top + 0.1, 0.5, 0.86, 0.04), bar(TRIM, 0.3, top + 0.08, 0.18, 0.94, 0.05)]
    parts += [bar(TRIM, 0.7, top + 0.08, 0.82, 0.94, 0.05), bar(TRIM_DARK, 0.25, 0.7, 0.75, 0.7, 0.03)]
    return [
        *parts,
        box(BODY_DARK, 0.5 - half, top, 0.5 + half, top + 0.1 + 0.08 * c, 0.04),
        oval(BODY, 0.5, top + 0.01, half, 0.07),
    ]


def dresser(a: float, b: float, c: float) -> list[Part]:
    top, rows = 0.2 + 0.12 * a, 2 + int(2.99 * b)
    parts = [bar(TRIM, x, 0.84, x, 0.94, 0.05) for x in (0.14, 0.86)]
    parts += [box(BODY, 0.08, top, 0.92, 0.86), box(TRIM, 0.05, top - 0.03, 0.95, top + 0.02)]
    height = (0.82 - top - 0.03) / rows
    for row in range(rows):
        y = top + 0.05 + row * height
        for x0, x1 in ((0.11, 0.49), (0.51, 0.89)) if c > 0.4 else ((0.11, 0.89),):
            parts += [box(BODY_DARK, x0, y, x1, y + height - 0.02), box(BODY, x0 + 0.01, y, x1, y + height - 0.03)]
            parts += [
                box(TRIM_DARK, (x0 + x1) / 2 - 0.05, y + height * 0.36, (x0 + x1) / 2 + 0.05, y + height * 0.36 + 0.025)
            ]
    return parts


def bed(a: float, b: float, c: float) -> list[Part]:
    head = 0.16 + 0.14 * a
    parts = [bar(TRIM_DARK, 0.1, 0.8, 0.1, 0.9, 0.05), bar(TRIM_DARK, 0.9, 0.8, 0.9, 0.9, 0.05)]
    parts += [
        box(TRIM, 0.14, head, 0.86, 0.6, 0.02 + 0.1 * b),
        polygon(WHITE, (0.16, 0.46), (0.84, 0.46), (0.9, 0.62), (0.1, 0.62)),
    ]
    parts += [box(WHITE, 0.2, 0.38, 0.47, 0.5, 0.04), box(WHITE, 0.53, 0.38, 0.8, 0.5, 0.04)]
    fold = 0.52 + 0.05 * c
    parts += [
        polygon(BODY_LIGHT, (0.14, fold), (0.86, fold), (0.95, 0.72), (0.05, 0.72)),
        box(BODY, 0.05, 0.71, 0.95, 0.83, 0.02),
    ]
    return parts
