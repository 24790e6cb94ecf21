"""Silhouettes of lamps and home textiles; parameters and result as in silhouettes_furniture."""

from schemas.sample_shop.shapes import (
    BLACK,
    BODY,
    BODY_DARK,
    BODY_LIGHT,
    TRIM,
    TRIM_DARK,
    WHITE,
    Part,
    arc,
    bar,
    blob,
    box,
    oval,
    polygon,
)


def table_lamp(a: float, b: float, c: float) -> list[Part]:
    top, bottom = 0.2 - 0.12 * a, 0.3 + 0.06 * b
    parts = [oval(TRIM_DARK, 0.5, 0.92, 0.2, 0.04)]
    parts += [
        blob(TRIM, (0.46, 0.5), (0.54, 0.5), (0.56 + 0.1 * c, 0.72), (0.6, 0.9), (0.4, 0.9), (0.44 - 0.1 * c, 0.72))
    ]
    shade = polygon(BODY, (0.5 - top, 0.08), (0.5 + top, 0.08), (0.5 + bottom, 0.52), (0.5 - bottom, 0.52))
    return [*parts, oval(BODY_DARK, 0.5, 0.52, bottom, 0.035), shade, oval(BODY_LIGHT, 0.5, 0.08, top, 0.025)]


def floor_lamp(a: float, b: float, c: float) -> list[Part]:
    top, bottom = 0.15 - 0.09 * a, 0.2 + 0.06 * b
    if c < 0.5:
        feet = [oval(TRIM_DARK, 0.5, 0.95, 0.17, 0.03), bar(TRIM, 0.5, 0.28, 0.5, 0.94, 0.025)]
    else:
        feet = [
            bar(TRIM_DARK, 0.5, 0.3, 0.5, 0.93, 0.025),
            bar(TRIM, 0.49, 0.32, 0.3, 0.97, 0.03),
            bar(TRIM, 0.51, 0.32, 0.7, 0.97, 0.03),
        ]
    shade = polygon(BODY, (0.5 - top, 0.03), (0.5 + top, 0.03), (0.5 + bottom, 0.31), (0.5 - bottom, 0.31))
    return [*feet, oval(BODY_DARK, 0.5, 0.31, bottom, 0.02), shade]


def pendant_lamp(a: float, b: float, c: float) -> list[Part]:
    width, top = 0.3 + 0.12 * a, 0.38 + 0.06 * b
    parts = [bar(BLACK, 0.5, 0.0, 0.5, top + 0.02, 0.015), box(TRIM, 0.46, top - 0.06, 0.54, top + 0.04)]
    if c < 0.5:
        dome = arc(BODY, 0.5, 0.78, width / 2, 0.2, width, 180, 360)._replace(
            points_P2=oval(BODY, 0.5, 0.78, width, 0.78 - top).points_P2[18:]
        )
        return [*parts, oval(WHITE, 0.5, 0.79, 0.09, 0.09), dome, oval(BODY_DARK, 0.5, 0.78, width, 0.035)]
    return [
        *parts,
        oval(BODY, 0.5, top + 0.24, width, 0.24),
        oval(BODY_LIGHT, 0.42, top + 0.14, 0.09, 0.05),
        oval(TRIM_DARK, 0.5, top + 0.47, 0.1, 0.02),
    ]


def cushion(a: float, b: float, c: float) -> list[Part]:
    y0, y1, pull = 0.14 + 0.16 * a, 0.86 - 0.16 * a, 0.04 + 0.03 * b
    edge = (
        (0.06, y0 - 0.02),
        (0.28, y0 + pull),
        (0.72, y0 + pull),
        (0.94, y0 - 0.02),
        (0.94 - pull, 0.5),
        (0.94, y1 + 0.02),
        (0.72, y1 - pull),
        (0.28, y1 - pull),
        (0.06, y1 + 0.02),
        (0.06 + pull, 0.5),
    )
    parts = [blob(BODY, *edge)]
    if c > 0.5:
        parts += [oval(BODY_DARK, x, y, 0.035, 0.035) for x in (0.06, 0.94) for y in (y0 - 0.02, y1 + 0.02)]
    return [*parts, bar(BODY_DARK, 0.3, 0.48, 0.42, 0.5, 0.012), bar(BODY_DARK, 0.62, 0.5, 0.72, 0.47, 0.012)]


def rug(a: float, b: float, c: float) -> list[Part]:
    if c < 0.3:
        return [oval(TRIM, 0.5, 0.55, 0.48, 0.27), oval(BODY, 0.5, 0.55, 0.45, 0.25)]
    y0, y1, slant = 0.3 - 0.1 * a, 0.76 + 0.06 * a, 0.06 + 0.12 * b
    parts = [
        bar(WHITE, 0.02 + slant * t + 0.0, y1 - (y1 - y0) * t, -0.01 + slant * t, y1 - (y1 - y0) * t, 0.012)
        for t in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
    ]
    parts += [
        bar(WHITE, 0.98 - slant * t, y1 - (y1 - y0) * t, 1.01 - slant * t, y1 - (y1 - y0) * t, 0.012)
        for t in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
    ]
    parts += [polygon(BODY_DARK, (slant, y0), (1 - slant, y0), (0.98, y1), (0.02, y1))]
    return [
        *parts,
        polygon(BODY, (slant + 0.04, y0 + 0.03), (0.96 - slant, y0 + 0.03), (0.93, y1 - 0.04), (0.07, y1 - 0.04)),
    ]


def curtain(a: float, b: float, c: float) -> list[Part]:
    bottom, gap = 0.95 - 0.12 * a, 0.02 + 0.12 * b
    parts = [
        bar(TRIM, 0.03, 0.06, 0.97, 0.06, 0.025),
        oval(TRIM_DARK, 0.03, 0.06, 0.03, 0.03),
        oval(TRIM_DARK, 0.97, 0.06, 0.03, 0.03),
    ]
    for x0, x1 in ((0.08, 0.5 - gap), (0.5 + gap, 0.92)):
        parts.append(polygon(BODY, (x0, 0.07), (x1, 0.07), (x1 + 0.01, bottom), (x0 - 0.01, bottom)))
        folds = 3 + int(2 * c)
        for fold in range(folds):
            x = x0 + (fold + 0.5) * (x1 - x0) / folds
            parts += [polygon(BODY_DARK, (x, 0.07), (x + 0.025, 0.07), (x + 0.035, bottom), (x - 0.005, bottom))]
    return parts


def towel(a: float, b: float, c: float) -> list[Part]:
    bottom, left = 0.8 + 0.1 * a, 0.2 + 0.06 * b
    parts = [
        bar(TRIM, 0.05, 0.14, 0.95, 0.14, 0.03),
        oval(TRIM_DARK, 0.05, 0.14, 0.03, 0.03),
        oval(TRIM_DARK, 0.95, 0.14, 0.03, 0.03),
    ]
    parts += [
        box(BODY_DARK, left + 0.03, 0.13, 1 - left + 0.03, 0.6 + 0.1 * c),
        box(BODY, left, 0.12, 1 - left, bottom, 0.015),
    ]
    parts += [
        box(BODY_LIGHT, left, bottom - 0.14, 1 - left, bottom - 0.1),
        box(BODY_DARK, left, 0.155, 1 - left, 0.165),
    ]
    return parts


def umbrella(a: float, b: float, c: float) -> list[Part]:
    top, edge = 0.1 + 0.06 * a, 0.48 + 0.04 * b
    parts = [bar(TRIM_DARK, 0.5, 0.05, 0.5, 0.88, 0.022), arc(TRIM, 0.44, 0.87, 0.06, 0.07, 0.028, 0, 180)]
    canopy = [(0.03, edge), (0.12, 0.27), (0.3, top + 0.04), (0.5, top), (0.7, top + 0.04), (0.88, 0.27), (0.97, edge)]
    ribs = [(0.97 - 0.235 * (i + 1) / 2, edge - (0.05 if i % 2 == 0 else 0.0)) for i in range(7)]
    parts.append(polygon(BODY, *canopy, *ribs))
    parts += [polygon(BODY_DARK, (0.5, top), (0.5 - s, edge), (0.5 - s - 0.03, edge)) for s in (0.235, -0.265)]
    return [*parts, bar(BODY_LIGHT, 0.5, top + 0.02, 0.5, edge - 0.02, 0.014)] if c > 0.5 else parts
