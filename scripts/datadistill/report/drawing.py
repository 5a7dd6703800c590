"""Labels drawn on a picture's axes: people, boxes, hidden truth.

Keypoints in COCO dictionaries are pixel indices, those of detections are continuous (index + 0.5); both are drawn
where they belong, on axes whose coordinates are continuous. A person's left is orange and its right is blue, so that
an inverted person (the paper's Figure 3) can be seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.tasks.keypoints import continuous

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# By hand, and not with detectron2's Visualizer: it paints pixels of the image's own size, and small photos on a printed
# page need lines and letters that stay sharp.
LEFT, RIGHT, MIDDLE, WRONG, TRUTH = "#F5A623", "#3FA9F5", "#FFFFFF", "#FF4FA3", "#6BFFB8"
SIDES = "Orange: a person's left; blue: right"
# Bright enough for boxes on photos.
BOX_COLOURS = ("#3FA9F5", "#F5A623", "#2ECC9B", "#E58BC0", "#F0E442", "#FF7F50", "#B8A1FF", "#9BE564")
CROWDED = 8
_SCORE_SIZE = 5


def draw_annotations(
    axes: Axes,
    annotations: Iterable[Mapping[str, Any]],
    categories: Mapping[int, Mapping[str, Any]],
    *,
    colour: str | None = None,
) -> None:
    """Boxes with scores, and people; `colour` overrides the boxes'. Objects are named, and coloured by category."""
    order = {number: i for i, number in enumerate(sorted(categories))}
    annotations = list(annotations)
    for annotation in annotations:
        category = categories[annotation["category_id"]]
        score = f"{annotation['score']:.2f}" if "score" in annotation else ""
        if "keypoints" in annotation and category.get("keypoints"):
            size = _person_size(axes, annotation["bbox"])
            draw_person(axes, continuous(annotation["keypoints"]), category, size=size)
            draw_box(axes, annotation["bbox"], colour or MIDDLE, 1.4 if colour else 0.5, score)
        else:
            shade = colour or BOX_COLOURS[order[annotation["category_id"]] % len(BOX_COLOURS)]
            # In a crowd only boxes with room for text get it.
            named = len(annotations) <= CROWDED or inches(axes, annotation["bbox"][2], 0) > 0.3
            draw_box(axes, annotation["bbox"], shade, 1.2, f"{category['name']} {score}" if named else "")


def draw_truth(
    axes: Axes, annotations: Iterable[Mapping[str, Any]], categories: Mapping[int, Mapping[str, Any]]
) -> None:
    """The hidden truth in thin green: people as plain lines, objects as dashed boxes; crowds are left out."""
    for annotation in annotations:
        if annotation.get("iscrowd", 0) or annotation["category_id"] not in categories:
            continue
        category = categories[annotation["category_id"]]
        if category.get("keypoints") and any(annotation.get("keypoints", ())[2::3]):
            points = continuous(annotation["keypoints"])
            for a, b in category.get("skeleton", ()):
                if points[a - 1, 2] > 0 and points[b - 1, 2] > 0:
                    draw_line(axes, points[[a - 1, b - 1], :2], TRUTH, 0.7)
        else:
            draw_box(axes, annotation["bbox"], TRUTH, 0.7, "", dashed=True)


def draw_person(axes: Axes, keypoints: np.ndarray, category: Mapping[str, Any], *, size: float = 1.0) -> None:
    """Limbs and keypoints of one person, (K, 3) in continuous coordinates; those whose third value is 0 are left out.

    A limb is coloured by the sides of its ends: left, right, or white between them.
    """
    keypoints = np.asarray(keypoints, float)
    names = category["keypoints"]
    sides = [LEFT if "left" in name else RIGHT if "right" in name else MIDDLE for name in names]
    visible = keypoints[:, 2] > 0
    for a, b in category.get("skeleton", ()):
        if visible[a - 1] and visible[b - 1]:
            ends = {sides[a - 1], sides[b - 1]} - {MIDDLE}
            colour = ends.pop() if len(ends) == 1 else MIDDLE
            draw_line(axes, keypoints[[a - 1, b - 1], :2], colour, 1.5 * size)
    for (x, y, _), side, shown in zip(keypoints, sides, visible, strict=True):
        if shown:
            axes.plot(
                x, y, "o", markersize=2.6 * size, color=side, markeredgecolor="black", markeredgewidth=0.4, zorder=4
            )


def _person_size(axes: Axes, box: Sequence[float]) -> float:
    """Line width for a person: thinner for small people, measured on paper."""
    return float(np.clip(0.35 + 0.55 * inches(axes, box[3], 1), 0.4, 1.2))


def inches(axes: Axes, length: float, direction: int) -> float:
    """What `length` pixels of the picture measure on paper, across (0) or down (1)."""
    limits, place = (axes.get_xlim(), axes.get_ylim())[direction], axes.get_position()
    on_paper = (place.width, place.height)[direction] * axes.figure.get_size_inches()[direction]
    return length / abs(limits[1] - limits[0]) * on_paper


def draw_line(axes: Axes, points: np.ndarray, colour: str, width: float) -> None:
    from matplotlib.patheffects import Normal, Stroke

    outline = [Stroke(linewidth=width + 0.9, foreground="black", alpha=0.55), Normal()]
    axes.plot(*points.T, color=colour, linewidth=width, solid_capstyle="round", path_effects=outline, zorder=3)


def draw_box(axes: Axes, box: Sequence[float], colour: str, width: float, text: str, *, dashed: bool = False) -> None:
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import Normal, Stroke

    left, top, box_width, box_height = box
    outline = [Stroke(linewidth=width + 0.8, foreground="black", alpha=0.5), Normal()]
    axes.add_patch(
        Rectangle(
            (left, top),
            box_width,
            box_height,
            fill=False,
            edgecolor=colour,
            linewidth=width,
            linestyle=(0, (3, 2)) if dashed else "-",
            path_effects=outline,
            zorder=2,
        )
    )
    if text:
        # Inside the picture also for boxes at its upper edge.
        inside = top < 0.06 * max(axes.get_ylim())
        # At its right edge too: a character is about 0.6 of the font size wide.
        length = 0.6 * _SCORE_SIZE / 72 * len(text) / inches(axes, 1, 0)
        axes.text(
            min(max(left, 0) + 1, max(axes.get_xlim()) - length),
            max(top, 0) + (1 if inside else -1),
            text,
            fontsize=_SCORE_SIZE,
            color=colour,
            ha="left",
            va="top" if inside else "bottom",
            clip_on=True,
            path_effects=[Stroke(linewidth=1.5, foreground="black", alpha=0.8), Normal()],
            zorder=5,
        )


def by_image(annotations: Iterable[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    groups = defaultdict(list)
    for annotation in annotations:
        groups[annotation["image_id"]].append(annotation)
    return groups
