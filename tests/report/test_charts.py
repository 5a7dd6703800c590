"""Charts: the right numbers at the right places, a note on each, the same bytes twice."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image

from datadistill.report.figure_style import note_height
from datadistill.report.label_charts import label_quality_figure, thresholds_figure
from datadistill.report.result_charts import (
    Reference,
    TeacherPoint,
    curve_from_definition,
    fractions_figure,
    lengths_figure,
    teachers_figure,
)
from datadistill.report.training_charts import losses_figure, running_mean

NOTE = "ours on rendered data (proxy)"


def check_files(paths, width: float, height: float) -> None:
    """A PDF and a PNG of that many inches at 200 dots an inch, not blank."""
    pdf, png = paths
    assert pdf.read_bytes().startswith(b"%PDF")
    with Image.open(png) as image:
        assert image.size == (round(200 * width), round(200 * height))
        assert np.asarray(image.convert("L")).std() > 5


def texts(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def lines_with(axes, x: list[float]) -> list[list[float]]:
    """y values of all lines drawn at exactly these x; the ends of error bars aside."""
    lines = [line for line in axes.get_lines() if line.get_marker() not in ("_", "|")]
    return [list(line.get_ydata()) for line in lines if list(line.get_xdata()) == x]


def test_fractions(tmp_path, saved_figures):
    points = {0.5: {1: 41.0, 2: 43.0}, 1.0: {1: 44.0, 2: 44.0}, 0.2: {}}
    paths = fractions_figure(points, {1: 39.0, 2: 40.0}, tmp_path / "figure5", note=NOTE)
    check_files(paths, 5.2, 3.9)
    (axes,) = saved_figures[0].axes
    assert lines_with(axes, [0.0, 50.0, 100.0]) == [[39.5, 42.0, 44.0]]
    assert [39.5, 39.5] in [list(line.get_ydata()) for line in axes.get_lines()]
    assert NOTE in texts(saved_figures[0])
    assert "labelled images alone (39.5)" in texts(saved_figures[0])


def test_teachers(tmp_path, saved_figures):
    points = [
        TeacherPoint("ResNet-50, 90k", {1: 40.0, 2: 42.0}, {1: 43.0, 2: 44.0}),
        TeacherPoint("ResNet-101", {1: 45.0}, {1: 46.0}),
        TeacherPoint("not run", {1: 45.0}, {}),
    ]
    paths = teachers_figure(points, {1: 39.0}, tmp_path / "figure6", note=NOTE)
    check_files(paths, 5.6, 5.2)
    (axes,) = saved_figures[0].axes
    assert lines_with(axes, [41.0]) == [[43.5]]
    assert lines_with(axes, [45.0]) == [[46.0]]
    assert "not run" not in texts(saved_figures[0])
    assert "student = teacher" in texts(saved_figures[0])
    assert axes.get_ylim()[0] < 39.0


def test_bars_of_teachers_and_students_lie_inside(tmp_path, saved_figures):
    points = [
        TeacherPoint("a", {1: 40.0, 2: 41.0}, {1: 43.0, 2: 43.2}),
        TeacherPoint("b", {1: 46.0, 2: 54.0}, {1: 44.0, 2: 52.0}),
    ]
    teachers_figure(points, {1: 42.0}, tmp_path / "figure6", note=NOTE)
    (axes,) = saved_figures[0].axes
    bars = [segment for collection in axes.collections for segment in collection.get_segments()]
    assert len(bars) == 4
    for x, y in (end for bar in bars for end in bar):
        assert axes.get_xlim()[0] < x < axes.get_xlim()[1]
        assert axes.get_ylim()[0] < y < axes.get_ylim()[1]
    level = next(line for line in axes.get_lines() if line.get_linestyle() == "--")
    assert level.get_color() not in [line.get_color() for line in axes.get_lines() if line.get_marker() in "os"]


def test_ap_is_not_drawn_below_zero(tmp_path, saved_figures):
    fractions_figure({0.5: {1: 0.0}, 1.0: {1: 0.0}}, {1: 0.0}, tmp_path / "figure5", note=NOTE)
    teachers_figure([TeacherPoint("a", {1: 0.0}, {1: 0.1})], {1: 0.0}, tmp_path / "figure6", note=NOTE)
    limits = [figure.axes[0].get_ylim() for figure in saved_figures] + [saved_figures[1].axes[0].get_xlim()]
    for low, high in limits:
        assert -0.05 < low < 0
        assert high >= 0.5


def test_lengths(tmp_path, saved_figures):
    points = {300: {1: 30.0, 2: 32.0}, 600: {1: 36.0, 2: 40.0}}
    references = [
        Reference("distilled", {1: 41.0, 2: 43.0}, 600),
        Reference("fully supervised", {1: 50.0}),
        Reference("not run", {}),
    ]
    check_files(lengths_figure(points, references, tmp_path / "lengths", note=NOTE), 5.8, 3.8)
    (axes,) = saved_figures[0].axes
    assert sorted(lines_with(axes, [300, 600])) == [[30.0, 36.0], [31.0, 38.0], [32.0, 40.0]]
    assert [42.0] in lines_with(axes, [600])
    text = texts(saved_figures[0])
    assert "distilled (42.0)" in text
    assert "fully supervised (50.0)" in text
    assert "not run" not in text


def test_losses(tmp_path, saved_figures):
    rows = [{"iteration": i, "lr": 0.02, "total_loss": 3.0, "loss_cls": 1.0, "data_time": 9.0} for i in range(1, 100)]
    paths = losses_figure({"a": rows, "b": [*rows, {"iteration": 100, "eta": 1}]}, tmp_path / "losses", note=NOTE)
    check_files(paths, 7.5, 2.5)
    shown = [axes.get_title(loc="left") for axes in saved_figures[0].axes]
    assert shown == ["total loss", "box class", "learning rate"]
    assert [len(axes.get_lines()) for axes in saved_figures[0].axes] == [2, 2, 2]
    assert NOTE in texts(saved_figures[0])


def test_losses_of_every_run_fit_their_axes(tmp_path, saved_figures):
    runs = {
        label: [{"iteration": i, "lr": 0.02, "total_loss": loss} for i in range(1, 9)]
        for label, loss in (("low", 1.0), ("high", 5.0))
    }
    losses_figure(runs, tmp_path / "losses", note=NOTE)
    low, high = saved_figures[0].axes[0].get_ylim()
    assert low == 0
    assert high > 5


def test_running_mean():
    assert running_mean(np.array([1.0, 2.0, 6.0, 4.0]), 1).tolist() == [1.5, 3.0, 4.0, 5.0]
    assert running_mean(np.array([7.0]), 3).tolist() == [7.0]


def threshold(target, value, achieved, outcome="matched") -> dict:
    return {
        "target": target, "threshold": value, "achieved": achieved, "kept": 3, "available": 9, "outcome": outcome,
    }  # fmt: skip


def thresholds(**more) -> dict:
    curve = {"threshold": [0.9, 0.5, 0.1], "average": [0.5, 1.0, 3.0]}
    return {
        "per_category": False,
        "categories": {"1": threshold(1.0, 0.5, 1.0)},
        "overall": threshold(1.0, 0.5, 1.0),
        "overall_by_category": {"1": threshold(1.0, 0.5, 1.0)},
        "keypoints": None,
        "report": {
            "count_instances": "all",
            "labelled": {"images": 60, "instances_per_image": {"with_keypoints": 0.8, "all": 1.0}},
            "unlabelled": {"images": 600, "detections": 1800, "kept": 600, "instances_per_image": 1.0},
            "names": {"1": "person", "2": "kite", "3": "harp"},
            "instance_curve": curve,
            "keypoint_curve": curve,
        },
    } | more


def test_thresholds_of_keypoints(tmp_path, saved_figures):
    values = thresholds(keypoints=threshold(2.0, 0.2, 1.9, "all kept"))
    check_files(thresholds_figure(values, tmp_path / "t", note=NOTE), 7.8, 3.9)
    instances, keypoints = saved_figures[0].axes
    assert lines_with(instances, [0.9, 0.5, 0.1]) == [[0.5, 1.0, 3.0]]
    assert lines_with(keypoints, [0.2]) == [[1.9]]
    assert keypoints.get_title(loc="left") == "Keypoints (all kept)"
    assert "target 2.000" in texts(saved_figures[0])


def test_thresholds_far_below_one_are_not_printed_as_zero(tmp_path, saved_figures):
    values = thresholds(keypoints=threshold(2.0, 0.0003756, 1.9, "matched"))
    thresholds_figure(values, tmp_path / "t", note=NOTE)
    assert "threshold 0.000376, achieved 1.900" in texts(saved_figures[0])


def test_thresholds_of_categories(tmp_path, saved_figures):
    """The category that gets nothing from one global threshold stays in the picture, at its lower edge, by name."""
    values = thresholds(
        per_category=True,
        categories={"1": threshold(1.0, 0.5, 1.0), "2": threshold(0.1, 0.1, 0.1), "3": threshold(0.0, None, 0.0)},
        overall_by_category={
            "1": threshold(1.0, 0.5, 1.1),
            "2": threshold(0.1, 0.5, 0.0),
            "3": threshold(0.0, 0.5, 0.0),
        },
    )
    check_files(thresholds_figure(values, tmp_path / "t", note=NOTE), 7.8, 3.9)
    axes = saved_figures[0].axes[1]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert lines_with(axes, [1.0, 0.1]) == [[1.1, 0.0], [1.0, 0.1]]
    low = axes.get_ylim()[0]
    assert lines_with(axes, [0.1]) == [[pytest.approx(low)]]
    assert "kite" in texts(saved_figures[0])
    assert "person" not in texts(saved_figures[0])


def test_categories_at_one_place_share_a_text(tmp_path, saved_figures):
    by_category = {number: threshold(0.1, 0.5, 0.0) for number in ("1", "2")} | {"3": threshold(1.0, 0.5, 1.0)}
    values = thresholds(per_category=True, categories=by_category, overall_by_category=by_category)
    values["report"]["names"] = {"1": "fish", "2": "umbrella", "3": "ball"}
    thresholds_figure(values, tmp_path / "t", note=NOTE)
    assert [text.get_text() for text in saved_figures[0].axes[1].texts] == ["fish, umbrella"]


def test_a_dollar_sign_is_no_mathematics_and_a_log_axis_writes_plain_numbers(tmp_path, saved_figures):
    by_category = {"1": threshold(10.0, 0.5, 1.0), "2": threshold(0.1, 0.5, 0.0)}
    values = thresholds(per_category=True, categories=by_category, overall_by_category=by_category)
    values["report"]["names"] = {"1": "$$", "2": "a $x_1$ \\frac"}
    thresholds_figure(values, tmp_path / "t", note="cost: $$ and $x$")
    axes = saved_figures[0].axes[1]
    shown = texts(saved_figures[0]).split("\n")
    assert {"$$", "a $x_1$ \\frac", "cost: $$ and $x$"} <= set(shown)
    for axis in (axes.xaxis, axes.yaxis):
        ticks = dict(zip(axis.get_ticklocs(), (label.get_text() for label in axis.get_ticklabels()), strict=True))
        assert {value: ticks[value] for value in (0.1, 1.0, 10.0)} == {0.1: "0.1", 1.0: "1", 10.0: "10"}
    assert not any("mathdefault" in text for text in shown)


def test_label_quality_by_category(tmp_path, saved_figures):
    def report(precisions, recalls):
        entries = [
            {"id": i, "name": name, "truth": count, "precision": precision, "recall": recall}
            for i, (name, count, precision, recall) in enumerate(
                zip(("kite", "person"), (3, 90), precisions, recalls, strict=True)
            )
        ]
        means = {"mean": {"precision": 0.5, "recall": None}, "mean_over": {"precision": 1, "recall": 0}}
        return {"boxes": {"by_category": entries, **means}}

    reports = {"per category": report((0.4, 0.6), (0.1, 0.2)), "global": report((None, 0.7), (0.0, 0.3))}
    label_quality_figure(reports, tmp_path / "q", note=NOTE)
    precision, _ = saved_figures[0].axes
    assert [label.get_text() for label in precision.get_yticklabels()] == ["kite (3)", "person (90)"]
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in precision.get_lines()]
    assert ([0.4, 0.6], [0, 1]) in drawn
    assert ([0.7], [1]) in drawn
    assert "per category (mean 0.50 of 1 categories)" in texts(saved_figures[0])
    assert "global (mean n/a)" in texts(saved_figures[0])
    assert NOTE in texts(saved_figures[0])


def test_label_quality_of_keypoints(tmp_path, saved_figures):
    types = [
        {"name": "left_eye", "accuracy": 0.9, "mean_error": 0.02},
        {"name": "left_hip", "accuracy": None, "mean_error": None},
    ]
    report = {
        "boxes": {"by_category": [{}]},
        "keypoints": {"accuracy": 0.9, "mean_error": 0.02, "by_type": types},
    }
    label_quality_figure({"labels": report}, tmp_path / "q", note=NOTE)
    accuracy, error = saved_figures[0].axes
    assert [label.get_text() for label in accuracy.get_yticklabels()] == ["left eye", "left hip"]
    assert list(accuracy.get_lines()[0].get_xdata()) == [0.9]
    assert list(error.get_lines()[0].get_xdata()) == [0.02]


def test_label_quality_without_a_match_keeps_its_layout(tmp_path, saved_figures):
    types = [{"name": name, "accuracy": None, "mean_error": None} for name in ("left_eye", "left_hip")]
    report = {"boxes": {"by_category": [{}]}, "keypoints": {"accuracy": None, "mean_error": None, "by_type": types}}
    label_quality_figure({"labels": report}, tmp_path / "q", note=NOTE)
    left, right = (axes.get_position() for axes in saved_figures[0].axes)
    assert left.width == pytest.approx(right.width, rel=0.05)
    assert left.width > 0.3


def test_curves_from_definitions(tmp_path, saved_figures):
    def evaluation(name: str, value: float | None) -> list[dict]:
        path = tmp_path / f"{name}.json"
        if value is not None:
            path.write_text(json.dumps({"metrics": {"AP": 0.0, "AP50": value}}))
        return [{"seed": 1, "path": str(path)}]

    base = {"note": NOTE, "metric": "AP50", "baseline": evaluation("base", 30.0)}
    points = [{"x": 0.5, "evaluations": evaluation("half", 31.0)}, {"x": 1.0, "evaluations": evaluation("all", None)}]
    curve_from_definition("fractions", base | {"points": points}, tmp_path / "f")
    assert lines_with(saved_figures[0].axes[0], [0.0, 50.0]) == [[30.0, 31.0]]

    teachers = [{"label": "A", "teacher": evaluation("t", 20.0), "student": evaluation("s", 21.0)}]
    curve_from_definition("teachers", base | {"points": teachers}, tmp_path / "t")
    assert lines_with(saved_figures[1].axes[0], [20.0]) == [[21.0]]

    lengths = [{"x": 100, "evaluations": evaluation("short", 5.0)}]
    references = [{"label": "distilled", "x": 100, "evaluations": evaluation("d", 6.0)}]
    curve_from_definition("lengths", base | {"points": lengths, "references": references}, tmp_path / "l")
    assert [6.0] in lines_with(saved_figures[2].axes[0], [100])
    assert len(saved_figures) == 3
    assert all(NOTE in texts(figure) for figure in saved_figures)


def test_nothing_run_makes_empty_charts_not_errors(tmp_path, saved_figures):
    fractions_figure({1.0: {}}, {}, tmp_path / "f", note=NOTE)
    teachers_figure([TeacherPoint("A", {}, {})], {}, tmp_path / "t", note=NOTE)
    lengths_figure({100: {}}, [], tmp_path / "l", note=NOTE)
    for figure in saved_figures:
        drawn = [y for line in figure.axes[0].get_lines() for y in line.get_ydata()]
        assert not any(math.isfinite(y) for y in drawn)


def test_the_same_figure_has_the_same_bytes(tmp_path):
    first, second = (
        [path.read_bytes() for path in fractions_figure({1.0: {1: 44.0}}, {1: 39.0}, tmp_path / name, note=NOTE)]
        for name in ("a", "b")
    )
    assert first == second


def test_long_notes_take_more_lines():
    assert note_height("x " * 200, 5.0) > note_height("short", 5.0) + 0.3
