"""Write a label set: the detections that pass its thresholds as COCO JSON, and where they come from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from datadistill.data.splits import read_images
from datadistill.detections import load_shards, read_libraries
from datadistill.errors import run_script
from datadistill.files import write_json
from datadistill.label.labels import annotate, provenance
from datadistill.label.threshold_files import read_thresholds
from datadistill.specs import LabelSetSpec, parse_spec
from datadistill.tasks.task import get_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, type=json.loads, help="the label set's spec, as canonical JSON")
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--split", required=True, type=Path, help="COCO JSON of the unlabelled images")
    parser.add_argument(
        "--labelled", required=True, type=Path, help="COCO JSON of the labelled split (for its categories)"
    )
    parser.add_argument("--thresholds", required=True, type=Path, help="thresholds (JSON)")
    parser.add_argument(
        "--detections",
        required=True,
        nargs="+",
        type=Path,
        help="every shard of the refinement for a task that refines, of the predictions for others",
    )
    parser.add_argument("--output", required=True, type=Path, help="annotations (COCO JSON)")
    parser.add_argument("--provenance", required=True, type=Path, help="where they come from (JSON)")
    arguments = parser.parse_args()

    spec = parse_spec(LabelSetSpec, arguments.spec)
    task = get_task(arguments.task)
    shards = arguments.detections
    expected = spec.refinement if task.refines else spec.predictions
    detections, lineage = load_shards(shards, expected, gated=task.refines)
    thresholds = read_thresholds(arguments.thresholds)
    categories = read_images(arguments.labelled)["categories"]
    origin = provenance(task, spec, lineage, thresholds, read_libraries(shards))
    labels = annotate(
        task, spec, read_images(arguments.split), categories, detections, thresholds, teacher=origin["teacher"]
    )
    write_json(arguments.provenance, origin, indent=1)
    write_json(arguments.output, labels)
    labelled = len({annotation["image_id"] for annotation in labels["annotations"]})
    print(f"{len(labels['annotations'])} annotations on {labelled} of {len(labels['images'])} images")


if __name__ == "__main__":
    run_script(main)
