"""Labels drawn on a picture's axes: what a task draws of an annotation, and the pen that it draws with.

Coordinates are continuous, as on the pictures' axes. COCO's keypoints are pixel indices: tasks draw them where they belong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.tasks.task import Look, Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# By hand, and not with detectron2's Visualizer: it paints pixels of the image's own size, and small photos on a printed
# page need lines and letters that stay sharp.
WRONG = "#FF4FA3"
# Bright enough for boxes on photos.
BOX_COLOURS = ("#3FA9F5", "#F5A623", "#2ECC9B", "#E58BC0", "#F0E442", "#FF7F50", "#B8A1FF", "#9BE564")
CROWDED = 8
_SCORE_SIZE = 5


def draw_annotations(
    axes: Axes,
    annotations: Iterable[Mapping[str, Any]],
    categories: Mapping[int, Mapping[str, Any]],
    task: Task,
    *,
    colour: str | None = None,
) -> None:
    """Annotations with their scores, as their task draws them; `colour` overrides that of boxes."""
    pen = Pen(axes)
    order = {number: i for i, number in enumerate(sorted(categories))}
    annotations = list(annotations)
    for annotation in annotations:
        number = annotation["category_id"]
        look = Look(
            score=f"{annotation['score']:.2f}" if "score" in annotation else "",
            shade=BOX_COLOURS[order[number] % len(BOX_COLOURS)],
            colour=colour,
            # In a crowd only boxes with room for text get it.
            named=len(annotations) <= CROWDED or pen.inches(annotation["bbox"][2], 0) > 0.3,
        )
        task.draw(pen, annotation, categories[number], look)


def draw_truth(
    axes: Axes, annotations: Iterable[Mapping[str, Any]], categories: Mapping[int, Mapping[str, Any]], task: Task
) -> None:
    """The hidden truth in thin green, as its task draws it; crowds are left out."""
    pen = Pen(axes)
    for annotation in annotations:
        if not annotation.get("iscrowd", 0) and annotation["category_id"] in categories:
            task.draw_truth(pen, annotation, categories[annotation["category_id"]])


@dataclass(frozen=True)
class Pen:
    """Draws on a picture's axes, so that it can be seen on any photo. Widths and sizes are in points."""

    axes: Axes
    neutral: str = "#FFFFFF"
    truth: str = "#6BFFB8"

    def inches(self, length: float, direction: int) -> float:
        """What `length` pixels of the picture measure on paper, across (0) or down (1)."""
        limits, place = (self.axes.get_xlim(), self.axes.get_ylim())[direction], self.axes.get_position()
        on_paper = (place.width, place.height)[direction] * self.axes.figure.get_size_inches()[direction]
        return length / abs(limits[1] - limits[0]) * on_paper

    def line(self, points: np.ndarray, colour: str, width: float) -> None:
        """A line through points (N, 2)."""
        from matplotlib.patheffects import Normal, Stroke

        outline = [Stroke(linewidth=width + 0.9, foreground="black", alpha=0.55), Normal()]
        self.axes.plot(*points.T, color=colour, linewidth=width, solid_capstyle="round", path_effects=outline, zorder=3)

    def box(self, box: Sequence[float], colour: str, width: float, text: str, *, dashed: bool = False) -> None:
        """A box (left, top, width, height), with a text at its upper edge."""
        from matplotlib.patches import Rectangle
        from matplotlib.patheffects import Normal, Stroke

        left, top, box_width, box_height = box
        outline = [Stroke(linewidth=width + 0.8, foreground="black", alpha=0.5), Normal()]
        self.axes.add_patch(
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
            inside = top < 0.06 * max(self.axes.get_ylim())
            # At its right edge too: a character is about 0.6 of the font size wide.
            length = 0.6 * _SCORE_SIZE / 72 * len(text) / self.inches(1, 0)
            self.axes.text(
                min(max(left, 0) + 1, max(self.axes.get_xlim()) - length),
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

    def dot(self, x: float, y: float, colour: str, size: float) -> None:
        """A dot with a dark rim."""
        self.axes.plot(x, y, "o", markersize=size, color=colour, markeredgecolor="black", markeredgewidth=0.4, zorder=4)


def by_image(annotations: Iterable[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    groups = defaultdict(list)
    for annotation in annotations:
        groups[annotation["image_id"]].append(annotation)
    return groups
