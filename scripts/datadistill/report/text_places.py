"""Where a text goes beside its box: rectangles only, no drawing. Any unit; y grows upwards, as on a printed page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ROUNDING = 1e-6
"""Lengths below it are none: sums of floats."""


@dataclass(frozen=True)
class Area:
    """A rectangle from (left, bottom) to (right, top)."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.top - self.bottom

    def overlaps(self, other: Area) -> bool:
        """Do they share more than an edge?"""
        across = min(self.right, other.right) - max(self.left, other.left)
        up = min(self.top, other.top) - max(self.bottom, other.bottom)
        return across > ROUNDING and up > ROUNDING

    def holds(self, other: Area) -> bool:
        """Is all of `other` in it?"""
        across = min(other.left - self.left, self.right - other.right)
        up = min(other.bottom - self.bottom, self.top - other.top)
        return across >= -ROUNDING and up >= -ROUNDING

    def wider(self, margin: float) -> Area:
        """With a margin on all sides."""
        return Area(self.left - margin, self.bottom - margin, self.right + margin, self.top + margin)


def free_place(width: float, height: float, box: Area, taken: Sequence[Area], picture: Area) -> Area | None:
    """A place for a text of `width` and `height` at its `box`: inside the `picture` and on none that is `taken`.

    Tried in this order: above the box, inside at its upper edge, below it, inside at its lower edge (each from the left,
    then from the right), then down the inside of the box. What would leave the picture sideways is pushed inside.
    None: there is no room.
    """
    for place in _places(width, height, box, picture):
        if picture.holds(place) and not any(place.overlaps(other) for other in taken):
            return place
    return None


def _places(width: float, height: float, box: Area, picture: Area) -> Iterator[Area]:
    top, bottom = min(box.top, picture.top), max(box.bottom, picture.bottom)
    lines = [top, top - height, bottom - height, bottom]
    while lines[-1] + 2 * height < top:
        lines.append(lines[-1] + height)
    for y in lines:
        for x in (box.left, box.right - width):
            left = max(min(x, picture.right - width), picture.left)
            yield Area(left, y, left + width, y + height)
