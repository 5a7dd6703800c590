"""Experiments of edited configs, and what of them has another name than before."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from datadistill.specs import Spec
from datadistill.workflow.config import complete_config
from datadistill.workflow.experiments import Experiments, build_experiments

Config = dict[str, Any]
KINDS = ("splits", "models", "predictions", "gates", "refinements", "label_sets", "evaluations")


def build(config: Config) -> Experiments:
    return build_experiments(complete_config(copy.deepcopy(config)))


def named(config: Config, key: str, name: str) -> Config:
    return next(entry for entry in config[key] if entry["name"] == name)


def ids(experiments: Experiments, kind: str) -> set[str]:
    return set(getattr(experiments, kind))


def changed(before: Experiments, after: Experiments) -> set[str]:
    """Kinds of results of which one or more got another name."""
    return {kind for kind in KINDS if ids(before, kind) != ids(after, kind)}


def model(experiments: Experiments, name: str, seed: int = 1) -> Any:
    return experiments.model(name, seed, "test")


def specs(experiments: Experiments) -> Iterable[Spec]:
    for kind in KINDS[1:]:
        for entry in getattr(experiments, kind).values():
            yield entry.spec
