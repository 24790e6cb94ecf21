"""Silhouettes of clothing; parameters and result as in silhouettes_furniture."""

from schemas.sample_shop.shapes import (
    BLACK,
    BODY,
    BODY_DARK,
    BODY_LIGHT,
    TRIM,
    WHITE,
    Part,
    arc,
    bar,
    blob,
    box,
    oval,
    polygon,
)


def t_shirt(a: float, b: float, c: float) -> list[Part]:
    hem, sleeve = 0.88 + 0.06 * a, 0.4 + 0.06 * b
    left = polygon(BODY_DARK, (0.3, 0.12), (0.02, 0.3), (0.1, sleeve + 0.04), (0.3, 0.34))
    right = polygon(BODY_DARK, (0.7, 0.12), (0.98, 0.3), (0.9, sleeve + 0.04), (0.7, 0.34))
    trunk = polygon(
        BODY, (0.3, 0.11), (0.39, 0.08), (0.61, 0.08), (0.7, 0.11), (0.75, 0.34), (0.74, hem), (0.26, hem), (0.25, 0.34)
    )
    neck = (
        polygon(BODY_DARK, (0.39, 0.08), (0.5, 0.22), (0.61, 0.08))
        if c > 0.6
        else oval(BODY_DARK, 0.5, 0.08, 0.11, 0.07)
    )
    hole = polygon(BLACK, (0.41, 0.08), (0.5, 0.19), (0.59, 0.08)) if c > 0.6 else oval(BLACK, 0.5, 0.075, 0.085, 0.05)
    return [left, right, trunk, neck, hole, box(BODY_DARK, 0.26, hem - 0.025, 0.74, hem - 0.017)]


def dress(a: float, b: float, c: float) -> list[Part]:
    hem, flare = 0.8 + 0.16 * a, 0.3 + 0.1 * b
    parts = [polygon(BODY_DARK, (0.5 - flare, hem), (0.5 + flare, hem), (0.58, 0.4), (0.42, 0.4))]
    parts += [
        blob(
            BODY,
            (0.4, 0.4),
            (0.6, 0.4),
            (0.52 + flare * 0.7, 0.66),
            (0.5 + flare, hem),
            (0.5, hem + 0.02),
            (0.5 - flare, hem),
            (0.48 - flare * 0.7, 0.66),
        )
    ]
    parts += [
        polygon(
            BODY,
            (0.37, 0.14),
            (0.44, 0.2),
            (0.5, 0.22),
            (0.56, 0.2),
            (0.63, 0.14),
            (0.64, 0.28),
            (0.6, 0.43),
            (0.4, 0.43),
            (0.36, 0.28),
        )
    ]
    if c > 0.5:
        parts += [
            polygon(BODY_DARK, (0.37, 0.1), (0.24, 0.22), (0.3, 0.3), (0.38, 0.24)),
            polygon(BODY_DARK, (0.63, 0.1), (0.76, 0.22), (0.7, 0.3), (0.62, 0.24)),
        ]
    parts += [
        bar(BODY_DARK, 0.39, 0.16, 0.42, 0.03, 0.03),
        bar(BODY_DARK, 0.61, 0.16, 0.58, 0.03, 0.03),
        box(TRIM, 0.395, 0.4, 0.605, 0.44),
    ]
    return [
        *parts,
        bar(BODY_DARK, 0.46, 0.48, 0.38, hem - 0.02, 0.012),
        bar(BODY_DARK, 0.54, 0.48, 0.62, hem - 0.02, 0.012),
    ]


def skirt(a: float, b: float, c: float) -> list[Part]:
    hem, flare = 0.72 + 0.2 * a, 0.32 + 0.12 * b
    parts = [
        polygon(BODY, (0.34, 0.18), (0.66, 0.18), (0.5 + flare, hem), (0.5 - flare, hem)),
        oval(BODY, 0.5, hem, flare, 0.04),
    ]
    for t in (-0.6, -0.2, 0.2, 0.6) if c > 0.4 else (-0.3, 0.3):
        parts.append(
            polygon(
                BODY_DARK, (0.5 + 0.16 * t, 0.2), (0.5 + flare * t, hem + 0.03), (0.5 + flare * t + 0.03, hem + 0.03)
            )
        )
    return [*parts, box(BODY_DARK, 0.33, 0.13, 0.67, 0.21, 0.01)]


def trousers(a: float, b: float, c: float) -> list[Part]:
    leg, spread = 0.09 + 0.08 * a, 0.06 * b
    left = polygon(
        BODY,
        (0.32, 0.08),
        (0.51, 0.08),
        (0.51, 0.32),
        (0.34 + leg - spread, 0.95),
        (0.32 - leg * 0.5 - spread, 0.95),
        (0.27, 0.4),
    )
    right = polygon(
        BODY,
        (0.68, 0.08),
        (0.49, 0.08),
        (0.49, 0.32),
        (0.66 - leg + spread, 0.95),
        (0.68 + leg * 0.5 + spread, 0.95),
        (0.73, 0.4),
    )
    parts = [left, right, box(BODY_DARK, 0.315, 0.05, 0.685, 0.11), bar(BODY_DARK, 0.5, 0.1, 0.5, 0.33, 0.014)]
    parts += [bar(BODY_DARK, 0.33, 0.2, 0.4, 0.12, 0.012), bar(BODY_DARK, 0.67, 0.2, 0.6, 0.12, 0.012)]
    return (
        [*parts, box(TRIM, 0.485, 0.06, 0.515, 0.09), bar(BODY_LIGHT, 0.35, 0.4, 0.32 - spread, 0.9, 0.012)]
        if c > 0.4
        else parts
    )


def hoodie(a: float, b: float, c: float) -> list[Part]:
    hem, cuff = 0.86 + 0.05 * a, 0.78 + 0.08 * b
    parts = [blob(BODY_DARK, (0.28, 0.2), (0.06, 0.42), (0.03, cuff), (0.15, cuff + 0.02), (0.22, 0.55), (0.32, 0.4))]
    parts += [blob(BODY_DARK, (0.72, 0.2), (0.94, 0.42), (0.97, cuff), (0.85, cuff + 0.02), (0.78, 0.55), (0.68, 0.4))]
    parts += [polygon(BODY, (0.28, 0.19), (0.72, 0.19), (0.78, 0.4), (0.76, hem), (0.24, hem), (0.22, 0.4))]
    parts += [
        blob(BODY, (0.5, 0.03), (0.67, 0.1), (0.68, 0.24), (0.5, 0.33), (0.32, 0.24), (0.33, 0.1)),
        oval(BODY_DARK, 0.5, 0.18, 0.12, 0.1),
        oval(BLACK, 0.5, 0.17, 0.09, 0.07),
    ]
    parts += [
        bar(WHITE, 0.45, 0.27, 0.44, 0.45, 0.015),
        bar(WHITE, 0.55, 0.27, 0.56, 0.45, 0.015),
        box(BODY_DARK, 0.24, hem - 0.05, 0.76, hem),
    ]
    if c > 0.5:
        return [*parts, bar(TRIM, 0.5, 0.32, 0.5, hem, 0.02)]
    return [
        *parts,
        polygon(BODY_DARK, (0.36, 0.6), (0.64, 0.6), (0.7, 0.78), (0.3, 0.78)),
        polygon(BODY, (0.37, 0.615), (0.63, 0.615), (0.68, 0.77), (0.32, 0.77)),
    ]


def socks(a: float, b: float, c: float) -> list[Part]:
    top, parts = 0.1 + 0.2 * a, []
    for dx in (0.0, 0.36):
        toe = 0.5 + 0.05 * b
        parts += [
            blob(
                BODY,
                (0.13 + dx, top),
                (0.35 + dx, top),
                (0.35 + dx, 0.55),
                (0.4 + dx, 0.72),
                (toe + dx, 0.84),
                (0.48 + dx, 0.94),
                (0.3 + dx, 0.92),
                (0.14 + dx, 0.82),
                (0.12 + dx, 0.6),
            )
        ]
        parts += [box(BODY_DARK, 0.125 + dx, top - 0.02, 0.355 + dx, top + 0.08, 0.01)]
        parts += [oval(TRIM, 0.19 + dx, 0.82, 0.07, 0.06), oval(TRIM, 0.46 + dx, 0.88, 0.06, 0.05)] if c > 0.5 else []
    return parts


def cap(a: float, b: float, c: float) -> list[Part]:
    top, brim = 0.24 - 0.06 * a, 0.9 + 0.06 * b
    dome = blob(
        BODY,
        (0.08, 0.62),
        (0.1, 0.4),
        (0.24, top + 0.02),
        (0.42, top - 0.02),
        (0.6, top + 0.06),
        (0.68, 0.4),
        (0.7, 0.62),
        (0.4, 0.66),
    )
    peak = blob(BODY_DARK, (0.62, 0.56), (0.8, 0.58), (brim, 0.68), (brim - 0.03, 0.73), (0.75, 0.7), (0.5, 0.67))
    parts = [
        peak,
        dome,
        arc(BODY_DARK, 0.62, 0.62, 0.22, 0.36, 0.012, 180, 250),
        oval(BODY_DARK, 0.41, top - 0.005, 0.03, 0.02),
    ]
    return [*parts, oval(WHITE if c > 0.5 else TRIM, 0.5, 0.45, 0.07, 0.07)]
