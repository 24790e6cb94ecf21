"""Silhouettes of shoes, bags and toys; parameters and result as in silhouettes_furniture."""

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


def sneaker(a: float, b: float, c: float) -> list[Part]:
    collar, sole = 0.34 - 0.12 * a, 0.03 * b
    upper = blob(
        BODY,
        (0.06, 0.66),
        (0.07, 0.44),
        (0.1, collar),
        (0.3, collar + 0.05),
        (0.42, 0.42),
        (0.6, 0.5),
        (0.82, 0.56),
        (0.94, 0.66),
        (0.93, 0.76),
        (0.5, 0.77),
        (0.07, 0.76),
    )
    parts = [
        upper,
        blob(BODY_DARK, (0.7, 0.55), (0.86, 0.58), (0.95, 0.68), (0.9, 0.76), (0.72, 0.74)),
        box(BODY_DARK, 0.06, 0.45, 0.16, 0.74, 0.04),
    ]
    parts += [box(WHITE, 0.03, 0.72 - sole, 0.97, 0.82, 0.04), box(TRIM_DARK, 0.04, 0.8, 0.96, 0.84, 0.02)]
    parts += [bar(WHITE, 0.36 + 0.08 * i, 0.42 + 0.03 * i, 0.3 + 0.08 * i, 0.54 + 0.02 * i, 0.025) for i in range(4)]
    return [*parts, polygon(WHITE, (0.24, 0.68), (0.5, 0.56), (0.54, 0.6), (0.3, 0.7))] if c > 0.4 else parts


def boot(a: float, b: float, c: float) -> list[Part]:
    top, heel = 0.06 + 0.22 * a, 0.06 + 0.06 * b
    leg = blob(
        BODY,
        (0.22, top),
        (0.4, top),
        (0.58, top),
        (0.58, 0.45),
        (0.62, 0.58),
        (0.85, 0.66),
        (0.95, 0.76),
        (0.93, 0.84),
        (0.55, 0.84),
        (0.24, 0.84),
        (0.2, 0.6),
        (0.23, 0.35),
    )
    parts = [leg, box(TRIM_DARK, 0.2, 0.82, 0.95, 0.88, 0.02), box(TRIM_DARK, 0.2, 0.86, 0.42, 0.88 + heel)]
    parts += [box(BODY_DARK, 0.22, top - 0.02, 0.585, top + 0.06, 0.02)]
    if c > 0.5:
        return [
            *parts,
            *[bar(BLACK, 0.5, 0.3 + 0.07 * i + top * 0.3, 0.6, 0.33 + 0.07 * i + top * 0.3, 0.02) for i in range(4)],
        ]
    return [*parts, bar(TRIM, 0.22, 0.6, 0.63, 0.58, 0.04), box(WHITE, 0.4, 0.56, 0.46, 0.63)]


def backpack(a: float, b: float, c: float) -> list[Part]:
    left, pocket = 0.2 + 0.05 * a, 0.56 + 0.06 * b
    parts = [
        arc(TRIM_DARK, 0.5, 0.12, 0.1, 0.08, 0.03, 180, 360),
        box(BODY_DARK, left - 0.07, 0.46, left + 0.06, 0.86, 0.06),
        box(BODY_DARK, 0.94 - left, 0.46, 1.07 - left, 0.86, 0.06),
    ]
    parts += [
        box(BODY, left, 0.1, 1 - left, 0.94, 0.2),
        arc(TRIM_DARK, 0.5, 0.42, 0.3 - left * 0.2, 0.22, 0.015, 190, 350),
    ]
    parts += [
        box(BODY_DARK, left + 0.07, pocket, 0.93 - left, 0.9, 0.05),
        box(BODY, left + 0.085, pocket + 0.02, 0.915 - left, 0.885, 0.05),
    ]
    parts += [bar(TRIM, left + 0.1, pocket + 0.05, 0.9 - left, pocket + 0.05, 0.015)]
    return [*parts, *[bar(TRIM, x, 0.3, x, pocket + 0.14, 0.04) for x in (0.36, 0.64)]] if c > 0.5 else parts


def tote(a: float, b: float, c: float) -> list[Part]:
    top, inset = 0.4 - 0.06 * a, 0.1 * b
    parts = [arc(TRIM if c > 0.5 else BODY_DARK, 0.5, top + 0.02, 0.19, 0.32, 0.035, 180, 360)]
    parts += [
        polygon(BODY, (0.12, top), (0.88, top), (0.88 - inset, 0.95), (0.12 + inset, 0.95)),
        box(BODY_DARK, 0.12, top, 0.88, top + 0.03),
    ]
    return [*parts, arc(TRIM if c > 0.5 else BODY_DARK, 0.5, top + 0.1, 0.17, 0.27, 0.035, 180, 360)]


def handbag(a: float, b: float, c: float) -> list[Part]:
    top, flap = 0.42 - 0.05 * a, 0.62 + 0.06 * b
    parts = [arc(TRIM_DARK, 0.5, top + 0.02, 0.2 + 0.06 * a, 0.3, 0.035, 180, 360)]
    parts += [
        blob(
            BODY,
            (0.14, top),
            (0.5, top - 0.02),
            (0.86, top),
            (0.93, 0.8),
            (0.84, 0.9),
            (0.5, 0.91),
            (0.16, 0.9),
            (0.07, 0.8),
        )
    ]
    if c > 0.35:
        parts += [
            blob(
                BODY_DARK,
                (0.12, top),
                (0.5, top - 0.02),
                (0.88, top),
                (0.86, flap - 0.06),
                (0.5, flap + 0.04),
                (0.14, flap - 0.06),
            )
        ]
        parts += [
            blob(
                BODY,
                (0.13, top),
                (0.5, top - 0.02),
                (0.87, top),
                (0.85, flap - 0.08),
                (0.5, flap + 0.02),
                (0.15, flap - 0.08),
            )
        ]
    return [*parts, box(TRIM, 0.46, flap - 0.05, 0.54, flap + 0.04, 0.02)]


def suitcase(a: float, b: float, c: float) -> list[Part]:
    top, left = 0.24 + 0.08 * a, 0.22 - 0.08 * b
    parts = [box(TRIM_DARK, 0.38, 0.03, 0.62, top + 0.05, 0.02), box(0, 0.42, 0.07, 0.58, top + 0.02)]
    parts += [oval(BLACK, left + 0.08, 0.94, 0.045, 0.04), oval(BLACK, 0.92 - left, 0.94, 0.045, 0.04)]
    parts += [box(BODY, left, top, 1 - left, 0.92, 0.07)]
    ribs = 3 + int(3 * c)
    for rib in range(ribs):
        x = left + (rib + 1) * (1 - 2 * left) / (ribs + 1)
        parts.append(box(BODY_DARK, x - 0.008, top + 0.05, x + 0.008, 0.87))
    return [*parts, box(TRIM, 0.45, top - 0.02, 0.55, top + 0.04, 0.01)]


def teddy(a: float, b: float, c: float) -> list[Part]:
    ear, belly = 0.08 + 0.03 * a, 0.2 + 0.04 * b
    parts = [oval(BODY_DARK, x, 0.12, ear, ear) for x in (0.31, 0.69)] + [
        oval(BODY_LIGHT, x, 0.12, ear * 0.5, ear * 0.5) for x in (0.31, 0.69)
    ]
    parts += [oval(BODY_DARK, x, 0.58, 0.09, 0.15) for x in (0.22, 0.78)] + [oval(BODY, 0.5, 0.65, belly + 0.05, 0.24)]
    parts += [oval(BODY_DARK, x, 0.86, 0.13, 0.11) for x in (0.3, 0.7)] + [
        oval(BODY_LIGHT, x, 0.88, 0.075, 0.065) for x in (0.3, 0.7)
    ]
    parts += [oval(BODY, 0.5, 0.27, 0.23, 0.2), oval(WHITE, 0.5, 0.34, 0.1, 0.08), oval(BLACK, 0.5, 0.31, 0.035, 0.025)]
    parts += [oval(BLACK, x, 0.23, 0.022, 0.026) for x in (0.41, 0.59)]
    if c > 0.5:
        parts += [
            polygon(TRIM, (0.38, 0.43), (0.5, 0.48), (0.38, 0.53)),
            polygon(TRIM, (0.62, 0.43), (0.5, 0.48), (0.62, 0.53)),
        ]
    return parts


def ball(a: float, b: float, c: float) -> list[Part]:
    parts = [oval(BODY, 0.5, 0.52, 0.42, 0.42), oval(BODY_LIGHT, 0.35, 0.33, 0.09, 0.06)]
    if c > 0.4:
        parts += [arc(WHITE, 0.5, 0.52, 0.14 + 0.14 * a, 0.41, 0.03 + 0.03 * b, 0, 360)]
    return [*parts, arc(BODY_DARK, 0.5, 0.52, 0.41, 0.41, 0.02, 10, 120)]


def toy_car(a: float, b: float, c: float) -> list[Part]:
    roof, hood = 0.3 - 0.06 * a, 0.48 + 0.04 * b
    parts = [
        blob(BODY_DARK, (0.24, 0.52), (0.32, roof), (0.5, roof - 0.02), (0.66, roof + 0.02), (0.76, 0.52)),
        blob(
            BODY,
            (0.04, 0.56),
            (0.2, hood),
            (0.5, hood),
            (0.82, hood + 0.02),
            (0.96, 0.6),
            (0.96, 0.72),
            (0.5, 0.74),
            (0.04, 0.72),
        ),
    ]
    parts += [
        polygon(WHITE, (0.31, 0.48), (0.36, roof + 0.04), (0.48, roof + 0.03), (0.48, 0.48)),
        polygon(WHITE, (0.52, 0.48), (0.52, roof + 0.03), (0.62, roof + 0.05), (0.69, 0.48)),
    ]
    for x in (0.25, 0.76):
        parts += [oval(BLACK, x, 0.73, 0.11, 0.11), oval(TRIM, x, 0.73, 0.055, 0.055)]
    return [*parts, oval(WHITE, 0.93, 0.6, 0.025, 0.03), box(TRIM_DARK, 0.02, 0.66, 0.08, 0.71)] if c > 0.3 else parts


def kite(a: float, b: float, c: float) -> list[Part]:
    side, middle = 0.26 + 0.06 * a, 0.3 + 0.06 * b
    parts = [
        bar(TRIM, 0.5, 0.68, 0.56, 0.78, 0.014),
        bar(TRIM, 0.56, 0.78, 0.47, 0.87, 0.014),
        bar(TRIM, 0.47, 0.87, 0.54, 0.97, 0.014),
    ]
    parts += [
        polygon(BODY_DARK, (x - 0.05, y - 0.03), (x + 0.05, y + 0.03), (x + 0.05, y - 0.03), (x - 0.05, y + 0.03))
        for x, y in ((0.56, 0.78), (0.47, 0.88))
    ]
    parts += [
        polygon(BODY, (0.5, 0.03), (0.5 + side, middle), (0.5, 0.7)),
        polygon(BODY_DARK if c > 0.5 else BODY, (0.5, 0.03), (0.5 - side, middle), (0.5, 0.7)),
    ]
    return [
        *parts,
        bar(TRIM_DARK, 0.5, 0.03, 0.5, 0.7, 0.012),
        bar(TRIM_DARK, 0.5 - side, middle, 0.5 + side, middle, 0.012),
    ]
