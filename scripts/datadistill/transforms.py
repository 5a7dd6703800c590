"""The geometric transforms of multi-transform inference (section 4): what each shows the network, and the way back.

All that is to be known of a transform is here: the size of what the network sees, its pixels, where boxes lie in it, how
boxes and keypoint heatmaps come back, and what it is called. Whoever predicts, refines, explains or plans only asks. A
new kind (a quarter turn, say) is a new field of `Transform` with its part in the methods of the section "orientation".

Light: tensors are turned by their own methods, so torch needn't be imported. Coordinates are continuous, sizes (height,
width) in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datadistill.errors import UserError
from datadistill.keys import key

if TYPE_CHECKING:
    import torch

# What `flips` of a config's transform set says, as the values of `Transform.flip` that it stands for.
FLIPS = {"both": (False, True), "plain": (False,), "flipped": (True,)}


@dataclass(frozen=True)
class TestScale:
    """The scale of the plain pass: the model's own input size at test time, without any other transform.

    `short_side` and `max_size` are in pixels: the image is resized so that its shorter side is `short_side`, unless its
    longer side would then exceed `max_size`, which it is then given instead (as detectron2's ResizeShortestEdge does).
    """

    __test__ = False  # pytest would take a class of this name for tests

    short_side: int = key("Shorter side, pixels.", default=800, minimum=16)
    max_size: int = key("Cap of the longer side, pixels (the default is detectron's).", default=1333, minimum=16)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of a resized image: `ResizeShortestEdge.get_output_shape` step by step, equal to the last pixel."""
        short_side = self.short_side * 1.0
        scale = short_side / min(height, width)
        new_height, new_width = (short_side, scale * width) if height < width else (scale * height, short_side)
        if max(new_height, new_width) > self.max_size:
            scale = self.max_size * 1.0 / max(new_height, new_width)
            new_height, new_width = new_height * scale, new_width * scale
        return int(new_height + 0.5), int(new_width + 0.5)

    def transform(self) -> Transform:
        """The transform that the plain pass is."""
        return Transform(self.short_side, self.max_size)


@dataclass(frozen=True)
class Transform:
    """One geometric transform: a scale (as in `TestScale`), then an orientation: as it is, or mirrored (`flip`)."""

    short_side: int
    max_size: int
    flip: bool = False

    @property
    def name(self) -> str:
        """What people call it: `800`, `800 flipped`."""
        return f"{self.short_side}" if self.only_resizes else f"{self.short_side} {self.orientation}"

    @property
    def only_resizes(self) -> bool:
        """Does the network see the image as it is, but for its size?"""
        return self.orientation == "plain"

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of an image of `height` x `width` after resizing, before it is turned."""
        return TestScale(self.short_side, self.max_size).size(height, width)

    # Orientation. `height` and `width` are those of the resized image.

    @property
    def orientation(self) -> str:
        """The name of all that it does but resizing: transforms of equal orientation differ in scale alone."""
        return "flipped" if self.flip else "plain"

    def seen(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what the network sees."""
        return height, width

    def pixels(self, images: torch.Tensor) -> torch.Tensor:
        """Resized images (..., height, width) as the network sees them."""
        return images.flip(-1) if self.flip else images

    def boxes(self, boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Boxes (N, 4) of the resized image where the network sees them."""
        return mirror(boxes, width) if self.flip else boxes

    def boxes_back(self, boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Boxes (N, 4) as the network sees them in the resized image: the inverse of `boxes`."""
        return mirror(boxes, width) if self.flip else boxes

    def maps_back(self, maps: torch.Tensor, permutation: Sequence[int]) -> torch.Tensor:
        """Heatmaps (R, K, S, S) of RoIs as the network sees them, as those of the image's RoIs.

        `permutation` (K,): the keypoint that each one is in a mirror image (left and right change places).
        """
        return maps[:, list(permutation)].flip(-1) if self.flip else maps


@dataclass(frozen=True)
class View:
    """What the network sees of an image under one or more transforms: resized to `height` x `width`, then turned.

    `transforms` are those that resolve to this very view for this image size; it is computed once and counts
    `len(transforms)` times (the cap on the longer side makes scales equal). Exact: the same as computing each of them.
    """

    height: int
    width: int
    transforms: tuple[Transform, ...]

    @property
    def weight(self) -> int:
        """How many transforms this view stands for."""
        return len(self.transforms)

    @property
    def seen(self) -> tuple[int, int]:
        """Height and width of what the network sees."""
        return self.transforms[0].seen(self.height, self.width)

    def pixels(self, images: torch.Tensor) -> torch.Tensor:
        """Resized images (..., height, width) as the network sees them."""
        return self.transforms[0].pixels(images)

    def boxes(self, boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Boxes (N, 4) of the original image, of `height` x `width`, where the network sees them."""
        resized = scaled(boxes, self.width / width, self.height / height)
        return self.transforms[0].boxes(resized, self.height, self.width)

    def boxes_back(self, boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Boxes (N, 4) that the network sees, cut at the border, in the original image of `height` x `width`."""
        seen_height, seen_width = self.seen
        limits = boxes.new_tensor([seen_width, seen_height, seen_width, seen_height])
        cut = boxes.clamp(min=0).minimum(limits)
        resized = self.transforms[0].boxes_back(cut, self.height, self.width)
        return scaled(resized, width / self.width, height / self.height)

    def maps_back(self, maps: torch.Tensor, permutation: Sequence[int]) -> torch.Tensor:
        """Heatmaps (R, K, S, S) of RoIs that the network sees, as those of the image's RoIs (`Transform.maps_back`)."""
        return self.transforms[0].maps_back(maps, permutation)


def resolve(height: int, width: int, transforms: Iterable[Transform]) -> tuple[View, ...]:
    """The distinct views of an image of `height` x `width`, in order of first appearance."""
    members: dict[tuple[tuple[int, int], str], list[Transform]] = {}
    for transform in transforms:
        members.setdefault((transform.resized(height, width), transform.orientation), []).append(transform)
    return tuple(View(*size, tuple(group)) for (size, _), group in members.items())


def sizes(views: Sequence[View]) -> dict[tuple[int, int], tuple[View, ...]]:
    """Views by the (height, width) of the resized image, which they share."""
    groups: dict[tuple[int, int], list[View]] = {}
    for view in views:
        groups.setdefault((view.height, view.width), []).append(view)
    return {size: tuple(group) for size, group in groups.items()}


def alike(views: Sequence[View]) -> tuple[tuple[View, ...], ...]:
    """Views of one resized image, grouped by the size that the network sees: those of a group fit one batch."""
    groups: dict[tuple[int, int], list[View]] = {}
    for view in views:
        groups.setdefault(view.seen, []).append(view)
    return tuple(tuple(group) for group in groups.values())


def transform_set(entry: Mapping[str, Any]) -> tuple[Transform, ...]:
    """The transforms of an entry of the config's `transform_sets`: every scale, in every orientation asked for."""
    caps = {cap["short_side"]: cap["max_size"] for cap in entry.get("max_size_at", [])}
    for short_side in caps:
        if short_side not in entry["short_sides"]:
            raise UserError(
                f"transform_sets: {entry['name']}: max_size_at: {short_side} is none of its short_sides; correct one of them"
            )
    return tuple(
        Transform(short_side, caps.get(short_side, entry["max_size"]), flip)
        for short_side in entry["short_sides"]
        for flip in FLIPS[entry.get("flips", "both")]
    )


def in_words(transforms: Sequence[Transform]) -> str:
    """A set of transforms in one line: their number, each scale with its cap, and the orientations."""
    scales = " ".join(f"{scale}/{cap}" for scale, cap in dict.fromkeys((t.short_side, t.max_size) for t in transforms))
    return f"{len(transforms)} transforms: {scales}, {' and '.join(dict.fromkeys(t.orientation for t in transforms))}"


def scaled(boxes: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """Boxes (N, 4) stretched by `x` and `y`."""
    return boxes * boxes.new_tensor([x, y, x, y])


def mirror(boxes: torch.Tensor, width: float) -> torch.Tensor:
    """Boxes (N, 4) of an image of `width`, in its mirror image (continuous coordinates, so there is no -1)."""
    mirrored = boxes.clone()
    mirrored[:, 0], mirrored[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    return mirrored
