"""Sports grounds, the background of the `away` domain. Nothing here stamps an owner.

`ITEMS` stand on a ground; `THINGS` are those that scenes of objects would label.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rendered.canvas import Canvas, draw_fork, hsv, mix, random_color, shade

Rng = np.random.Generator


def draw_ground(canvas: Canvas, rng: Rng) -> float:
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
    draw_fork(canvas, rng, p, p - (rng.uniform(-5, 5), canvas.height * rng.uniform(0.15, 0.28)), 3.2, bark, 2, False)


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


ITEMS: tuple[Callable[[Canvas, Rng, float], None], ...] = (
    _goal, _fence, _bare_tree, _flags, _banner, _floodlight, _hurdles, _rings, _balls, _bars,
)  # fmt: skip
THINGS = (_balls,)
