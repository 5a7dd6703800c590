"""Rounds of distillation, written out: an entry of `rounds` becomes models, label sets and a table like any others.

So plans, digests, reports and reruns know nothing of rounds. Light: the standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from datadistill.errors import UserError
from datadistill.keys import NAME

Entry = Mapping[str, Any]


def with_rounds(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a checked config in which every entry of `rounds` is written out, and `rounds` is empty.

    Raises `UserError` for a config without a model, for rounds that nothing can judge, and for names that get too long.
    """
    written = {key: list(config.get(key) or []) for key in ("models", "label_sets", "tables")}
    for entry in config.get("rounds") or []:
        if not re.match(NAME, _name(entry, entry["rounds"])) or not re.match(NAME, _table_name(entry)):
            raise UserError(f"rounds: {entry['name']}: the name is too long; names of rounds are made of it")
        written["models"] += [_model(entry, number) for number in range(entry["rounds"] + 1)]
        written["label_sets"] += [_label_set(entry, number) for number in range(1, entry["rounds"] + 1)]
        written["tables"].append(_table(entry, config))
    if not written["models"]:
        raise UserError("it has no model to train; add an entry under `models` or `rounds`")
    return {
        **config,
        **{key: entries for key, entries in written.items() if entries or config.get(key) is not None},
        "rounds": [],
    }


def _name(entry: Entry, number: int) -> str:
    return f"{entry['name']}-round-{number}"


def _table_name(entry: Entry) -> str:
    return f"rounds-{entry['name']}"


def _model(entry: Entry, number: int) -> dict[str, Any]:
    learns_from = {"label_set": _name(entry, number)} if number else {}
    own = entry.get("student" if number else "teacher", {})
    return {"name": _name(entry, number), "task": entry["task"], "labelled": entry["labelled"], **learns_from, **own}


def _label_set(entry: Entry, number: int) -> dict[str, Any]:
    """What round `number` learns from: labels by the model of the round before."""
    made_by = {"teacher": _name(entry, number - 1), "unlabelled": entry["unlabelled"]}
    return {"name": _name(entry, number), **made_by, **entry.get("labels", {})}


def _table(entry: Entry, config: Mapping[str, Any]) -> dict[str, Any]:
    judge = config.get("evaluate_on", {}).get(entry["task"])
    held_out = entry.get("held_out") or judge
    if held_out is None:
        raise UserError(
            f"rounds: {entry['name']}: nothing judges the models: evaluate_on has no split for task {entry['task']}, and held_out "
            "isn't given; name an annotated split there that nothing learns from"
        )
    split = {} if judge else {"split": held_out}
    rows = [
        {"cells": [_in_words(entry, number)], "model": _name(entry, number), **split}
        for number in range(entry["rounds"] + 1)
    ]
    return {
        "name": _table_name(entry),
        "title": f"Rounds of distillation: {entry['name']}",
        "caption": _caption(entry, config, held_out),
        "task": entry["task"],
        "columns": ["round"],
        "steps": True,
        "labels_on": held_out,
        "rows": rows,
    }


def _in_words(entry: Entry, number: int) -> str:
    labels = f" + {entry['unlabelled']} labelled by round {number - 1}" if number else ""
    return f"{number}: {entry['labelled']}{labels}"


_STARTS = {
    "imagenet": "starts from ImageNet weights",
    "teacher": "goes on from the weights of the round before",
    "random": "starts from random weights",
}


def _caption(entry: Entry, config: Mapping[str, Any], held_out: str) -> str:
    shared = config.get("defaults", {}).get(entry["task"], {}).get("initial", "imagenet")
    initial = entry.get("student", {}).get("initial", shared)
    return (
        f"Each student {_STARTS[initial]} and learns from the labelled images and from the labels that the model of the round before "
        f"gave {entry['unlabelled']}; nothing else is carried over. Labels are those that a row's model learned from: how many an image "
        f"of {entry['unlabelled']} has, and how good those are that the same teacher gives {held_out} by the same thresholds."
    )
