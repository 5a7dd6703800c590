"""What a config gets that names splits, models and label sets, and says no more: a preset, tables, galleries, and a note of
its data. Light: plain values of a checked config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datadistill.keys import required
from datadistill.specs import TrainingOptions
from datadistill.workflow.presets import with_preset

Config = Mapping[str, Any]
Entry = dict[str, Any]

PRESET = "small"
"""Runs anywhere, with weights that the environment brings."""


def with_own_defaults(config: Config) -> dict[str, Any]:
    """A checked config with its preset, and with tables, figures and a note where it says nothing of them (or null).

    The preset is its own; where nothing is said of networks, and too little of schedules to train a model, it is `small`.
    """
    made = with_preset({**config, "preset": PRESET} if _says_too_little(config) else config)
    if made.get("data_note") is None:
        made["data_note"] = data_note(made)
    if made.get("tables") is None:
        made["tables"] = tables_of_all_models(made)
    if made.get("figures") is None:
        made["figures"] = galleries(made)
    return made


def _says_too_little(config: Config) -> bool:
    """Could it not be trained without a preset, though it chooses nothing that a preset would not fit?"""
    if {"preset", "defaults"} & config.keys() or any("network" in model for model in config["models"]):
        return False
    return any(set(required(TrainingOptions)) - model.get("training", {}).keys() for model in config["models"])


def data_note(config: Config) -> str:
    """`splits labelled and pool, scored on val`: those that are learned from, and those that judge."""
    learned = [model["labelled"] for model in config["models"]]
    learned += [label_set["unlabelled"] for label_set in config.get("label_sets", [])]
    judges = list(config.get("evaluate_on", {}).values())
    splits = f"split{'s'[: len(set(learned)) > 1]} {_listed(learned)}"
    return f"{splits}, scored on {_listed(judges)}" if judges else splits


def tables_of_all_models(config: Config) -> list[Entry]:
    """A table for each task that is evaluated; students are measured against their teachers."""
    tasks = [task for task in config.get("evaluate_on", {}) if _models(config, task)]
    return [
        {
            "name": "results" if len(tasks) == 1 else f"results-{task}",
            "title": "Results" if len(tasks) == 1 else f"Results, {task}",
            "task": task,
            "columns": ["model"],
            "rows": _rows(config, task),
        }
        for task in tasks
    ]


def galleries(config: Config) -> list[Entry]:
    """A gallery of each label set, but of those that only rows of optional tables rest on."""
    # Imported here: what a run shows is told from a whole config.
    from datadistill.workflow.outputs import optional_label_sets

    tables = [{"optional": False, **table} for table in config["tables"]]
    left_out = optional_label_sets({**config, "tables": tables, "figures": []})
    names = [entry["name"] for entry in config.get("label_sets", []) if entry["name"] not in left_out]
    return [
        {"name": "gallery" if len(names) == 1 else f"gallery-{name}", "kind": "gallery", "label_set": name}
        for name in names
    ]


def _rows(config: Config, task: str) -> list[Entry]:
    models = _models(config, task)
    places = {model["name"]: number for number, model in enumerate(models, 1)}
    label_sets = {entry["name"]: entry for entry in config.get("label_sets", [])}
    shared = config.get("defaults", {}).get(task, {}).get("training", {})
    rows = []
    for model in models:
        taught = label_sets.get(model.get("label_set"), {})
        learned = _listed([model["labelled"], *([taught["unlabelled"]] if taught else [])])
        iterations = model.get("training", {}).get("iterations", shared.get("iterations"))
        length = "" if iterations is None else f", {iterations} iterations"
        row: Entry = {"cells": [model["name"]], "model": model["name"], "note": f"learned from {learned}{length}"}
        if taught.get("teacher") in places:
            row["baseline"] = places[taught["teacher"]]
        rows.append(row)
    return rows


def _models(config: Config, task: str) -> Sequence[Entry]:
    return [model for model in config["models"] if model["task"] == task]


def _listed(names: Iterable[str]) -> str:
    *first, last = dict.fromkeys(names)
    return f"{', '.join(first)} and {last}" if first else last
