"""Painters of things: the categories of scenes of objects, and distractors that look like them.

Each thing is drawn in its own unit frame (x right, y down, about [-1, 1] x [-1, 1]) by a painter that takes a `Pen`.
Some categories are easy (clock, umbrella), some come in pairs that are easily confused (ball and balloon, box and book,
cup and bottle), and the distractors share a shape with one or two categories each: plates (ball, clock), boards (box,
book), vases (bottle, lamp), tents (box, lamp), leaves (fish, plant), kites (sign, balloon).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rendered.canvas import Canvas, Color, capsule_points, ellipse_points, hsv, random_color, shade

Rng = np.random.Generator


@dataclass(frozen=True)
class Pen:
    """Draws on a canvas in a thing's own frame: unit coordinates, scaled to pixels, turned, moved."""

    canvas: Canvas
    center: np.ndarray  # (2,) continuous pixels
    scale: float  # pixels per unit
    angle: float  # radians, clockwise on the screen
    stretch: float = 1.0  # width over height

    def at(self, points: np.ndarray) -> np.ndarray:
        """Screen positions of unit points (n, 2)."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        unit = np.asarray(points, float) * (self.stretch, 1.0)
        return self.center + self.scale * unit @ np.array([[c, s], [-s, c]])

    def poly(self, points: np.ndarray, color: Color, *, convex: bool = True) -> None:
        """A filled polygon (n, 2)."""
        self.canvas.poly(self.at(points), color, convex=convex)

    def rect(self, x0: float, y0: float, x1: float, y1: float, color: Color) -> None:
        """A filled rectangle."""
        self.poly(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]), color)

    def disc(self, x: float, y: float, rx: float, ry: float, color: Color, angle: float = 0.0) -> None:
        """A filled ellipse."""
        self.poly(ellipse_points(np.array([x, y]), rx, ry, angle), color)

    def bar(
        self, p: tuple[float, float], q: tuple[float, float], r: float, color: Color, r1: float | None = None
    ) -> None:
        """A capsule from p to q."""
        self.poly(capsule_points(np.array(p, float), np.array(q, float), r, r if r1 is None else r1), color)


Painter = Callable[[Pen, Rng, Color], None]


def _ball(pen: Pen, rng: Rng, color: Color) -> None:
    pen.disc(0, 0, 1, 1, shade(color, 0.55))
    pen.disc(-0.04, -0.04, 0.92, 0.92, color)
    style = rng.integers(3)
    second = (246, 246, 242) if sum(color) < 520 else shade(color, 0.45)
    if style == 0:  # beach ball
        for a in (0.3, 2.4, 4.5):
            t = np.linspace(a, a + 0.95, 7)
            pen.poly(np.concatenate([[(0.0, 0.0)], 0.9 * np.stack([np.cos(t), np.sin(t)], 1)]), second)
    elif style == 1:  # seams
        pen.bar((-0.9, 0), (0.9, 0), 0.06, shade(color, 0.4))
        pen.bar((0, -0.9), (0, 0.9), 0.06, shade(color, 0.4))
    else:  # spots
        for a in np.linspace(0, 2 * np.pi, 6)[:-1]:
            pen.disc(0.62 * np.cos(a), 0.62 * np.sin(a), 0.22, 0.22, second)
        pen.disc(0, 0, 0.22, 0.22, second)
    pen.disc(-0.38, -0.45, 0.2, 0.14, shade(color, 1.6))


def _balloon(pen: Pen, rng: Rng, color: Color) -> None:
    points = [(0, 0.72), (0.12, 0.95), (-0.08, 1.2), (0.1, 1.5)]
    for p, q in itertools.pairwise(points):
        pen.bar(p, q, 0.03, (230, 230, 224))
    pen.disc(0, -0.1, 0.78, 0.86, shade(color, 0.6))
    pen.disc(-0.02, -0.12, 0.7, 0.78, color)
    pen.poly(np.array([(-0.12, 0.86), (0.12, 0.86), (0, 0.7)]), shade(color, 0.6))
    pen.disc(-0.28, -0.44, 0.17, 0.24, shade(color, 1.55), 0.4)


def _box(pen: Pen, rng: Rng, color: Color) -> None:
    d = rng.uniform(0.25, 0.45)
    pen.poly(np.array([(-1, -1 + d), (-1 + d, -1), (1, -1), (1 - d, -1 + d)]), shade(color, 1.22))
    pen.poly(np.array([(1 - d, -1 + d), (1, -1), (1, 1 - d), (1 - d, 1)]), shade(color, 0.58))
    pen.rect(-1, -1 + d, 1 - d, 1, color)
    mid = -d / 2
    tape = shade(color, 0.8) if rng.uniform() < 0.6 else random_color(rng, (0.5, 0.9), (0.5, 0.95))
    pen.rect(mid - 0.12, -1 + d, mid + 0.12, 1, tape)
    pen.poly(
        np.array([(mid - 0.12, -1 + d), (mid - 0.12 + d, -1), (mid + 0.12 + d, -1), (mid + 0.12, -1 + d)]),
        shade(tape, 1.2),
    )


def _book(pen: Pen, rng: Rng, color: Color) -> None:
    pen.rect(-0.78, -1, 0.78, 1, shade(color, 0.5))
    pen.rect(0.5, -0.92, 0.74, 0.94, (240, 234, 216))
    for x in (0.58, 0.66):
        pen.rect(x - 0.015, -0.92, x + 0.015, 0.94, (190, 182, 160))
    pen.rect(-0.72, -0.95, 0.56, 0.95, color)
    pen.rect(-0.72, -0.95, -0.5, 0.95, shade(color, 0.72))
    label = shade(color, 1.55) if rng.uniform() < 0.6 else (240, 220, 150)
    pen.rect(-0.3, -0.6, 0.36, -0.42, label)
    pen.rect(-0.3, -0.3, 0.2, -0.18, label)
    if rng.uniform() < 0.5:
        pen.disc(0.03, 0.4, 0.26, 0.26, label)


def _cup(pen: Pen, rng: Rng, color: Color) -> None:
    pen.disc(0.82, 0.02, 0.42, 0.46, shade(color, 0.7))
    hole = shade(color, 0.28)
    pen.disc(0.82, 0.02, 0.22, 0.26, hole)
    pen.poly(
        np.array([(-0.8, -0.75), (0.8, -0.75), (0.62, 0.92), (0.4, 1), (-0.4, 1), (-0.62, 0.92)]), shade(color, 0.72)
    )
    pen.poly(np.array([(-0.78, -0.72), (0.5, -0.72), (0.36, 0.92), (-0.5, 0.92)]), color)
    pen.disc(0, -0.75, 0.8, 0.22, shade(color, 1.3))
    pen.disc(0, -0.72, 0.66, 0.15, (82, 48, 28) if rng.uniform() < 0.6 else shade(color, 0.45))
    if rng.uniform() < 0.5:
        pen.rect(-0.68, 0.0, 0.62, 0.25, shade(color, 1.5) if sum(color) < 450 else shade(color, 0.5))


def _bottle(pen: Pen, rng: Rng, color: Color) -> None:
    dark = shade(color, 0.6)
    pen.poly(np.array([(-0.4, -0.25), (-0.15, -0.55), (0.15, -0.55), (0.4, -0.25), (0.42, 0.92), (0.34, 1), (-0.34, 1),
                       (-0.42, 0.92)]), dark)  # fmt: skip
    pen.poly(np.array([(-0.36, -0.22), (-0.12, -0.5), (0.02, -0.5), (0.16, -0.2), (0.18, 0.94), (-0.36, 0.92)]), color)
    pen.rect(-0.15, -0.85, 0.15, -0.5, dark)
    pen.rect(-0.18, -1, 0.18, -0.82, random_color(rng, (0.5, 0.9), (0.4, 0.9)))
    pen.rect(-0.42, 0.1, 0.42, 0.6, (240, 236, 222))
    pen.rect(-0.3, 0.22, 0.3, 0.34, shade(color, 0.7))
    pen.bar((-0.25, -0.1), (-0.25, 0.8), 0.04, shade(color, 1.6))


def _plant(pen: Pen, rng: Rng, color: Color) -> None:
    green = hsv(rng.uniform(0.22, 0.4), rng.uniform(0.45, 0.75), rng.uniform(0.35, 0.65))
    n = int(rng.integers(5, 9))
    for i, a in enumerate(np.linspace(-1.25, 1.25, n) + rng.uniform(-0.1, 0.1, n)):
        length = rng.uniform(0.75, 1.15)
        tip = (np.sin(a) * length * 0.9, 0.25 - np.cos(a) * length)
        pen.bar((0, 0.3), tip, 0.05, shade(green, 0.7))
        pen.disc(tip[0] * 0.75, 0.25 + (tip[1] - 0.25) * 0.75, 0.15, 0.36, shade(green, 0.8 if i % 2 else 1.15), a)
    pen.poly(np.array([(-0.5, 0.28), (0.5, 0.28), (0.36, 1), (-0.36, 1)]), shade(color, 0.8))
    pen.poly(np.array([(-0.46, 0.32), (0.15, 0.32), (0.1, 0.98), (-0.34, 0.98)]), color)
    pen.rect(-0.56, 0.2, 0.56, 0.4, shade(color, 1.15))


def _clock(pen: Pen, rng: Rng, color: Color) -> None:
    pen.disc(0, 0, 1, 1, shade(color, 0.5))
    pen.disc(0, 0, 0.94, 0.94, color)
    pen.disc(0, 0, 0.76, 0.76, (248, 246, 238))
    for k in range(12):
        a = k * np.pi / 6
        pen.disc(0.62 * np.sin(a), -0.62 * np.cos(a), 0.065, 0.065, (40, 40, 44))
    for length, r in ((0.4, 0.065), (0.56, 0.045)):
        a = rng.uniform(0, 2 * np.pi)
        pen.bar((0, 0), (length * np.sin(a), -length * np.cos(a)), r, (24, 24, 28))
    pen.disc(0, 0, 0.09, 0.09, (200, 40, 40))


def _fish(pen: Pen, rng: Rng, color: Color) -> None:
    dark = shade(color, 0.62)
    pen.poly(np.array([(0.5, 0), (1, -0.48), (0.86, 0), (1, 0.48)]), dark, convex=False)
    pen.poly(np.array([(-0.3, -0.36), (0.25, -0.62), (0.3, -0.28)]), dark)
    pen.disc(-0.2, 0, 0.8, 0.45, dark)
    pen.disc(-0.22, -0.02, 0.73, 0.38, color)
    for x in (-0.1, 0.14, 0.36):
        pen.bar((x, -0.24), (x, 0.24), 0.045, shade(color, 1.4))
    pen.poly(np.array([(-0.3, 0.08), (0.02, 0.3), (-0.32, 0.34)]), shade(dark, 0.8))
    pen.disc(-0.66, -0.1, 0.12, 0.12, (250, 250, 250))
    pen.disc(-0.68, -0.1, 0.06, 0.06, (16, 16, 20))


def _lamp(pen: Pen, rng: Rng, color: Color) -> None:
    pen.bar((0, -0.1), (0, 0.85), 0.08, shade(color, 0.5))
    pen.disc(0, 0.9, 0.46, 0.13, shade(color, 0.5))
    pen.disc(0, 0.86, 0.42, 0.1, shade(color, 0.7))
    pen.disc(0, 0.02, 0.46, 0.12, (255, 240, 186))
    pen.poly(np.array([(-0.32, -1), (0.32, -1), (0.72, 0), (-0.72, 0)]), shade(color, 0.9))
    pen.poly(np.array([(-0.28, -0.96), (0.02, -0.96), (0.1, -0.04), (-0.62, -0.04)]), shade(color, 1.3))


def _kite(pen: Pen, rng: Rng, color: Color) -> None:
    second = hsv(rng.uniform(), rng.uniform(0.6, 1), rng.uniform(0.7, 1))
    tail = [(0, 0.75), (0.16, 1.0), (-0.08, 1.25), (0.14, 1.5)]
    for p, q in itertools.pairwise(tail):
        pen.bar(p, q, 0.03, (236, 232, 220))
    for x, y in tail[1:]:
        pen.poly(
            np.array([(x - 0.14, y - 0.07), (x + 0.14, y + 0.07), (x + 0.14, y - 0.07), (x - 0.14, y + 0.07)]), second
        )
    top, right, low, left, mid = (0, -1), (0.66, -0.25), (0, 0.78), (-0.66, -0.25), (0, -0.25)
    for quad, c in (
        ((top, right, mid), color),
        ((right, low, mid), second),
        ((low, left, mid), color),
        ((left, top, mid), second),
    ):
        pen.poly(np.array(quad), c)
    pen.bar(top, low, 0.035, shade(color, 0.4))
    pen.bar(left, right, 0.035, shade(color, 0.4))


def _umbrella(pen: Pen, rng: Rng, color: Color) -> None:
    pen.bar((0, -0.95), (0, 0.8), 0.05, (70, 56, 46))
    pen.bar((0, 0.8), (0.12, 0.95), 0.06, (70, 56, 46))
    pen.bar((0.12, 0.95), (0.26, 0.82), 0.06, (70, 56, 46))
    second = shade(color, 1.5) if rng.uniform() < 0.5 else shade(color, 0.6)
    t = np.linspace(np.pi, 2 * np.pi, 17)
    rim = np.stack([np.cos(t), 0.85 * np.sin(t)], 1)
    for k in range(4):
        arc = rim[4 * k : 4 * k + 5]
        pen.poly(np.concatenate([arc, [(-0.5 + 0.5 * k - 0.25, -0.06), (0.0, -0.86)]]), color if k % 2 else second)
    for k in range(4):
        pen.disc(-0.75 + 0.5 * k, 0.0, 0.25, 0.1, shade(color if k % 2 else second, 0.8))


def _sign(pen: Pen, rng: Rng, color: Color) -> None:
    pen.bar((0, 0.1), (0, 1.35), 0.08, (150, 152, 156))
    face, mark = ((246, 206, 40), (30, 30, 30)) if rng.uniform() < 0.5 else ((206, 40, 40), (246, 246, 246))
    diamond = np.array([(0, -1), (0.86, -0.14), (0, 0.72), (-0.86, -0.14)])
    pen.poly(diamond, mark)
    pen.poly(diamond * 0.86 + (0, -0.02), face)
    if rng.uniform() < 0.5:
        pen.bar((0, -0.52), (0, -0.06), 0.09, mark)
        pen.disc(0, 0.22, 0.1, 0.1, mark)
    else:
        pen.bar((-0.3, -0.14), (0.2, -0.14), 0.08, mark)
        pen.poly(np.array([(0.12, -0.4), (0.42, -0.14), (0.12, 0.12)]), mark)


@dataclass(frozen=True)
class Category:
    """`weight` is the share of instances; `stands` things rest on the ground, others hang or fly at any angle."""

    id: int
    name: str
    group: str
    weight: float
    paint: Painter
    stands: bool
    turn: float  # largest rotation, radians
    grow: float = 1.0  # relative size


CLASSES = (
    Category(1, "ball", "toy", 26.0, _ball, False, np.pi),
    Category(3, "box", "household", 17.5, _box, True, 0.12, 1.1),
    Category(4, "cup", "kitchen", 13.0, _cup, True, 0.1, 0.8),
    Category(7, "bottle", "kitchen", 10.0, _bottle, True, 0.15, 1.15),
    Category(8, "book", "household", 8.5, _book, False, 0.9),
    Category(11, "balloon", "toy", 6.0, _balloon, False, 0.3),
    Category(13, "plant", "household", 5.5, _plant, True, 0.08, 1.25),
    Category(16, "clock", "household", 4.2, _clock, False, 0.15, 0.9),
    Category(18, "fish", "animal", 3.4, _fish, False, 0.6),
    Category(22, "lamp", "household", 2.6, _lamp, True, 0.05, 1.2),
    Category(25, "sign", "outdoor", 2.2, _sign, True, 0.08, 1.1),
    Category(31, "umbrella", "outdoor", 1.3, _umbrella, False, 0.5, 1.25),
)


def _plate(pen: Pen, rng: Rng, color: Color) -> None:
    pen.disc(0, 0, 1, 1, shade(color, 0.6))
    pen.disc(0, 0, 0.92, 0.92, shade(color, 1.2))
    pen.disc(0, 0, 0.6, 0.6, color)


def _board(pen: Pen, rng: Rng, color: Color) -> None:
    pen.rect(-0.85, -1, 0.85, 1, shade(color, 0.6))
    pen.rect(-0.78, -0.94, 0.78, 0.94, color)
    if rng.uniform() < 0.5:
        pen.rect(-0.78, -0.1, 0.78, 0.12, shade(color, 0.8))


def _vase(pen: Pen, rng: Rng, color: Color) -> None:
    pen.disc(0, 0.4, 0.6, 0.58, shade(color, 0.65))
    pen.disc(-0.06, 0.38, 0.5, 0.5, color)
    pen.poly(np.array([(-0.2, 0), (-0.3, -0.8), (0.3, -0.8), (0.2, 0)]), shade(color, 0.85))
    pen.disc(0, -0.8, 0.34, 0.1, shade(color, 1.2))


def _tent(pen: Pen, rng: Rng, color: Color) -> None:
    pen.poly(np.array([(0, -0.9), (1, 0.7), (-1, 0.7)]), shade(color, 0.7))
    pen.poly(np.array([(0, -0.9), (0.25, 0.7), (-1, 0.7)]), color)


def _leaf(pen: Pen, rng: Rng, color: Color) -> None:
    pen.disc(0, 0, 0.95, 0.42, shade(color, 0.7))
    pen.disc(-0.02, -0.03, 0.86, 0.34, color)
    pen.bar((-0.9, 0), (1.1, 0), 0.04, shade(color, 0.5))


DISTRACTORS: tuple[tuple[Painter, bool, float], ...] = (
    (_plate, False, np.pi),
    (_board, False, 0.5),
    (_vase, True, 0.05),
    (_tent, True, 0.05),
    (_leaf, False, np.pi),
    (_kite, False, 0.6),
)  # painter, stands on the ground, largest turn
