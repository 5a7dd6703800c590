"""What a run reports: which tables and figures, what each is made of, and which of them `all` builds."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from datadistill.errors import UserError
from datadistill.tasks.task import get_task
from datadistill.workflow.entries import baseline_rows, by_name, row_models
from datadistill.workflow.experiments import Experiments
from datadistill.workflow.figures import evaluation_files, figure, quality
from datadistill.workflow.held_out import row_labels
from datadistill.workflow.registry import Evaluation, Result
from datadistill.workflow.report_registry import HeldOutLabels, Quality, ThresholdsPage

TABLE_SUFFIXES = ("md", "csv", "tex")
FIGURE_SUFFIXES = ("png", "pdf")


def names_of(experiments: Experiments) -> list[str]:
    """Tables and figures of a run, in the config's order: the targets that `snakemake NAME` makes."""
    return [entry["name"] for key in ("tables", "figures") for entry in experiments.config[key]]


def chosen_names(experiments: Experiments) -> list[str]:
    """Those of them that `all` makes."""
    build = experiments.config["build"]
    optional = {table["name"] for table in experiments.config["tables"] if table["optional"]}
    return [name for name in names_of(experiments) if (name in build if build is not None else name not in optional)]


def outputs(experiments: Experiments) -> list[str]:
    """The files that `all` builds: every table and figure, or those that the config's `build` names."""
    names, chosen = names_of(experiments), experiments.config["build"]
    for name in chosen or []:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, cutoff=0.4)
            raise UserError(
                f"build: there is no table or figure named {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )
    # Resolved here, before anything runs, so that a fault in the last figure isn't found after hours of training.
    for name in names:
        shown_results(experiments, name)
    made = [path for name in chosen_names(experiments) for path in output_files(experiments, name)]
    return made if chosen is not None else made + [_markdown(page) for page in label_pages(experiments)]


def optional_label_sets(config: Mapping[str, Any]) -> set[str]:
    """Label sets, by name, that only rows of optional tables rest on."""
    rows: dict[bool, set[str]] = {True: set(), False: set()}
    for table in config["tables"]:
        rows[table["optional"]].update(name for row in table["rows"] for name in row_models(row))
    shown = {name for entry in config["figures"] for key in ("models", "references") for name in entry.get(key, [])}
    only = rows[True] - rows[False] - shown
    used = {entry["label_set"] for entry in config["figures"] if "label_set" in entry}
    used |= {model.get("label_set") for model in config["models"] if model["name"] not in only}
    return {str(model["label_set"]) for model in config["models"] if model.get("label_set")} - used


def label_pages(experiments: Experiments) -> list[ThresholdsPage | Quality]:
    """For every label set, but those of optional tables alone: how its thresholds were chosen and, where the truth is known, how good the labels are."""
    pages: list[ThresholdsPage | Quality] = []
    left_out = optional_label_sets(experiments.config)
    for label_set in experiments.label_sets.values():
        if label_set.name in left_out:
            continue
        pages.append(ThresholdsPage(label_set.id, experiments.paths, label_set))
        if label_set.truth:
            pages.append(quality(experiments, label_set))
    return pages


def output_files(experiments: Experiments, name: str) -> list[str]:
    """The files of a table or figure."""
    if _is_table(experiments, name):
        return [experiments.paths.table(name, suffix) for suffix in TABLE_SUFFIXES]
    return [experiments.paths.figure(name, suffix) for suffix in FIGURE_SUFFIXES]


def shown_results(experiments: Experiments, name: str) -> tuple[Result, ...]:
    """The results that a table or figure shows."""
    if _is_table(experiments, name):
        return (*table_evaluations(experiments, name), *table_labels(experiments, name))
    return figure(experiments, name).shows


def _is_table(experiments: Experiments, name: str) -> bool:
    return any(table["name"] == name for table in experiments.config["tables"])


def _markdown(page: Result) -> str:
    return next(path for path in page.files if path.endswith(".md"))


# --- the HTML report: its sections, in order, and what each shows ----------------------------------------------------

_FIGURE_SECTIONS = {
    **dict.fromkeys(("ensemble", "fractions", "teachers", "lengths"), "2. Figures"),
    **dict.fromkeys(("gallery", "comparison"), "3. Galleries"),
    "losses": "4. Loss curves",
    "thresholds": "5. Thresholds",
    "label_quality": "6. Label quality",
}


@dataclass(frozen=True)
class Page:
    """A page of the report: the section that shows it, and what it is called there."""

    section: str
    title: str


def figure_section(experiments: Experiments, name: str) -> str:
    """The section of the report that shows a figure."""
    return _FIGURE_SECTIONS[by_name(experiments.config["figures"], name, "figure", "figures")["kind"]]


def report_pages(experiments: Experiments) -> dict[str, Page]:
    """Every page of the report by its name (see `Paths.page`)."""

    def name(markdown: str) -> str:
        return str(PurePosixPath(markdown).relative_to(experiments.paths.base).with_suffix(""))

    pages = {
        name(experiments.paths.table(table["name"])): Page("1. Tables", str(table["title"]))
        for table in experiments.config["tables"]
    }
    several = len(experiments.config["seeds"]) > 1
    for page in label_pages(experiments):
        label_set = page.label_set
        title = f"{label_set.name}, seed {label_set.seed}" if several else label_set.name
        section = "5. Thresholds" if isinstance(page, ThresholdsPage) else "6. Label quality"
        pages[name(_markdown(page))] = Page(section, title)
    return {**pages, name(experiments.paths.run_times()): Page("7. Run times", "all jobs")}


def report_files(experiments: Experiments) -> list[str]:
    """What the HTML report shows: `all`, with every page of it as HTML."""
    made, paths = outputs(experiments), experiments.paths
    pages = [page for page in report_pages(experiments) if paths.page(page, "md") in {*made, paths.run_times()}]
    return made + [paths.page(page) for page in pages]


# --- tables -----------------------------------------------------------------------------------------------------------


def _row_evaluations(experiments: Experiments, table: Mapping[str, Any], number: int, model: str) -> list[Evaluation]:
    row = {**table["rows"][number - 1], "model": model}
    return experiments.row_evaluations(row, f"tables: {table['name']}: row {number}")


def table_spec(experiments: Experiments, name: str) -> dict[str, Any]:
    """What scripts/make_table.py needs to make a table: display text, the paper's rows, and our evaluation files."""
    table = by_name(experiments.config["tables"], name, "table", "tables")
    rows = []
    for number, row in enumerate(table["rows"], 1):
        baselines = baseline_rows(_baseline(table, row, number))
        candidates = [
            {
                "label": model,
                "evaluations": evaluation_files(experiments, _row_evaluations(experiments, table, number, model)),
            }
            for model in row_models(row)
        ]
        rows.append(
            {
                "key": str(number),
                "cells": dict(zip(table["columns"], map(str, row["cells"]), strict=True)),
                "published": row["published"],
                "note": row["note"] or None,
                # A row that others are measured against isn't measured itself.
                "baseline": [] if number in baselines else [str(row) for row in baselines],
                **({"best_of": candidates} if "best_of" in row else {"evaluations": candidates[0]["evaluations"]}),
                **_label_files(experiments, table, row),
            }
        )
    config = experiments.config
    return {
        "name": name,
        "title": table["title"],
        "caption": table["caption"],
        "columns": table["columns"],
        "metrics": list(get_task(table["task"]).metrics),
        # Of one's own data nothing is said but the note.
        "data": {True: "proxy data", False: "COCO", None: ""}[config["proxy"]],
        "data_note": config["data_note"],
        "compare": config["proxy"] is False,
        "rows": rows,
        # Only where they are asked for: a table without is made by the same spec as ever.
        **({"steps": True} if table["steps"] else {}),
        **({"labels_on": table["labels_on"]} if table["labels_on"] else {}),
    }


def _baseline(table: Mapping[str, Any], row: Mapping[str, Any], number: int) -> int | list[int] | None:
    """The row or rows that a row (counted from 1) is measured against."""
    if row["baseline"] is not None:
        return row["baseline"]
    return (number - 1 or None) if table["steps"] else table["baseline"]


def _label_files(experiments: Experiments, table: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    if table["labels_on"] is None or "model" not in row:
        return {}
    shown = row_labels(experiments, table, row["model"])
    return {"labels": [{"seed": labels.label_set.seed, "path": labels.file} for labels in shown]}


def table_labels(experiments: Experiments, name: str) -> list[HeldOutLabels]:
    """How good the labels are that the rows of a table learned from, where it shows that."""
    table = by_name(experiments.config["tables"], name, "table", "tables")
    return [
        labels for row in table["rows"] if "model" in row for labels in row_labels(experiments, table, row["model"])
    ]


def table_evaluations(experiments: Experiments, name: str) -> list[Evaluation]:
    """The evaluations of every row of a table, each once."""
    table = by_name(experiments.config["tables"], name, "table", "tables")
    shown = (
        evaluation
        for number, row in enumerate(table["rows"], 1)
        for model in row_models(row)
        for evaluation in _row_evaluations(experiments, table, number, model)
    )
    return list(dict.fromkeys(shown))
