"""A config's models by name, for programs that a person calls after a run."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datadistill.errors import UserError
from datadistill.specs import LabellingOptions
from datadistill.transforms import Transform, transform_set
from datadistill.workflow.config import load_config, naming
from datadistill.workflow.entries import by_name
from datadistill.workflow.experiments import build_experiments

MODEL_SUFFIX = ".pth"
PLAIN = "plain"


@dataclass(frozen=True)
class TrainedModel:
    """A model file, and how a config has its models predict.

    - `digest`: of the spec that the file must be of; None where only the file is known.
    - `options`: keys of `specs.LabellingOptions`.
    - `transforms`: those of an ensemble, or None for the plain pass.
    """

    file: str
    digest: str | None
    options: Mapping[str, Any]
    transforms: tuple[Transform, ...] | None


def chosen_seed(config: Mapping[str, Any], seed: int | None) -> int:
    """The seed that `--seed` names, by default the config's first; a `UserError` for one that the config doesn't have."""
    seeds = config["seeds"]
    if seed is not None and seed not in seeds:
        raise UserError(f"--seed: {seed} is none of the config's seeds: {', '.join(map(str, seeds))}")
    return seeds[0] if seed is None else seed


def choose_model(
    name: str, config_path: str | Path | None, seed: int | None = None, transforms: str = PLAIN
) -> TrainedModel:
    """The model of a name in a config, or of a model file's path (`.pth`), to which a config adds transforms and options.

    Raises `UserError`: for an unknown name with the nearest known one, for a model that isn't trained with the command that
    trains it.
    """
    config = None if config_path is None else load_config(config_path)
    chosen = None
    if transforms != PLAIN:
        if config is None:
            raise UserError(f"--transforms: the set {transforms!r} is one of a config; name that with --config")
        chosen = transform_set(by_name(config["transform_sets"], transforms, "transform set", "--transforms"))
    options = {field.name: field.default for field in dataclasses.fields(LabellingOptions)}
    options |= config["labelling"] if config else {}
    if name.endswith(MODEL_SUFFIX):
        if not Path(name).exists():
            raise UserError(f"--model: {name}: no such file")
        return TrainedModel(name, None, options, chosen)
    if config_path is None or config is None:
        raise UserError(
            f"--model: {name!r} is a name in a config, which --config must name; or give a file ({MODEL_SUFFIX})"
        )
    with naming(config_path):
        experiments = build_experiments(config)
    model = experiments.model(name, chosen_seed(config, seed), "--model")
    if not Path(model.file).exists():
        command = ["snakemake", "--cores", "all", "--configfile", str(config_path), "--", model.file]
        raise UserError(
            f"{model.file}: the model {name!r} (seed {model.seed}) isn't trained yet; train it with: {shlex.join(command)}"
        )
    return TrainedModel(model.file, model.digest, options, chosen)
