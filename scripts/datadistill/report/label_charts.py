"""Charts of label sets: how their thresholds were chosen, and how good they are against hidden truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datadistill.report.figure_style import (
    BLUE,
    CYCLE,
    GREY,
    MARKERS,
    ORANGE,
    PALE,
    RED,
    legend_below,
    new_figure,
    save_figure,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def thresholds_figure(thresholds: Mapping[str, Any], stem: str | Path, *, note: str) -> list[Path]:
    """How the thresholds of a label set were chosen (the values of its `thresholds.json`).

    Panels: instances per image against the score threshold, with target and choice; for keypoints, keypoints per
    instance the same way; for several categories, target against achieved for each, per-category and with one global
    threshold (log scales).
    """
    report = thresholds["report"]
    several = len(thresholds["categories"]) > 1
    panels = 1 + (thresholds["keypoints"] is not None) + several
    with style():
        figure = new_figure(3.9 * panels, 3.9)
        grid = iter(figure.subplots(1, panels, squeeze=False).flat)
        title = "All categories, one threshold" if thresholds["per_category"] and several else "Instances"
        axes = next(grid)
        _threshold_panel(axes, report["instance_curve"], thresholds["overall"], "instances per image", title)
        if thresholds["keypoints"] is not None:
            axes = next(grid)
            _threshold_panel(
                axes, report["keypoint_curve"], thresholds["keypoints"], "keypoints per instance", "Keypoints"
            )
        if several:
            _category_panel(next(grid), thresholds)
        return save_figure(figure, stem, note)


def _threshold_panel(
    axes: Axes, curve: Mapping[str, Sequence[float]], chosen: Mapping[str, Any], what: str, title: str
) -> None:
    axes.plot(curve["threshold"], curve["average"], color=BLUE, zorder=2)
    if chosen["target"] is not None:
        axes.axhline(
            chosen["target"], color=ORANGE, linestyle="--", linewidth=1.2, label=f"target {chosen['target']:.3f}"
        )
    if chosen["threshold"] is not None:
        label = f"threshold {chosen['threshold']:.3g}, achieved {chosen['achieved']:.3f}"
        axes.axvline(chosen["threshold"], color=PALE, linewidth=1, zorder=1)
        axes.plot(
            chosen["threshold"], chosen["achieved"], "o", color=RED, markeredgecolor="white", zorder=3, label=label
        )
    axes.set(xlabel="score threshold", ylabel=what, ylim=(0, None))
    axes.locator_params(axis="x", nbins=5)
    axes.set_title(f"{title} ({chosen['outcome']})" if chosen["outcome"] != "matched" else title)
    if chosen["target"] and len(curve["average"]) and curve["average"][-1] > 6 * chosen["target"]:
        # The tail of low scores would press what matters into the axis.
        axes.set_ylim(0, 4 * chosen["target"])
    legend_below(axes)


def _category_panel(axes: Axes, thresholds: Mapping[str, Any]) -> None:
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    sets = [
        ("one global threshold", thresholds["overall_by_category"], "s", ORANGE, "none"),
        ("a threshold for each category", thresholds["categories"], "o", BLUE, BLUE),
    ]
    if not thresholds["per_category"]:
        sets = sets[:1]
    names, values = thresholds["report"]["names"], []
    for label, categories, marker, colour, face in sets:
        pairs = [(c["target"], c["achieved"]) for c in categories.values() if c["target"]]
        values += [value for pair in pairs for value in pair if value > 0]
        if pairs:
            x, y = zip(*pairs, strict=True)
            axes.plot(
                x,
                y,
                marker,
                color=colour,
                markerfacecolor=face,
                markersize=4.5,
                linestyle="none",
                label=label,
                zorder=3,
            )
    if not values:
        axes.set_title("No category has a target")
        return
    low, high = min(values) / 1.6, max(values) * 1.6
    # What achieves nothing has no place on a log scale: it goes to the lower edge.
    for _, categories, marker, colour, face in sets:
        lost = [c["target"] for c in categories.values() if c["target"] and not c["achieved"]]
        if not lost:
            continue
        axes.plot(
            lost,
            [low] * len(lost),
            marker,
            color=colour,
            markerfacecolor=face,
            markersize=4.5,
            clip_on=False,
            linestyle="none",
        )
    _, categories, *_ = sets[0]
    far = sorted(
        (abs(math.log(max(c["achieved"], low) / c["target"])), number)
        for number, c in categories.items()
        if c["target"]
    )[-4:]
    at: dict[tuple[float, float], list[str]] = {}
    for distance, number in far:
        if distance > math.log(1.25):
            c = categories[number]
            at.setdefault((c["target"], max(c["achieved"], low)), []).append(names.get(str(number), str(number)))
    for position, shared in at.items():
        text = axes.annotate(", ".join(shared), position, (4, 4), textcoords="offset points", fontsize=6.5, color=GREY)
        text.set_in_layout(False)
    axes.axline((low, low), (high, high), color=PALE, linewidth=1.2, zorder=1)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.set(xlabel="target (true instances per labelled image)", ylabel="achieved (generated per image)")
    for axis in (axes.xaxis, axes.yaxis):
        # A log axis would write its numbers as mathematics, which the style sheet turns off.
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_title("Categories")
    legend_below(axes)


def label_quality_figure(reports: Mapping[str, Mapping[str, Any]], stem: str | Path, *, note: str) -> list[Path]:
    """Quality of label sets against hidden truth (`label_quality.label_quality`), several sets side by side by their names.

    Several categories: precision and recall of each, the most frequent on top. Keypoints: accuracy and error of each
    type.
    """
    first = next(iter(reports.values()))
    with style():
        figure = (_keypoint_quality if first.get("keypoints") else _category_quality)(reports)
        return save_figure(figure, stem, note)


def _category_quality(reports: Mapping[str, Mapping[str, Any]]) -> Figure:
    first = next(iter(reports.values()))["boxes"]["by_category"]
    order = sorted(range(len(first)), key=lambda i: (first[i]["truth"], -first[i]["id"]))
    figure = new_figure(7.6, 1.7 + 0.19 * len(order))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, key in zip(panels, ("precision", "recall"), strict=True):
        for i, (name, report) in enumerate(reports.items()):
            entries = [report["boxes"]["by_category"][j] for j in order]
            known = [(entry[key], y) for y, entry in enumerate(entries) if entry[key] is not None]
            mean = report["boxes"]["mean"][key]
            over = report["boxes"]["mean_over"][key]
            label = f"{name} (mean {'n/a' if mean is None else f'{mean:.2f} of {over} categories'})"
            x, y = zip(*known, strict=True) if known else ((), ())
            face = CYCLE[i % len(CYCLE)] if i == 0 else "none"
            axes.plot(
                x, y, MARKERS[i % len(MARKERS)], color=CYCLE[i % len(CYCLE)], markerfacecolor=face,
                linestyle="none", label=label, zorder=3 + (i == 0), clip_on=not known,
            )  # fmt: skip
            if mean is not None:
                axes.axvline(mean, color=CYCLE[i % len(CYCLE)], linestyle="--", linewidth=0.9, zorder=1)
        axes.set(xlim=(0, 1), xlabel=key)
        axes.set_title(key)
        legend_below(axes)
    panels[0].set_yticks(range(len(order)), [f"{first[j]['name']} ({first[j]['truth']})" for j in order], fontsize=7)
    panels[0].set_ylim(-0.7, len(order) - 0.3)
    return figure


def _keypoint_quality(reports: Mapping[str, Mapping[str, Any]]) -> Figure:
    first = next(iter(reports.values()))
    names = [entry["name"].replace("_", " ") for entry in first["keypoints"]["by_type"]]
    figure = new_figure(7.6, 1.6 + 0.19 * len(names))
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"accuracy": "within tolerance of the truth", "mean_error": "mean error (share of the box's size)"}
    for axes, (key, title) in zip(panels, titles.items(), strict=True):
        for i, (name, report) in enumerate(reports.items()):
            entries = report["keypoints"]["by_type"]
            known = [(entry[key], y) for y, entry in enumerate(entries) if entry[key] is not None]
            x, y = zip(*known, strict=True) if known else ((), ())
            overall = report["keypoints"][key]
            label = f"{name} (all {'n/a' if overall is None else f'{overall:.3f}'})"
            axes.plot(
                x,
                y,
                MARKERS[i % len(MARKERS)],
                color=CYCLE[i % len(CYCLE)],
                linestyle="none",
                label=label,
                # Whole markers at the edges; but what is empty and not clipped has no size that a layout can count with.
                clip_on=not known,
            )
            if overall is not None:
                axes.axvline(overall, color=CYCLE[i % len(CYCLE)], linestyle="--", linewidth=0.9, zorder=1)
        axes.set_title(title)
        legend_below(axes)
    panels[0].set_xlim(0, 1)
    panels[1].set_xlim(left=0)
    panels[0].set_yticks(range(len(names)), names, fontsize=7)
    panels[0].set_ylim(len(names) - 0.3, -0.7)
    return figure
