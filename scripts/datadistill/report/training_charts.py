"""Loss curves of trainings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from datadistill.report.figure_style import CYCLE, PALE, new_figure, save_figure, style

LOSS_NAMES = {
    "total_loss": "total loss",
    "loss_cls": "box class",
    "loss_box_reg": "box regression",
    "loss_keypoint": "keypoints",
    "loss_rpn_cls": "proposals, objectness",
    "loss_rpn_loc": "proposals, regression",
    "lr": "learning rate",
}


def losses_figure(runs: Mapping[str, Sequence[Mapping[str, float]]], stem: str | Path, *, note: str) -> list[Path]:
    """Loss curves, a panel for each loss and one for the learning rate, a line for each run.

    `runs` maps a label to the rows of a `metrics.jsonl` (`iteration`, `lr`, `total_loss`, `loss_*`). Thick lines are
    running means over a fortieth of the run; with one run, the pale line behind is what was recorded.
    """
    recorded = {key for rows in runs.values() for row in rows for key in row}
    losses = sorted(key for key in recorded if "loss" in key and key != "total_loss")
    keys = [key for key in ("total_loss", *losses, "lr") if key in recorded]
    columns = min(4, len(keys))
    lines = math.ceil(len(keys) / columns)
    with style():
        figure = new_figure(2.5 * columns, 2.0 * lines + 0.5)
        grid = figure.subplots(lines, columns, squeeze=False, sharex=True)
        for axes in grid.flat[len(keys) :]:
            axes.set_visible(False)
        for axes, key in zip(grid.flat, keys, strict=False):
            for i, (label, rows) in enumerate(runs.items()):
                pairs = [(row["iteration"], row[key]) for row in rows if key in row]
                if not pairs:
                    continue
                x, y = np.array(pairs, float).T
                colour = CYCLE[i % len(CYCLE)]
                if key == "lr":
                    axes.plot(x, y, color=colour, linewidth=1.2, label=label)
                    continue
                if len(runs) == 1:
                    axes.plot(x, y, color=PALE, linewidth=0.7)
                axes.plot(x, running_mean(y, max(1, len(y) // 40)), color=colour, linewidth=1.3, label=label)
            if key != "lr":
                # After all lines: a limit ends the fitting of the axes to what is drawn.
                axes.set_ylim(bottom=0)
            axes.set_title(LOSS_NAMES.get(key, key), fontsize=8.5)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")
            axes.locator_params(axis="x", nbins=5)
            axes.locator_params(axis="y", nbins=5)
        for axes in grid[-1]:
            axes.set_xlabel("iterations")
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=max(1, min(3, len(labels))), fontsize=7.5)
        return save_figure(figure, stem, note)


def running_mean(values: np.ndarray, half: int) -> np.ndarray:
    """Mean over each value and up to `half` values on each side (fewer at the ends), the same length."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(0, index - half), np.minimum(len(values), index + half + 1)
    return (sums[high] - sums[low]) / (high - low)
