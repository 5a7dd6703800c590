"""Choose the box score from which predictions are worth refining."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from datadistill.data.splits import read_images
from datadistill.detections import load_shards
from datadistill.errors import run_script
from datadistill.files import write_json
from datadistill.label.thresholds import gate, image_ids
from datadistill.specs import GateSpec, parse_spec
from datadistill.tasks.task import get_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, type=json.loads, help="the gate's spec, as canonical JSON")
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument(
        "--margin",
        required=True,
        type=float,
        help="times the target's boxes that pass at least, beyond what the spec says",
    )
    parser.add_argument("--split", required=True, type=Path, help="COCO JSON of the unlabelled images")
    parser.add_argument("--labelled", required=True, type=Path, help="COCO JSON of the labelled split")
    parser.add_argument("--predictions", required=True, nargs="+", type=Path, help="every shard of the predictions")
    parser.add_argument("--output", required=True, type=Path, help="the gate (JSON)")
    arguments = parser.parse_args()

    spec = parse_spec(GateSpec, arguments.spec)
    predictions, _ = load_shards(arguments.predictions, spec.predictions)
    predictions.require_exactly(image_ids(read_images(arguments.split)), f"predictions for {arguments.split}")
    chosen = gate(spec, read_images(arguments.labelled), predictions, arguments.margin, task=get_task(arguments.task))
    write_json(arguments.output, {"spec": spec.canonical(), **chosen}, indent=1)
    print(
        f"{chosen['kept']} of {chosen['available']} boxes score {chosen['threshold']:.4f} or more: "
        f"{chosen['achieved']:.3f} an image, for a target of {chosen['target']:.3f}"
    )


if __name__ == "__main__":
    run_script(main)
