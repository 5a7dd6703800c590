"""What the report of a run shows, in order: which files, under which headings, and what was run."""

from __future__ import annotations

from typing import Any

from datadistill.workflow.entries import by_name
from datadistill.workflow.experiments import Experiments
from datadistill.workflow.needs import mirrored_splits, needs_of_run, only
from datadistill.workflow.outputs import chosen_names, label_pages, names_of
from datadistill.workflow.registry import LabelSet, Model
from datadistill.workflow.report_registry import ThresholdsPage

PICTURES, TABLES, CHARTS = "Pictures", "Tables", "Charts"
LOSSES, THRESHOLDS, QUALITY = "Loss curves", "Thresholds", "Label quality"
SECTIONS = (PICTURES, TABLES, CHARTS, QUALITY, THRESHOLDS, LOSSES)
_SECTION_OF_KIND = {
    **dict.fromkeys(("ensemble", "gallery", "comparison"), PICTURES),
    **dict.fromkeys(("fractions", "teachers", "lengths"), CHARTS),
    "losses": LOSSES,
    "thresholds": THRESHOLDS,
    "label_quality": QUALITY,
}
_MIRRORED = (
    "Labelled keypoints beside their mirror images, as training sees them: left and right change places in pairs."
)
_MODEL_COLUMNS = ("model", "task", "labelled", "labels of", "backbone", "starts from", "iterations", "batch", "rate")
_LABEL_COLUMNS = ("label set", "task", "teacher", "unlabelled", "transforms")


def report_contents(experiments: Experiments) -> dict[str, Any]:
    """JSON values for scripts/make_report.py.

    `run`, `note`, `proxy`, `seeds`; `made`: two tables of what was run (`columns`, `rows`); `headline`: the first table of
    each task (items); `sections`: `title` and `items`. An item is a page of Markdown (`page`) or a figure (`figure`, with a
    `caption`), under a `title`. `benchmarks` is the folder of the jobs' times.
    """
    config, paths = experiments.config, experiments.paths
    chosen = set(chosen_names(experiments))
    sections: dict[str, list[dict[str, str]]] = {section: [] for section in SECTIONS}
    headline: dict[str, dict[str, str]] = {}
    for name in (name for name in names_of(experiments) if name in chosen):
        if any(table["name"] == name for table in config["tables"]):
            table = by_name(config["tables"], name, "table", "tables")
            item = {"title": str(table["title"]), "page": paths.table(name)}
            if headline.setdefault(table["task"], item) is not item:
                sections[TABLES].append(item)
        else:
            entry = by_name(config["figures"], name, "figure", "figures")
            figure = {"title": name, "figure": paths.figure(name), "caption": entry["caption"] or ""}
            sections[_SECTION_OF_KIND[entry["kind"]]].append(figure)
    for split in mirrored_splits(experiments):
        shown = {
            "title": f"{experiments.splits[split].name}, mirrored",
            "figure": paths.preview(split),
            "caption": _MIRRORED,
        }
        sections[PICTURES].append(shown)
    for page in label_pages(experiments) if config["build"] is None else []:
        section = THRESHOLDS if isinstance(page, ThresholdsPage) else QUALITY
        [file] = [file for file in page.files if file.endswith(".md")]
        sections[section].append({"title": page.label_set.title, "page": file})
    return {
        "run": config["run"],
        "note": config["data_note"],
        "proxy": config["proxy"],
        "seeds": list(config["seeds"]),
        "made": [_models(experiments), _label_sets(experiments)],
        "headline": list(headline.values()),
        "sections": [{"title": title, "items": items} for title, items in sections.items() if items],
        "benchmarks": paths.benchmarks,
        "run_times": paths.run_times(),
    }


def report_inputs(contents: dict[str, Any]) -> list[str]:
    """The files that a report with these contents reads."""
    items = [*contents["headline"], *(item for section in contents["sections"] for item in section["items"])]
    return [*(item.get("page") or item["figure"] for item in items), contents["run_times"]]


def _models(experiments: Experiments) -> dict[str, Any]:
    models = {model.name: model for model in only(Model, needs_of_run(experiments))}
    rows = [
        [
            model.name,
            model.task,
            model.labelled.name,
            f"{model.label_set.name}{f' ({model.spec.fraction:.0%})' if model.spec.fraction < 1 else ''}"
            if model.label_set
            else "",
            model.spec.network.backbone,
            model.spec.initial,
            f"{model.spec.training.iterations:,}",
            str(model.spec.training.batch_size),
            f"{model.spec.training.learning_rate:g}",
        ]
        for model in models.values()
    ]
    return {"title": "Models", "columns": list(_MODEL_COLUMNS), "rows": rows}


def _label_sets(experiments: Experiments) -> dict[str, Any]:
    sets = {label_set.name: label_set for label_set in only(LabelSet, needs_of_run(experiments))}
    rows = [
        [label_set.name, label_set.task, label_set.teacher.name, label_set.split.name, str(_transforms(label_set))]
        for label_set in sets.values()
    ]
    return {"title": "Label sets", "columns": list(_LABEL_COLUMNS), "rows": rows}


def _transforms(label_set: LabelSet) -> int:
    spec = label_set.refinement.spec if label_set.refinement else label_set.predictions.spec
    return len(spec.transforms)
