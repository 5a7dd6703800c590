"""From a config's file to its experiments: what programs outside of Snakemake begin with."""

from __future__ import annotations

from pathlib import Path

from datadistill.workflow.config import load_config, naming
from datadistill.workflow.experiments import Experiments, build_experiments


def load_experiments(path: str | Path) -> Experiments:
    """The experiments of a config. Raises `UserError` that names the file, for whatever is wrong in it."""
    with naming(path):
        return build_experiments(load_config(path))
