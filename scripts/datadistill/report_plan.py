"""What a run reports: which tables and figures, what each is made of, and which of them `all` builds."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from datadistill.errors import UserError
from datadistill.experiments import Evaluation, Experiments, LabelSet, Model, row_models
from datadistill.tasks import get_task

TABLE_SUFFIXES = ("md", "csv", "tex")
FIGURE_SUFFIXES = ("png", "pdf")


def outputs(experiments: Experiments) -> list[str]:
    """The files that `all` builds: every table and figure, or those that the config's `build` names."""
    config = experiments.config
    tables = [table["name"] for table in config["tables"]]
    figures = [figure["name"] for figure in config["figures"]]
    chosen = config["build"]
    for name in chosen or []:
        if name not in tables + figures:
            near = difflib.get_close_matches(name, tables + figures, 1, cutoff=0.4)
            raise UserError(f"build: there is no table or figure named {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    wanted = set(tables + figures if chosen is None else chosen)
    return [
        path for name in tables + figures if name in wanted for path in output_files(experiments, name)
    ]


def output_files(experiments: Experiments, name: str) -> list[str]:
    """The files of a table or figure."""
    if any(table["name"] == name for table in experiments.config["tables"]):
        return [experiments.paths.table(name, suffix) for suffix in TABLE_SUFFIXES]
    return [experiments.paths.figure(name, suffix) for suffix in FIGURE_SUFFIXES]


def _entry(experiments: Experiments, key: str, name: str) -> Mapping[str, Any]:
    return next(entry for entry in experiments.config[key] if entry["name"] == name)


def _row_evaluations(experiments: Experiments, table: Mapping[str, Any], number: int, model: str) -> list[Evaluation]:
    row = {**table["rows"][number - 1], "model": model}
    return experiments.row_evaluations(row, f"tables: {table['name']}: row {number}")


def _seed_paths(experiments: Experiments, evaluations: list[Evaluation]) -> list[dict[str, Any]]:
    return [
        {"seed": seed, "path": experiments.paths.evaluation(evaluation.id)}
        for seed, evaluation in zip(experiments.config["seeds"], evaluations, strict=True)
    ]


def table_definition(experiments: Experiments, name: str) -> dict[str, Any]:
    """What scripts/make_table.py needs to make a table: display text, the paper's rows, and our evaluation files."""
    table = _entry(experiments, "tables", name)
    rows = []
    for number, row in enumerate(table["rows"], 1):
        if len(row["cells"]) != len(table["columns"]):
            raise UserError(f"tables: {name}: row {number} has {len(row['cells'])} cells for {len(table['columns'])} columns")
        baselines = [str(table["baseline"])] if table["baseline"] not in (None, number) else []
        candidates = [
            {"label": model, "evaluations": _seed_paths(experiments, _row_evaluations(experiments, table, number, model))}
            for model in row_models(row)
        ]
        rows.append(
            {
                "key": str(number),
                "cells": dict(zip(table["columns"], map(str, row["cells"]), strict=True)),
                "published": row["published"],
                "note": row["note"] or None,
                "baseline": baselines,
                **({"best_of": candidates} if "best_of" in row else {"evaluations": candidates[0]["evaluations"]}),
            }
        )
    config = experiments.config
    return {
        "name": name,
        "title": table["title"],
        "caption": table["caption"],
        "columns": table["columns"],
        "metrics": list(get_task(table["task"]).metrics),
        "data": "proxy data" if config["proxy"] else "COCO",
        "data_note": config["data_note"],
        "compare": not config["proxy"],
        "rows": rows,
    }


def table_inputs(experiments: Experiments, name: str) -> list[str]:
    """The evaluation files of every row of a table."""
    table = _entry(experiments, "tables", name)
    return list(
        dict.fromkeys(
            experiments.paths.evaluation(evaluation.id)
            for number, row in enumerate(table["rows"], 1)
            for model in row_models(row)
            for evaluation in _row_evaluations(experiments, table, number, model)
        )
    )


def figure_label_set(experiments: Experiments, figure: Mapping[str, Any]) -> LabelSet:
    """The label set that a figure shows, of the first seed."""
    where = f"figures: {figure['name']}: label_set"
    if "label_set" not in figure:
        raise UserError(f"{where}: the key is missing; a figure of kind {figure['kind']} shows a label set")
    return experiments.label_set(figure["label_set"], experiments.config["seeds"][0], where)


def figure_models(experiments: Experiments, figure: Mapping[str, Any], key: str = "models") -> list[tuple[str, list[Model]]]:
    """The models that a figure shows: name and one model a seed."""
    where = f"figures: {figure['name']}: {key}"
    names = figure.get(key, [])
    if key == "models" and not names:
        raise UserError(f"{where}: the key is missing; a figure of kind {figure['kind']} shows models")
    return [(name, [experiments.model(name, seed, where) for seed in experiments.config["seeds"]]) for name in names]
