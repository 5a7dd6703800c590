"""Choose the score thresholds of a label set, so that its labels are as frequent as those of the labelled split."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from datadistill.data.splits import read_images
from datadistill.detections import load_shards
from datadistill.errors import run_script
from datadistill.files import write_json
from datadistill.label.thresholds import choose_thresholds, image_ids, summary
from datadistill.specs import LabelSetSpec, parse_spec
from datadistill.tasks.task import get_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, type=json.loads, help="the label set's spec, as canonical JSON")
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--split", required=True, type=Path, help="COCO JSON of the unlabelled images")
    parser.add_argument("--labelled", required=True, type=Path, help="COCO JSON of the labelled split")
    parser.add_argument("--predictions", required=True, nargs="+", type=Path, help="every shard of the predictions")
    parser.add_argument(
        "--refinement", nargs="*", default=[], type=Path, help="every shard of the refinement, if the task has one"
    )
    parser.add_argument("--output", required=True, type=Path, help="thresholds (JSON)")
    arguments = parser.parse_args()

    spec = parse_spec(LabelSetSpec, arguments.spec)
    split = read_images(arguments.split)
    predictions, _ = load_shards(arguments.predictions, spec.predictions)
    predictions.require_exactly(image_ids(split), f"predictions for {arguments.split}")
    refined = None
    if arguments.refinement:
        refined, _ = load_shards(arguments.refinement, spec.refinement, gated=True)
        refined.require_exactly(image_ids(split), f"refinement for {arguments.split}")
    task = get_task(arguments.task)
    thresholds = choose_thresholds(task, spec, read_images(arguments.labelled), predictions, refined)
    write_json(arguments.output, {"task": task.name, "spec": spec.canonical(), **thresholds.to_json()}, indent=1)
    print("\n".join(summary(thresholds)))


if __name__ == "__main__":
    run_script(main)
