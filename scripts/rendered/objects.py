"""Scenes of things: twelve categories with a long tail (`things`), among distractors that look like them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rendered.backgrounds import draw_background
from rendered.canvas import OCCLUDER, Canvas, Color, random_color
from rendered.foreground import OCCLUDERS, draw_occluder
from rendered.things import CLASSES, DISTRACTORS, Painter, Pen

Rng = np.random.Generator
MIN_VISIBLE = 16.0  # px: a smaller visible area isn't annotated
MIN_FRACTION = 0.25  # of the thing inside the image: what shows less isn't annotated


def categories() -> list[dict]:
    """COCO categories; the ids have gaps on purpose."""
    return [{"id": c.id, "name": c.name, "supercategory": c.group} for c in CLASSES]


def _sample_scale(rng: Rng, long: float) -> float:
    """Half the height of a thing in pixels; `long` is the image's long side."""
    kind = rng.choice(("small", "middle", "large"), p=(0.5, 0.43, 0.07))
    low, high = {"small": (0.035, 0.085), "middle": (0.085, 0.2), "large": (0.27, 0.4)}[str(kind)]
    return float(long * np.exp(rng.uniform(np.log(low), np.log(high))))


@dataclass(frozen=True)
class _Thing:
    paint: Painter
    category: int | None
    stands: bool
    turn: float
    x: float
    y: float
    scale: float
    color: Color

    @property
    def base(self) -> float:
        return self.y + self.scale


def _sample_color(rng: Rng, domain: str) -> Color:
    if domain == "away":
        return random_color(rng, (0.65, 1.0), (0.5, 1.0))
    return random_color(rng, (0.2, 0.75), (0.35, 0.92))


def _place(
    rng: Rng, canvas: Canvas, horizon: float, stands: bool, scale: float, others: list[_Thing]
) -> tuple[float, float]:
    x = y = 0.0
    for _ in range(8):
        edge = rng.uniform() < 0.1
        x = canvas.width * (rng.uniform(0.06, 0.94) if not edge else float(rng.integers(2)))
        if stands:
            low = min(horizon + 3, canvas.height - 8)
            y = rng.uniform(low, canvas.height + 0.25 * scale) - scale
        else:
            y = canvas.height * rng.uniform(0.06, 0.94)
        if all((x - o.x) ** 2 + (y - o.y) ** 2 > (0.72 * (scale + o.scale)) ** 2 for o in others):
            break
    return float(x), float(y)


def sample_things(rng: Rng, canvas: Canvas, domain: str, horizon: float) -> list[_Thing]:
    """Things and distractors of a scene, from back to front; no thing in about 8 % of scenes."""
    count = 0 if rng.uniform() < 0.08 else int(rng.choice(np.arange(1, 8), p=(0.14, 0.2, 0.22, 0.18, 0.13, 0.08, 0.05)))
    weights = np.array([c.weight for c in CLASSES])
    things: list[_Thing] = []
    long = float(max(canvas.width, canvas.height))
    for _ in range(count):
        c = CLASSES[rng.choice(len(CLASSES), p=weights / weights.sum())]
        scale = _sample_scale(rng, long) * c.grow
        x, y = _place(rng, canvas, horizon, c.stands, scale, things)
        things.append(_Thing(c.paint, c.id, c.stands, c.turn, x, y, scale, _sample_color(rng, domain)))
    for _ in range(rng.integers(1, 5)):
        paint, stands, turn = DISTRACTORS[rng.integers(len(DISTRACTORS))]
        scale = min(_sample_scale(rng, long), 0.2 * long)
        x, y = _place(rng, canvas, horizon, stands, scale, things)
        things.append(_Thing(paint, None, stands, turn, x, y, scale, _sample_color(rng, domain)))
    return sorted(things, key=lambda t: t.base if t.stands else t.y)


def objects_scene(canvas: Canvas, rng: Rng, domain: str) -> list[dict]:
    """Draw a scene of things; returns COCO annotations without `id` and `image_id`."""
    horizon = draw_background(canvas, rng, domain, int(rng.integers(1, 4)), things=False)
    drawn: list[tuple[int, _Thing, np.ndarray]] = []
    owner = 0
    for thing in sample_things(rng, canvas, domain, horizon):
        if thing.stands:
            canvas.shadow((thing.x, thing.base), 0.8 * thing.scale, 0.2 * thing.scale)
        pen = Pen(
            canvas, np.array([thing.x, thing.y]), thing.scale, rng.uniform(-1, 1) * thing.turn, rng.uniform(0.85, 1.1)
        )
        if thing.category is not None:
            owner += 1
        canvas.owner = OCCLUDER if thing.category is None else owner
        thing.paint(pen, rng, thing.color)
        canvas.owner = None
        if thing.category is not None:
            drawn.append((owner, thing, canvas.owners == owner))
        if rng.uniform() < 0.06:
            canvas.owner = OCCLUDER
            x, base = thing.x + rng.uniform(-0.6, 0.6) * thing.scale, thing.base + 0.1 * thing.scale
            draw_occluder(canvas, rng, domain, x, base, 2.2 * thing.scale, OCCLUDERS[:3])
            canvas.owner = None
    annotations = []
    for number, thing, before in drawn:
        area = canvas.area(canvas.owners == number)
        if area < MIN_VISIBLE or area < MIN_FRACTION * canvas.area(before):
            continue
        annotations.append(
            {
                "category_id": thing.category,
                "bbox": [round(v, 2) for v in canvas.box(before)],
                "area": round(area, 2),
                "iscrowd": 0,
            }
        )
        canvas.annotated.append((number, thing))
    return annotations
