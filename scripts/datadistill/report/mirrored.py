"""What a mirrored training image looks like: instances of a labelled split beside their mirror images, left and right
in their colours. Made from the split alone, so that wrong pairs of keypoints are seen before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.errors import UserError
from datadistill.report.drawing import Pen, Unwritten
from datadistill.report.picture_rows import Panel, PanelRow, join_sentences, read_picture, save_rows
from datadistill.tasks.keypoint_schema import describe, flip_pairs
from datadistill.tasks.task import RefiningTask

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEARLY_ALL = 0.9
MARGIN = 0.15


def mirrored_figure(
    split: Mapping[str, Any], stem: str | Path, *, task: RefiningTask, note: str, count: int = 2
) -> list[Path]:
    """The `count` instances of `choose_instances`, each cropped, beside its mirror image with left and right swapped."""
    categories = {category["id"]: category for category in split["categories"]}
    images = {image["id"]: image for image in split["images"]}
    chosen = choose_instances(split, task, count)
    if not chosen:
        raise UserError(f"{stem}: the split has no instance with labelled keypoints to show")
    panels = []
    for annotation in chosen:
        category = categories[annotation["category_id"]]
        pixels, points = _cropped(read_picture(images[annotation["image_id"]]["file_name"]), annotation, task)
        panels.append(_panel(pixels, points, category, task, category["name"]))
        mirrored = mirror_points(points, pixels.shape[1], flip_pairs(category).permutation)
        panels.append(_panel(np.ascontiguousarray(pixels[:, ::-1]), mirrored, category, task, "mirrored"))
    said = list(dict.fromkeys(describe(categories[annotation["category_id"]]) for annotation in chosen))
    return save_rows([PanelRow("", tuple(panels))], stem, join_sentences(note, *said, task.picture_note), highest=3.6)


def choose_instances(split: Mapping[str, Any], task: RefiningTask, count: int) -> list[Mapping[str, Any]]:
    """The largest instances among those with nearly as many labelled keypoints of pairs as any has, each of another image."""
    categories = {category["id"]: category for category in split["categories"]}
    sides = {number: flip_pairs(category).sides for number, category in categories.items() if category.get("keypoints")}

    def paired(annotation: Mapping[str, Any]) -> int:
        seen = annotation["keypoints"][2::3]
        return sum(v > 0 and side is not None for v, side in zip(seen, sides[annotation["category_id"]], strict=True))

    listed = [
        annotation
        for annotation in split["annotations"]
        if annotation["category_id"] in sides and not annotation.get("iscrowd", 0) and task.has_target(annotation)
    ]
    most = max(map(paired, listed), default=0)
    full = [annotation for annotation in listed if paired(annotation) >= NEARLY_ALL * most]
    full.sort(key=lambda annotation: (-annotation["bbox"][2] * annotation["bbox"][3], annotation["id"]))
    first_of_image: dict[int, Mapping[str, Any]] = {}
    for annotation in full:
        first_of_image.setdefault(annotation["image_id"], annotation)
    return list(first_of_image.values())[:count]


def mirror_points(points: np.ndarray, width: float, permutation: Sequence[int]) -> np.ndarray:
    """Points (K, 3) in continuous coordinates, in the mirror image of a picture of that width; unlabelled ones stay at 0."""
    mirrored = points[list(permutation)].copy()
    mirrored[:, 0] = np.where(mirrored[:, 2] > 0, width - mirrored[:, 0], 0.0)
    return mirrored


def _cropped(pixels: np.ndarray, annotation: Mapping[str, Any], task: RefiningTask) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture that holds an instance, and its points there."""
    points = np.array(task.points(annotation), float)
    seen = points[points[:, 2] > 0, :2]
    left, top, width, height = annotation["bbox"]
    low = np.minimum([left, top], seen.min(axis=0)) - MARGIN * max(width, height)
    high = np.maximum([left + width, top + height], seen.max(axis=0)) + MARGIN * max(width, height)
    x0, y0 = np.maximum(np.floor(low), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(high), [pixels.shape[1], pixels.shape[0]]).astype(int)
    points[points[:, 2] > 0, :2] -= (x0, y0)
    return pixels[y0:y1, x0:x1], points


def _panel(
    pixels: np.ndarray, points: np.ndarray, category: Mapping[str, Any], task: RefiningTask, title: str
) -> Panel:
    def draw(axes: Axes) -> Sequence[Unwritten]:
        pen = Pen(axes)
        task.draw_points(pen, points, category, size=1.4)
        for name, (x, y, visible) in zip(category["keypoints"], points, strict=True):
            if visible:
                pen.name_point(x, y, name)
        return pen.unwritten

    return Panel(pixels, draw, title)
