"""How good the labels of a label set are: what its teacher would label on an annotated split, by the same thresholds."""

from __future__ import annotations

import argparse
from pathlib import Path

from datadistill.data.leaks import check_drawn, read_drawn
from datadistill.data.splits import read_images
from datadistill.detections import load_shards
from datadistill.errors import run_script
from datadistill.evaluate.held_out import judge
from datadistill.files import reading, write_json
from datadistill.label.threshold_files import read_thresholds
from datadistill.tasks.task import get_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--split", required=True, type=Path, help="COCO JSON with annotations")
    parser.add_argument(
        "--detections", required=True, nargs="+", type=Path, help="what the teacher finds there: every shard"
    )
    parser.add_argument("--thresholds", required=True, type=Path, help="those of the label set (JSON)")
    parser.add_argument(
        "--drawn", required=True, type=Path, help="drawn.json of the teacher: it must not have learned from the split"
    )
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args()

    split = read_images(arguments.split)
    with reading(arguments.drawn, "a record of drawn images"):
        check_drawn(read_drawn(arguments.drawn), split, str(arguments.split))
    detections, _ = load_shards(arguments.detections)
    made = judge(get_task(arguments.task), split, detections, read_thresholds(arguments.thresholds))
    write_json(arguments.output, made, indent=1)
    print("  ".join(f"{name} {'n/a' if value is None else f'{value:.3f}'}" for name, value in made["measures"].items()))


if __name__ == "__main__":
    run_script(main)
