"""One image with its annotations drawn on it, as a file of its own: what somebody looks at after a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datadistill.files import atomic_write
from datadistill.report.drawing import draw_annotations
from datadistill.report.figure_style import style
from datadistill.report.picture_rows import fixed_figure, picture_axes, read_picture
from datadistill.tasks.task import Task

INCHES = 4.8
"""Length of the longer side on paper, so that lines and letters, measured in points, fit images of any size."""
LEAST, MOST = 960, 2400
"""The picture's longer side in pixels: small images are enlarged, so that letters can be read, very large ones made smaller."""


def draw_image(
    file_name: str,
    annotations: Sequence[Mapping[str, Any]],
    categories: Mapping[int, Mapping[str, Any]],
    task: Task,
    path: Path,
) -> None:
    """Write a JPEG of an image with its annotations, as its task draws them (`drawing.draw_annotations`)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    pixels = read_picture(file_name)
    height, width = pixels.shape[:2]
    longer = max(width, height)
    with style():
        figure = fixed_figure(INCHES * width / longer, INCHES * height / longer)
        axes = picture_axes(figure, 0, 0, *figure.get_size_inches(), pixels, "")
        draw_annotations(axes, annotations, categories, task)
        FigureCanvasAgg(figure)
        with atomic_write(path, "wb") as stream:
            resolution = min(max(longer, LEAST), MOST) / INCHES
            figure.savefig(stream, format="jpeg", dpi=resolution, pil_kwargs={"quality": 90})
