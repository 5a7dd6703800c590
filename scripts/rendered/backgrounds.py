"""Whole backgrounds of the two domains: `home` (rooms) and `away` (sports grounds)."""

from __future__ import annotations

import numpy as np

from rendered import rooms, sports_grounds
from rendered.canvas import Canvas

Rng = np.random.Generator


def draw_background(canvas: Canvas, rng: Rng, domain: str, clutter: int, *, things: bool = True) -> float:
    """Paint a whole background with `clutter` items; returns the horizon's y in pixels.

    Without `things`, no item is a lamp, a plant or a ball: scenes of objects must not hold unlabelled ones.
    """
    paint, items = (
        (rooms.draw_room, rooms.ITEMS) if domain == "home" else (sports_grounds.draw_ground, sports_grounds.ITEMS)
    )
    horizon = paint(canvas, rng)
    kept_out = () if things else (*rooms.THINGS, *sports_grounds.THINGS)
    allowed = [item for item in items if item not in kept_out]
    for i in rng.permutation(len(allowed))[:clutter]:
        allowed[i](canvas, rng, horizon)
    return horizon
