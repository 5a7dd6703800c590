"""Charts: plain data in, a PDF and a PNG out. One style, colours that colour-blind readers can tell apart.

Values of several runs come as mappings from seed to value (per cent for AP). Every chart carries a note that says what
data it is from. Nothing is drawn for what has not run, and nothing of the paper's is drawn where it prints no figure
(Figures 5, 6).
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datadistill.files import atomic_write, read_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours.
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
INK, GREY, PALE = "#222222", "#767676", "#D9D9D9"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)
NOTE_SIZE = 6.5
# One more than colours, so that colour and marker together repeat late.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LOSS_NAMES = {
    "total_loss": "total loss",
    "loss_cls": "box class",
    "loss_box_reg": "box regression",
    "loss_keypoint": "keypoints",
    "loss_rpn_cls": "proposals, objectness",
    "loss_rpn_loc": "proposals, regression",
    "lr": "learning rate",
}
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#EBEBEB",
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
}

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


@contextmanager
def style() -> Iterator[None]:
    """The project's look, inside the block only."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure in inches that belongs to no window or global state, and whose axes arrange themselves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    return figure


def note_height(note: str, width: float) -> float:
    """Inches that the note takes at the foot of a figure `width` inches wide."""
    return 0.1 + 0.125 * len(_note_lines(note, width))


def _note_lines(note: str, width: float) -> list[str]:
    # A character of the small print is about 0.05 inches wide.
    return textwrap.wrap(note, max(20, int((width - 0.2) / 0.05)))


def save_figure(figure: Figure, stem: str | Path, note: str = "") -> list[Path]:
    """Write `stem`.pdf and `stem`.png, `note` in small print at the foot, and return the paths.

    The same figure makes the same bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    width, height = figure.get_size_inches()
    foot = note_height(note, width) / height
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0, foot, 1, 1 - foot))
    text = "\n".join(_note_lines(note, width))
    figure.text(0.1 / width, 0.06 / height, text, fontsize=NOTE_SIZE, color=GREY, va="bottom", in_layout=False)
    FigureCanvasAgg(figure)
    paths = []
    for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        path = Path(f"{stem}.{kind}")
        with atomic_write(path, "wb") as stream:
            figure.savefig(stream, format=kind, metadata=metadata)
        paths.append(path)
    return paths


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
        _legend(axes, columns=2)
        return save_figure(figure, stem, note)


def teachers_figure(
    points: Sequence[TeacherPoint], baseline: Seeds, stem: str | Path, *, note: str, metric: str = "AP"
) -> list[Path]:
    """Figure 6: the student's metric against its teacher's, one labelled point a teacher, with the student's baseline.

    Means over seeds, bars are sample standard deviations. The diagonal is where a student is as good as its teacher.
    """
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
                color=CYCLE[i % len(CYCLE)],
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
        _legend(axes, columns=2)
        return save_figure(figure, stem, note)


def _square_limits(axes: Axes, points: Sequence[TeacherPoint], baseline: Seeds) -> None:
    xs = [_mean(point.teacher) for point in points]
    ys = [_mean(point.student) for point in points] + ([_mean(baseline)] if baseline else [])
    axes.set_xlim(_limits(xs))
    axes.set_ylim(_limits(ys))
    axes.axline((0, 0), slope=1, color=PALE, linewidth=1.2, zorder=1, label="student = teacher")


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

    `points` maps iterations to values. References with iterations are points with a bar, others are levels.
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
        _legend(axes, columns=2)
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
        values = {
            int(e["seed"]): read_json(e["path"])["metrics"].get(metric) for e in evaluations if Path(e["path"]).exists()
        }
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
    _legend(axes)


def _category_panel(axes: Axes, thresholds: Mapping[str, Any]) -> None:
    from matplotlib.ticker import NullFormatter

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
    for distance, number in far:
        if distance > math.log(1.25):
            c = categories[number]
            position = (c["target"], max(c["achieved"], low))
            name = names.get(str(number), str(number))
            text = axes.annotate(name, position, (4, 4), textcoords="offset points", fontsize=6.5, color=GREY)
            text.set_in_layout(False)
    axes.axline((low, low), (high, high), color=PALE, linewidth=1.2, zorder=1)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.set(xlabel="target (true instances per labelled image)", ylabel="achieved (generated per image)")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title("Categories")
    _legend(axes)


def label_quality_figure(reports: Mapping[str, Mapping[str, Any]], stem: str | Path, *, note: str) -> list[Path]:
    """Quality of label sets against hidden truth (`quality.label_quality`), several sets side by side by their names.

    Several categories: precision and recall of each, the most frequent on top. Keypoints: accuracy and error of each
    type.
    """
    first = next(iter(reports.values()))
    with style():
        figure = (_keypoint_quality if "keypoints" in first else _category_quality)(reports)
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
            label = f"{name} (mean {'n/a' if mean is None else f'{mean:.2f}'})"
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
        _legend(axes)
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
        _legend(axes)
    panels[0].set_xlim(0, 1)
    panels[1].set_xlim(left=0)
    panels[0].set_yticks(range(len(names)), names, fontsize=7)
    panels[0].set_ylim(len(names) - 0.3, -0.7)
    return figure


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


def _legend(axes: Axes, columns: int = 1) -> None:
    """Below the axes, where it hides nothing."""
    from matplotlib.transforms import ScaledTranslation

    if axes.get_legend_handles_labels()[0]:
        below = axes.transAxes + ScaledTranslation(0, -0.46, axes.figure.dpi_scale_trans)
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(0, 0),
            bbox_transform=below,
            ncols=columns,
            fontsize=7.5,
            borderaxespad=0,
        )


def _mean(values: Seeds) -> float:
    return math.fsum(values.values()) / len(values)


def _spread(values: Seeds) -> float | None:
    """Sample standard deviation; None for one seed."""
    return float(np.std(list(values.values()), ddof=1)) if len(values) > 1 else None
