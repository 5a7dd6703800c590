"""Backgrounds, clutter and light of the two domains: `home` (rooms) and `away` (sports grounds).

Everything here paints without stamping an owner, but for `draw_occluder`, which the caller runs with
`canvas.owner = OCCLUDER`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from rendered.canvas import Canvas, Color, hsv, mix, random_color, shade

Rng = np.random.Generator


def draw_background(canvas: Canvas, rng: Rng, domain: str, clutter: int, *, things: bool = True) -> float:
    """Paint a whole background with `clutter` items; returns the horizon's y in pixels.

    Without `things`, no item is a lamp, a plant or a ball: scenes of objects must not hold unlabelled ones.
    """
    paint, items = (_room, _HOME_ITEMS) if domain == "home" else (_ground, _AWAY_ITEMS)
    horizon = paint(canvas, rng)
    allowed = [item for item in items if things or item not in _LABELLED]
    for i in rng.permutation(len(allowed))[:clutter]:
        allowed[i](canvas, rng, horizon)
    return horizon


# ---------------------------------------------------------------------------------------------------------------- home


def _wood(rng: Rng) -> Color:
    return hsv(rng.uniform(0.05, 0.1), rng.uniform(0.3, 0.6), rng.uniform(0.35, 0.8))


def _room(canvas: Canvas, rng: Rng) -> float:
    w, h = canvas.width, canvas.height
    horizon = h * rng.uniform(0.52, 0.72)
    wall = random_color(rng, (0.04, 0.28), (0.62, 0.93))
    canvas.gradient(0, horizon, shade(wall, rng.uniform(0.78, 0.95)), wall)
    if rng.uniform() < 0.35:  # wallpaper
        step, second = rng.uniform(5, 16), shade(wall, rng.uniform(0.88, 0.95))
        for x in np.arange(rng.uniform(0, step), w, step):
            canvas.rect(x, 0, x + step * 0.45, horizon, second)
    floor = _wood(rng) if rng.uniform() < 0.6 else random_color(rng, (0.03, 0.3), (0.4, 0.8))
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
    frame = shade(_wood(rng), 1.3) if rng.uniform() < 0.5 else (240, 240, 236)
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
        canvas.rect(x, y, x + fw, y + fh, shade(_wood(rng), 0.7))
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
    y0, wood = horizon * rng.uniform(0.15, 0.4), _wood(rng)
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
    pole = shade(_wood(rng), 0.6)
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
    canvas.line((x, y), (x + 16 * n, y), 2, shade(_wood(rng), 0.7))
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
    color = shade(_wood(rng), 1.2) if rng.uniform() < 0.5 else (232, 228, 218)
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
    _fork(canvas, rng, np.array([x, base - 8.0]), top, 2.4, bark, 2, rng.uniform() < 0.6)
    pot = random_color(rng, (0.2, 0.6), (0.4, 0.8))
    canvas.shadow((x, base), 9, 2.5)
    canvas.poly(np.array([(x - 6, base - 10), (x + 6, base - 10), (x + 4.5, base), (x - 4.5, base)]), pot)
    canvas.rect(x - 7, base - 12, x + 7, base - 9, shade(pot, 1.15))


def _fork(
    canvas: Canvas, rng: Rng, p: np.ndarray, q: np.ndarray, r: float, bark: Color, depth: int, leaves: bool
) -> None:
    canvas.capsule(p, q, r, r * 0.7, bark)
    d = q - p
    for side in (-1, 1):
        a = side * rng.uniform(0.4, 1.0)
        turned = np.array([d[0] * np.cos(a) - d[1] * np.sin(a), d[0] * np.sin(a) + d[1] * np.cos(a)])
        tip = q + turned * rng.uniform(0.35, 0.6)
        if depth:
            _fork(canvas, rng, p + d * rng.uniform(0.6, 1), tip, r * 0.7, bark, depth - 1, leaves)
        elif leaves:
            canvas.ellipse(tip, rng.uniform(3, 6), rng.uniform(2, 4), hsv(rng.uniform(0.24, 0.36), 0.5, 0.55), a)


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
    x, wood, height = canvas.width * rng.uniform(0.05, 0.9), _wood(rng), canvas.height * rng.uniform(0.35, 0.55)
    base, slant = horizon + 6, rng.uniform(4, 14) * rng.choice((-1, 1))
    for s in (0, 12):
        canvas.line((x + s, base), (x + s + slant, base - height), 2.4, shade(wood, 0.8))
    for t in np.linspace(0.12, 0.9, 6):
        canvas.line((x + slant * t, base - height * t), (x + 12 + slant * t, base - height * t), 1.8, wood)


def _table_and_chair(canvas: Canvas, rng: Rng, horizon: float) -> None:
    wood = _wood(rng)
    x, tw = canvas.width * rng.uniform(0, 0.7), canvas.width * rng.uniform(0.2, 0.35)
    base = horizon + canvas.height * rng.uniform(0.03, 0.12)
    top = base - canvas.height * rng.uniform(0.15, 0.22)
    canvas.shadow((x + tw / 2, base), tw * 0.5, 3, 0.25)
    for leg in (x + 3, x + tw - 3):
        canvas.line((leg, top), (leg, base), 2.4, shade(wood, 0.7))
    canvas.rect(x, top - 2, x + tw, top + 1.5, wood)
    cx, c = x + tw + rng.uniform(3, 12), shade(_wood(rng), 0.85)
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
    canvas.rect(x, y, x + sw, y + 2.2, _wood(rng))


# ---------------------------------------------------------------------------------------------------------------- away


def _ground(canvas: Canvas, rng: Rng) -> float:
    w, h = canvas.width, canvas.height
    horizon = h * rng.uniform(0.3, 0.55)
    sky = rng.choice(("day", "dusk", "overcast", "night"), p=(0.4, 0.22, 0.2, 0.18))
    top, low = {
        "day": ((60, 130, 220), (190, 222, 250)),
        "dusk": ((70, 60, 120), (250, 150, 90)),
        "overcast": ((150, 158, 168), (206, 210, 214)),
        "night": ((14, 18, 44), (44, 52, 92)),
    }[str(sky)]
    canvas.gradient(0, horizon, top, low)
    if sky == "day":
        for _ in range(rng.integers(0, 4)):
            c = np.array([w * rng.uniform(0, 1), horizon * rng.uniform(0.1, 0.6)])
            for _ in range(4):
                canvas.ellipse(
                    c + rng.uniform(-9, 9, 2) * (1.4, 0.4), rng.uniform(6, 13), rng.uniform(3, 5), (246, 248, 250)
                )
    back = rng.choice(("stands", "hills", "trees", "city"), p=(0.42, 0.2, 0.22, 0.16))
    _BACKS[str(back)](canvas, rng, horizon)
    _FIELDS[int(rng.integers(len(_FIELDS)))](canvas, rng, horizon)
    return horizon


def _stands(canvas: Canvas, rng: Rng, horizon: float) -> None:
    y0 = horizon * rng.uniform(0.05, 0.4)
    base = random_color(rng, (0.05, 0.3), (0.25, 0.5))
    canvas.rect(0, y0, canvas.width, horizon + 1, base)
    step = rng.uniform(4, 6)
    colors = [random_color(rng, (0.1, 0.9), (0.3, 1.0)) for _ in range(7)]
    f = canvas.factor
    for y in np.arange(y0 + 2, horizon - 4, step):
        canvas.rect(0, y + step * 0.62, canvas.width, y + step * 0.8, shade(base, 0.6))
        for x in np.arange(
            rng.uniform(0, 3), canvas.width, rng.uniform(3, 4.5)
        ):  # a blurred crowd, far too small to label
            if rng.uniform() < 0.8:
                a, b = int(y * f), int(x * f)
                canvas.pixels[a : a + 2 * f, b : b + 2 * f] = colors[rng.integers(7)]
                canvas.pixels[a - f : a, b + 1 : b + 1 + f] = (206, 160, 130)
    canvas.rect(0, horizon - 4, canvas.width, horizon + 1, random_color(rng, (0.5, 0.9), (0.4, 0.9)))


def _hills(canvas: Canvas, rng: Rng, horizon: float) -> None:
    for k in range(3):
        color = mix((120, 140, 170), (60, 100, 60), k / 2)
        n = 7
        ys = horizon - horizon * rng.uniform(0.1, 0.5, n) * (1 - 0.28 * k)
        pts = [
            (-5, horizon + 1),
            *zip(np.linspace(-5, canvas.width + 5, n), ys, strict=True),
            (canvas.width + 5, horizon + 1),
        ]
        canvas.poly(np.array(pts), color, convex=False)


def _trees(canvas: Canvas, rng: Rng, horizon: float) -> None:
    for x in np.arange(-8, canvas.width + 8, rng.uniform(9, 18)):
        size = horizon * rng.uniform(0.18, 0.4)
        green = hsv(rng.uniform(0.22, 0.38), rng.uniform(0.35, 0.7), rng.uniform(0.22, 0.5))
        canvas.line((x, horizon), (x, horizon - size), 2.5, (74, 54, 38))
        if rng.uniform() < 0.6:
            canvas.ellipse((x, horizon - size), size * 0.45, size * 0.55, green)
            canvas.ellipse((x - 2, horizon - size * 1.15), size * 0.25, size * 0.28, shade(green, 1.15))
        else:
            canvas.poly(np.array([(x, horizon - 1.7 * size), (x + size * 0.42, horizon - 3), (x - size * 0.42, horizon - 3)]),
                        green)  # fmt: skip


def _city(canvas: Canvas, rng: Rng, horizon: float) -> None:
    x = -4.0
    while x < canvas.width:
        bw, bh = rng.uniform(12, 30), horizon * rng.uniform(0.25, 0.8)
        color = random_color(rng, (0.03, 0.25), (0.3, 0.65))
        canvas.rect(x, horizon - bh, x + bw, horizon + 1, color)
        lit = (250, 226, 150) if rng.uniform() < 0.5 else shade(color, 0.7)
        for wy in np.arange(horizon - bh + 3, horizon - 5, 5):
            for wx in np.arange(x + 2, x + bw - 2, 4.5):
                canvas.rect(wx, wy, wx + 2.2, wy + 2.6, lit)
        x += bw + rng.uniform(-1, 5)


_BACKS = {"stands": _stands, "hills": _hills, "trees": _trees, "city": _city}


def _grass(canvas: Canvas, rng: Rng, horizon: float) -> None:
    green = hsv(rng.uniform(0.23, 0.36), rng.uniform(0.5, 0.8), rng.uniform(0.38, 0.68))
    h, w = canvas.height, canvas.width
    canvas.gradient(horizon, h, shade(green, 0.8), green)
    vx, step = w * rng.uniform(0.2, 0.8), w * rng.uniform(0.2, 0.4)
    for x in np.arange(-2 * w, 3 * w, 2 * step):
        pts = [(vx + (x - vx) * 0.35, horizon), (vx + (x + step - vx) * 0.35, horizon), (x + step, h), (x, h)]
        canvas.poly(np.array(pts), shade(green, 0.9))
    y = horizon + (h - horizon) * rng.uniform(0.15, 0.6)
    canvas.line((-5, y), (w + 5, y + rng.uniform(-8, 8)), 1.4, (238, 242, 236))
    if rng.uniform() < 0.4:
        c, r = (w * rng.uniform(0.2, 0.8), y + 8), w * rng.uniform(0.15, 0.3)
        canvas.ellipse(c, r, r * 0.3, (238, 242, 236))
        canvas.ellipse(c, r - 1.6, r * 0.3 - 1.2, green)


def _court(canvas: Canvas, rng: Rng, horizon: float) -> None:
    floor = ((196, 110, 60), (40, 90, 170), (200, 150, 90), (70, 130, 90), (120, 70, 130))[rng.integers(5)]
    h, w = canvas.height, canvas.width
    canvas.gradient(horizon, h, shade(floor, 0.85), shade(floor, 1.06))
    inner = shade(floor, 0.72)
    vx = w * rng.uniform(0.3, 0.7)
    quad = np.array(
        [(vx - w * 0.3, horizon + 4), (vx + w * 0.3, horizon + 4), (vx + w * 0.85, h + 8), (vx - w * 0.85, h + 8)]
    )
    canvas.poly(quad, (240, 240, 240))
    canvas.poly(quad * (0.97, 1) + (0.03 * vx, 1.5), inner)
    y = horizon + (h - horizon) * rng.uniform(0.3, 0.7)
    canvas.rect(0, y, w, y + 1.4, (240, 240, 240))


def _track(canvas: Canvas, rng: Rng, horizon: float) -> None:
    red = hsv(rng.uniform(0.0, 0.05), rng.uniform(0.55, 0.75), rng.uniform(0.55, 0.75))
    h, w = canvas.height, canvas.width
    canvas.gradient(horizon, h, shade(red, 0.85), red)
    vanish = np.array([w * rng.uniform(-0.3, 1.3), horizon - 6])
    for x in np.arange(-2 * w, 3 * w, w * rng.uniform(0.22, 0.34)):
        bottom = np.array([x, h + 4.0])
        start = vanish + (horizon - vanish[1]) / (bottom[1] - vanish[1]) * (bottom - vanish)
        canvas.capsule(start, bottom, 0.4, 1.3, (244, 240, 236))


def _sand(canvas: Canvas, rng: Rng, horizon: float) -> None:
    sand = hsv(rng.uniform(0.09, 0.13), rng.uniform(0.25, 0.45), rng.uniform(0.75, 0.92))
    canvas.gradient(horizon, canvas.height, shade(sand, 0.9), sand)
    if rng.uniform() < 0.6:
        sea = horizon + (canvas.height - horizon) * rng.uniform(0.1, 0.35)
        canvas.gradient(horizon, sea, (30, 90, 150), (70, 150, 180))
        canvas.rect(0, sea - 1, canvas.width, sea + 1, (240, 246, 246))


def _snow(canvas: Canvas, rng: Rng, horizon: float) -> None:
    canvas.gradient(horizon, canvas.height, (206, 218, 236), (244, 246, 252))
    for _ in range(5):
        y = horizon + (canvas.height - horizon) * rng.uniform(0.1, 1)
        canvas.line((-5, y), (canvas.width + 5, y + rng.uniform(-14, 14)), rng.uniform(0.8, 2), (190, 204, 226))


_FIELDS = (_grass, _grass, _court, _track, _sand, _snow)


def _goal(canvas: Canvas, rng: Rng, horizon: float) -> None:
    x, gw, gh = (
        canvas.width * rng.uniform(-0.1, 0.7),
        canvas.width * rng.uniform(0.25, 0.45),
        canvas.height * rng.uniform(0.18, 0.3),
    )
    y = horizon + canvas.height * rng.uniform(0.02, 0.12)
    for t in np.linspace(0.08, 0.92, 8):
        canvas.line((x + gw * t, y - gh), (x + gw * t, y), 0.35, (206, 210, 210))
        canvas.line((x, y - gh * t), (x + gw, y - gh * t), 0.35, (206, 210, 210))
    for p, q in (((x, y), (x, y - gh)), ((x, y - gh), (x + gw, y - gh)), ((x + gw, y - gh), (x + gw, y))):
        canvas.line(p, q, 2.2, (246, 246, 246))


def _fence(canvas: Canvas, rng: Rng, horizon: float) -> None:
    y, color = horizon + canvas.height * rng.uniform(0.0, 0.1), random_color(rng, (0.0, 0.6), (0.3, 0.9))
    height = rng.uniform(12, 26)
    for x in np.arange(rng.uniform(0, 8), canvas.width, rng.uniform(8, 18)):
        canvas.line((x, y), (x, y - height), 1.8, color)
    for t in (0.35, 0.9):
        canvas.line((-3, y - height * t), (canvas.width + 3, y - height * t), 1.4, color)


def _bare_tree(canvas: Canvas, rng: Rng, horizon: float) -> None:
    x, base = canvas.width * rng.uniform(0, 1), horizon + canvas.height * rng.uniform(0.0, 0.12)
    bark = hsv(rng.uniform(0.03, 0.08), rng.uniform(0.3, 0.5), rng.uniform(0.25, 0.6))
    p = np.array([x, base])
    _fork(canvas, rng, p, p - (rng.uniform(-5, 5), canvas.height * rng.uniform(0.15, 0.28)), 3.2, bark, 2, False)


def _flags(canvas: Canvas, rng: Rng, horizon: float) -> None:
    for _ in range(rng.integers(1, 5)):
        x, y = canvas.width * rng.uniform(0, 1), horizon + canvas.height * rng.uniform(0, 0.08)
        top = y - canvas.height * rng.uniform(0.2, 0.36)
        canvas.line((x, y), (x, top), 1.5, (220, 220, 224))
        canvas.poly(
            np.array([(x, top), (x + 14, top + 3), (x + 12, top + 8), (x, top + 9)]),
            random_color(rng, (0.7, 1), (0.6, 1)),
        )


def _banner(canvas: Canvas, rng: Rng, horizon: float) -> None:
    x, bw = canvas.width * rng.uniform(-0.1, 0.6), canvas.width * rng.uniform(0.3, 0.6)
    y, color = horizon + canvas.height * rng.uniform(0.0, 0.08), random_color(rng, (0.6, 1), (0.4, 1))
    canvas.rect(x, y - 12, x + bw, y, color)
    for bx in np.arange(x + 4, x + bw - 6, 6):
        canvas.rect(bx, y - 9, bx + rng.uniform(2, 4.5), y - 3, shade(color, 1.6))


def _floodlight(canvas: Canvas, rng: Rng, horizon: float) -> None:
    for _ in range(rng.integers(1, 3)):
        x, y = canvas.width * rng.uniform(0.02, 0.98), horizon * rng.uniform(0.1, 0.35)
        canvas.line((x, horizon + 2), (x, y), 2.2, (70, 74, 82))
        canvas.rect(x - 7, y - 6, x + 7, y + 2, (50, 54, 60))
        for dx in (-4.5, 0, 4.5):
            canvas.ellipse((x + dx, y - 2), 1.9, 1.9, (255, 252, 226))


def _hurdles(canvas: Canvas, rng: Rng, horizon: float) -> None:
    color = random_color(rng, (0.6, 1), (0.6, 1))
    for _ in range(rng.integers(1, 4)):
        x, y = canvas.width * rng.uniform(0, 0.9), horizon + (canvas.height - horizon) * rng.uniform(0.1, 0.5)
        for s in (0, 16):
            canvas.line((x + s, y), (x + s, y - 16), 1.6, (226, 226, 226))
        canvas.rect(x - 1, y - 18, x + 17, y - 14, color)


def _rings(canvas: Canvas, rng: Rng, horizon: float) -> None:
    x, y = canvas.width * rng.uniform(0.2, 0.8), horizon * rng.uniform(0.4, 0.8)
    for s in (-7, 7):
        canvas.line((x + s, -1), (x + s, y), 0.8, (226, 220, 200))
        canvas.ellipse((x + s, y + 4), 4.4, 4.4, (206, 150, 100))
        canvas.ellipse((x + s, y + 4), 2.8, 2.8, (60, 66, 80))


def _balls(canvas: Canvas, rng: Rng, horizon: float) -> None:
    for _ in range(rng.integers(1, 5)):
        p = np.array([canvas.width * rng.uniform(0, 1), rng.uniform(horizon * 0.6, canvas.height)])
        r, color = (
            rng.uniform(2.5, 6),
            ((246, 246, 246), (230, 120, 40), (214, 236, 60), (206, 160, 130))[rng.integers(4)],
        )
        canvas.ellipse(p, r, r, shade(color, 0.6))
        canvas.ellipse(p - 0.1 * r, r * 0.86, r * 0.86, color)
        reach = np.array([0.7 * r, 0])
        canvas.capsule(p - reach, p + reach, r * 0.1, r * 0.1, shade(color, 0.5))


def _bars(canvas: Canvas, rng: Rng, horizon: float) -> None:
    """Limb-coloured bars that lean on each other."""
    base = np.array([canvas.width * rng.uniform(0.1, 0.9), horizon + canvas.height * rng.uniform(0.02, 0.15)])
    for _ in range(rng.integers(2, 5)):
        color = mix((246, 212, 182), (92, 58, 38), rng.uniform())
        tip = base + np.array([rng.uniform(-18, 18), -rng.uniform(18, 46)])
        canvas.capsule(base + rng.uniform(-7, 7, 2) * (1, 0.2), tip, 2.6, 1.6, shade(color, 0.55))
        canvas.capsule(base, tip, 2.0, 1.1, color)


_Item = Callable[[Canvas, Rng, float], None]
_HOME_ITEMS: tuple[_Item, ...] = (
    _window, _frames, _bookcase, _floor_lamp, _coat_rack, _door, _sofa, _branches, _pendants, _radiator, _ladder,
    _table_and_chair, _shelf,
)  # fmt: skip
_AWAY_ITEMS: tuple[_Item, ...] = (
    _goal, _fence, _bare_tree, _flags, _banner, _floodlight, _hurdles, _rings, _balls, _bars,
)  # fmt: skip
_LABELLED: tuple[_Item, ...] = (_floor_lamp, _branches, _balls)


# ---------------------------------------------------------------------------------------------------- things in front


OCCLUDERS = ("post", "table", "panel", "box", "bush")  # the last one grows outdoors only


def draw_occluder(
    canvas: Canvas, rng: Rng, domain: str, x: float, ground: float, size: float, kinds: tuple[str, ...] = OCCLUDERS
) -> None:
    """Paint a thing that stands at (x, ground) in front of a person of standing height `size` pixels."""
    kind = kinds[rng.integers(len(kinds))]
    away = domain == "away"
    color = random_color(rng, (0.5, 1), (0.3, 0.95)) if away else _wood(rng)
    dark = shade(color, 0.55)
    if kind == "post":
        r = size * rng.uniform(0.025, 0.05)
        canvas.rect(x - r - 0.5, ground - 2.2 * size, x + r + 0.5, ground, dark)
        canvas.rect(x - r, ground - 2.2 * size, x + r, ground, color)
        canvas.rect(x - r * 0.7, ground - 2.2 * size, x - r * 0.1, ground, shade(color, 1.2))
    elif kind == "table":
        tw, th = size * rng.uniform(0.3, 0.55), size * rng.uniform(0.34, 0.46)
        for s in (-1, 1):
            canvas.line((x + s * tw * 0.85, ground - th), (x + s * tw * 0.85, ground), size * 0.035, dark)
        canvas.rect(x - tw, ground - th - size * 0.02, x + tw, ground - th + size * 0.05, dark)
        canvas.rect(x - tw, ground - th - size * 0.02, x + tw, ground - th + size * 0.03, color)
    elif kind == "box":
        bw, bh = size * rng.uniform(0.12, 0.24), size * rng.uniform(0.18, 0.42)
        top = np.array(
            [
                (x - bw, ground - bh),
                (x - bw * 0.6, ground - bh * 1.2),
                (x + bw * 1.3, ground - bh * 1.2),
                (x + bw, ground - bh),
            ]
        )
        canvas.poly(top, shade(color, 1.2))
        side = np.array(
            [
                (x + bw, ground - bh),
                (x + bw * 1.3, ground - bh * 1.2),
                (x + bw * 1.3, ground - bh * 0.2),
                (x + bw, ground),
            ]
        )
        canvas.poly(side, dark)
        canvas.rect(x - bw, ground - bh, x + bw, ground, color)
        canvas.rect(x - bw * 0.15, ground - bh, x + bw * 0.15, ground, shade(color, 0.85))
    elif kind == "bush":
        green = hsv(rng.uniform(0.22, 0.4), rng.uniform(0.4, 0.7), rng.uniform(0.3, 0.6))
        r = size * rng.uniform(0.12, 0.22)
        for _ in range(9):
            c = np.array([x, ground - r * 0.8]) + rng.uniform(-0.7, 0.7, 2) * r
            canvas.ellipse(c, r * 0.55, r * 0.45, shade(green, rng.uniform(0.75, 1.2)))
    else:
        bw, bh = size * rng.uniform(0.25, 0.45), size * rng.uniform(0.2, 0.42)
        canvas.rect(x - bw, ground - bh, x + bw, ground, dark)
        canvas.rect(x - bw + 1, ground - bh + 1, x + bw - 1, ground - 1, color)
        for t in np.linspace(-0.8, 0.6, 5):
            canvas.rect(x + bw * t, ground - bh * 0.7, x + bw * (t + 0.18), ground - bh * 0.35, shade(color, 1.5))


def draw_seat(canvas: Canvas, rng: Rng, domain: str, x: float, seat: float, ground: float, size: float) -> None:
    """A stool, bench or block whose top is at y = `seat`, under a sitting person."""
    color = random_color(rng, (0.4, 0.9), (0.4, 0.9)) if domain == "away" else _wood(rng)
    half = size * rng.uniform(0.12, 0.2)
    if rng.uniform() < 0.6:
        for s in (-1, 1):
            canvas.line((x + s * half * 0.8, seat), (x + s * half * 0.9, ground), size * 0.03, shade(color, 0.65))
        canvas.rect(x - half, seat, x + half, seat + size * 0.045, color)
        if rng.uniform() < 0.5:
            for s in (-0.8, 0.8):
                canvas.line((x + s * half, seat), (x + s * half, seat - size * 0.26), size * 0.025, shade(color, 0.65))
            canvas.rect(x - half, seat - size * 0.28, x + half, seat - size * 0.18, color)
    else:
        canvas.rect(x - half, seat, x + half, ground, shade(color, 0.7))
        canvas.rect(x - half, seat, x + half, seat + size * 0.07, color)


# --------------------------------------------------------------------------------------------------------------- light


def finish(image: np.ndarray, rng: Rng, domain: str, grain: Rng | None = None) -> np.ndarray:
    """Light, blur and noise of a domain, on a uint8 RGB image (h, w, 3) of final resolution.

    Frames of one clip share the state of `rng`, which chooses the look; `grain` gives each its own noise.
    """
    import cv2

    h, w = image.shape[:2]
    away = domain == "away"
    grid = rng.uniform(0.72, 1.12, (3, 3)) if away else rng.uniform(0.86, 1.1, (3, 3))
    light = cv2.resize(grid.astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)[:, :, None]
    if away:
        style = rng.choice(("harsh", "dim", "warm", "cold", "plain"), p=(0.24, 0.2, 0.2, 0.18, 0.18))
        gain, gamma, tint = {
            "harsh": (1.25, 1.35, (1.05, 1.02, 0.95)),
            "dim": (0.66, 1.0, (0.95, 0.97, 1.1)),
            "warm": (0.95, 1.05, (1.15, 0.95, 0.72)),
            "cold": (0.9, 1.05, (0.78, 0.96, 1.18)),
            "plain": (1.0, 1.0, (1.0, 1.0, 1.0)),
        }[str(style)]
    else:
        gain, gamma = rng.uniform(0.92, 1.06), 1.0
        tint = (1.02, 1.0, rng.uniform(0.9, 1.0))
    x = np.arange(256) / 255.0
    table = np.clip(255 * gain * np.asarray(tint)[None] * (x**gamma)[:, None], 0, 255).astype(np.uint8)
    out = cv2.LUT(image, table[None])
    if away:
        kind = rng.uniform()
        if kind < 0.3:
            out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 1.3))
        elif kind < 0.6:
            out = cv2.filter2D(out, -1, _motion(rng.uniform(2.5, 6.5), rng.uniform(0, np.pi)))
    sigma = rng.uniform(2, 6) if away else rng.uniform(0.5, 2.5)
    noise = (grain or rng).standard_normal((h, w, 1), dtype=np.float32) * sigma
    out = np.clip(out * light + noise, 0, 255).astype(np.uint8)
    if away and rng.uniform() < 0.45:
        code = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(22, 50))])[1]
        out = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return out


def _motion(length: float, angle: float) -> np.ndarray:
    """A normalised motion-blur kernel (k, k) float32."""
    import cv2

    k = int(np.ceil(length)) | 1
    kernel = np.zeros((k, k), np.uint8)
    c, d = (k - 1) / 2, np.array([np.cos(angle), np.sin(angle)]) * length / 2
    p, q = (np.array([c, c]) - d) * 16, (np.array([c, c]) + d) * 16
    cv2.line(kernel, tuple(int(v) for v in p), tuple(int(v) for v in q), 255, 1, cv2.LINE_AA, 4)
    kernel = kernel.astype(np.float32)
    return kernel / max(kernel.sum(), 1.0)
