"""Silhouettes of kitchen products; parameters and result as in silhouettes_furniture."""

from schemas.sample_shop.shapes import (
    BLACK,
    BODY,
    BODY_DARK,
    BODY_LIGHT,
    GLASS,
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


def mug(a: float, b: float, c: float) -> list[Part]:
    right, bottom, taper = 0.64 + 0.08 * a, 0.84, 0.06 * b
    parts = [arc(BODY_DARK, right, 0.52, 0.16, 0.17 + 0.05 * c, 0.06, -95, 95)]
    parts += [polygon(BODY, (0.14, 0.22), (right, 0.22), (right - taper, bottom), (0.14 + taper, bottom))]
    cx, rx = (0.14 + right) / 2, (right - 0.14) / 2
    parts += [
        oval(BODY, cx, bottom, rx - taper, 0.05),
        oval(BODY_LIGHT, cx, 0.22, rx, 0.06),
        oval(BLACK, cx, 0.23, rx - 0.03, 0.045),
    ]
    return parts


def teapot(a: float, b: float, c: float) -> list[Part]:
    ry = 0.24 + 0.05 * a
    parts = [arc(TRIM, 0.78, 0.52, 0.16, 0.17, 0.045, -100, 100)]
    parts += [
        blob(BODY_DARK, (0.28, 0.62), (0.14, 0.5 - 0.06 * b), (0.03, 0.32), (0.1, 0.31), (0.22, 0.44), (0.34, 0.5))
    ]
    parts += [oval(BODY, 0.53, 0.57, 0.3, ry), oval(BODY_DARK, 0.53, 0.57 + ry - 0.02, 0.17, 0.03)]
    return [
        *parts,
        oval(BODY_LIGHT, 0.53, 0.57 - ry + 0.03, 0.15, 0.05),
        oval(TRIM, 0.53, 0.53 - ry, 0.035 + 0.02 * c, 0.045),
    ]


def saucepan(a: float, b: float, c: float) -> list[Part]:
    top, bottom = 0.4 - 0.08 * a, 0.76
    parts = [
        bar(BLACK, 0.6, top + 0.06, 0.99, top - 0.02 - 0.05 * b, 0.06),
        polygon(BODY, (0.06, top), (0.64, top), (0.61, bottom), (0.09, bottom)),
    ]
    parts += [oval(BODY_DARK, 0.35, bottom, 0.26, 0.04), oval(BODY_LIGHT, 0.35, top, 0.29, 0.06)]
    if c > 0.4:
        return [*parts, oval(GLASS, 0.35, top - 0.03, 0.28, 0.07), oval(BLACK, 0.35, top - 0.11, 0.045, 0.035)]
    return [*parts, oval(TRIM_DARK, 0.35, top + 0.005, 0.26, 0.045)]


def bottle(a: float, b: float, c: float) -> list[Part]:
    half, shoulder = 0.13 + 0.06 * a, 0.3 + 0.1 * b
    parts = [
        blob(
            BODY,
            (0.45, 0.16),
            (0.55, 0.16),
            (0.56, shoulder - 0.06),
            (0.5 + half, shoulder + 0.08),
            (0.5 + half, 0.6),
            (0.5 + half - 0.01, 0.94),
            (0.5 - half + 0.01, 0.94),
            (0.5 - half, 0.6),
            (0.5 - half, shoulder + 0.08),
            (0.44, shoulder - 0.06),
        )
    ]
    parts += [
        box(TRIM_DARK, 0.43, 0.05, 0.57, 0.17, 0.02),
        box(BODY_LIGHT, 0.5 - half * 0.7, shoulder + 0.14, 0.5 - half * 0.5, 0.86, 0.01),
    ]
    return [*parts, arc(TRIM, 0.5, 0.05, 0.05, 0.04, 0.02, 180, 360)] if c > 0.5 else parts


def bowl(a: float, b: float, c: float) -> list[Part]:
    depth, rx = 0.26 + 0.14 * a, 0.42 + 0.05 * b
    half = oval(BODY, 0.5, 0.42, rx, depth).points_P2[:19]
    parts = [box(BODY_DARK, 0.36, 0.4 + depth - 0.02, 0.64, 0.45 + depth, 0.02), Part(BODY, half)]
    return [
        *parts,
        oval(BODY_LIGHT, 0.5, 0.42, rx, 0.1),
        oval(BODY_DARK if c > 0.4 else WHITE, 0.5, 0.43, rx - 0.04, 0.075),
    ]


def plate(a: float, b: float, c: float) -> list[Part]:
    ry, rim = 0.3 + 0.14 * a, 0.1 + 0.08 * b
    rx = 0.46
    parts = [
        oval(BODY_DARK, 0.5, 0.54, rx, ry),
        oval(BODY, 0.5, 0.52, rx, ry),
        oval(BODY_DARK, 0.5, 0.52, rx - rim, ry - rim * ry / rx),
    ]
    return [*parts, oval(BODY_LIGHT if c > 0.5 else WHITE, 0.5, 0.525, rx - rim - 0.015, ry - (rim + 0.015) * ry / rx)]


def apron(a: float, b: float, c: float) -> list[Part]:
    bottom, waist = 0.86 + 0.08 * a, 0.2 + 0.04 * b
    parts = [
        arc(TRIM, 0.5, 0.16, 0.12, 0.12, 0.025, 180, 360),
        bar(TRIM, 0.24, 0.48, 0.05, 0.62, 0.025),
        bar(TRIM, 0.76, 0.48, 0.95, 0.62, 0.025),
    ]
    parts += [
        blob(
            BODY,
            (0.36, 0.14),
            (0.5, 0.15),
            (0.64, 0.14),
            (0.67, 0.32),
            (1 - waist, 0.47),
            (0.82, 0.7),
            (0.8, bottom),
            (0.5, bottom + 0.01),
            (0.2, bottom),
            (0.18, 0.7),
            (waist, 0.47),
            (0.33, 0.32),
        )
    ]
    parts += [box(BODY_DARK, 0.34, 0.58, 0.66, 0.76, 0.02), box(BODY, 0.35, 0.6, 0.65, 0.75, 0.02)]
    return [*parts, bar(BODY_DARK, 0.5, 0.6, 0.5, 0.75, 0.01)] if c > 0.5 else parts
