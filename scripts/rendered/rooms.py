"""Rooms, the background of the `home` domain. Nothing here stamps an owner.

`ITEMS` stand or hang in a room; `THINGS` are those that scenes of objects would label.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from rendered.canvas import Canvas, draw_fork, hsv, mix, random_color, random_wood, shade

Rng = np.random.Generator


def draw_room(canvas: Canvas, rng: Rng) -> float:
    w, h = canvas.width, canvas.height
    horizon = h * rng.uniform(0.52, 0.72)
    wall = random_color(rng, (0.04, 0.28), (0.62, 0.93))
    canvas.gradient(0, horizon, shade(wall, rng.uniform(0.78, 0.95)), wall)
    if rng.uniform() < 0.35:  # wallpaper
        step, second = rng.uniform(5, 16), shade(wall, rng.uniform(0.88, 0.95))
        for x in np.arange(rng.uniform(0, step), w, step):
            canvas.rect(x, 0, x + step * 0.45, horizon, second)
    floor = random_wood(rng) if rng.uniform() < 0.6 else random_color(rng, (0.03, 0.3), (0.4, 0.8))
    canvas.gradient(horizon, h, shade(floor, 0.72), floor)
    vanish = np.array([w * rng.uniform(0.2, 0.8), horizon - h * 0.25])
    seam = shade(floor, 0.66)
    if rng.uniform() < 0.75:
        for x in np.arange(-1.2 * w, 2.2 * w, w * rng.uniform(0.12, 0.28)):
            bottom = np.array([x, h + 2.0])
            t = (horizon - vanish[1]) / (bottom[1] - vanish[1])
            canvas.line(tuple(vanish + t * (bottom - vanish)), tuple(bottom), 0.7, seam)
    if rng.uniform() < 0.35:
        y = horizon
        while y < h:
            canvas.rect(0, y, w, y + 0.6, seam)
            y += 3 + (y - horizon) * 0.35
    if rng.uniform() < 0.4:
        rug = random_color(rng, (0.3, 0.7), (0.35, 0.8))
        cx, cy, rx = (
            w * rng.uniform(0.2, 0.8),
            horizon + (h - horizon) * rng.uniform(0.4, 0.8),
            w * rng.uniform(0.2, 0.4),
        )
        canvas.ellipse((cx, cy), rx, rx * 0.28, shade(rug, 0.75))
        canvas.ellipse((cx, cy), rx * 0.86, rx * 0.23, rug)
        canvas.ellipse((cx, cy), rx * 0.5, rx * 0.13, shade(rug, 1.2))
    canvas.rect(0, horizon - 2.5, w, horizon, shade(wall, 1.35))
    canvas.rect(0, horizon - 0.3, w, horizon + 0.5, shade(floor, 0.5))
    return horizon


def _window(canvas: Canvas, rng: Rng, horizon: float) -> None:
    w = canvas.width
    ww, x = w * rng.uniform(0.16, 0.34), w * rng.uniform(-0.05, 0.8)
    y0, y1 = horizon * rng.uniform(0.08, 0.2), horizon * rng.uniform(0.6, 0.82)
    frame = shade(random_wood(rng), 1.3) if rng.uniform() < 0.5 else (240, 240, 236)
    canvas.rect(x - 2, y0 - 2, x + ww + 2, y1 + 2, frame)
    top, low = mix((110, 170, 230), (240, 190, 140), rng.uniform() ** 2), (225, 235, 240)
    for i in range(6):
        canvas.rect(x, y0 + (y1 - y0) * i / 6, x + ww, y0 + (y1 - y0) * (i + 1) / 6, mix(top, low, i / 5))
    canvas.ellipse((x + ww * rng.uniform(0.2, 0.8), y1 - 2), ww * 0.2, (y1 - y0) * 0.2, (110, 150, 90))
    canvas.rect(x, y1 - 3, x + ww, y1, (120, 156, 98))
    canvas.rect(x + ww / 2 - 1, y0, x + ww / 2 + 1, y1, frame)
    canvas.rect(x, (y0 + y1) / 2 - 0.8, x + ww, (y0 + y1) / 2 + 0.8, frame)
    canvas.rect(x - 4, y1 + 1, x + ww + 4, y1 + 3, shade(frame, 0.85))
    if rng.uniform() < 0.6:
        cloth = random_color(rng, (0.15, 0.5), (0.5, 0.9))
        for x0, x1 in ((x - 7, x + 3), (x + ww - 3, x + ww + 7)):
            folds = np.linspace(x0, x1, 5)
            for i, (a, b) in enumerate(itertools.pairwise(folds)):
                canvas.rect(a, y0 - 5, b, y1 + 8, shade(cloth, 0.85 if i % 2 else 1.05))
        canvas.line((x - 11, y0 - 5), (x + ww + 11, y0 - 5), 1.6, (80, 64, 50))


def _frames(canvas: Canvas, rng: Rng, horizon: float) -> None:
    for _ in range(rng.integers(1, 4)):
        x, y = canvas.width * rng.uniform(0.02, 0.85), horizon * rng.uniform(0.08, 0.5)
        fw, fh = rng.uniform(12, 30), rng.uniform(12, 26)
        canvas.rect(x + 1, y + 1.5, x + fw + 1.5, y + fh + 2, (90, 84, 78))
        canvas.rect(x, y, x + fw, y + fh, shade(random_wood(rng), 0.7))
        ground = random_color(rng, (0.1, 0.4), (0.6, 0.95))
        canvas.rect(x + 1.6, y + 1.6, x + fw - 1.6, y + fh - 1.6, ground)
        if rng.uniform() < 0.5:  # a portrait: a head without a body
            canvas.ellipse((x + fw / 2, y + fh * 0.42), fw * 0.17, fh * 0.22, mix((246, 212, 182), (92, 58, 38), 0.5))
        else:
            canvas.poly(np.array([(x + 2, y + fh - 2), (x + fw * 0.45, y + fh * 0.4), (x + fw - 2, y + fh - 2)]),
                        random_color(rng))  # fmt: skip
            canvas.ellipse((x + fw * 0.7, y + fh * 0.3), 2, 2, (250, 220, 120))


def _bookcase(canvas: Canvas, rng: Rng, horizon: float) -> None:
    bw, x = canvas.width * rng.uniform(0.16, 0.3), canvas.width * rng.uniform(-0.05, 0.82)
    y0, wood = horizon * rng.uniform(0.15, 0.4), random_wood(rng)
    y1 = horizon + 3
    canvas.rect(x, y0, x + bw, y1, shade(wood, 0.6))
    rows = int(rng.integers(3, 5))
    for i in range(rows):
        a, b = y0 + (y1 - y0) * i / rows + 1.5, y0 + (y1 - y0) * (i + 1) / rows - 1
        bx = x + 2
        while bx < x + bw - 4:
            thick = rng.uniform(1.6, 4)
            canvas.rect(
                bx, a + (b - a) * rng.uniform(0.05, 0.35), bx + thick, b, random_color(rng, (0.2, 0.7), (0.3, 0.85))
            )
            bx += thick + (0.2 if rng.uniform() < 0.85 else 5)
        canvas.rect(x, b, x + bw, b + 1.6, wood)
    for bx in (x, x + bw - 1.8):
        canvas.rect(bx, y0 - 1, bx + 1.8, y1, wood)
    canvas.rect(x - 0.5, y0 - 1.5, x + bw + 0.5, y0 + 0.5, wood)


def _floor_lamp(canvas: Canvas, rng: Rng, horizon: float) -> None:
    """A pole with a skin-coloured globe or shade: easily taken for a body with a head."""
    x, y1 = canvas.width * rng.uniform(0.05, 0.95), horizon + canvas.height * rng.uniform(0.03, 0.12)
    y0 = horizon * rng.uniform(0.15, 0.4)
    pole = shade(random_wood(rng), 0.6)
    canvas.shadow((x, y1), 9, 2.5)
    canvas.line((x, y0), (x, y1), rng.uniform(1.5, 3.5), pole)
    canvas.ellipse((x, y1), 6, 1.8, pole)
    light = (255, 236, 190)
    if rng.uniform() < 0.5:
        canvas.ellipse((x, y0), 6, 6.5, shade(light, 0.9))
        canvas.ellipse((x - 1, y0 - 1), 4, 4, light)
    else:
        canvas.poly(np.array([(x - 4, y0 - 6), (x + 4, y0 - 6), (x + 8, y0 + 5), (x - 8, y0 + 5)]), shade(light, 0.88))


def _coat_rack(canvas: Canvas, rng: Rng, horizon: float) -> None:
    """Hanging clothes: trunks and sleeves without people."""
    n, x = int(rng.integers(2, 4)), canvas.width * rng.uniform(0.02, 0.75)
    y = horizon * rng.uniform(0.2, 0.35)
    canvas.line((x, y), (x + 16 * n, y), 2, shade(random_wood(rng), 0.7))
    for i in range(n):
        cx, cloth = x + 8 + 16 * i, random_color(rng, (0.15, 0.6), (0.3, 0.85))
        drop = rng.uniform(22, 36)
        dark = shade(cloth, 0.6)
        for s in (-1, 1):
            canvas.capsule(np.array([cx + 5 * s, y + 6]), np.array([cx + 7 * s, y + 6 + drop * 0.6]), 2.8, 2.2, dark)
            canvas.capsule(np.array([cx + 5 * s, y + 6]), np.array([cx + 7 * s, y + 6 + drop * 0.6]), 2.3, 1.7, cloth)
        body = np.array([(cx - 2, y + 2), (cx + 2, y + 2), (cx + 6.5, y + 6), (cx + 6, y + drop), (cx - 6, y + drop),
                         (cx - 6.5, y + 6)])  # fmt: skip
        canvas.hull(body, dark)
        canvas.hull(body * 0.9 + 0.1 * body.mean(axis=0), cloth)


def _door(canvas: Canvas, rng: Rng, horizon: float) -> None:
    x, dw, y0 = canvas.width * rng.uniform(-0.05, 0.85), canvas.width * rng.uniform(0.15, 0.22), horizon * 0.12
    color = shade(random_wood(rng), 1.2) if rng.uniform() < 0.5 else (232, 228, 218)
    canvas.rect(x - 2, y0 - 2, x + dw + 2, horizon, shade(color, 0.8))
    canvas.rect(x, y0, x + dw, horizon + 0.5, color)
    for a, b in ((0.08, 0.45), (0.54, 0.92)):
        for c, d in ((0.12, 0.45), (0.55, 0.88)):
            canvas.rect(x + dw * c, y0 + (horizon - y0) * a, x + dw * d, y0 + (horizon - y0) * b, shade(color, 0.9))
    canvas.ellipse((x + dw * 0.9, y0 + (horizon - y0) * 0.5), 1.4, 1.4, (200, 170, 80))


def _sofa(canvas: Canvas, rng: Rng, horizon: float) -> None:
    cloth = random_color(rng, (0.15, 0.6), (0.3, 0.8))
    x, sw, sh = canvas.width * rng.uniform(-0.1, 0.6), canvas.width * rng.uniform(0.35, 0.5), canvas.height * 0.2
    base = horizon + canvas.height * rng.uniform(0.04, 0.1)
    canvas.shadow((x + sw / 2, base), sw * 0.55, 4)
    canvas.rect(x + 2, base - sh, x + sw - 2, base - sh * 0.2, shade(cloth, 0.82))
    for i in range(2):
        a = x + 4 + i * (sw - 8) / 2
        canvas.rect(a + 0.5, base - sh * 0.55, a + (sw - 8) / 2 - 0.5, base - sh * 0.28, shade(cloth, 1.12))
    canvas.rect(x + 3, base - sh * 0.3, x + sw - 3, base - 2, cloth)
    for s in (x, x + sw - 6):
        canvas.capsule(np.array([s + 3, base - sh * 0.6]), np.array([s + 3, base - 4]), 4, 4, shade(cloth, 0.9))
    if rng.uniform() < 0.6:
        cushion, corner = random_color(rng), np.array([x + sw * 0.3, base - sh * 0.55])
        canvas.poly(np.array([(-6, -5), (5, -7), (7, 4), (-5, 6)]) + corner, cushion)


def _branches(canvas: Canvas, rng: Rng, horizon: float) -> None:
    """A potted tree whose bare forks resemble arms and legs."""
    x, base = canvas.width * rng.uniform(0.05, 0.95), horizon + canvas.height * rng.uniform(0.02, 0.12)
    bark = hsv(rng.uniform(0.04, 0.09), rng.uniform(0.3, 0.5), rng.uniform(0.4, 0.75))
    height = canvas.height * rng.uniform(0.25, 0.45)
    top = np.array([x, base - height])
    draw_fork(canvas, rng, np.array([x, base - 8.0]), top, 2.4, bark, 2, rng.uniform() < 0.6)
    pot = random_color(rng, (0.2, 0.6), (0.4, 0.8))
    canvas.shadow((x, base), 9, 2.5)
    canvas.poly(np.array([(x - 6, base - 10), (x + 6, base - 10), (x + 4.5, base), (x - 4.5, base)]), pot)
    canvas.rect(x - 7, base - 12, x + 7, base - 9, shade(pot, 1.15))


def _pendants(canvas: Canvas, rng: Rng, horizon: float) -> None:
    shade_color = random_color(rng, (0.2, 0.6), (0.4, 0.9))
    for _ in range(rng.integers(1, 4)):
        x, y = canvas.width * rng.uniform(0.05, 0.95), horizon * rng.uniform(0.15, 0.4)
        canvas.line((x, -1), (x, y), 0.7, (60, 56, 52))
        canvas.ellipse((x, y + 4), 6, 5, shade_color)
        canvas.ellipse((x, y + 8), 3, 2, (255, 240, 200))


def _radiator(canvas: Canvas, rng: Rng, horizon: float) -> None:
    x, n = canvas.width * rng.uniform(0, 0.75), int(rng.integers(5, 10))
    color = (226, 224, 218) if rng.uniform() < 0.6 else (206, 160, 130)
    for i in range(n):
        a = np.array([x + 5 * i, horizon - 26])
        b = np.array([x + 5 * i, horizon - 4])
        canvas.capsule(a, b, 2.2, 2.2, shade(color, 0.75))
        canvas.capsule(a, b, 1.5, 1.5, color)


def _ladder(canvas: Canvas, rng: Rng, horizon: float) -> None:
    x, wood, height = canvas.width * rng.uniform(0.05, 0.9), random_wood(rng), canvas.height * rng.uniform(0.35, 0.55)
    base, slant = horizon + 6, rng.uniform(4, 14) * rng.choice((-1, 1))
    for s in (0, 12):
        canvas.line((x + s, base), (x + s + slant, base - height), 2.4, shade(wood, 0.8))
    for t in np.linspace(0.12, 0.9, 6):
        canvas.line((x + slant * t, base - height * t), (x + 12 + slant * t, base - height * t), 1.8, wood)


def _table_and_chair(canvas: Canvas, rng: Rng, horizon: float) -> None:
    wood = random_wood(rng)
    x, tw = canvas.width * rng.uniform(0, 0.7), canvas.width * rng.uniform(0.2, 0.35)
    base = horizon + canvas.height * rng.uniform(0.03, 0.12)
    top = base - canvas.height * rng.uniform(0.15, 0.22)
    canvas.shadow((x + tw / 2, base), tw * 0.5, 3, 0.25)
    for leg in (x + 3, x + tw - 3):
        canvas.line((leg, top), (leg, base), 2.4, shade(wood, 0.7))
    canvas.rect(x, top - 2, x + tw, top + 1.5, wood)
    cx, c = x + tw + rng.uniform(3, 12), shade(random_wood(rng), 0.85)
    seat = base - (base - top) * 0.6
    for leg in (cx, cx + 12):
        canvas.line((leg, seat), (leg, base), 1.8, shade(c, 0.8))
    canvas.line((cx + 12, seat), (cx + 13, seat - 20), 2, c)
    canvas.rect(cx - 1, seat - 1.5, cx + 13, seat + 1.2, c)
    vase = random_color(rng)
    canvas.ellipse((x + tw * 0.4, top - 6), 3.5, 4.5, vase)
    canvas.rect(x + tw * 0.4 - 1.2, top - 13, x + tw * 0.4 + 1.2, top - 8, shade(vase, 0.9))


def _shelf(canvas: Canvas, rng: Rng, horizon: float) -> None:
    x, y, sw = (
        canvas.width * rng.uniform(0, 0.7),
        horizon * rng.uniform(0.2, 0.55),
        canvas.width * rng.uniform(0.2, 0.35),
    )
    for k in range(rng.integers(2, 6)):
        cx, s = x + sw * (0.1 + 0.16 * k), rng.uniform(2.5, 5)
        color = random_color(rng)
        if rng.uniform() < 0.5:
            canvas.ellipse((cx, y - s), s * 0.8, s, color)
        else:
            canvas.rect(cx - s * 0.6, y - 2 * s, cx + s * 0.6, y, color)
    canvas.rect(x, y, x + sw, y + 2.2, random_wood(rng))


ITEMS: tuple[Callable[[Canvas, Rng, float], None], ...] = (
    _window, _frames, _bookcase, _floor_lamp, _coat_rack, _door, _sofa, _branches, _pendants, _radiator, _ladder,
    _table_and_chair, _shelf,
)  # fmt: skip
THINGS = (_floor_lamp, _branches)
