"""Transforms resolved for the size of an image.

Light: no torch. `output_size` is the arithmetic of detectron2's `ResizeShortestEdge.get_output_shape`, step by step,
so that sizes are equal to the last pixel (a test compares them).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from datadistill.specs import Transform


@dataclass(frozen=True)
class View:
    """What the network sees under one or more transforms: the image at `height` x `width`, mirrored if `flip`.

    `transforms` are those that resolve to this very view for this image size; it is computed once and counts
    `len(transforms)` times (the cap on the longer side makes scales equal). Exact: the same as computing each of them.
    """

    height: int
    width: int
    flip: bool
    transforms: tuple[Transform, ...]

    @property
    def weight(self) -> int:
        """How many transforms this view stands for."""
        return len(self.transforms)


def output_size(height: int, width: int, short_side: int, max_size: int) -> tuple[int, int]:
    """Height and width after resizing the shorter side to `short_side` with the longer one capped at `max_size`."""
    scale = short_side * 1.0 / min(height, width)
    new_height, new_width = (short_side * 1.0, scale * width) if height < width else (scale * height, short_side * 1.0)
    if max(new_height, new_width) > max_size:
        scale = max_size * 1.0 / max(new_height, new_width)
        new_height, new_width = new_height * scale, new_width * scale
    return int(new_height + 0.5), int(new_width + 0.5)


def resolve(height: int, width: int, transforms: Iterable[Transform]) -> tuple[View, ...]:
    """The distinct views of an image of `height` x `width`, in order of first appearance."""
    members: dict[tuple[int, int, bool], list[Transform]] = {}
    for transform in transforms:
        size = output_size(height, width, transform.short_side, transform.max_size)
        members.setdefault((*size, transform.flip), []).append(transform)
    return tuple(View(*key, tuple(group)) for key, group in members.items())


def sizes(views: Sequence[View]) -> dict[tuple[int, int], tuple[View, ...]]:
    """Views by their (height, width): a flip shares its resized image with the plain view."""
    groups: dict[tuple[int, int], list[View]] = {}
    for view in views:
        groups.setdefault((view.height, view.width), []).append(view)
    return {size: tuple(group) for size, group in groups.items()}
