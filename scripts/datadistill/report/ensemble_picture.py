"""One person as each transform sees it, and the ensemble: the paper's Figure 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.errors import UserError
from datadistill.report.drawing import WRONG, Pen
from datadistill.report.figure_style import note_height, save_figure, style
from datadistill.report.picture_rows import GAP, WIDTH, fixed_figure, join_sentences, picture_axes, read_picture
from datadistill.report.right_keypoints import RIGHT_WITHIN
from datadistill.tasks.task import RefiningTask, get_refining_task

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def ensemble_figure(
    image: np.ndarray,
    box: Sequence[float],
    transforms: Sequence[tuple[str, np.ndarray]],
    ensemble: np.ndarray,
    stem: str | Path,
    *,
    task: RefiningTask,
    note: str,
    category: Mapping[str, Any],
    truth: np.ndarray | None = None,
) -> list[Path]:
    """Figure 2: one person as seen by each transform, and their ensemble, all in the image's own frame.

    `image` (H, W, 3) uint8; `box` left, top, right, bottom; `transforms` (label, (K, 3) keypoints) in the order to
    show; `ensemble` and `truth` (K, 3). All coordinates continuous; a keypoint whose third value is 0 is not drawn.
    `category` is COCO's, with `keypoints` (names) and `skeleton`. A ring marks a keypoint more than a tenth of the
    box's size (square root of its area) away from the true one, or from the ensemble's where there is no truth.
    """
    ensemble = np.asarray(ensemble, float)
    limits = _crop(box, image.shape[1], image.shape[0])
    reach = RIGHT_WITHIN * np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    reference = ensemble if truth is None else np.asarray(truth, float)
    large = [("ensemble", ensemble), *([("hidden truth", reference)] if truth is not None else [])]
    lines = 1 if len(transforms) <= 3 else 2 if len(transforms) <= 10 else 3
    columns = -(-len(transforms) // lines)
    aspect = (limits[1] - limits[0]) / (limits[3] - limits[2])
    # Small pictures in `lines` lines are as high, with their gaps, as the large ones.
    title, margin = 0.2, 0.08
    per_height = columns * aspect / lines + len(large) * aspect
    height = (WIDTH - GAP * (columns + len(large)) - 2 * margin) / per_height
    height = float(np.clip(height, 1.2, 4.5))
    small = (height - (lines - 1) * (title + GAP)) / lines
    total_width = columns * (small * aspect + GAP) + len(large) * (height * aspect + GAP) + 2 * margin
    far = f"Rings: more than {reach:.{0 if reach >= 10 else 1}f} px (a tenth of the box's size) from {'the ensemble' if truth is None else 'the truth'}"
    note = join_sentences(note, task.picture_note, far)
    with style():
        figure = fixed_figure(total_width, height + title + 0.04 + note_height(note, total_width))
        top = figure.get_size_inches()[1] - title - 0.04
        for i, (label, keypoints) in enumerate(transforms):
            line, column = divmod(i, columns)
            x, y = margin + column * (small * aspect + GAP), top - line * (small + title + GAP) - small
            axes = picture_axes(figure, x, y, small * aspect, small, image, label, limits)
            task.draw_points(Pen(axes), np.asarray(keypoints, float), category, size=0.55 * small + 0.2)
            _ring_far_keypoints(axes, np.asarray(keypoints, float), reference, reach)
        x = margin + columns * (small * aspect + GAP)
        for label, keypoints in large:
            axes = picture_axes(figure, x, top - height, height * aspect, height, image, label, limits, bold=True)
            task.draw_points(Pen(axes), np.asarray(keypoints, float), category, size=0.3 * height + 0.4)
            _ring_far_keypoints(axes, np.asarray(keypoints, float), reference, reach)
            x += height * aspect + GAP
        return save_figure(figure, stem, note)


def ensemble_from_json(values: Mapping[str, Any], stem: str | Path, *, note: str) -> list[Path]:
    """`ensemble_figure` of plain JSON values.

    `image` (file name), `box` (left, top, right, bottom), `transforms` (list of `label`, `points`), `ensemble`,
    `truth` (or null), `category` (COCO's) and `task` (its name). Points are K triples; all coordinates continuous, in the original
    image.
    """
    missing = {"image", "box", "transforms", "ensemble", "category", "task"} - values.keys()
    if missing:
        raise UserError(f"{stem}: the input of the figure lacks {', '.join(sorted(missing))}")
    truth = values.get("truth")
    return ensemble_figure(
        read_picture(values["image"]),
        values["box"],
        [(entry["label"], np.asarray(entry["points"], float)) for entry in values["transforms"]],
        np.asarray(values["ensemble"], float),
        stem,
        task=get_refining_task(values["task"]),
        note=note,
        category=values["category"],
        truth=None if truth is None else np.asarray(truth, float),
    )


def _crop(box: Sequence[float], width: int, height: int) -> tuple[float, float, float, float]:
    """Left, right, top, bottom of the box with a margin, not narrower than half its height, within the image (moved there, where
    the box is at its edge)."""
    left, top, right, bottom = map(float, box)
    pad = 0.15 * max(right - left, bottom - top)
    wide = max(right - left, 0.55 * (bottom - top)) + 2 * pad
    return (
        *_within((left + right) / 2, wide, width),
        *_within((top + bottom) / 2, bottom - top + 2 * pad, height),
    )


def _within(centre: float, length: float, limit: float) -> tuple[float, float]:
    """The stretch of a length around a centre, moved into 0 to `limit`, and no longer than that."""
    start = min(max(0.0, centre - length / 2), max(0.0, limit - length))
    return start, min(float(limit), start + length)


def _ring_far_keypoints(axes: Axes, keypoints: np.ndarray, reference: np.ndarray, reach: float) -> None:
    both = (keypoints[:, 2] > 0) & (reference[:, 2] > 0)
    far = both & (np.hypot(*(keypoints[:, :2] - reference[:, :2]).T) > reach)
    axes.plot(
        *keypoints[far, :2].T, "o", markersize=8, markerfacecolor="none", markeredgecolor=WRONG, markeredgewidth=1.3
    )
