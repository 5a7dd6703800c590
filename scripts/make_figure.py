"""Make one figure, as OUTPUT_STEM.pdf and OUTPUT_STEM.png."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from datadistill.cpu_time import work_begins
from datadistill.data.splits import read_images
from datadistill.errors import run_script
from datadistill.files import read_json, read_json_argument, read_json_lines
from datadistill.tasks.task import get_refining_task, get_task


def ensemble(a: argparse.Namespace) -> None:
    from datadistill.report.ensemble_picture import ensemble_from_json

    ensemble_from_json(read_json(a.input), a.output_stem, note=a.note)


def gallery(a: argparse.Namespace) -> None:
    from datadistill.report.galleries import category_gallery_figure, gallery_figure

    task = get_task(a.task)
    make = category_gallery_figure if task.gallery_by_category else gallery_figure
    truth = read_images(a.truth) if a.truth else None
    make(
        read_images(a.labels),
        a.output_stem,
        task=task,
        seed=a.seed,
        note=a.note,
        truth=truth,
        columns=a.columns,
        lines=a.lines,
    )


def mirrored(a: argparse.Namespace) -> None:
    from datadistill.report.mirrored import mirrored_figure

    mirrored_figure(read_images(a.split), a.output_stem, task=get_refining_task(a.task), note=a.note)


def comparison(a: argparse.Namespace) -> None:
    from datadistill.detections import load_shards
    from datadistill.report.comparison import choose_comparison_images, comparison_figure, detections_as_annotations

    split, task = read_images(a.split), get_task(a.task)
    models = [
        (label, detections_as_annotations(load_shards(paths)[0], task))
        for label, paths in ((a.first_label, a.first), (a.second_label, a.second))
    ]
    ids = choose_comparison_images(split, task, a.seed, a.columns)
    comparison_figure(split, models, ids, a.output_stem, task=task, note=a.note, score_threshold=a.score_threshold)


def curve(a: argparse.Namespace) -> None:
    from datadistill.report.result_charts import curve_from_definition

    curve_from_definition(a.kind, read_json_argument(a.spec), a.output_stem)


def losses(a: argparse.Namespace) -> None:
    from datadistill.report.training_charts import losses_figure

    runs = {label: read_json_lines(path) for label, path in zip(a.labels, a.metrics, strict=True)}
    losses_figure(runs, a.output_stem, note=a.note)


def thresholds(a: argparse.Namespace) -> None:
    from datadistill.report.label_charts import thresholds_figure

    thresholds_figure(read_json(a.thresholds), a.output_stem, note=a.note)


def label_quality(a: argparse.Namespace) -> None:
    from datadistill.report.label_charts import label_quality_figure

    label_quality_figure(read_json(a.quality), a.output_stem, note=a.note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)

    def kind(name: str, make: Any, description: str) -> argparse.ArgumentParser:
        sub = kinds.add_parser(name, help=description, description=description)
        sub.set_defaults(make=make)
        sub.add_argument("--output-stem", required=True, type=Path)
        sub.add_argument("--note", default="", help="what data this is from")
        return sub

    sub = kind("ensemble", ensemble, "Figure 2: one person, its transforms and their ensemble")
    sub.add_argument(
        "--input", required=True, type=Path, help="JSON with image, box, transforms, ensemble, truth, category, task"
    )

    sub = kind("gallery", gallery, "Figures 3 and 7: generated labels")
    sub.add_argument("--task", required=True, help="its name")
    sub.add_argument("--labels", required=True, type=Path, help="annotations.json of a label set")
    sub.add_argument("--truth", type=Path, help="the split with its hidden annotations, for a row of mistakes")
    sub.add_argument("--seed", type=int, default=1)
    sub.add_argument("--columns", type=int, default=5)
    sub.add_argument("--lines", type=int, default=2)

    sub = kind("mirrored", mirrored, "labelled keypoints beside their mirror images, before anything is trained")
    sub.add_argument("--task", required=True, help="its name")
    sub.add_argument("--split", required=True, type=Path)

    sub = kind("comparison", comparison, "Figure 4: detections of two models on the same images")
    sub.add_argument("--task", required=True, help="its name")
    sub.add_argument("--split", required=True, type=Path)
    sub.add_argument("--first", required=True, nargs="+", type=Path, help="shards of the first model's predictions")
    sub.add_argument("--second", required=True, nargs="+", type=Path)
    sub.add_argument("--first-label", required=True)
    sub.add_argument("--second-label", required=True)
    sub.add_argument(
        "--score-threshold", type=float, help="without it, as many detections of each model as the split has instances"
    )
    sub.add_argument("--seed", type=int, default=1)
    sub.add_argument("--columns", type=int, default=5)

    for name, description in (
        ("fractions", "Figure 5: AP against the fraction of unlabelled images"),
        ("teachers", "Figure 6: student AP against teacher AP"),
        ("lengths", "labelled-only training at several lengths"),
    ):
        sub = kind(name, curve, description)
        sub.add_argument("--spec", required=True, help="JSON, or the path of a JSON file; it holds the note")

    sub = kind("losses", losses, "loss curves of one or several models")
    sub.add_argument("--metrics", required=True, nargs="+", type=Path, help="metrics.jsonl of each model")
    sub.add_argument("--labels", required=True, nargs="+", help="a label for each")

    sub = kind("thresholds", thresholds, "how a label set's thresholds were chosen")
    sub.add_argument("--thresholds", required=True, type=Path, help="thresholds.json of a label set")

    sub = kind("label-quality", label_quality, "quality of labels against hidden truth")
    sub.add_argument("--quality", required=True, type=Path, help="JSON of label_quality.py")

    arguments = parser.parse_args()
    work_begins("matplotlib.figure", "matplotlib.backends.backend_agg")
    arguments.make(arguments)


if __name__ == "__main__":
    run_script(main)
