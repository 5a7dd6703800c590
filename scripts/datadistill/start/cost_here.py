"""What a run will cost on this machine, as far as anybody knows: `make plan`'s counts, and a rate for machines without a GPU."""

from __future__ import annotations

import os
from pathlib import Path

from datadistill.files import human_size
from datadistill.workflow.cost import Rates, hours, make_plan
from datadistill.workflow.experiments import Experiments

_CONFIG_FOLDER = Path(__file__).resolve().parents[3] / "config"


def cost_here(experiments: Experiments, *, gpus: int) -> list[str]:
    """Sentences on time and disk. No rate is measured on the machine at hand, and they say so."""
    rates = Rates(_CONFIG_FOLDER / "rates.yaml")
    plan = make_plan(experiments, rates, _CONFIG_FOLDER / "downloads.yaml", lambda path: Path(path).exists())
    whole = plan.run.whole
    said = [
        f"Cost: {whole.iterations:,} iterations of training, {whole.passes:,} passes over images, "
        f"{human_size(whole.disk + plan.checkpoint)} of disk."
    ]
    narrow = any(backbone.startswith("timm:") for backbone in rates.assumed)
    device = rates.plain("gpu")
    if gpus:
        what = (
            "at most, by the rates of ResNet-50, as the small network's were not measured"
            if narrow
            else "by documented rates"
        )
        said.append(
            f"  {hours(whole.gpu_hours)} hours of one {device}, {what}; nothing was measured on this machine's {gpus}."
        )
    elif narrow:
        minutes = whole.gpu_hours * rates.rate("cpu", "small") * 60
        said.append(
            f"  No GPU here: some {_rounded(minutes)} minutes of processor time, on {os.cpu_count()} cores, by a rate measured elsewhere "
            "on config/demo.yaml, whose network is narrower; nothing was measured on this machine."
        )
    else:
        said.append(
            f"  {hours(whole.gpu_hours)} hours of one {device}, by documented rates. No GPU is here, and ResNet-50 on a CPU takes "
            "seconds an image: take PRESET=small, or another machine."
        )
    return said


def _rounded(minutes: float) -> str:
    """Two digits: the rate is no better."""
    return f"{float(f'{max(minutes, 1):.2g}'):,.0f}"
