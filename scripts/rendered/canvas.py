"""A small anti-aliased canvas that remembers who covers each pixel.

Coordinates are *continuous image coordinates* in final-resolution pixels: x to the right, y down, the top-left corner of
the image is (0, 0) and pixel (i, j) covers [j, j + 1) x [i, i + 1). The canvas itself is `factor` times larger and is
reduced by area averaging at the end, so callers never see the supersampled grid.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, field

import numpy as np

Color = tuple[int, int, int]

OCCLUDER = 255  # owner of pixels covered by things that aren't annotated; that of the background is 0
_SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates
_ARC = np.linspace(0.5 * np.pi, 1.5 * np.pi, 8)
_ARC_XY = np.stack([np.cos(_ARC), np.sin(_ARC)], axis=1)
_RING = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
_RING_XY = np.stack([np.cos(_RING), np.sin(_RING)], axis=1)


def shade(color: Color, factor: float) -> Color:
    """The colour made darker (factor < 1) or lighter (factor > 1, moving towards white)."""
    if factor <= 1.0:
        return tuple(int(c * factor) for c in color)
    t = min(factor - 1.0, 1.0)
    return tuple(int(c + (255 - c) * t) for c in color)


def mix(a: Color, b: Color, t: float) -> Color:
    """Linear blend: `a` at t = 0, `b` at t = 1."""
    return tuple(int(x + (y - x) * t) for x, y in zip(a, b, strict=True))


def hsv(hue: float, saturation: float, value: float) -> Color:
    """RGB bytes of a colour given by hue, saturation and value in 0..1 (hue wraps around)."""
    return tuple(int(255 * c) for c in colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def random_color(
    rng: np.random.Generator, saturation: tuple[float, float] = (0.2, 0.8), value: tuple[float, float] = (0.3, 0.95)
) -> Color:
    """A colour of any hue, with saturation and value drawn from the given ranges."""
    return hsv(rng.uniform(), rng.uniform(*saturation), rng.uniform(*value))


def random_wood(rng: np.random.Generator) -> Color:
    """A brown."""
    return hsv(rng.uniform(0.05, 0.1), rng.uniform(0.3, 0.6), rng.uniform(0.35, 0.8))


def capsule_points(p: np.ndarray, q: np.ndarray, r0: float, r1: float) -> np.ndarray:
    """Outline (16, 2) of a tapered limb: discs of radius r0 at p and r1 at q, and what lies between."""
    dx, dy = q[0] - p[0], q[1] - p[1]
    norm = (dx * dx + dy * dy) ** 0.5
    if norm < 1e-6:
        dx, dy, norm = 1.0, 0.0, 1.0
    dx, dy = dx / norm, dy / norm
    back = _ARC_XY @ np.array([[dx, dy], [-dy, dx]])
    return np.concatenate([np.asarray(p) + r0 * back, np.asarray(q) - r1 * back])


def ellipse_points(center: np.ndarray, rx: float, ry: float, angle: float = 0.0) -> np.ndarray:
    """Outline (24, 2) of an ellipse; `angle` in radians turns it clockwise on the screen."""
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray(center) + (_RING_XY * (rx, ry)) @ np.array([[c, s], [-s, c]])


@dataclass
class Canvas:
    """Image, owner and part of every pixel.

    `pixels` is uint8 RGB (factor * height, factor * width, 3); `owners` and `parts` are uint8 of the same height and
    width. A primitive drawn while `owner` is set stamps `owners` and `parts`; with `owner = None` it only paints.
    """

    width: int
    height: int
    factor: int = 2
    owner: int | None = None
    part: int = 0
    pixels: np.ndarray = field(init=False)
    owners: np.ndarray = field(init=False)
    parts: np.ndarray = field(init=False)
    annotated: list[tuple[int, object]] = field(default_factory=list)  # owner and thing of each annotation

    def __post_init__(self) -> None:
        size = (self.height * self.factor, self.width * self.factor)
        self.pixels = np.zeros((*size, 3), np.uint8)
        self.owners = np.zeros(size, np.uint8)
        self.parts = np.zeros(size, np.uint8)

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        grid = (np.asarray(points, np.float64) * self.factor - 0.5) * (1 << _SHIFT)
        return np.rint(grid).astype(np.int32)

    def poly(self, points: np.ndarray, color: Color, *, convex: bool = True) -> None:
        """Fill a polygon (n, 2)."""
        import cv2

        fixed = self._fixed(points)
        if convex:
            cv2.fillConvexPoly(self.pixels, fixed, color, cv2.LINE_AA, _SHIFT)
        else:
            cv2.fillPoly(self.pixels, [fixed], color, cv2.LINE_AA, _SHIFT)
        if self.owner is not None:
            for plane, value in ((self.owners, self.owner), (self.parts, self.part)):
                if convex:
                    cv2.fillConvexPoly(plane, fixed, value, cv2.LINE_8, _SHIFT)
                else:
                    cv2.fillPoly(plane, [fixed], value, cv2.LINE_8, _SHIFT)

    def hull(self, points: np.ndarray, color: Color) -> None:
        """Fill the convex hull of points (n, 2)."""
        import cv2

        self.poly(cv2.convexHull(np.asarray(points, np.float32))[:, 0], color)

    def capsule(self, p: np.ndarray, q: np.ndarray, r0: float, r1: float, color: Color) -> None:
        """A tapered limb from p (radius r0) to q (radius r1)."""
        self.poly(capsule_points(p, q, r0, r1), color)

    def ellipse(self, center: np.ndarray, rx: float, ry: float, color: Color, angle: float = 0.0) -> None:
        """A filled ellipse."""
        self.poly(ellipse_points(center, rx, ry, angle), color)

    def rect(self, x0: float, y0: float, x1: float, y1: float, color: Color) -> None:
        """An axis-aligned filled rectangle."""
        self.poly(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]), color)

    def line(self, p: tuple[float, float], q: tuple[float, float], width: float, color: Color) -> None:
        """A straight bar of the given width with round ends."""
        self.capsule(np.asarray(p, float), np.asarray(q, float), width / 2, width / 2, color)

    def gradient(self, y0: float, y1: float, top: Color, bottom: Color) -> None:
        """Fill the rows y0..y1 with a vertical gradient."""
        f = self.factor
        a, b = round(max(y0, 0) * f), round(min(y1, self.height) * f)
        if b <= a:
            return
        t = np.linspace(0, 1, b - a, dtype=np.float32)[:, None, None]
        self.pixels[a:b] = np.asarray(top, np.float32) * (1 - t) + np.asarray(bottom, np.float32) * t

    def shadow(self, center: tuple[float, float], rx: float, ry: float, strength: float = 0.35) -> None:
        """Darken an elliptic patch (never stamps an owner)."""
        import cv2

        f = self.factor
        x0, x1 = max(int((center[0] - rx) * f), 0), min(int((center[0] + rx) * f) + 1, self.width * f)
        y0, y1 = max(int((center[1] - ry) * f), 0), min(int((center[1] + ry) * f) + 1, self.height * f)
        if x1 <= x0 or y1 <= y0:
            return
        patch = self.pixels[y0:y1, x0:x1]
        dark = cv2.convertScaleAbs(patch, alpha=1 - strength)
        x = ((np.arange(x0, x1, dtype=np.float32) + 0.5) / f - center[0]) / rx
        y = ((np.arange(y0, y1, dtype=np.float32) + 0.5) / f - center[1]) / ry
        inside = (x[None] ** 2 + y[:, None] ** 2) < 1
        patch[inside] = dark[inside]

    def box(self, mask: np.ndarray) -> list[float] | None:
        """[x, y, w, h] in final pixels around a mask of the canvas's own resolution; None when it is empty."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return None
        x0, y0, x1, y1 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return [float(v) / self.factor for v in (x0, y0, x1 - x0, y1 - y0)]

    def area(self, mask: np.ndarray) -> float:
        """The area of such a mask in final pixels."""
        return float(np.count_nonzero(mask)) / self.factor**2

    def picture(self) -> np.ndarray:
        """The image at final resolution, uint8 RGB (height, width, 3)."""
        import cv2

        return cv2.resize(self.pixels, (self.width, self.height), interpolation=cv2.INTER_AREA)


def draw_fork(
    canvas: Canvas,
    rng: np.random.Generator,
    p: np.ndarray,
    q: np.ndarray,
    r: float,
    bark: Color,
    depth: int,
    leaves: bool,
) -> None:
    """A branch from p to q of radius r, and `depth` times two branches at its end, the last with leaves or bare."""
    canvas.capsule(p, q, r, r * 0.7, bark)
    d = q - p
    for side in (-1, 1):
        a = side * rng.uniform(0.4, 1.0)
        turned = np.array([d[0] * np.cos(a) - d[1] * np.sin(a), d[0] * np.sin(a) + d[1] * np.cos(a)])
        tip = q + turned * rng.uniform(0.35, 0.6)
        if depth:
            draw_fork(canvas, rng, p + d * rng.uniform(0.6, 1), tip, r * 0.7, bark, depth - 1, leaves)
        elif leaves:
            canvas.ellipse(tip, rng.uniform(3, 6), rng.uniform(2, 4), hsv(rng.uniform(0.24, 0.36), 0.5, 0.55), a)
