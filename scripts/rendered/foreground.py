"""Things in front of people and under them; the caller runs `draw_occluder` with `canvas.owner = OCCLUDER`."""

from __future__ import annotations

import numpy as np

from rendered.canvas import Canvas, hsv, random_color, random_wood, shade

Rng = np.random.Generator
OCCLUDERS = ("post", "table", "panel", "box", "bush")  # the last one grows outdoors only


def draw_occluder(
    canvas: Canvas, rng: Rng, domain: str, x: float, ground: float, size: float, kinds: tuple[str, ...] = OCCLUDERS
) -> None:
    """Paint a thing that stands at (x, ground) in front of a person of standing height `size` pixels."""
    kind = kinds[rng.integers(len(kinds))]
    away = domain == "away"
    color = random_color(rng, (0.5, 1), (0.3, 0.95)) if away else random_wood(rng)
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
    color = random_color(rng, (0.4, 0.9), (0.4, 0.9)) if domain == "away" else random_wood(rng)
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
