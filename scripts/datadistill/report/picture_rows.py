"""Rows of pictures on one sheet: what a figure of photos is laid out with.

A picture's axes have continuous coordinates: its first pixel covers 0 to 1. File names of splits are relative to the
working directory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datadistill.errors import UserError
from datadistill.report.drawing import Unwritten
from datadistill.report.figure_style import INK, note_height, save_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 9.6
GAP = 0.06
LEGEND_SIZE = 5


@dataclass(frozen=True)
class Panel:
    """One picture: (H, W, 3) uint8, what to draw on its axes, and a title in small print.

    `draw` returns what found no room in the picture, for a legend below it.
    """

    image: np.ndarray
    draw: Callable[[Axes], Sequence[Unwritten]]
    title: str = ""


@dataclass(frozen=True)
class PanelRow:
    """Pictures side by side, all of one height, under a heading."""

    heading: str
    panels: tuple[Panel, ...]


def read_picture(file_name: str | Path) -> np.ndarray:
    """(H, W, 3) uint8, RGB, turned as its EXIF orientation says (as detectron2 reads it)."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file_name) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except OSError as error:
        raise UserError(f"{file_name}: can't be read as an image ({error}); it is needed for a figure") from None


def join_sentences(*parts: str) -> str:
    return ". ".join(part.rstrip(".") for part in parts if part) + "."


def fixed_figure(width: float, height: float) -> Figure:
    """A figure in inches whose axes are placed by hand; what a text on it measures can be asked at once.

    It has the resolution that it is saved with: letters are as wide as they will be.
    """
    from matplotlib import rcParams
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=rcParams["savefig.dpi"])
    FigureCanvasAgg(figure)
    return figure


def picture_axes(
    figure: Figure,
    x: float,
    y: float,
    width: float,
    height: float,
    image: np.ndarray,
    title: str,
    limits: Sequence[float] | None = None,
    *,
    bold: bool = False,
) -> Axes:
    """Axes at a place in inches that show an image in continuous coordinates (the first pixel covers 0 to 1)."""
    full_width, full_height = figure.get_size_inches()
    axes = figure.add_axes((x / full_width, y / full_height, width / full_width, height / full_height))
    axes.imshow(image, extent=(0, image.shape[1], image.shape[0], 0), aspect="auto", interpolation="antialiased")
    left, right, top, bottom = limits or (0, image.shape[1], 0, image.shape[0])
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    weight = "bold" if bold else "normal"
    # No wider than the picture: a character is about 0.6 of the font size wide.
    size = min(8.0 if bold else 6.5, 72 * width / (0.6 * max(1, len(title))))
    axes.set_title(title, fontsize=size, fontweight=weight, color=INK, pad=2.5)
    return axes


def save_rows(rows: Sequence[PanelRow], stem: str | Path, note: str, highest: float = 2.3) -> list[Path]:
    """Rows of pictures, each row as high as its pictures side by side allow, `highest` inches at most.

    Names that found no room in a picture stand below it, beside a square in the colour of their boxes.
    """
    if not rows:
        raise UserError(f"{stem}: there is no image to show; the label set is empty")
    with style():
        figure, below = _draw_rows(rows, note, highest, [0.0] * len(rows))
        if any(below):
            # How much room the legends take is known when they are drawn.
            figure, _ = _draw_rows(rows, note, highest, below)
        return save_figure(figure, stem, note)


def _draw_rows(
    rows: Sequence[PanelRow], note: str, highest: float, below: Sequence[float]
) -> tuple[Figure, list[float]]:
    """The figure with `below` inches under each row, and the inches that the row's legends need there."""
    heights = []
    for row in rows:
        aspects = sum(panel.image.shape[1] / panel.image.shape[0] for panel in row.panels)
        heights.append(min(highest, (WIDTH - GAP * (len(row.panels) - 1)) / aspects))
    margin = 0.1
    above = [0.24 * bool(row.heading) + 0.17 * any(panel.title for panel in row.panels) for row in rows]
    total = sum(heights) + sum(above) + sum(below) + GAP * len(rows) + note_height(note, WIDTH + 2 * margin)
    figure = fixed_figure(WIDTH + 2 * margin, total)
    y, needed = total, []
    for row, height, over, under in zip(rows, heights, above, below, strict=True):
        if row.heading:
            figure.text(
                margin / (WIDTH + 2 * margin),
                (y - 0.04) / total,
                row.heading,
                fontsize=8,
                fontweight="bold",
                va="top",
            )
        y -= over + height
        x, lowest = margin, 0.0
        for panel in row.panels:
            width = height * panel.image.shape[1] / panel.image.shape[0]
            axes = picture_axes(figure, x, y, width, height, panel.image, panel.title)
            lowest = max(lowest, _legend(axes, panel.draw(axes), width))
            x += width + GAP
        y -= GAP + under
        needed.append(lowest)
    return figure, needed


def _legend(axes: Axes, unwritten: Sequence[Unwritten], width: float) -> float:
    """A legend under a picture `width` inches wide, no wider than it; the inches that it takes."""
    from matplotlib.patches import Patch

    if not unwritten:
        return 0.0
    # A character is about 0.6 of the font size wide; square and gaps take four.
    room = max(8, int(width * 72 / (0.6 * LEGEND_SIZE))) - 4
    names = [entry.name if len(entry.name) <= room else entry.name[: room - 1] + "…" for entry in unwritten]
    legend = axes.legend(
        [Patch(facecolor=entry.colour, edgecolor="black", linewidth=0.3) for entry in unwritten],
        names,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        ncols=min(len(names), max(1, (room + 4) // (max(map(len, names)) + 4))),
        fontsize=LEGEND_SIZE,
        borderaxespad=0.2,
        borderpad=0.2,
        handlelength=0.8,
        handletextpad=0.4,
        columnspacing=1.0,
        labelspacing=0.2,
    )
    return legend.get_window_extent().height / axes.figure.dpi + 0.04
