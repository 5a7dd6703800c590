"""Score predictions on an annotated split: COCO metrics of one model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from datadistill.errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, type=json.loads, help="the evaluation's spec, as canonical JSON")
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--split", required=True, type=Path, help="COCO JSON with annotations")
    parser.add_argument("--predictions", required=True, nargs="+", type=Path, help="every shard of the predictions")
    parser.add_argument(
        "--drawn", type=Path, help="drawn.json of the model: refuse a split whose images it was trained on"
    )
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args()

    from datadistill.cpu_time import work_begins
    from datadistill.data.leaks import check_drawn, read_drawn
    from datadistill.data.splits import read_images
    from datadistill.detections import load_shards
    from datadistill.evaluate.coco_metrics import score
    from datadistill.files import reading, write_json
    from datadistill.tasks.task import get_task

    task = get_task(arguments.task)
    split = read_images(arguments.split)
    if arguments.drawn:
        with reading(arguments.drawn, "a record of drawn images"):
            check_drawn(read_drawn(arguments.drawn), split, str(arguments.split))
    expected = arguments.spec.get("refinement") or arguments.spec["predictions"]
    detections, _ = load_shards(arguments.predictions, expected)
    detections.require_exactly((image["id"] for image in split["images"]), f"predictions for {arguments.split}")
    work_begins("pycocotools.cocoeval")
    scores = score(split, task.results(detections), task, name=str(arguments.split))
    write_json(arguments.output, {"spec": arguments.spec, "split": str(arguments.split), **scores}, indent=1)
    print("  ".join(f"{key} {'n/a' if value is None else f'{value:.1f}'}" for key, value in scores["metrics"].items()))


if __name__ == "__main__":
    run_script(main, warm=True)
