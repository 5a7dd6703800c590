"""Labels drawn on a picture's axes: what a task draws of an annotation, and the pen that it draws with.

Coordinates are continuous, as on the pictures' axes. COCO's keypoints are pixel indices: tasks draw them where they belong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.report.text_places import Area, free_place
from datadistill.tasks.task import Look, Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

# By hand, and not with detectron2's Visualizer: it paints pixels of the image's own size, and small photos on a printed
# page need lines and letters that stay sharp.
WRONG = "#FF4FA3"
# Bright enough for boxes on photos, and told apart: from each other, and from what is wrong and true.
BOX_COLOURS = (
    "#3FA9F5", "#F5A623", "#2ECC9B", "#E58BC0", "#F0E442", "#FF6A3D",
    "#B8A1FF", "#9BE564", "#19E3F0", "#E8344E", "#C49A78", "#7A5CFF",
)  # fmt: skip
CROWDED = 8
_SCORE_SIZE = 5
_POINT_REACH = 4
# Points around a text that stay free: its dark rim.
_RIM = 0.8


@dataclass(frozen=True)
class Unwritten:
    """A category whose name found no room at one of its boxes, and the colour of that box: what a legend lists."""

    name: str
    colour: str


def draw_annotations(
    axes: Axes,
    annotations: Iterable[Mapping[str, Any]],
    categories: Mapping[int, Mapping[str, Any]],
    task: Task,
    *,
    colour: str | None = None,
) -> list[Unwritten]:
    """Annotations with their scores, as their task draws them; `colour` overrides that of boxes.

    The most confident one chooses the place of its text first. Returns what a legend must say.
    """
    pen = Pen(axes)
    order = {number: i for i, number in enumerate(sorted(categories))}
    annotations = sorted(annotations, key=lambda annotation: -annotation.get("score", 0.0))
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
    return list(dict.fromkeys(pen.unwritten))


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
    """Draws on a picture's axes, so that it can be seen on any photo. Widths and sizes are in points.

    `unwritten` collects what found no room.
    """

    axes: Axes
    neutral: str = "#FFFFFF"
    truth: str = "#6BFFB8"
    unwritten: list[Unwritten] = field(default_factory=list)

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

    def box(
        self,
        box: Sequence[float],
        colour: str,
        width: float,
        *,
        name: str = "",
        score: str = "",
        written: bool = True,
        dashed: bool = False,
    ) -> None:
        """A box (left, top, width, height) with a name and a score, where they hide no other text of the picture.

        Where there is room for less, or `written` is false, the score stands alone or nothing does, and the name is
        `unwritten`.
        """
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
        full = f"{name} {score}".strip()
        texts = dict.fromkeys(text for text in (full, score) if text) if written else {}
        for text in texts:
            if self._write(text, box, colour):
                break
        else:
            text = ""
        if name and text != full:
            self.unwritten.append(Unwritten(name, colour))

    def _write(self, text: str, box: Sequence[float], colour: str) -> bool:
        """Write `text` at `box` if there is room."""
        from matplotlib.patheffects import Normal, Stroke

        artist = self.axes.text(
            0,
            0,
            text,
            fontsize=_SCORE_SIZE,
            color=colour,
            ha="left",
            va="bottom",
            clip_on=True,
            path_effects=[Stroke(linewidth=1.5, foreground="black", alpha=0.8), Normal()],
            zorder=5,
        )
        rim = _RIM / 72 * self.axes.figure.dpi
        size = _on_paper(artist.get_window_extent()).wider(rim)
        taken = [_on_paper(other.get_window_extent()).wider(rim) for other in self.axes.texts if other is not artist]
        left, top, width, height = box
        (x0, y0), (x1, y1) = self.axes.transData.transform([(left, top + height), (left + width, top)])
        place = free_place(size.width, size.height, Area(x0, y0, x1, y1), taken, _on_paper(self.axes.bbox))
        if place is None:
            artist.remove()
            return False
        artist.set_position(self.axes.transData.inverted().transform((place.left + rim, place.bottom + rim)))
        return True

    def name_point(self, x: float, y: float, name: str) -> None:
        """A name beside a point, where it hides no other text of the picture; else it is `unwritten`."""
        reach = _POINT_REACH / self.inches(72, 0)
        if not self._write(name, (x - reach, y - reach, 2 * reach, 2 * reach), self.neutral):
            self.unwritten.append(Unwritten(name, self.neutral))

    def dot(self, x: float, y: float, colour: str, size: float) -> None:
        """A dot with a dark rim."""
        self.axes.plot(x, y, "o", markersize=size, color=colour, markeredgecolor="black", markeredgewidth=0.4, zorder=4)


def _on_paper(box: Bbox) -> Area:
    return Area(box.x0, box.y0, box.x1, box.y1)
