"""What a run will cost: models, label sets, images, transforms, GPU-hours and disk per table and in all. Runs nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.errors import run_script
from datadistill.workflow.cost import Rates, make_plan, show_plan
from datadistill.workflow.keypoint_notes import keypoint_notes
from datadistill.workflow.listing import listing
from datadistill.workflow.load import load_experiments

CONFIG_FOLDER = Path(__file__).resolve().parents[1] / "config"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, type=Path)
    parser.add_argument("--rates", type=Path, default=CONFIG_FOLDER / "rates.yaml")
    parser.add_argument("--downloads", type=Path, default=CONFIG_FOLDER / "downloads.yaml")
    parser.add_argument("--list", action="store_true", help="instead: every model, label set, table and figure")
    arguments = parser.parse_args()
    experiments = load_experiments(arguments.config)
    if arguments.list:
        print(listing(experiments), end="")
        return
    rates = Rates(arguments.rates)
    plan = make_plan(experiments, rates, arguments.downloads, lambda path: Path(path).exists())
    print(show_plan(experiments, plan, rates), end="")
    for note in keypoint_notes(experiments):
        print(f"\n{note}")


if __name__ == "__main__":
    run_script(main)
