"""Charts of evaluations: the paper's Figures 5 and 6, and the length of training.

Values of several runs come as mappings from seed to value (per cent for AP). Every chart carries a note that says what
data it is from. Nothing is drawn for what has not run, and nothing of the paper's is drawn: it prints no figures there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.report.figure_style import (
    BLUE,
    CYCLE,
    GREEN,
    MARKERS,
    ORANGE,
    PALE,
    PURPLE,
    RED,
    SKY,
    legend_below,
    new_figure,
    save_figure,
    style,
)
from datadistill.report.tables import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Seeds = Mapping[int, float]


@dataclass(frozen=True)
class TeacherPoint:
    """A point of Figure 6: a teacher's AP (as it labels) and the AP of the student that it taught, by seed."""

    label: str
    teacher: Seeds
    student: Seeds


@dataclass(frozen=True)
class Reference:
    """Something a curve is compared with, by seed: a level, or a point where `iterations` is given."""

    label: str
    values: Seeds
    iterations: int | None = None


def fractions_figure(
    points: Mapping[float, Seeds], baseline: Seeds, stem: str | Path, *, note: str, metric: str = "AP"
) -> list[Path]:
    """Figure 5: the metric against the fraction of unlabelled images used (0 to 1), with the supervised baseline as a
    line.

    Fraction 0 is the baseline itself. Lines join means; with several seeds, dots are seeds and bars sample standard
    deviations.
    """
    with style():
        figure = new_figure(5.2, 3.9)
        axes = figure.subplots()
        shown = {0.0: baseline, **points} if baseline else dict(points)
        _curve(axes, {100 * x: values for x, values in shown.items()}, BLUE, "data distillation")
        _level(axes, baseline, "fully supervised, labelled images alone")
        axes.set(xlabel="unlabelled images used (%)", ylabel=metric, xlim=(-4, 104))
        axes.set_xticks([0, 20, 40, 60, 80, 100])
        if means := [_mean(values) for values in shown.values() if values]:
            axes.set_ylim(_limits(means, [axes.get_ylim()]))
        axes.set_title("Amount of unlabelled data")
        legend_below(axes, columns=2)
        return save_figure(figure, stem, note)


def teachers_figure(
    points: Sequence[TeacherPoint], baseline: Seeds, stem: str | Path, *, note: str, metric: str = "AP"
) -> list[Path]:
    """Figure 6: the student's metric against its teacher's, one labelled point a teacher, with the student's baseline.

    Means over seeds, bars are sample standard deviations. The diagonal is where a student is as good as its teacher.
    """
    # The baseline's line is orange.
    colours = [colour for colour in CYCLE if colour != ORANGE]
    with style():
        figure = new_figure(5.6, 5.2)
        axes = figure.subplots()
        drawn = [point for point in points if point.teacher and point.student]
        for i, point in enumerate(drawn):
            x, y = _mean(point.teacher), _mean(point.student)
            axes.errorbar(
                x,
                y,
                xerr=_spread(point.teacher),
                yerr=_spread(point.student),
                fmt=MARKERS[i % len(MARKERS)],
                color=colours[i % len(colours)],
                markersize=7,
                markeredgecolor="white",
                elinewidth=1,
                zorder=3,
                label=point.label,
            )
        _level(axes, baseline, "student's network, labels alone")
        if drawn:
            _square_limits(axes, drawn, baseline)
        axes.set(xlabel=f"teacher {metric} (as it labels)", ylabel=f"student {metric}")
        axes.set_title("Teacher and student")
        legend_below(axes, columns=2)
        return save_figure(figure, stem, note)


def _square_limits(axes: Axes, points: Sequence[TeacherPoint], baseline: Seeds) -> None:
    xs = [end for point in points for end in _bar(point.teacher)]
    ys = [end for point in points for end in _bar(point.student)] + ([_mean(baseline)] if baseline else [])
    axes.set_xlim(_limits(xs))
    axes.set_ylim(_limits(ys))
    axes.axline((0, 0), slope=1, color=PALE, linewidth=1.2, zorder=1, label="student = teacher")


def _bar(values: Seeds) -> tuple[float, float]:
    mean, spread = _mean(values), _spread(values) or 0.0
    return mean - spread, mean + spread


def _limits(values: Sequence[float], fitted: Sequence[tuple[float, float]] = ()) -> tuple[float, float]:
    """Limits of an axis with room around values that are never negative, and around what was `fitted` already."""
    pad = max(0.5, 0.15 * (max(values) - min(values)))
    low, high = min(values) - pad, max(values) + pad
    for other in fitted:
        low, high = min(low, other[0]), max(high, other[1])
    # Below zero no more than a marker at zero needs.
    return max(low, -0.03 * high), high


def lengths_figure(
    points: Mapping[int, Seeds], references: Sequence[Reference], stem: str | Path, *, note: str, metric: str = "AP"
) -> list[Path]:
    """Labelled-only training at several lengths, a thin line a seed and the mean, against what it is compared with.

    `points` maps iterations to values; those of a fine-tuned model are its teacher's and its own. References with
    iterations are points with a bar, others are levels.
    """
    with style():
        figure = new_figure(5.8, 3.8)
        axes = figure.subplots()
        for seed in sorted({seed for values in points.values() for seed in values}):
            line = sorted((x, values[seed]) for x, values in points.items() if seed in values)
            axes.plot(*zip(*line, strict=True), color=SKY, linewidth=0.9, marker=".", markersize=4, zorder=2)
        _curve(axes, points, BLUE, "labelled images alone", dots=False)
        for i, reference in enumerate(reference for reference in references if reference.values):
            colour = (RED, GREEN, PURPLE, ORANGE)[i % 4]
            mean, spread = _mean(reference.values), _spread(reference.values)
            if reference.iterations is None:
                axes.axhline(mean, color=colour, linestyle="--", linewidth=1.2, label=f"{reference.label} ({mean:.1f})")
                axes.axhspan(mean - (spread or 0), mean + (spread or 0), color=colour, alpha=0.1, linewidth=0)
            else:
                axes.axhline(mean, color=colour, linestyle=":", linewidth=1)
                axes.errorbar(
                    reference.iterations,
                    mean,
                    yerr=spread,
                    fmt=MARKERS[i + 1],
                    color=colour,
                    markersize=7,
                    capsize=3,
                    label=f"{reference.label} ({mean:.1f})",
                    zorder=4,
                )
                x = [reference.iterations] * len(reference.values)
                axes.plot(x, list(reference.values.values()), ".", color=colour, alpha=0.5, markersize=4, zorder=3)
        axes.set(xlabel="iterations", ylabel=metric, xlim=(0, None))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_title("Length of training")
        legend_below(axes, columns=2)
        return save_figure(figure, stem, note)


def curve_from_definition(kind: str, definition: Mapping[str, Any], stem: str | Path) -> list[Path]:
    """A chart of evaluation files: `kind` "fractions", "teachers" or "lengths".

    Evaluations are lists of `seed` and `path`; those that don't exist (not run) are left out. All kinds have `note`
    and, optionally, `metric` ("AP"); further:

    - fractions: `points` (`x`: fraction of 0 to 1, `evaluations`), `baseline` (evaluations).
    - teachers: `points` (`label`, `teacher`, `student`: evaluations), `baseline`.
    - lengths: `points` (`x`: iterations, `evaluations`), `references` (`label`, `evaluations` and, optionally, `x`).
    """
    metric, note = definition.get("metric", "AP"), definition["note"]

    def read(evaluations: Sequence[Mapping[str, Any]]) -> dict[int, float]:
        values = {int(e["seed"]): read_metrics(e["path"]).get(metric) for e in evaluations if Path(e["path"]).exists()}
        return {seed: value for seed, value in values.items() if value is not None}

    if kind == "teachers":
        points = [TeacherPoint(p["label"], read(p["teacher"]), read(p["student"])) for p in definition["points"]]
        return teachers_figure(points, read(definition["baseline"]), stem, note=note, metric=metric)
    known = {point["x"]: read(point["evaluations"]) for point in definition["points"]}
    if kind == "fractions":
        return fractions_figure(known, read(definition["baseline"]), stem, note=note, metric=metric)
    if kind == "lengths":
        references = [Reference(r["label"], read(r["evaluations"]), r.get("x")) for r in definition["references"]]
        return lengths_figure(known, references, stem, note=note, metric=metric)
    raise ValueError(f"unknown kind of curve {kind!r}")


def _curve(axes: Axes, points: Mapping[float, Seeds], colour: str, label: str, *, dots: bool = True) -> None:
    """Means joined by a line, with a bar and the single values where there are several seeds."""
    known = {x: values for x, values in sorted(points.items()) if values}
    if not known:
        return
    spreads = [_spread(values) or 0.0 for values in known.values()]
    means = [_mean(values) for values in known.values()]
    axes.errorbar(
        list(known), means, yerr=spreads if any(spreads) else None, color=colour, marker="o", markeredgecolor="white",
        capsize=2.5, elinewidth=1, label=label, zorder=3,
    )  # fmt: skip
    if dots and any(spreads):
        for x, values in known.items():
            axes.plot([x] * len(values), list(values.values()), ".", color=colour, alpha=0.45, markersize=4, zorder=2)


def _level(axes: Axes, values: Seeds, label: str) -> None:
    if values:
        axes.axhline(
            _mean(values), color=ORANGE, linestyle="--", linewidth=1.3, label=f"{label} ({_mean(values):.1f})", zorder=2
        )


def _mean(values: Seeds) -> float:
    return math.fsum(values.values()) / len(values)


def _spread(values: Seeds) -> float | None:
    """Sample standard deviation; None for one seed."""
    return float(np.std(list(values.values()), ddof=1)) if len(values) > 1 else None
